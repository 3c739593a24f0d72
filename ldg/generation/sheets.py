"""Sheets: many pictures on white paper."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ldg.fonts import find_font
from ldg.memory import require_memory

CAPTION_SIZE = 14  # smallest type, pixels
BYTES = 12  # of memory that a value takes while it is drawn and written

Size = tuple[int, int]  # height and width, pixels


def on_paper(images: np.ndarray) -> np.ndarray:
    """Convert images of a model to pictures.

    Args:
        images: (N, C, H, W) in [0, 1].

    Returns:
        Grey images as (N, H, W), dark ink on white; colour images as (N, H, W, 3).
    """
    images = np.clip(np.asarray(images, np.float32), 0, 1)
    return 1 - images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


def grid(images: np.ndarray, columns: int, padding: int = 2, scale: int = 1) -> np.ndarray:
    """Arrange images of a model in a grid.

    Args:
        images: (N, C, H, W) in [0, 1].
        columns: Images in a row; the last row may be incomplete.
        padding: White pixels around each image.
        scale: Enlargement of each image.

    Returns:
        A picture (H', W') or (H', W', 3) in [0, 1]; grey images are dark on white.
    """
    pictures = on_paper(images).repeat(scale, axis=1).repeat(scale, axis=2)
    return sheet(list(pictures), columns, padding)


def sheet(pictures: Sequence[np.ndarray], columns: int, padding: int = 0) -> np.ndarray:
    """Arrange pictures in a grid whose cells have the size of the largest.

    Args:
        pictures: (H, W) or (H, W, 3) in [0, 1] each.
        columns: Pictures in a row.
        padding: White pixels around each cell.

    Returns:
        A picture (H', W') or (H', W', 3) in [0, 1].
    """
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows, columns = math.ceil(len(pictures) / columns), min(columns, len(pictures))
    step = height + padding, width + padding
    paper = np.ones((rows * step[0] + padding, columns * step[1] + padding, *pictures[0].shape[2:]), np.float32)
    for number, picture in enumerate(pictures):
        top, left = (padding + place * size for place, size in zip(divmod(number, columns), step, strict=True))
        paper[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return paper


def sheet_size(cell: Size, count: int, columns: int, padding: int = 0) -> Size:
    """Compute the size of a :func:`sheet`.

    Args:
        cell: Size of the largest picture.
        count: Number of pictures.
        columns: Pictures in a row.
        padding: White pixels around each cell.

    Returns:
        Its height and width.
    """
    rows, columns = math.ceil(count / columns), min(columns, count)
    return rows * (cell[0] + padding) + padding, columns * (cell[1] + padding) + padding


def captioned_size(cell: Size, captions: Sequence[str], columns: int, padding: int = 8) -> Size:
    """Estimate the size of what :func:`captioned` draws.

    Args:
        cell: Size of a picture.
        captions: One for each picture.
        columns: Pictures in a row.
        padding: White pixels around each cell.

    Returns:
        Its height and about its width.
    """
    type_size = _type_size(cell[1])
    width = max(cell[1], round(max(map(len, captions)) * type_size / 2))
    return sheet_size((cell[0] + type_size + 6, width), len(captions), columns, padding)


def require_paper(size: Size, channels: int = 1, frames: int = 1) -> None:
    """Refuse pictures that need more than half of the free memory.

    Args:
        size: Of a picture.
        channels: 1 for grey, 3 for colours.
        frames: Number of pictures.

    Raises:
        TooLarge: That names their size.
    """
    (height, width), several = size, f"{frames} pictures" if frames > 1 else "a picture"
    require_memory(
        BYTES * height * width * channels * frames,
        f"{several} of about {width:,} x {height:,} pixels",
        "choose a smaller scale, a shorter text or fewer pictures",
    )


def percentages(count: int) -> list[str]:
    """List captions of the steps of an interpolation, ``0%`` to ``100%``.

    Args:
        count: Number of steps, at least 2.

    Returns:
        The captions.
    """
    return [f"{100 * number / (count - 1):.0f}%" for number in range(count)]


def captioned(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, padding: int = 8) -> np.ndarray:
    """Arrange pictures in a grid, each centred above its caption.

    Args:
        pictures: (H, W) or (H, W, 3) in [0, 1] each.
        captions: One for each picture; the longest decides the width of the columns.
        columns: Pictures in a row.
        padding: White pixels around each cell.

    Returns:
        A picture (H', W') or (H', W', 3) in [0, 1].
    """
    size, text = _type_size(pictures[0].shape[1]), "".join(captions)
    # Pillow's font has hardly more than ASCII
    font = ImageFont.load_default(size) if text.isascii() else ImageFont.truetype(find_font(text), size)
    labelled = [_with_caption(picture, text, font) for picture, text in zip(pictures, captions, strict=True)]
    width = max(picture.shape[1] for picture in labelled)
    return sheet([_centred(picture, width) for picture in labelled], columns, padding)


def _type_size(width: int) -> int:
    return max(CAPTION_SIZE, width // 9)


def _with_caption(picture: np.ndarray, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> np.ndarray:
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox("Ápg")  # the same height for every caption
    label = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 6), 255)
    ImageDraw.Draw(label).text((1 - left, 4 - top), text, font=font, fill=40)
    written = np.asarray(label, np.float32) / 255
    if picture.ndim == 3:
        written = written[:, :, None].repeat(3, axis=2)
    width = max(picture.shape[1], written.shape[1])
    return np.concatenate([_centred(picture, width), _centred(written, width)])


def _centred(picture: np.ndarray, width: int) -> np.ndarray:
    left = (width - picture.shape[1]) // 2
    padding = [(0, 0), (left, width - picture.shape[1] - left)] + [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture, padding, constant_values=1)
