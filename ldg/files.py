"""Files that are written as a whole or not at all, tables in CSV files, and what lies at a path."""

import csv
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ldg.errors import UserError, describe_os_error


def look(path: str | Path) -> Literal["file", "folder"] | None:
    """What lies at a path that a user has given; links are followed.

    Args:
        path: of a file or folder, or one that is still to be made

    Returns:
        ``file`` or ``folder``; None if nothing is there.

    Raises:
        UserError: if no file can ever be there (the name is too long, or has a NUL character), if it may not be looked
            at, or if there is a link that leads nowhere, a device or a pipe.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  (Path would take an empty path for ".")
    except ValueError as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeError) else "has a NUL character"
        raise UserError(f"{os.fspath(path)!r} cannot be a path: it {reason}") from None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise UserError(f"{shorten(path)} cannot be used as a path: {_reason(error)}") from None
        if os.path.islink(path):  # noqa: PTH114
            raise UserError(f"{path} is a link to {os.readlink(path)}, which does not exist") from None  # noqa: PTH115
        return None
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise UserError(f"{path} is a device or a pipe; name a file or a folder")


def shorten(text: str | Path) -> str:
    """A path or name for a message, its middle left out if it is long."""
    text = str(text)
    return text if len(text) <= 120 else f"{text[:60]}...{text[-20:]}"


def _reason(error: OSError) -> str:
    """Why the file system refuses, in words that say what would be right."""
    if error.errno == errno.ENAMETOOLONG:
        return "it is too long; a name has at most 255 bytes"
    if error.errno == errno.ELOOP:
        return "its links lead in a circle"
    return describe_os_error(error)


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Write to a temporary file, then rename it: until then ``path`` keeps its old content.

    Several processes may write the same file at once; the last one to finish determines its content.

    Args:
        path: the file to write; its folder is made if it is missing

    Yields:
        A temporary path beside ``path``, with the same suffix. It is renamed to ``path`` on success and removed
        otherwise.

    Raises:
        UserError: if the file cannot be written.
    """
    path = Path(path)
    if look(path) == "folder":
        raise UserError(f"cannot write {path}: a folder is there; give the name of a file")
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")  # no longer than a file's name may be
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"cannot write {shorten(path)}: {_reason(error)}") from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as a whole, in UTF-8.

    Args:
        path: the file to write; its folder is made if it is missing
        text: its content

    Raises:
        UserError: if the file cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path lies in a folder, links resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_inside(path: Path, folder: Path, limit: int) -> str:
    """Read a text file that may be anybody's.

    Args:
        path: of the file
        folder: that it has to lie in, links resolved
        limit: bytes

    Raises:
        OSError: if it is not there, not in the folder, or may not be read.
        ValueError: if it is larger than ``limit``, or no text.
    """
    if not path.is_file() or not is_inside(path, folder):
        raise FileNotFoundError(path)
    if path.stat().st_size > limit:
        raise ValueError(f"it is larger than {limit >> 20} MiB")
    return path.read_text(encoding="utf-8")


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Args:
        path: of the file

    Returns:
        Each row as text by column.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
