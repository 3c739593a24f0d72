"""From the blurred image of one glyph to crisp ink of a given height and pen width.

An image is a grey field (H, W), 1 where there is ink. Cubic B-splines make the field smooth, the ink is what lies above
a level of it, and moving the level makes the stroke thinner or thicker: so a small letter and a capital can be enlarged
by different factors and still look written with one pen.

The filters are ldg's own: importing scipy.ndimage takes 0.26 s, and the filters of a line of 16 glyphs 0.03 s.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FAINT = 0.1  # an image that never gets darker than this has no ink
SPECK = 0.04  # a separate blot with less than this share of the ink is noise; the dot of an i has about a tenth
FAINTEST = 0.25  # greyer strokes than this stay faint
SHARPNESS = 0.8  # 0: as blurred as the model drew it
EVENNESS = 0.6  # 0: strokes as grey as they are, 1: all as dark
WORK_SIZE = 100  # pixels across, on which outlines are measured
DIRECTIONS = 16  # in which the edge of ink is moved
UNDECIDED = 0.2  # fields this close to the level come out grey, not black or white
LEVELS = (0.15, 0.6)  # thinner than that and fine strokes break


class Outline(NamedTuple):
    """The ink of an image.

    Attributes:
        level: There is ink where the field is above it.
        top: Its upper edge, in pixels of the image.
        bottom: Its lower edge.
        left: Its left edge.
        right: Its right edge.
    """

    level: float
    top: float
    bottom: float
    left: float
    right: float

    @property
    def height(self) -> float:
        """Of the ink, in pixels of the image."""
        return self.bottom - self.top

    @property
    def width(self) -> float:
        """Of the ink, in pixels of the image."""
        return self.right - self.left


def resample(image: np.ndarray, rows: tuple[float, float, int], columns: tuple[float, float, int]) -> np.ndarray:
    """Sample the cubic spline through an image.

    Args:
        image: (H, W) in [0, 1].
        rows: Where sampling starts and stops, in pixels of the image, and the number of samples.
        columns: Likewise.

    Returns:
        (rows, columns) in [0, 1].
    """
    return np.clip(_sampled(_sampled(image, *rows).T, *columns).T, 0, 1)


def _sampled(image: np.ndarray, start: float, stop: float, number: int) -> np.ndarray:
    """The spline along the first axis; four taps a sample, which for images this small is faster than a matrix."""
    centres = start + (np.arange(number, dtype=np.float32) + 0.5) * (stop - start) / number - 0.5
    # a B-spline of the pixels themselves would blur them; less a sixth of the second difference it meets them
    image = image.astype(np.float32)
    image = image - np.diff(np.pad(image, ((1, 1), (0, 0)), mode="edge"), 2, axis=0) / 6
    padded = np.pad(image, ((1, 1), (0, 0)))
    first = np.floor(centres).astype(int) - 1
    total = np.zeros((number, image.shape[1]), np.float32)
    for tap in range(4):
        d = np.abs(centres - (first + tap))
        weight = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6)
        total += weight[:, None] * padded[np.clip(first + tap + 1, 0, len(image) + 1)]
    return total


def blots(ink: np.ndarray) -> np.ndarray:
    """Label the 8-connected pieces of a boolean image (H, W); 0 where there is none."""
    names = np.arange(1, ink.size + 1).reshape(ink.shape) * ink
    while True:
        grown = _widest(names) * ink
        if np.array_equal(grown, names):
            return names
        names = grown


def _widest(image: np.ndarray) -> np.ndarray:
    padded = np.pad(image, 1)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def clean(image: np.ndarray) -> np.ndarray:
    """Remove haze and specks from an image.

    Args:
        image: (H, W) in [0, 1].

    Returns:
        (H, W), its darkest ink 1; all zero where there is no ink.
    """
    peak = float(image.max())
    if peak < FAINT:
        return np.zeros_like(image, dtype=np.float32)
    image = image / peak
    names = blots(image > 0.2)
    mass = np.bincount(names.ravel(), weights=image.ravel())
    mass[0] = 0
    kept = (mass >= SPECK * mass.sum())[names]
    return _even(_sharp(image * _widest(_widest(kept)))).astype(np.float32)


def _sharp(image: np.ndarray) -> np.ndarray:
    """Unsharp masking over the width of a stroke: the paper between two strokes of a blurred image comes back."""
    reach = 2 * max(1, round(image.shape[0] / 14)) + 1
    sharp = np.clip(image + SHARPNESS * (image - _mean(image, reach)), 0, None)
    return sharp / max(float(sharp.max()), FAINT)


def _even(image: np.ndarray) -> np.ndarray:
    """Faint strokes raised towards the darkest: where a model is unsure it draws grey, and a pen draws a line."""
    reach = 2 * max(1, round(image.shape[0] / 14)) + 1
    darkest = image
    for _ in range(reach // 2):
        darkest = _widest(darkest)
    smooth = _mean(_mean(darkest, reach), reach)
    return np.minimum(image * np.maximum(smooth, FAINTEST) ** -EVENNESS, 1)


def _mean(image: np.ndarray, reach: int) -> np.ndarray:
    padded = np.pad(image, reach // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (reach, reach)).mean(axis=(2, 3))


def has_dot(image: np.ndarray) -> bool:
    """Whether a cleaned image is in two pieces, one above the other, as i and j are."""
    names = blots(image > 0.4)
    tops = [np.flatnonzero((names == name).any(axis=1)) for name in np.unique(names) if name]
    return len(tops) > 1 and min(rows.max() for rows in tops) < max(rows.min() for rows in tops)


def slant(image: np.ndarray) -> float:
    """The slant of the ink of an image (H, W): columns to the right for each row upwards, by its second moments."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    mass = image / max(float(image.sum()), FAINT)
    y, x = rows - (mass * rows).sum(), columns - (mass * columns).sum()
    return -float((mass * x * y).sum() / max((mass * y * y).sum(), 1.0))


def sheared(image: np.ndarray, slope: float) -> np.ndarray:
    """Lean the ink of an image.

    Args:
        image: (H, W) in [0, 1].
        slope: Columns to the right for each row upwards.

    Returns:
        (H, W') in [0, 1], as much wider as the ink moves.
    """
    shifts = slope * ((image.shape[0] - 1) / 2 - np.arange(image.shape[0]))
    reach = math.ceil(np.abs(shifts).max())
    padded = np.pad(image, ((0, 0), (reach, reach)))
    size = padded.shape[1]
    rows = zip(padded, shifts, strict=True)
    leaning = [_sampled(row[:, None], -shift, size - shift, size)[:, 0] for row, shift in rows]
    return np.clip(leaning, 0, 1)


def widened(image: np.ndarray, by: float) -> np.ndarray:
    """Move the edge of the ink outwards.

    Args:
        image: (H, W) in [0, 1].
        by: In pixels of the image; negative: inwards.

    Returns:
        (k H, k W) in [0, 1], about WORK_SIZE pixels across: a thin stroke would not be smooth on fewer.
    """
    height, width = image.shape
    times = max(1, math.ceil(WORK_SIZE / max(image.shape)))
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    shifts = [(0.0, 0.0), *zip(abs(by) * np.cos(angles), abs(by) * np.sin(angles), strict=True)]
    moved = [resample(image, (y, height + y, height * times), (x, width + x, width * times)) for y, x in shifts]
    return np.max(moved, axis=0) if by > 0 else np.min(moved, axis=0)


def stroke_width(ink: np.ndarray) -> float:
    """Mean width of the strokes in pixels: twice the area over the length of the edge (its total variation)."""
    edge = np.hypot(*np.gradient(ink)).sum()
    return 2 * float(ink.sum() / edge) if edge else 0.0


def contrast(field: np.ndarray, level: float) -> np.ndarray:
    """Turn a field into ink.

    Args:
        field: (H, W).
        level: There is ink where the field is above it.

    Returns:
        (H, W) in [0, 1], grey within a pixel of the edge and where the field is undecided.
    """
    return _contrast(field, level, _slope(field))


def _slope(field: np.ndarray) -> np.ndarray:
    return np.maximum(1.3 * np.hypot(*np.gradient(field)), UNDECIDED)


def _contrast(field: np.ndarray, level: float, slope: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + (field - level) / slope, 0, 1)


def pen_width(image: np.ndarray) -> float:
    """The width of the pen of a cleaned image (H, W), in pixels of the image; 0 without ink."""
    field, unit = enlarged(image)
    return stroke_width(contrast(field, 0.5)) * unit


def trace(
    image: np.ndarray,
    enlargement: Callable[[Outline], float],
    pen: float,
    threshold: float | None = None,
    highest: float = LEVELS[1],
) -> Outline | None:
    """Find the level at which the strokes of a glyph get a width.

    Args:
        image: Cleaned, (H, W).
        enlargement: Of an outline on the page.
        pen: Width of the strokes on the page, pixels.
        threshold: In [0, 1], moves the level: 0.5 keeps it, less inks more; None: as 0.5.
        highest: Of the levels; above the usual ones no stroke may break.

    Returns:
        The outline at this level; None where there is no ink.
    """
    field, unit = enlarged(image)
    slope = _slope(field)  # the same at every level
    low, high = LEVELS[0], highest
    for _ in range(7):
        level = (low + high) / 2
        outline = _outline(field, unit, level)
        if outline is None:
            high = level
            continue
        wide = stroke_width(_contrast(field, level, slope)) * unit * enlargement(outline)
        low, high = (level, high) if wide > pen else (low, level)
    outline = _outline(field, unit, _unbroken(field, (low + high) / 2))
    if outline is None or threshold is None:
        return outline
    return _outline(field, unit, _shifted(outline.level, threshold))


def _unbroken(field: np.ndarray, level: float) -> float:
    """A level above the usual ones lowered until the ink is in as many pieces as there, with no fewer holes."""
    if level <= LEVELS[1]:
        return level
    import contourpy

    contours = contourpy.contour_generator(z=field)

    def count(level: float) -> tuple[int, int]:
        x_y = [np.asarray(line).T for line in contours.lines(level)]
        areas = [x[:-1] @ y[1:] - x[1:] @ y[:-1] for x, y in x_y]
        return sum(area > 0 for area in areas), sum(area < 0 for area in areas)

    pieces, holes = count(LEVELS[1])
    tried = ((each, count(each)) for each in np.linspace(level, LEVELS[1], 6).tolist())
    return next(each for each, (more, left) in tried if more <= pieces and left >= holes)


def _shifted(level: float, threshold: float) -> float:
    """``level`` moved by ``threshold`` as odds: 0 gives 0, 0.5 gives ``level``, 1 gives 1."""
    return level * threshold / (level * threshold + (1 - level) * (1 - threshold))


def enlarged(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The field on about WORK_SIZE pixels, and the size of one of them in image pixels."""
    times = max(1, math.ceil(WORK_SIZE / max(image.shape)))
    height, width = image.shape
    # one pixel more on each side, so that ink at the edge of the image is closed there
    rows, columns = (-1, height + 1, (height + 2) * times), (-1, width + 1, (width + 2) * times)
    return resample(image, rows, columns), 1 / times


def _outline(field: np.ndarray, unit: float, level: float) -> Outline | None:
    ink = field > level
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return None
    return Outline(
        level, rows[0] * unit - 1, (rows[-1] + 1) * unit - 1, columns[0] * unit - 1, (columns[-1] + 1) * unit - 1
    )


def render(image: np.ndarray, outline: Outline, height: int, width: int, binary: bool = False) -> np.ndarray:
    """Draw the ink inside an outline.

    Args:
        image: Cleaned, (H, W).
        outline: Of the image.
        height: Of the drawing, pixels.
        width: Of the drawing, pixels.
        binary: Whether ink is black or white.

    Returns:
        (height, width) in [0, 1].
    """
    rows, columns = (outline.top, outline.bottom, height), (outline.left, outline.right, width)
    # a border for the slope at the edge
    y, x = (rows[1] - rows[0]) / height, (columns[1] - columns[0]) / width
    field = resample(image, (rows[0] - y, rows[1] + y, height + 2), (columns[0] - x, columns[1] + x, width + 2))
    if binary:
        return (field > outline.level)[1:-1, 1:-1].astype(np.float32)
    return _faded(contrast(field, outline.level)[1:-1, 1:-1]).astype(np.float32)


def _faded(ink: np.ndarray) -> np.ndarray:
    """Greys below one half fade towards the edge, where haze that reaches beyond it would end in a straight line."""
    y, x = (np.minimum(np.arange(size), np.arange(size)[::-1]) for size in ink.shape)
    inside = np.clip(np.minimum(y[:, None], x) / (0.12 * max(ink.shape)), 0, 1)
    return ink * np.maximum(inside, np.minimum(1, 2 * ink))
