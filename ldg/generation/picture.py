"""Pictures in files: where one goes, and writing it as a whole. Imports nothing heavy."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.errors import UserError
from ldg.files import whole

if TYPE_CHECKING:
    import numpy as np

FORMATS = (".png", ".gif", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def slug(text: str) -> str:
    """Make a file name, without suffix, from a text: ``hello-world-2468`` from ``Hello World 2468``."""
    return re.sub(r"\W+", "-", text.casefold()).strip("-_")[:60].rstrip("-") or "picture"


def destination(save: str | None, default: str, *, force: bool = False, folder: bool = False) -> Path:
    """Choose the file to write, without writing anything.

    Args:
        save: The user's name, which gets the suffix of ``default`` if it has none; None: ``default``, numbered if that
            exists.
        default: A name with a suffix.
        force: Whether an existing file may be replaced.
        folder: Whether a folder may be chosen: an existing one, or a name that ends in a slash.

    Returns:
        The path.

    Raises:
        UserError: For a suffix of no picture format, a place that cannot be written, or a file that exists.
    """
    if save is None:
        path = Path(default) if force else _free(Path(default))
    elif folder and (save.endswith(("/", os.sep)) or Path(save).is_dir()):
        path = Path(save)
    else:
        path = _with_suffix(save, Path(default).suffix)
    if path.is_dir() and not folder:
        raise UserError(f"{path} is a folder: give a file name with --save")
    if not force and (path.is_file() or (path.is_dir() and any(path.iterdir()))):
        raise UserError(f"{path} exists: use --force to write over it, or another name")
    _check_writable(path)
    return path


def _with_suffix(name: str, suffix: str) -> Path:
    path = Path(name)
    if name.endswith(("/", os.sep)) or not path.name:
        raise UserError(f"{name!r} names no file: give a file name with --save")
    if path.suffix.lower() in FORMATS:
        return path
    if re.fullmatch(r"\.[A-Za-z]{2,4}", path.suffix):
        raise UserError(f"cannot write {path.suffix} files: use one of {', '.join(FORMATS)}")
    return path.with_name(path.name + suffix)


def _free(path: Path) -> Path:
    names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return path if not path.exists() else next(name for name in names if not name.exists())


def _check_writable(path: Path) -> None:
    """Write a temporary file where the first new file or folder would go: permissions alone do not decide."""
    parent = path if path.is_dir() else next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; give another place with --save") from None


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture in the format of the suffix.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1].
        path: Of the file.

    Raises:
        UserError: If the file cannot be written.
    """
    _write([picture], path)


def save_animation(frames: Sequence[np.ndarray], path: Path) -> None:
    """Write a GIF that plays forwards and backwards for ever, resting at both ends.

    Args:
        frames: Pictures of one size, (H, W) or (H, W, 3) in [0, 1].
        path: Of the file.

    Raises:
        UserError: If the file cannot be written.
    """
    cycle = [*frames, *frames[-2:0:-1]]
    durations = [80] * len(cycle)
    durations[0] = durations[len(frames) - 1] = 800
    _write(cycle, path, save_all=True, duration=durations, loop=0)


def _write(frames: Sequence[np.ndarray], path: Path, **options: Any) -> None:
    import numpy as np
    from PIL import Image

    first, *others = [Image.fromarray(np.round(255 * np.clip(frame, 0, 1)).astype(np.uint8)) for frame in frames]
    if options:
        options["append_images"] = others
    with whole(path) as temporary:
        first.save(temporary, **options)
