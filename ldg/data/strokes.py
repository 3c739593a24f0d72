"""Letters, digits and marks drawn with a pen: a data set that needs no files and no network."""

import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt

from ldg.data.dataset import Dataset, Split, progress

SIZE = 28
POINTS = 128  # per glyph, divided among its strokes by length: about one per pixel for the longest glyph
CHUNK = 992
FONT = "futural"  # print; of script, which is the other single-stroke font, a few letters are legible without context
LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
MARKS = ".,;:!?'\"-()/+=&@#%*"
# Marks keep their size and height on the line, by which a full stop, a hyphen and an apostrophe differ; letters and
# digits fill the frame, as those of EMNIST do. Pixels of the frame:
CAPITAL = 18.0  # height of a capital on the line of the marks
BASELINE = 21.5  # its foot, from the top
UNITS = 21  # height of a capital, in font units
FOOT = 9  # its foot, in font units downwards
# the font's marks are those of technical drawings: factors of width and height, and by how many units they are lowered
FITTED = {
    **{".": (1, 1, 3), ":": (1, 1, 3), ",": (1.4, 1.4, 4), ";": (1.2, 1.2, 3.5), "-": (0.55, 1, 1)},
    **{"(": (0.85, 0.85, 0), ")": (0.85, 0.85, 0), "/": (0.8, 0.8, 0), "+": (0.85, 0.85, 1), "=": (0.8, 0.8, 1)},
    **{"#": (1.3, 0.85, -1), "*": (1.1, 1.1, -4)},
}
PEN, PENS = 2.8, (2.1, 3.4)  # width on average, least and most, in pixels of the frame
SLANT = 0.12  # on average, to the right for each unit upwards
# relative width of the pen, or the paper between their lines would not show
FINE = {**dict.fromkeys("4#*@", 0.75), **dict.fromkeys("+=%", 0.8)}
DOT = 10  # strokes up to this length, in font units, are dots
ROUNDING = (0.7, 1.3, 2.0)  # how far the pen cuts corners, in font units


class Strokes(Dataset):
    """The 62 characters of EMNIST ByClass and 19 marks as pen strokes along a single-stroke Hershey font.

    Slant, rotation, proportions, pen width and pressure, the displacement of each stroke and a smooth warp are random
    for every image. As in EMNIST, ink is 255 on 0, and letters and digits are upright, centred and fill the frame, so
    that ``c`` is as tall as ``C``; marks stand as they do on a line whose capitals are 18 pixels tall. The images
    depend on the arguments alone.

    Args:
        seed: determines all images
        per_class: training images of each character, at least one for train and one for val
        test_per_class: test images of each character
        marks: whether there are the marks, too
    """

    classes = (*LETTERS, *MARKS)

    def __init__(
        self,
        seed: NonNegativeInt = 0,
        per_class: Annotated[int, Field(ge=2, le=100_000)] = 1000,
        test_per_class: Annotated[int, Field(ge=1, le=100_000)] = 200,
        marks: bool = True,
    ) -> None:
        self.classes = type(self).classes if marks else tuple(LETTERS)
        self.seed = seed
        self.per_class = per_class
        self.test_per_class = test_per_class

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray:
        """As :meth:`ldg.data.dataset.Dataset.labels`."""
        count = self.per_class if split == "train" else self.test_per_class
        rng = np.random.default_rng(self._stream(split))
        return rng.permutation(np.repeat(np.arange(len(self.classes)), count))

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As :meth:`ldg.data.dataset.Dataset.read`."""
        labels, stream = self.labels(split, sources), self._stream(split)
        chunks = np.split(labels, range(CHUNK, len(labels), CHUNK))
        seeds = [(*stream, number) for number in range(len(chunks))]
        with ThreadPoolExecutor() as pool, progress(len(labels), f"drawing {split} strokes") as bar:
            for images, chunk in zip(pool.map(draw_characters, chunks, seeds), chunks, strict=True):
                bar.update(len(chunk))
                yield images, chunk

    def _stream(self, split: Split) -> tuple[int, bool]:
        """The seed of a split; the two share no randomness."""
        return self.seed, split == "test"


def draw_characters(
    labels: np.ndarray,
    seed: tuple[int, ...],
    pen: float | np.ndarray | None = None,
    slant: float | np.ndarray | None = None,
) -> np.ndarray:
    """Draw an image of each of some characters.

    Args:
        labels: indices into ``Strokes.classes``, (n,)
        seed: determines everything random
        pen: width of the lines in pixels, of all or (n,), of glyphs with many lines less; None: random
        slant: pixels to the right for each pixel upwards, of all or (n,); None: random, on average to the right

    Returns:
        Images uint8 (n, 1, 28, 28).
    """
    rng = np.random.default_rng(seed)
    points, strokes, relative = choose_forms(labels, rng)
    pens, slants = choose_hands(len(labels), rng)
    points = move_strokes(points, strokes, rng)
    points = warp(points, rng)
    points = transform_glyphs(points, slants if slant is None else np.full(len(labels), slant), rng)
    is_mark = labels >= len(LETTERS)
    scale = np.where(is_mark, CAPITAL / UNITS, 22 / np.ptp(points, axis=1).max(1))
    # a long line in the frame needs a finer pen, or loops fill with ink
    length = measure_steps(points, strokes).sum(1) * scale
    width = np.minimum((pens if pen is None else pen) * relative, 0.5 + 150 / length)
    return draw_lines(fit_to_frame(points, width, is_mark, rng), strokes, width, rng)[:, None]


def choose_hands(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Choose pens and slants at random.

    Args:
        count: n
        rng: random numbers

    Returns:
        Widths of the pen in pixels (n,), and slants in pixels to the right for each pixel upwards (n,).
    """
    pens = np.clip(rng.lognormal(np.log(PEN), 0.15, count), *PENS)
    return pens, sample_normal(rng, count, scale=0.15, loc=SLANT)


@cache
def read_forms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read all forms of all characters from the font.

    Returns:
        Points (class, rounding, POINTS, 2) in font units, around a glyph's centre, of marks around the middle of a
        capital's height; the number of each point's stroke (class, rounding, POINTS); and the relative width of the pen
        (class,).
    """
    from HersheyFonts import HersheyFonts

    font = HersheyFonts()
    font.load_default_font(FONT)
    lines = {character: font.all_glyphs[character].strokes for character in Strokes.classes}
    lines["'"] = lines['"'][:1]  # the font's apostrophe is a comma
    drawn = [
        place(*resample(strokes, rounding), character) for character, strokes in lines.items() for rounding in ROUNDING
    ]
    shape = (len(Strokes.classes), len(ROUNDING), POINTS)
    points = np.stack([points for points, _ in drawn]).reshape(*shape, 2)
    strokes = np.stack([stroke for _, stroke in drawn]).reshape(shape)
    # small letters are enlarged, pen included, to fill the frame; a broad line would hide the narrow bars of f and t
    pen = {**dict.fromkeys("aceinorsuvxz", 1.15), **dict.fromkeys("ft", 0.75), **FINE}
    return points, strokes, np.array([pen.get(character, 1.0) for character in Strokes.classes])


def resample(polylines: list[list[tuple[int, int]]], rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Place points on the strokes of a glyph at even distances and round the corners.

    Args:
        polylines: the strokes in font units
        rounding: standard deviation of the filter that rounds corners, in font units

    Returns:
        Points (POINTS, 2) in font units, and the number of each point's stroke (POINTS,).
    """
    lines = [np.asarray(line, dtype=np.float64) for line in polylines if len(line) > 1]
    along = [np.concatenate([[0], np.hypot(*np.diff(line, axis=0).T).cumsum()]) for line in lines]
    ends = np.cumsum([distance[-1] for distance in along])
    counts = np.diff(np.round(POINTS * ends / ends[-1]).astype(int), prepend=0)
    pieces = []
    for line, distance, count in zip(lines, along, counts, strict=True):
        at = np.linspace(0, distance[-1], count)
        piece = np.stack([np.interp(at, distance, line[:, axis]) for axis in (0, 1)], axis=1)
        # the dot of an i is a small ring that smoothing would close
        pieces.append(smooth(piece, rounding * count / distance[-1]) if distance[-1] > DOT else piece)
    return np.concatenate(pieces), np.repeat(np.arange(len(lines)), counts)


def place(points: np.ndarray, strokes: np.ndarray, character: str) -> tuple[np.ndarray, np.ndarray]:
    """Move a glyph's centre to the origin, and of a mark the middle of a capital's height.

    Args:
        points: (POINTS, 2) in font units
        strokes: the number of each point's stroke, (POINTS,)
        character: that is drawn

    Returns:
        Points float32 (POINTS, 2), and the strokes.
    """
    centre = (points.min(0) + points.max(0)) / 2
    points = points - centre
    if character in MARKS:
        width, height, lowered = FITTED.get(character, (1, 1, 0))
        points = points * (width, height) + (0, centre[1] + lowered - FOOT + UNITS / 2)
    return points.astype(np.float32), strokes


def smooth(line: np.ndarray, sigma: float) -> np.ndarray:
    """Filter a line with a Gaussian; its two ends do not move.

    Args:
        line: points (n, 2)
        sigma: standard deviation, in points

    Returns:
        Points (n, 2).
    """
    reach = min(int(3 * sigma) + 1, len(line) - 1)
    if reach < 1:
        return line
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    before, after = 2 * line[0] - line[reach:0:-1], 2 * line[-1] - line[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, line, after])
    return np.stack([np.convolve(padded[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)], axis=1)


def choose_forms(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the rounding of each character at random.

    Args:
        labels: indices into ``Strokes.classes``, (n,)
        rng: random numbers

    Returns:
        Points (n, POINTS, 2) in font units, the number of each point's stroke (n, POINTS) and the relative width of the
        pen (n,).
    """
    points, strokes, pen = read_forms()
    rounding = rng.integers(len(ROUNDING), size=len(labels))
    return points[labels, rounding], strokes[labels, rounding], pen[labels]


def sample_normal(rng: np.random.Generator, *shape: int, scale: float = 1.0, loc: float = 0.0) -> np.ndarray:
    """Sample a normal distribution.

    Args:
        rng: random numbers
        shape: of the result
        scale: standard deviation
        loc: mean

    Returns:
        Numbers of this shape.
    """
    return loc + scale * rng.standard_normal(shape, dtype=np.float32)


def move_strokes(points: np.ndarray, strokes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift, stretch and rotate every stroke by a small random amount, as if the pen were lifted between strokes.

    Args:
        points: (n, POINTS, 2) in font units
        strokes: the number of each point's stroke, (n, POINTS)
        rng: random numbers

    Returns:
        Points (n, POINTS, 2).
    """
    count, most = len(points), int(strokes.max()) + 1
    each = partial(np.take_along_axis, indices=strokes, axis=1)
    stretch, turn = each(sample_normal(rng, count, most, scale=0.05)), each(sample_normal(rng, count, most, scale=0.04))
    shift = np.stack([each(sample_normal(rng, count, most, scale=0.45)) for _ in range(2)], axis=-1)
    member = (strokes[:, None] == np.arange(most)[:, None]).astype(np.float32)
    centres = member @ points / np.maximum(member.sum(2, keepdims=True), 1)
    x, y = np.moveaxis(points - np.take_along_axis(centres, strokes[..., None], axis=1), -1, 0)
    return points + shift + np.stack([stretch * x - turn * y, stretch * y + turn * x], axis=-1)


def warp(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bend the glyphs smoothly, with waves across the plane and along the strokes.

    Args:
        points: (n, POINTS, 2) in font units
        rng: random numbers

    Returns:
        Points (n, POINTS, 2).
    """
    count = len(points)
    along = np.linspace(0, 2 * np.pi, POINTS, dtype=np.float32)
    direction = sample_normal(rng, count, 2, 2)
    direction *= 2 * np.pi / 36 / np.linalg.norm(direction, axis=1, keepdims=True)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 2)).astype(np.float32)
    points = points + np.sin(points @ direction + phase)
    for waves in (1, 2, 3):
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 2)).astype(np.float32)
        points = points + sample_normal(rng, count, 1, 2, scale=0.3 / waves) * np.sin(waves * along[:, None] + phase)
    return points


def transform_glyphs(points: np.ndarray, slant: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each glyph a slant, and random proportions and rotation.

    Args:
        points: (n, POINTS, 2) in font units
        slant: units to the right for each unit upwards, (n,)
        rng: random numbers

    Returns:
        Points (n, POINTS, 2).
    """
    count = len(points)
    stretch = np.exp(sample_normal(rng, count, scale=0.12))
    turn = sample_normal(rng, count, scale=0.06)
    x, y = points[..., 0] * stretch[:, None], points[..., 1]
    x = x - slant[:, None] * y  # y points down
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def fit_to_frame(points: np.ndarray, width: np.ndarray, is_mark: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale each letter and digit, pen included, to a box of 21 to 25 pixels in the middle of the frame.

    Marks are set on the line: ``CAPITAL`` and ``BASELINE``.

    Args:
        points: (n, POINTS, 2) in font units
        width: of the pen in pixels, (n,)
        is_mark: whether a glyph is a mark, (n,)
        rng: random numbers

    Returns:
        Points float32 (n, POINTS, 2) in pixels.
    """
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    box = rng.uniform(21, 25, len(points))
    fitting = (box - width) / (high - low).max((1, 2))
    scale = np.where(is_mark, np.minimum(box / 23 * CAPITAL / UNITS, fitting), fitting)[:, None, None]
    middle = (SIZE - 1) / 2 + sample_normal(rng, len(points), 1, 2, scale=0.3)
    centre = (low + high) / 2
    # no mark leaves the frame, however high or low it stands
    room = (SIZE - 4 - width[:, None, None] - (high - low) * scale) / 2
    height = np.clip(BASELINE - CAPITAL / 2 - (SIZE - 1) / 2 + centre * scale, -room, room) * (0, 1)
    return ((points - centre) * scale + middle + height * is_mark[:, None, None]).astype(np.float32)


def measure_steps(points: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Measure the distance from each point to the next.

    Args:
        points: (n, POINTS, 2)
        strokes: the number of each point's stroke, (n, POINTS)

    Returns:
        Distances (n, POINTS - 1), 0 between two strokes.
    """
    return np.hypot(*np.moveaxis(np.diff(points, axis=1), -1, 0)) * (strokes[:, 1:] == strokes[:, :-1])


def draw_lines(points: np.ndarray, strokes: np.ndarray, width: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw glyphs with a pen of random pressure.

    A line blurred by a Gaussian of standard deviation s has the cross-section exp(-d^2 / 2 s^2), which falls to one
    half at d = 1.18 s: there the ink ends. A Gaussian is a product of one factor for x and one for y, so that an image
    is one matrix product over its points.

    Args:
        points: (n, POINTS, 2) in pixels
        strokes: the number of each point's stroke, (n, POINTS)
        width: of the pen in pixels, (n,)
        rng: random numbers

    Returns:
        Images uint8 (n, 28, 28).
    """
    wave = rng.uniform(0, 2 * np.pi, (len(points), 1)) + np.linspace(0, 9, POINTS)
    pressure = 1 + rng.uniform(0, 0.2, (len(points), 1)) * np.sin(wave)
    sigma = (width[:, None] * pressure / 2.36).astype(np.float32)
    steps = measure_steps(points, strokes)
    length = (np.pad(steps, ((0, 0), (1, 0))) + np.pad(steps, ((0, 0), (0, 1)))) / 2
    across = np.arange(SIZE, dtype=np.float32)
    x = gaussian((points[:, :, 0, None] - across) / sigma[..., None])
    y = gaussian((points[:, None, :, 1] - across[:, None]) / sigma[:, None])
    y *= (length / (np.sqrt(2 * np.pi) * sigma)).astype(np.float32)[:, None]
    blurred = y @ x
    contrast = np.maximum(0.75 * width / 2.36, 0.7)[:, None, None]  # edges about 1.5 pixels wide, whatever the pen
    grey = np.clip((blurred - 0.5) * contrast + 0.5 - 0.5 * (1 - np.minimum(contrast, 1)), 0, 1)
    return np.round(255 * grey * grey * (3 - 2 * grey)).astype(np.uint8)


def gaussian(distance: np.ndarray) -> np.ndarray:
    """Compute exp(-d^2 / 2), but at least exp(-30): arithmetic with subnormal numbers is slow.

    Args:
        distance: in standard deviations

    Returns:
        Numbers of the same shape.
    """
    return np.exp(np.maximum(-0.5 * distance * distance, -30))
