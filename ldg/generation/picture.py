"""Pictures in files: where one goes, and writing it as a whole. Imports nothing heavy."""

from __future__ import annotations

import io
import itertools
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.errors import UserError, describe_os_error
from ldg.files import look, whole
from ldg.memory import TooLarge

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FORMATS = (".png", ".gif", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
VECTORS = (".svg", ".pdf")
# what a format, or its encoder, allows
PIXELS = {".gif": 65_535, ".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # wide and tall
BYTES = {".tif": 2**32, ".tiff": 2**32, ".bmp": 2**32}


def slug(text: str) -> str:
    """Make a file name, without suffix, from a text: ``hello-world-2468`` from ``Hello World 2468``."""
    return re.sub(r"\W+", "-", text.casefold()).strip("-_")[:60].rstrip("-") or "picture"


def destination(
    save: str | None,
    default: str,
    *,
    force: bool = False,
    folder: bool = False,
    formats: Sequence[str] = FORMATS,
    how: str = "with --save",
) -> Path:
    """Choose the file to write, without writing anything.

    Args:
        save: The user's name, which gets the suffix of ``default`` if it has none; None: ``default``, numbered if that
            exists.
        default: A name with a suffix.
        force: Whether an existing file may be replaced.
        folder: Whether a folder may be chosen: an existing one, or a name that ends in a slash.
        formats: Suffixes that may be chosen.
        how: The user names the file, for messages.

    Returns:
        The path.

    Raises:
        UserError: For a suffix of no picture format, a place that cannot be written, or a file that exists.
    """
    if save is None:
        path = Path(default) if force else _free(Path(default))
    elif folder and (save.endswith(("/", os.sep)) or look(save) == "folder"):
        path = Path(save)
    else:
        path = _with_suffix(save, Path(default).suffix, formats, how)
    there, folder = look(path), folder and path.suffix.lower() not in FORMATS
    if there == "folder" and not folder:
        raise UserError(f"{path} is a folder: give a file name {how}")
    if there == "file" and folder:
        raise UserError(f"{path} is a file: give another folder {how}")
    if not force and (there == "file" or (there == "folder" and any(path.iterdir()))):
        raise UserError(f"{path} exists: use --force to write over it, or another name")
    try:
        require_writable(path)
    except UserError as error:
        raise UserError(f"{error}; give another place {how}") from None
    return path


def _with_suffix(name: str, suffix: str, formats: Sequence[str], how: str) -> Path:
    path = Path(name)
    stem = path.name.removesuffix(path.suffix).strip(". ")
    if name.endswith(("/", os.sep)) or not stem or f".{stem}" in formats:
        raise UserError(f"{name!r} names no file: give a file name {how}")
    if path.suffix.lower() in formats:
        return path
    if re.fullmatch(r"\.([A-Za-z]{2,4}|mp4|jp2)", path.suffix):
        raise UserError(f"cannot write {path.suffix} files: use one of {', '.join(formats)}")
    return path.with_name(path.name.rstrip(".") + suffix)


def _free(path: Path) -> Path:
    names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return path if not look(path) else next(name for name in names if not look(name))


def require_writable(path: Path) -> None:
    """Write a temporary file where the first new file or folder would go: permissions alone do not decide.

    Args:
        path: Of a file, or of an existing folder.

    Raises:
        UserError: If nothing can be written there.
    """
    parent = path if look(path) == "folder" else next(place for place in path.absolute().parents if look(place))
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise UserError(f"cannot write {path}: {describe_os_error(error)}") from None


def require_format(size: tuple[int, ...], path: Path, accuracy: float = 1.0) -> None:
    """Refuse a picture that is larger than its file's format allows.

    Args:
        size: Height and width of the picture, and channels if it has several.
        path: Of the file, or of a folder, for PNG.
        accuracy: The size is at least so many times what ``size`` says.

    Raises:
        TooLarge: That names the limit.
    """
    suffix = path.suffix.lower()
    pixels = PIXELS.get(suffix, math.inf)
    is_wide = accuracy * max(size[:2]) > pixels
    if is_wide or accuracy**2 * math.prod(size) >= BYTES.get(suffix, math.inf):
        limit = f"{pixels:,} pixels wide and tall" if is_wide else "4 GiB large"
        raise TooLarge(
            f"{path}: a {suffix} file is at most {limit}, and this picture has {'about ' if accuracy < 1 else ''}"
            f"{size[1]:,} x {size[0]:,} pixels: choose a smaller --scale, or .png"
        )


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture in the format of the suffix.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1].
        path: Of the file.

    Raises:
        UserError: If the file cannot be written.
    """
    require_format(picture.shape, path)
    _write(path, _to_image(picture))


def save_content(content: bytes, path: Path) -> None:
    """Write the content of a file of vector graphics.

    Raises:
        UserError: If the file cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_bytes(content)


def save_folder(pictures: Mapping[str, np.ndarray], folder: Path) -> None:
    """Write several pictures into a folder, all of them or none.

    Args:
        pictures: By file name, (H, W) or (H, W, 3) in [0, 1].
        folder: Which is made if it is missing.

    Raises:
        UserError: If they cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as hidden:
            for name, picture in pictures.items():
                save(picture, Path(hidden, name))
            folder.mkdir(exist_ok=True)
            for name in pictures:
                Path(hidden, name).replace(folder / name)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {describe_os_error(error)}") from None


def save_animation(frames: Sequence[np.ndarray], path: Path) -> None:
    """Write a GIF that plays forwards and backwards for ever, resting at both ends.

    Args:
        frames: Pictures of one size, (H, W) or (H, W, 3) in [0, 1].
        path: Of the file.

    Raises:
        UserError: If the file cannot be written.
    """
    require_format(frames[0].shape, path)
    images = [_to_image(frame) for frame in frames]
    cycle = [*images, *images[-2:0:-1]]
    durations = [80] * len(cycle)
    durations[0] = durations[len(images) - 1] = 800
    _write(path, cycle[0], save_all=True, append_images=cycle[1:], duration=durations, loop=0)


def _write(path: Path, image: Image.Image, **options: Any) -> None:
    encoded = io.BytesIO()  # in memory, so that the file is there within an instant, or not at all
    encoded.name = path.name  # decides the format
    image.save(encoded, **options)
    with whole(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def _to_image(picture: np.ndarray) -> Image.Image:
    import numpy as np
    from PIL import Image

    levels = np.clip(picture, 0, 1)
    levels *= 255
    return Image.fromarray(np.round(levels, out=levels).astype(np.uint8))
