"""Weights & Biases without a run: who is logged in, what its errors mean, and checkpoints that lie there.

A checkpoint there is an artifact, ``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS``.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ldg.errors import UserError

if TYPE_CHECKING:  # wandb takes half a second
    from wandb import Artifact

CACHE = "ldg-artifacts"  # folder of the checkpoints in W&B's own cache
SILENT = "the server does not answer"
PATIENCE = 10  # seconds for an answer of the server
BYTES_PER_SECOND = 10**5  # of the slowest download that is waited for
_REFERENCE = re.compile(r"wandb://?([^/:]+/[^/:]+/[^/:]+:[^/:]+)")  # a Path has one slash less
_Result = TypeVar("_Result")


def is_reference(path: str | Path) -> bool:
    """Whether a path names an artifact in W&B, rightly or wrongly."""
    return str(path).startswith("wandb:/")


def has_credentials() -> bool:
    """Whether somebody is logged in to W&B on this machine; the server is not asked.

    Raises:
        wandb.errors.AuthenticationError: If the key cannot be one.
    """
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    return wandb.login(prompt=False, verify=False)


def describe_error(error: BaseException) -> str:
    """What W&B says about an error, in one line; further lines are advice about its own settings."""
    first = next((line.strip(" :") for line in str(error).splitlines() if line.strip()), "")
    if first in ("", "<no message>"):
        refused = type(error).__name__ == "CommError"
        return "the server refuses the key or the run" if refused else f"its service broke ({type(error).__name__})"
    if re.search(r"context deadline exceeded|Client\.Timeout|did not respond in time|Timed out initializing", first):
        return SILENT
    answer = re.search(r'"message":"([^"]+)"', first)  # of GraphQL
    return answer[1] if answer else first


def fetch(reference: str | Path) -> Path:
    """Download the checkpoint of an artifact into W&B's cache, unless it is there.

    Args:
        reference: ``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS``; a version, ``v3``, is an alias.

    Returns:
        The file.

    Raises:
        UserError: If the reference is malformed, nobody is logged in, the server does not answer in time or has no such
            artifact, or there is not one checkpoint in it.
    """
    match = _REFERENCE.fullmatch(str(reference))
    if match is None:
        raise UserError(f"{reference}: write wandb://ENTITY/PROJECT/ARTIFACT:ALIAS, as in wandb://me/ldg/model-1:best")
    import wandb

    try:
        if wandb.run is None and not has_credentials():
            is_offline = os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled")
            reason = "WANDB_MODE is offline; unset it" if is_offline else "no one is logged in to W&B (wandb login)"
            raise UserError(f"{reference}: {reason}")
        artifact: Artifact = within(PATIENCE, lambda: wandb.Api(timeout=PATIENCE).artifact(match[1]))
        entries = within(PATIENCE, lambda: artifact.manifest.entries)
        files = [name for name in entries if name.endswith((".ckpt", ".safetensors"))]
        if len(files) != 1:
            has = f"has {', '.join(sorted(files))}" if files else "has no .ckpt or .safetensors file"
            raise UserError(f"{reference}: the artifact {has}; name one with a single checkpoint")
        place = match[1].rpartition(":")[0] + f"-{artifact.version}"  # an alias may move on to another version
        root = wandb.env.get_cache_dir() / CACHE / re.sub(r"[^\w.-]+", "-", place)
        longest = PATIENCE + artifact.size / BYTES_PER_SECOND
        return Path(within(longest, lambda: artifact.get_entry(files[0]).download(str(root))))
    except UserError:
        raise
    except Exception as error:  # whatever W&B raises: it refuses the key, has no such artifact, ...
        reason = SILENT if isinstance(error, TimeoutError) else describe_error(error)
        hint = "; try again later, or name a file" if reason == SILENT else ""
        raise UserError(f"{reference}: {reason}{hint}") from None


def within(seconds: float | None, function: Callable[[], _Result]) -> _Result:
    """The result of a function of W&B's, which may have no time limit: downloads are tried again for 20 minutes.

    Args:
        seconds: That it may take; None: any time.
        function: It goes on in a thread of its own if it takes longer.

    Raises:
        TimeoutError: If it takes longer.
    """
    outcome: list[_Result] = []
    errors: list[Exception] = []

    def call() -> None:
        try:
            outcome.append(function())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not outcome:
        raise TimeoutError
    return outcome[0]
