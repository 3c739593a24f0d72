"""Getting files from the network, or saying plainly which file to put where."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from filelock import FileLock

from ldg.data.dataset import progress
from ldg.errors import UserError

BLOCK = 1 << 20
TIMEOUT = 30  # seconds without an answer


def missing(path: Path, folder: str) -> NoReturn:
    """Raise the UserError for a file that is not there."""
    raise UserError(f"missing {path}; put it there, or set data.root (or LDG_DATA) to the folder that holds {folder}/")


@contextmanager
def guard(folder: Path, wanted: list[str], what: str) -> Iterator[None]:
    """Download into ``folder`` one process at a time; a failure becomes a UserError that says what to put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".download.lock"):
            yield
    # torchvision raises RuntimeError where a checksum does not match
    except (OSError, RuntimeError) as error:
        reason = str(getattr(error, "reason", error)).splitlines()[0]
        raise UserError(
            f"cannot download {what} ({reason}); put {', '.join(wanted)} into {folder}, "
            f"or set data.root (or LDG_DATA) to the folder that holds {what}/"
        ) from error


def resume(url: str, path: Path, size: int, sha256: str) -> None:
    """Download ``url`` to ``path``, going on where an earlier attempt stopped; it appears when size and checksum agree.

    Raises OSError if the network fails (what came stays in ``<path>.part``) or the file is not the published one.
    """
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    if have < size:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == 206  # a server that cannot resume sends the whole file with 200
            with part.open("ab" if resumed else "wb") as file, progress(size, f"downloading {path.name}") as bar:
                bar.update(have if resumed else 0)
                while block := answer.read(BLOCK):
                    file.write(block)
                    bar.update(len(block))
    found = part.stat().st_size
    if found < size:
        raise OSError(f"{url} stopped after {found} of {size} bytes; the next attempt goes on from there")
    if found != size or digest(part) != sha256:
        part.unlink()
        raise OSError(f"{url} does not have the published size and SHA-256")
    part.replace(path)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
