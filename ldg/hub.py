"""The Hugging Face Hub: models that lie there as ``hf://OWNER/NAME``, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ldg.errors import UserError, one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WEIGHTS = "model.safetensors"
PATIENCE = 10  # seconds for an answer
_REFERENCE = re.compile(r"hf://?(?P<name>[^/@]+/[^/@]+)(@(?P<revision>[^@]+))?")  # a Path has one slash less


def is_reference(path: str | Path) -> bool:
    """Whether a path names a model on the Hub, rightly or wrongly."""
    return str(path).startswith("hf:/")


def fetch(reference: str | Path) -> Path:
    """Download the weights of a model into the Hub's cache, unless they are there.

    Args:
        reference: ``hf://OWNER/NAME``, or ``hf://OWNER/NAME@REVISION`` with a branch, tag or commit.

    Returns:
        The file.

    Raises:
        UserError: If the reference is malformed, the Hub does not answer, or has no such model or no weights of it.
        ModuleNotFoundError: Without huggingface_hub.
    """
    match = _REFERENCE.fullmatch(str(reference))
    if match is None:
        raise UserError(f"{reference}: write hf://OWNER/NAME or hf://OWNER/NAME@REVISION, as in hf://me/handwriting")
    api = connect()
    from huggingface_hub import errors

    name, revision = match["name"], match["revision"]
    with explained(str(reference)):
        try:
            api.model_info(name, revision=revision, timeout=PATIENCE)
            is_there = True
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError):
            raise
        except Exception:  # nobody answers: what is in the cache is used; a download would be tried for half a minute
            is_there = False
        return Path(api.hf_hub_download(name, WEIGHTS, revision=revision, local_files_only=not is_there))


def connect() -> HfApi:
    """The Hub's interface, which says nothing on its own.

    Raises:
        ModuleNotFoundError: Without huggingface_hub.
    """
    import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars, logging

    logging.set_verbosity_error()
    disable_progress_bars()
    return huggingface_hub.HfApi(library_name="ldg")


def name_of(file: Path) -> str | None:
    """The name of the model whose downloaded file this is, without its owner; None for other files."""
    is_cached = len(file.parents) > 2 and file.parents[1].name == "snapshots"
    return file.parents[2].name.rpartition("--")[2] if is_cached else None


@contextmanager
def explained(reference: str) -> Iterator[None]:
    """Raise UserError in the place of what the Hub refuses, or its client.

    Args:
        reference: What the message begins with.

    Raises:
        UserError: That says in one line what is wrong.
    """
    from huggingface_hub import errors

    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        meanings: list[tuple[type[Exception], str]] = [
            (errors.GatedRepoError, "its owner has to grant access; ask on its page"),
            (errors.RepositoryNotFoundError, "there is no such model, or it is private: hf auth login"),
            (errors.RevisionNotFoundError, "the model has no such revision"),
            (errors.LocalEntryNotFoundError, "the Hub does not answer, and nothing of it is in the cache; try later"),
            (errors.EntryNotFoundError, f"the model has no {WEIGHTS}; name one that ldg push has written"),
            (errors.OfflineModeIsEnabled, "HF_HUB_OFFLINE is set; unset it"),
        ]
        for kind, meaning in meanings:
            if isinstance(error, kind):
                raise UserError(f"{reference}: {meaning}") from None
        if isinstance(error, errors.HfHubHTTPError):
            status = error.response.status_code
            refused = {401: "the Hub does not take the token: hf auth login", 403: "the token may not write there"}
            raise UserError(f"{reference}: {refused.get(status, f'the Hub answers {status}')}") from None
        raise UserError(f"{reference}: {one_line(error)[:200]}") from None
