"""Many pictures on one sheet of white paper."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CAPTION_SIZE = 14  # smallest type, pixels


def on_paper(images: np.ndarray) -> np.ndarray:
    """Model images (N, C, H, W) in [0, 1] as pictures: grey ones (N, H, W) dark on white, colour ones (N, H, W, 3)."""
    images = np.clip(np.asarray(images, np.float32), 0, 1)
    return 1 - images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


def grid(images: np.ndarray, columns: int, padding: int = 2, scale: int = 1) -> np.ndarray:
    """Model images (N, C, H, W) in [0, 1], row by row, as one picture (H', W') or (H', W', 3) in [0, 1].

    Grey images are drawn dark on white; ``scale`` enlarges each pixel, ``padding`` is the paper around each, in
    enlarged pixels; cells left over in the last row are paper.
    """
    pictures = on_paper(images).repeat(scale, axis=1).repeat(scale, axis=2)
    return sheet(list(pictures), columns, padding)


def sheet(pictures: Sequence[np.ndarray], columns: int, padding: int = 0) -> np.ndarray:
    """Pictures (H, W) or (H, W, 3) in [0, 1], of any sizes, row by row in cells of the largest size."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows, columns = math.ceil(len(pictures) / columns), min(columns, len(pictures))
    step = height + padding, width + padding
    paper = np.ones((rows * step[0] + padding, columns * step[1] + padding, *pictures[0].shape[2:]), np.float32)
    for number, picture in enumerate(pictures):
        top, left = (padding + place * size for place, size in zip(divmod(number, columns), step, strict=True))
        paper[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return paper


def captioned(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, padding: int = 8) -> np.ndarray:
    """As :func:`sheet`, each picture centred above its caption; a column is as wide as its longest caption needs."""
    font = ImageFont.load_default(size=max(CAPTION_SIZE, pictures[0].shape[1] // 9))
    labelled = [_with_caption(picture, text, font) for picture, text in zip(pictures, captions, strict=True)]
    width = max(picture.shape[1] for picture in labelled)
    return sheet([_centred(picture, width) for picture in labelled], columns, padding)


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
