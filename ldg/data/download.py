"""Downloads of data sets' files, and the messages about files that are missing."""

import hashlib
import http.client
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import NoReturn

from filelock import FileLock

from ldg.data.dataset import DAMAGE, progress
from ldg.data.paths import describe_link
from ldg.errors import UserError, one_line

BLOCK = 1 << 20
TIMEOUT = 30  # seconds without an answer
MANY = 100_000  # files that are looked at for one that is missing


def usual_name(path: Path) -> str:
    """What the names of the same published file have in common.

    Args:
        path: of a file

    Returns:
        Its name in small letters, without ``.gz`` and with dashes as in ``images-idx3``.
    """
    return path.name.lower().removesuffix(".gz").replace(".idx", "-idx")


def raise_missing(path: Path, folder: str) -> NoReturn:
    """Report a missing file, with what lies nearby under another of its usual names.

    Args:
        path: of the file
        folder: name of the data set's folder, which is part of the path

    Raises:
        UserError: always.
    """
    root = next(parent for parent in path.parents if parent.name == folder).parent
    near = islice(chain.from_iterable(root.glob("/".join("*" * depth)) for depth in range(1, 5)), MANY)
    names = {usual_name(path), usual_name(path.with_suffix(""))}  # an archive, or the folder it was unpacked to
    alike = sorted(
        f"{describe_link(other)}{' (a folder)' * other.is_dir()}" for other in near if usual_name(other) in names
    )
    instead = f" (instead there is {', '.join(alike[:4])})" if alike else ""
    raise UserError(
        f"missing {path}{instead}; put it there, or set data.root (or LDG_DATA) to the folder that holds {folder}/"
    )


@contextmanager
def guard_download(folder: Path, wanted: list[str], what: str) -> Iterator[None]:
    """Download into a folder in one process at a time, and report failures in one line.

    A failure that leaves nothing to go on from leaves no folder either.

    Args:
        folder: where the files belong; it is made if it is missing
        wanted: names of the missing files
        what: name of the data set's folder

    Raises:
        UserError: if the download fails; the message names the files and the folder.
    """
    lock = folder / ".download.lock"
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"downloading {what} into {folder}", file=sys.stderr)
        with FileLock(lock):
            yield
    except (*DAMAGE, http.client.HTTPException, RuntimeError) as error:  # the last is of torchvision
        with suppress(OSError):  # there is something in it
            if made and [*folder.iterdir()] == [lock]:
                lock.unlink()
            for each in made:
                each.rmdir()
        reason = one_line(getattr(error, "reason", None) or error)
        raise UserError(
            f"cannot download {what} ({reason}); put {', '.join(wanted)} into {folder}, "
            f"or set data.root (or LDG_DATA) to the folder that holds {what}"
        ) from error


def resume_download(url: str, path: Path, size: int, sha256: str) -> None:
    """Download a file, continuing where an earlier attempt stopped.

    The file is written to ``<path>.part`` and renamed when its size and checksum are right.

    Args:
        url: of the published file
        path: of the local file
        size: in bytes
        sha256: checksum in hexadecimal digits

    Raises:
        OSError: if the network fails (the next attempt continues there) or the file is not the published one.
    """
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    if have < size:
        headers = {"User-Agent": "ldg"} | ({"Range": f"bytes={have}-"} if have else {})
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            if answer.status != 206:  # a server that cannot resume sends the whole file with 200
                have = 0
            # the page of a login or an error is not appended to what is there
            if answer.length is not None and have + answer.length != size:
                raise OSError(f"{url} answers with {have + answer.length} bytes instead of the published {size}")
            with part.open("ab" if have else "wb") as file, progress(size, f"downloading {path.name}") as bar:
                bar.update(have)
                while have <= size and (block := answer.read(BLOCK)):
                    file.write(block)
                    have += len(block)
                    bar.update(len(block))
    received = part.stat().st_size
    if received < size:
        raise OSError(f"{url} stopped after {received} of {size} bytes; the next attempt goes on from there")
    if received != size or compute_sha256(part) != sha256:
        part.unlink()
        raise OSError(f"{url} does not have the published size and SHA-256")
    part.replace(path)


def compute_sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Args:
        path: of the file

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
