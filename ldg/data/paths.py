"""Files of data sets: which there are, opening them, and what messages say about them."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ldg.errors import describe_os_error

# what file managers and archivers leave in folders, beside names that begin with a dot
CLUTTER = ("Thumbs.db", "desktop.ini", "__MACOSX")


def expand(path: str) -> Path:
    """Replace ``~`` by the user's folder.

    Args:
        path: as in a config

    Returns:
        The path; with ``~`` as it is where there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, but no pipe or device, which may never end.

    Args:
        path: of the file

    Returns:
        The file.

    Raises:
        OSError: if there is no such file, or it may not be read.
    """
    if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "Not a file", str(path))
    return path.open("rb")


def explain_unreadable(error: OSError) -> str:
    """Say which file cannot be read and why.

    Args:
        error: raised by opening or reading it

    Returns:
        The path and the reason.
    """
    return f"{describe_link(Path(os.fsdecode(error.filename)))} ({describe_os_error(error)})"


def describe_link(path: Path) -> str:
    """The path, and of a link also where it points, for messages.

    Args:
        path: of anything

    Returns:
        The text.
    """
    try:
        return f"{path}, a link to {path.readlink()}"
    except OSError:
        return str(path)


def list_files(folder: Path) -> list[Path]:
    """List all files in a folder and the folders below it, also in linked ones, but no hidden ones.

    Args:
        folder: where to search

    Returns:
        The files, sorted by path.
    """
    files: list[Path] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        info = Path(parent).stat()
        if (place := (info.st_dev, info.st_ino)) in visited:  # a link to a folder above
            folders.clear()
        else:
            visited.add(place)
            folders[:] = [name for name in folders if not is_hidden(name)]
            files += [Path(parent, name) for name in names if not is_hidden(name)]
    return sorted(files)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not shown to users, as ``.DS_Store`` and ``__MACOSX``.

    Args:
        name: without its folder
    """
    return name.startswith(".") or name in CLUTTER


def join_paths(paths: list[Path]) -> str:
    """Join paths with commas, for messages.

    Args:
        paths: at least one

    Returns:
        The text.
    """
    return ", ".join(map(str, paths))


def describe_sources(sources: list[Path]) -> str:
    """The end of a message about what files hold; nothing for a data set without files.

    Args:
        sources: the files

    Returns:
        The text.
    """
    return f" in {join_paths(sources)}" if sources else ""
