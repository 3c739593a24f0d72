"""Letters and digits drawn with a pen: the data set that needs no files and no network."""

import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from ldg.data.dataset import Dataset, Split, progress

SIZE = 28
POINTS = 128  # per glyph, shared among its strokes by length: about one a pixel for the longest glyph
CHUNK = 992
PRINT, SCRIPT = "futural", "scripts"  # the other single-stroke fonts repeat these two; the rest draw strokes twice
# script forms that read as their own letter on their own (its Q reads as 2, its r as n, its b as h)
SCRIPT_FORMS = "CELMNUWYacdeghiklmntuy"
SCRIPT_SHARE = 0.3
DOT = 10  # strokes up to this length, in font units (a capital is 21 units tall), are dots
ROUNDING = (0.7, 1.3, 2.0)  # how far the pen cuts corners, in font units


class Strokes(Dataset):
    """The 62 characters of EMNIST ByClass as pen strokes along the single-stroke Hershey fonts.

    Every image draws its own slant, rotation, proportions, pen width and pressure, displacement of each stroke and
    smooth warp. As in EMNIST, ink is 255 on 0, upright, centred, and fills the frame, so ``c`` is as tall as ``C``.
    The images depend on the arguments alone.
    """

    classes = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
    version = 1

    def __init__(
        self, seed: NonNegativeInt = 0, per_class: PositiveInt = 1000, test_per_class: PositiveInt = 200
    ) -> None:
        self.seed = seed
        self.per_class = per_class
        self.test_per_class = test_per_class

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        count = self.per_class if split == "train" else self.test_per_class
        stream = (self.seed, split == "test")  # the two splits share no randomness
        labels = np.random.default_rng(stream).permutation(np.repeat(np.arange(len(self.classes)), count))
        chunks = np.split(labels, range(CHUNK, len(labels), CHUNK))
        seeds = [(*stream, number) for number in range(len(chunks))]
        with ThreadPoolExecutor() as pool, progress(len(labels), f"drawing {split} strokes") as bar:
            for images, chunk in zip(pool.map(draw, chunks, seeds), chunks, strict=True):
                bar.update(len(chunk))
                yield images, chunk


def draw(labels: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """Draw one image for each of ``labels`` (n,), indices into ``Strokes.classes``. Returns uint8 (n, 1, 28, 28)."""
    rng = np.random.default_rng(seed)
    points, strokes, pen = choose_forms(labels, rng)
    width = np.clip(rng.lognormal(np.log(2.8), 0.3, len(labels)) * pen, 1.6, 4.4)
    points = move_strokes(points, strokes, rng)
    points = warp(points, rng)
    points = write_by_hand(points, rng)
    steps = lengths(points, strokes)
    extent = np.ptp(points, axis=1).max(1)
    # much line in the frame asks for a finer pen, or the loops fill up
    width = np.minimum(width, 0.7 + 165 / (steps.sum(1) / extent * 22))
    return ink(fit(points, width, rng), strokes, width, rng)[:, None]


@cache
def forms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All forms of all characters: points (class, script, rounding, POINTS, 2), stroke numbers without the last axis,
    and how broad the pen is for a class, relative to the others (class,)."""
    from HersheyFonts import HersheyFonts

    fonts = {}
    for name in (PRINT, SCRIPT):
        font = HersheyFonts()
        font.load_default_font(name)
        fonts[name] = font.all_glyphs
    drawn = []
    for character in Strokes.classes:
        # a handwritten 1 is as often a bare line
        script = ("l", PRINT) if character == "1" else (character, SCRIPT if character in SCRIPT_FORMS else PRINT)
        for glyph in (fonts[PRINT][character], fonts[script[1]][script[0]]):
            drawn += [resample(glyph.strokes, rounding) for rounding in ROUNDING]
    shape = (len(Strokes.classes), 2, len(ROUNDING), POINTS)
    points = np.stack([points for points, _ in drawn]).reshape(*shape, 2)
    strokes = np.stack([stroke for _, stroke in drawn]).reshape(shape)
    # a small letter is enlarged, pen and all, to fill the frame; the narrow bars of f and t would drown in a broad line
    pen = {**dict.fromkeys("aceimnorsuvwxz", 1.15), **dict.fromkeys("ft", 0.75)}
    return points, strokes, np.array([pen.get(character, 1.0) for character in Strokes.classes])


def resample(polylines: list[list[tuple[int, int]]], rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Put POINTS points on the strokes of a glyph at even distances and round the corners.

    Returns points float32 (POINTS, 2) around the glyph's centre in font units, and the stroke of each (POINTS,).
    """
    lines = [np.asarray(line, dtype=np.float64) for line in polylines if len(line) > 1]
    along = [np.concatenate([[0], np.hypot(*np.diff(line, axis=0).T).cumsum()]) for line in lines]
    ends = np.cumsum([distance[-1] for distance in along])
    counts = np.diff(np.round(POINTS * ends / ends[-1]).astype(int), prepend=0)
    pieces = []
    for line, distance, count in zip(lines, along, counts, strict=True):
        at = np.linspace(0, distance[-1], count)
        piece = np.stack([np.interp(at, distance, line[:, axis]) for axis in (0, 1)], axis=1)
        # the dot of an i is a tiny ring that smoothing would close
        pieces.append(smooth(piece, rounding * count / distance[-1]) if distance[-1] > DOT else piece)
    points = np.concatenate(pieces)
    points -= (points.min(0) + points.max(0)) / 2
    return points.astype(np.float32), np.repeat(np.arange(len(lines)), counts)


def smooth(line: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter along a line of points (n, 2), ``sigma`` in points; the two ends stay where they are."""
    reach = min(int(3 * sigma) + 1, len(line) - 1)
    if reach < 1:
        return line
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    before, after = 2 * line[0] - line[reach:0:-1], 2 * line[-1] - line[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, line, after])
    return np.stack([np.convolve(padded[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)], axis=1)


def choose_forms(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pick print or script and the roundness. Returns points (n, POINTS, 2), strokes (n, POINTS), pen (n,)."""
    points, strokes, pen = forms()
    script = (rng.random(len(labels)) < SCRIPT_SHARE).astype(int)
    rounding = rng.integers(len(ROUNDING), size=len(labels))
    return points[labels, script, rounding], strokes[labels, script, rounding], pen[labels]


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0, loc: float = 0.0) -> np.ndarray:
    return loc + scale * rng.standard_normal(shape, dtype=np.float32)


def move_strokes(points: np.ndarray, strokes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift, stretch and turn every stroke a little by itself, as a pen lifted in between does."""
    count, most = len(points), int(strokes.max()) + 1
    each = partial(np.take_along_axis, indices=strokes, axis=1)
    stretch, turn = each(normal(rng, count, most, scale=0.06)), each(normal(rng, count, most, scale=0.05))
    shift = np.stack([each(normal(rng, count, most, scale=0.6)) for _ in range(2)], axis=-1)
    member = (strokes[:, None] == np.arange(most)[:, None]).astype(np.float32)
    centres = member @ points / np.maximum(member.sum(2, keepdims=True), 1)
    x, y = np.moveaxis(points - np.take_along_axis(centres, strokes[..., None], axis=1), -1, 0)
    return points + shift + np.stack([stretch * x - turn * y, stretch * y + turn * x], axis=-1)


def warp(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bend the paper (waves across the plane) and the hand (waves along the stroke), both smoothly."""
    count = len(points)
    along = np.linspace(0, 2 * np.pi, POINTS, dtype=np.float32)
    for amplitude, period in ((1.3, 36.0), (0.5, 20.0)):
        direction = normal(rng, count, 2, 2)
        direction *= 2 * np.pi / period / np.linalg.norm(direction, axis=1, keepdims=True)
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 2)).astype(np.float32)
        points = points + amplitude * np.sin(points @ direction + phase)
    for waves in (1, 2, 3):
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 2)).astype(np.float32)
        points = points + normal(rng, count, 1, 2, scale=0.45 / waves) * np.sin(waves * along[:, None] + phase)
    return points


def write_by_hand(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each image its proportions, slant (to the right more often than not) and rotation."""
    count = len(points)
    stretch = np.exp(normal(rng, count, scale=0.14))
    slant, turn = normal(rng, count, scale=0.2, loc=0.12), normal(rng, count, scale=0.09)
    x, y = points[..., 0] * stretch[:, None], points[..., 1]
    x = x - slant[:, None] * y  # y points down
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def fit(points: np.ndarray, width: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale each glyph, pen included, into a box of 21 to 25 pixels and put it in the middle of the frame."""
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    box = rng.uniform(21, 25, len(points)) - width
    scale = box / (high - low).max((1, 2))
    middle = (SIZE - 1) / 2 + normal(rng, len(points), 1, 2, scale=0.3)
    return ((points - (low + high) / 2) * scale[:, None, None] + middle).astype(np.float32)


def lengths(points: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """The distance from each point to the next of the same stroke (n, POINTS - 1), 0 where the pen is lifted."""
    return np.hypot(*np.moveaxis(np.diff(points, axis=1), -1, 0)) * (strokes[:, 1:] == strokes[:, :-1])


def ink(points: np.ndarray, strokes: np.ndarray, width: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the lines. Returns uint8 (n, 28, 28).

    A line blurred by a Gaussian of standard deviation s has the profile exp(-d^2 / 2 s^2) across, which falls to one
    half at d = 1.18 s: there the ink ends. A Gaussian is a product of one factor for x and one for y, so that an image
    is one matrix product over its points.
    """
    wave = rng.uniform(0, 2 * np.pi, (len(points), 1)) + np.linspace(0, 9, POINTS)
    pressure = 1 + rng.uniform(0, 0.2, (len(points), 1)) * np.sin(wave)
    sigma = (width[:, None] * pressure / 2.36).astype(np.float32)
    steps = lengths(points, strokes)
    length = (np.pad(steps, ((0, 0), (1, 0))) + np.pad(steps, ((0, 0), (0, 1)))) / 2
    across = np.arange(SIZE, dtype=np.float32)
    x = bell((points[:, :, 0, None] - across) / sigma[..., None])
    y = bell((points[:, None, :, 1] - across[:, None]) / sigma[:, None])
    y *= (length / (np.sqrt(2 * np.pi) * sigma)).astype(np.float32)[:, None]
    blurred = y @ x
    contrast = np.maximum(0.75 * width / 2.36, 0.7)[:, None, None]  # edges about 1.5 pixels wide, whatever the pen
    grey = np.clip((blurred - 0.5) * contrast + 0.5 - 0.5 * (1 - np.minimum(contrast, 1)), 0, 1)
    return np.round(255 * grey * grey * (3 - 2 * grey)).astype(np.uint8)


def bell(distance: np.ndarray) -> np.ndarray:
    """exp(-d^2 / 2), but never so small that arithmetic turns to slow subnormal numbers."""
    return np.exp(np.maximum(-0.5 * distance * distance, -30))
