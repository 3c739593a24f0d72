"""From a photograph or scan of letters to their ink, one by one.

The light of the paper is divided out, the page is turned upright, ruled lines are taken away, and the ink is cut into
letters in reading order.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from ldg.errors import UserError, describe_os_error

LARGEST = 1600  # pixels of the longer side, in which a picture is cut
SMALLEST = 20  # pixels of either side
WINDOW = 8  # the longer side by this is as far as one has to go to see paper; light may change over it
FAINTEST = 0.15  # ink is darker than the paper by this share
STEEPEST = 10.0  # degrees by which a page may be turned
RULE = 0.4  # of the page's width: a ruled line has no break over this length
SPECK = 0.12  # pieces lower and narrower than this share of a letter's height are dirt
OVERLAP = 0.5  # pieces that share this part of the narrower one's width are one letter: the dot and the stem of an i
STRAY = 0.45  # where there are too many letters, what is lower than this share of a letter is none
CLOSEST = 0.15  # pieces of one letter are no further apart than this share of its height


@dataclass(frozen=True)
class Piece:
    """The ink of a letter.

    Attributes:
        top: Row of the upright page.
        left: Column of the upright page.
        ink: (h, w) in [0, 1], 1 where it is as dark as the page's ink; nothing of its neighbours.
        is_cut: Whether it touches the edge of the picture.
    """

    top: int
    left: int
    ink: np.ndarray
    is_cut: bool


def read_picture(path: str | Path) -> np.ndarray:
    """Read a picture, as dark as the darkest of its colours, so that blue ink is as dark as black.

    Args:
        path: Of a file that Pillow reads.

    Returns:
        (H, W) in [0, 1], at most LARGEST pixels in each direction.

    Raises:
        UserError: If it is no picture, or too small.
    """
    try:
        with Image.open(path) as file:
            file.draft("RGB", (2 * LARGEST, 2 * LARGEST))  # of a large JPEG not every pixel is decoded
            is_deep = file.mode.startswith("I")  # 16 bits a pixel
            image = file.point(lambda level: level / 256).convert("L") if is_deep else file
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except Image.DecompressionBombError:
        raise UserError(f"{path} has too many pixels: make it smaller, {LARGEST} pixels wide are enough") from None
    except (UnidentifiedImageError, ValueError, SyntaxError):
        raise UserError(f"{path} is no picture that can be read: give a PNG or JPEG file") from None
    except OSError as error:
        reason = describe_os_error(error) if error.errno else "it is damaged"
        raise UserError(f"cannot read {path}: {reason}") from None
    if min(upright.size) < SMALLEST:
        raise UserError(f"{path} has {upright.width} x {upright.height} pixels: letters need more")
    paper = Image.new("RGBA", upright.size, "white")
    paper.alpha_composite(upright)
    paper.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(paper)[:, :, :3].min(axis=2).astype(np.float32) / 255


def find_ink(picture: np.ndarray) -> np.ndarray:
    """Find the ink of a page, turned upright and without ruled lines.

    Args:
        picture: (H, W) in [0, 1], dark ink on lighter paper, in uneven light, turned by at most STEEPEST degrees.

    Returns:
        (H', W') in [0, 1], 1 where ink is as dark as most of it, 0 on paper.

    Raises:
        UserError: If there is no ink.
    """
    if np.ptp(picture) > FAINTEST and np.median(picture) < _split(picture) - FAINTEST:
        raise UserError("most of the picture is dark: it has to show dark letters on light paper")
    dark = _flatten(picture)
    if dark.max() < FAINTEST:
        raise UserError("there is no ink in the picture: it has to show dark letters on light paper")
    level = _split(dark)
    # ruled lines, which are fainter than ink, say best how the page is turned
    turn = _find_turn(dark > min(level, FAINTEST))
    dark = ndimage.rotate(dark, turn, order=1, reshape=True)
    dark = _without_rules(dark, level)
    written = dark > _split(dark)
    full = float(np.median(dark[ndimage.binary_erosion(written) if written.sum() > 1000 else written]))
    ink = np.clip(dark / max(full, FAINTEST), 0, 1)
    return np.where(ink > FAINTEST, ink, 0)


def cut(ink: np.ndarray, count: int) -> list[Piece]:
    """Cut ink into letters.

    Args:
        ink: (H, W) in [0, 1].
        count: How many letters there are; where more pieces are found, those closest to each other are
            joined, and small ones left out.

    Returns:
        The letters in reading order, from the lines' left to right; another number than ``count`` if it cannot be.
    """
    names, total = ndimage.label(ink > 0.4, np.ones((3, 3)))
    boxes = ndimage.find_objects(names)
    if not total:
        return []
    heights = np.array([rows.stop - rows.start for rows, _ in boxes])
    typical = float(np.median(np.sort(heights)[-min(count, total) :]))
    large = [i for i in range(total) if max(_size(boxes[i])) >= SPECK * typical]
    groups = [group for line in _lines(boxes, large, typical) for group in _letters(boxes, line)]
    while len(groups) > count:
        gaps = [_gap(boxes, a, b) for a, b in itertools.pairwise(groups)]
        nearest = int(np.argmin(gaps))
        if gaps[nearest] > CLOSEST * typical:
            sizes = [max(_size(boxes[i])[0] for i in group) for group in groups]
            if min(sizes) > STRAY * typical:
                break
            del groups[int(np.argmin(sizes))]
            continue
        groups[nearest : nearest + 2] = [groups[nearest] + groups[nearest + 1]]
    return [_take(ink, names, boxes, group) for group in groups]


def _flatten(picture: np.ndarray) -> np.ndarray:
    """By which share a picture is darker than its paper, whose light is that of the lightest pixels around."""
    step = max(1, max(picture.shape) // 150)
    small = ndimage.uniform_filter(picture, step)[::step, ::step]
    window = max(3, max(small.shape) // WINDOW)
    paper = ndimage.gaussian_filter(ndimage.percentile_filter(small, 85, 2 * window + 1), window / 2)
    large = ndimage.zoom(paper, np.divide(picture.shape, paper.shape), order=1, grid_mode=True, mode="nearest")
    return ndimage.gaussian_filter(np.clip(1 - picture / np.maximum(large, 0.05), 0, 1), max(picture.shape) / 2500)


def _split(dark: np.ndarray) -> float:
    """The level that separates ink from paper best (Otsu 1979)."""
    counts, edges = np.histogram(dark, 256, (0, 1))
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts.sum() - counts.cumsum()
    mass = (counts * middles).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + np.nanargmax(between)])


def _find_turn(written: np.ndarray) -> float:
    """The angle in degrees by which a page is upright: that at which ink and paper between lines separate best."""
    rows, columns = np.nonzero(written)
    chosen = slice(None, None, max(1, len(rows) // 40_000))
    rows, columns = rows[chosen].astype(np.float32), columns[chosen].astype(np.float32)

    def sharpness(angle: float) -> float:
        sheared = rows - columns * np.tan(np.radians(angle))
        counts = np.bincount((sheared - sheared.min()).astype(int)).astype(np.float32)
        return float((ndimage.gaussian_filter1d(counts, 1.5) ** 2).sum())

    angle = max(np.arange(-STEEPEST - 2, STEEPEST + 2.5, 0.5), key=sharpness)
    return float(max(np.arange(angle - 0.5, angle + 0.55, 0.1), key=sharpness))


def _without_rules(dark: np.ndarray, level: float) -> np.ndarray:
    """Ink without ruled lines; what is written across a line is closed again.

    A ruled line is long and straight, and fainter than ink or finer than the pen: the bar of a T is neither.
    """
    written, faint = dark > level, dark > 0.7 * min(level, FAINTEST)
    pen = 2 * float(np.percentile(ndimage.distance_transform_edt(written)[written], 90))
    full = float(np.percentile(dark[written], 75))
    lines = ndimage.binary_opening(ndimage.maximum_filter(faint, (3, 3)), np.ones((1, int(RULE * dark.shape[1]))))
    names, _ = ndimage.label(lines)
    for number, box in enumerate(ndimage.find_objects(names), 1):
        line = (names[box] == number) & faint[box]
        is_fine = line.sum() / (box[1].stop - box[1].start) < 0.6 * pen
        if not (is_fine or np.percentile(dark[box][line], 75) < 0.75 * full):
            lines[box] &= names[box] != number
    if not lines.any():
        return dark
    darkest = float(np.median(ndimage.maximum_filter(dark, (5, 1))[lines]))
    lines = ndimage.binary_dilation(lines, np.ones((5, 1))) & (dark < 1.5 * darkest)  # ink that is darker stays
    thickness = int(max(rows.stop - rows.start for rows, _ in ndimage.find_objects(ndimage.label(lines)[0])))
    closed = ndimage.grey_closing(np.where(lines, 0, dark), (min(thickness + 3, dark.shape[0] // 8), 1))
    return np.where(lines, closed, dark)


def _size(box: tuple[slice, slice]) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _lines(boxes: list[tuple[slice, slice]], pieces: list[int], typical: float) -> list[list[int]]:
    """Pieces by line of text, from top to bottom; small ones belong to the nearest line."""
    tall = sorted((i for i in pieces if _size(boxes[i])[0] >= typical / 2), key=lambda i: _middle(boxes[i][0]))
    lines: list[list[int]] = []
    for piece in tall:
        if lines and _middle(boxes[piece][0]) - np.mean([_middle(boxes[i][0]) for i in lines[-1]]) < 0.75 * typical:
            lines[-1].append(piece)
        else:
            lines.append([piece])
    centres = [np.mean([_middle(boxes[i][0]) for i in line]) for line in lines]
    for piece in pieces:
        if piece not in tall and centres:
            lines[int(np.argmin([abs(_middle(boxes[piece][0]) - centre) for centre in centres]))].append(piece)
    return lines


def _letters(boxes: list[tuple[slice, slice]], line: list[int]) -> list[list[int]]:
    """The pieces of a line by letter, from left to right."""
    groups: list[list[int]] = []
    for piece in sorted(line, key=lambda i: boxes[i][1].start):
        left, right = boxes[piece][1].start, boxes[piece][1].stop
        if groups:
            start, stop = _across(boxes, groups[-1])
            shared = min(right, stop) - max(left, start)
            if shared >= OVERLAP * min(right - left, stop - start):
                groups[-1].append(piece)
                continue
        groups.append([piece])
    return groups


def _across(boxes: list[tuple[slice, slice]], group: list[int]) -> tuple[int, int]:
    return min(boxes[i][1].start for i in group), max(boxes[i][1].stop for i in group)


def _gap(boxes: list[tuple[slice, slice]], a: list[int], b: list[int]) -> float:
    """Paper between two letters, in pixels; without end if the second one begins a line."""
    gap = _across(boxes, b)[0] - _across(boxes, a)[1]
    return gap if gap > -max(_size(boxes[i])[1] for i in a) else np.inf


def _middle(part: slice) -> float:
    return (part.start + part.stop) / 2


def _take(ink: np.ndarray, names: np.ndarray, boxes: list[tuple[slice, slice]], group: list[int]) -> Piece:
    rows = slice(min(boxes[i][0].start for i in group) - 1, max(boxes[i][0].stop for i in group) + 1)
    columns = slice(min(boxes[i][1].start for i in group) - 1, max(boxes[i][1].stop for i in group) + 1)
    is_cut = min(rows.start, columns.start) < 0 or rows.stop > ink.shape[0] or columns.stop > ink.shape[1]
    box = slice(max(rows.start, 0), rows.stop), slice(max(columns.start, 0), columns.stop)
    # the grey edge of the letter's own pieces, and nothing of others
    mine = ndimage.binary_dilation(np.isin(names[box], [i + 1 for i in group]), np.ones((3, 3)))
    return Piece(box[0].start, box[1].start, ink[box] * mine, is_cut)
