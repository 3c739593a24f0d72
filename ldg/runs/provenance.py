"""Where a run comes from: ``source.json`` in its folder has the code, its changes and the versions of each session."""

import datetime
import json
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from ldg.config.home import HOME, IS_INSTALLED
from ldg.config.secrets import mask, mask_code
from ldg.files import write_text

FILE = "source.json"
MAX_PATCH = 200_000  # characters of a patch that is kept or shown; of a larger one its size is
MAX_SESSIONS = 20  # that are kept, the first one among them: a requeued job has many
MAX_NEW = 50  # files that git does not know yet whose content is kept
SOURCES = (".py", ".yaml", ".yml", ".toml")  # of them; others may be data
DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv")
COMMIT = re.compile(r"[0-9a-f]{7,40}")


def repository() -> Path:
    """The folder of the project's source: the checkout, or where the user works beside an installed ldg."""
    return Path.cwd() if IS_INSTALLED else HOME


def git(*arguments: str) -> str | None:
    """What git prints about the project's repository; None if there is none, or git refuses.

    Args:
        arguments: of git
    """
    line = ["git", "-C", os.fspath(repository()), *arguments]
    try:
        done = subprocess.run(line, capture_output=True, encoding="utf-8", errors="replace", timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode in (0, 1) else None  # 1: files differ


def difference(*arguments: str) -> str | None:
    """A patch of the project's source, made by git alone whatever the user has set.

    Args:
        arguments: commits or options of ``git diff``
    """
    return git(*DIFF, "--relative", *arguments, "--", ".")


def read_changes() -> str:
    """What is not committed, as a patch: of known files, and the source files that git does not know yet."""
    listed = git("ls-files", "--others", "--exclude-standard", "-z", "--", ".") or ""
    new = [name for name in listed.split("\0") if name.endswith(SOURCES)][:MAX_NEW]
    patches = [difference("HEAD"), *(git(*DIFF, "--no-index", "--", os.devnull, name) for name in new)]
    return mask_code("".join(filter(None, patches)))


def read_commit(*options: str) -> str | None:
    """The hash of the commit that is checked out; None outside of a repository.

    Args:
        options: of ``git rev-parse``
    """
    return (git("rev-parse", "--verify", "--quiet", *options, "HEAD") or "").strip() or None


def describe_commit() -> str | None:
    """The commit of the code, with + if it was changed since; None outside of a repository."""
    commit = read_commit("--short")
    return commit and commit + ("+" if git("status", "--porcelain", "-uno") else "")


def describe_versions() -> dict[str, str]:
    """The versions of Python, of ldg and of the libraries that it requires, by name."""
    names = [re.split(r"[ ;<>=!~\[]", line)[0] for line in requires("ldg") or [] if "extra ==" not in line]
    return {"python": platform.python_version()} | {name: version(name) for name in ("ldg", *sorted(names))}


def describe_session() -> dict[str, Any]:
    """What is known of a training that begins now: time, command, machine, process, code and versions."""
    patch = read_changes()
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": mask(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "commit": read_commit(),
        "patch": patch if len(patch) <= MAX_PATCH else "",
        "patch_size": len(patch),
        "versions": describe_versions(),
    }


def add_session(folder: Path, earlier: list[dict[str, Any]]) -> None:
    """Note in a run's folder that a process begins to train it.

    Args:
        folder: of the run
        earlier: its sessions before this one, from :attr:`ldg.runs.run.Run.sessions`

    Raises:
        UserError: if the file cannot be written.
    """
    sessions = [*earlier[:1], *earlier[1:][2 - MAX_SESSIONS :], describe_session()]
    write_text(folder / FILE, json.dumps(sessions, indent=1) + "\n")
