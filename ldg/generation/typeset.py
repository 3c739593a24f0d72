"""Typesetting: from images of glyphs to ink on a page.

A page is measured in pixels from the left edge and the first baseline, downwards. Both layouts give a list of glyphs;
:func:`draw_page` puts them on paper, :mod:`ldg.generation.vector` their outlines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from ldg.data import strokes
from ldg.generation import ink
from ldg.generation.alphabet import Page

# Heights are shares of the capital height, from the baseline.
X_HEIGHT = 0.64
ASCENDER = 1.06
DESCENDER = -0.4
DIGIT = 0.94
DOTTED = 0.94
LINE = 1.85  # from baseline to baseline
ADVANCE = 0.55  # of a character on average; 0.3 of an i, 1.2 of an m
BLANK_WIDTH = 0.5
GAP = 0.17  # between the inks of neighbours, on average over their height
CLOSEST = 0.07  # and nowhere less than this
DEPTH = 0.3  # a recess counts no deeper
MARGIN = 0.2
LETTER = 0.8  # a letter between x and capital height
CAPITAL = 20  # height of a capital in images of 28x28: what EMNIST scales a character to
PEN_OF_MARKS = LETTER * strokes.CAPITAL / CAPITAL  # pen of a mark's image, relative to that of a letter's
RULE = 0.012  # thickness of a ruled line
RULE_INK = 0.25  # how dark it is
RAGGED = 0.03  # standard deviation of a ragged baseline
DRIFT = 0.7  # of a ragged baseline, what one glyph has of the one before
WIDEST = 1.6  # glyphs wider than this for their height are drawn smaller

EXTENTS = {
    **dict.fromkeys("acemnorsuvwxz", (0.0, X_HEIGHT)),
    **dict.fromkeys("bdfhkl", (0.0, ASCENDER)),
    **dict.fromkeys("gpqy", (DESCENDER, X_HEIGHT)),
    **dict.fromkeys("0123456789", (0.0, DIGIT)),
    "i": (0.0, DOTTED),
    "j": (DESCENDER, DOTTED),
    "t": (0.0, 0.9),
    "Q": (-0.1, 1.0),
}


class Glyph(NamedTuple):
    """The ink of a character in its place.

    Attributes:
        top: Row of the top left corner, pixels.
        left: Column of the top left corner, pixels.
        ink: (h, w) in [0, 1].
        pen: Width of the strokes, pixels.
        character: Which it is; empty for a ruled line.
        image: Which the ink is drawn from, cleaned, (H, W); None where there is only the ink.
        outline: Of the image: its box is drawn as the whole ink; None where there is no ink.
        line: Number of the line it stands in.
    """

    top: int
    left: int
    ink: np.ndarray
    pen: float = 0.0
    character: str = ""
    image: np.ndarray | None = None
    outline: ink.Outline | None = None
    line: int = 0

    @property
    def right(self) -> int:
        """Column after the last one, pixels."""
        return self.left + self.ink.shape[1]


class Bounds(NamedTuple):
    """A rectangle of the page; stops are exclusive."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Baseline:
    """Sets glyphs on a baseline, as tall as their characters are in type, and spaced by their ink.

    Args:
        capital: Height of a capital, pixels.
        threshold: In [0, 1]: ink is black or white, more of it black the lower; None: grey levels.
        line_height: Multiplies the distance of the baselines.
        letter_spacing: Multiplies the space between two letters.
        word_spacing: Multiplies the width of a blank.
        slant: Degrees, to the right of how the images lean.
        pen: Multiplies the width of the strokes.
        align: Share of a line's free space that is on its left, in [0, 1].
        ragged: How far glyphs leave the baseline; 0: not at all, 1: as a hand does.
        seed: Of the ragged baseline.
        width: Of the text, pixels: lines are broken so that none is wider.
        highest: Of the levels where ink begins, as of :func:`ldg.generation.ink.trace`.
    """

    capital: int
    threshold: float | None = None
    line_height: float = 1.0
    letter_spacing: float = 1.0
    word_spacing: float = 1.0
    slant: float = 0.0
    pen: float = 1.0
    align: float = 0.0
    ragged: float = 0.0
    seed: int = 0
    width: float = math.inf
    highest: float = ink.LEVELS[1]

    def place(self, page: Page, images: np.ndarray, groups: Sequence[int]) -> list[Glyph]:
        """Place the glyphs of a page.

        Args:
            page: Lines of cells, N of them with ink.
            images: (N, H, W) in [0, 1], in reading order.
            groups: N numbers; glyphs of one group get one pen.

        Returns:
            N glyphs, in reading order.
        """
        # a letter that comes again in the same style is the same image: it is drawn once
        first, which = distinct(images)
        cleaned = [self._clean(images[index]) for index in first]
        characters = [cell.name for line in page for cell in line if cell.mixture]
        widths = np.array([ink.pen_width(image) for image in cleaned])[which]
        pens = self._pens(widths, characters, len(cleaned[0]), groups)
        stand = cache(lambda image, pen, character: self._stand(cleaned[image], pen, character))
        space = cache(lambda a, b: self._space(stand(*a), stand(*b)))
        described = zip(which.tolist(), pens.tolist(), characters, strict=True)
        lines: list[list[Glyph]] = []
        for line in page:
            words: list[list[Glyph]] = [[]]
            left, previous = 0, None
            for cell in line:
                description = next(described) if cell.mixture else None
                if description is None:
                    left += round(BLANK_WIDTH * self.word_spacing * self.capital)
                    words.append([])
                else:
                    left += space(previous, description) if previous else 0
                    words[-1].append(stand(*description)._replace(left=left))
                    left = words[-1][-1].right
                previous = description
            lines += _broken(words, self.width)
        return self._aligned(lines)

    def line_top(self, number: int) -> int:
        """Where a line's baseline is, pixels below the first one."""
        return round(number * LINE * self.line_height * self.capital)

    def rules(self, glyphs: Sequence[Glyph]) -> list[Glyph]:
        """Ruled lines, one on the baseline of each line of glyphs and as wide as the text."""
        left = min(0, *(glyph.left for glyph in glyphs))
        right = max(glyph.right for glyph in glyphs) if self.width == math.inf else round(self.width)
        rule = np.full((max(1, round(RULE * self.capital)), right - left), RULE_INK, np.float32)
        lines = range(glyphs[-1].line + 1)
        return [Glyph(self.line_top(line), left, rule, line=line) for line in lines]

    def _aligned(self, lines: list[list[Glyph]]) -> list[Glyph]:
        """The glyphs of lines that start at the left, each moved to its place on the page."""
        rights = [max((glyph.right for glyph in line), default=0) for line in lines]
        width = max(rights) if self.width == math.inf else self.width
        random = np.random.default_rng(self.seed)
        glyphs = []
        for number, (line, right) in enumerate(zip(lines, rights, strict=True)):
            down, left = 0.0, round(self.align * (width - right))
            for glyph in line:
                if self.ragged:
                    step = math.sqrt(1 - DRIFT**2) * random.standard_normal()
                    down = DRIFT * down + RAGGED * self.ragged * self.capital * step
                top = glyph.top + self.line_top(number) + round(down)
                glyphs.append(glyph._replace(top=top, left=glyph.left + left, line=number))
        return glyphs

    def _clean(self, image: np.ndarray) -> np.ndarray:
        image = ink.clean(image)
        if self.slant:
            image = ink.sheared(image, math.tan(math.radians(self.slant)))
        # a level alone makes strokes little thicker, and hardly thinner
        return ink.widened(image, (self.pen - 1) * ink.pen_width(image) / 2) if self.pen != 1 else image

    def size(self, page: Page, image_shape: tuple[int, int]) -> tuple[int, int]:
        """Estimate the height and width of a page in pixels; the width within a factor of 2 or so."""
        wide = max(
            sum(
                ADVANCE + (self.letter_spacing - 1) * GAP if cell.mixture else BLANK_WIDTH * self.word_spacing
                for cell in line
            )
            for line in page
        )
        return self.line_top(len(page) - 1) + self.capital, round(wide * self.capital)

    def _pens(self, widths: np.ndarray, characters: Sequence[str], height: int, groups: Sequence[int]) -> np.ndarray:
        """Stroke widths on the page: the group's median, enlarged as a letter between x and capital height would be."""
        enlarged = LETTER * self.capital / (height * CAPITAL / 28)
        of_mark = self._mark_scale(height)
        pens = widths * np.array([of_mark if character in strokes.MARKS else enlarged for character in characters])
        _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
        of_group = np.split(pens[np.argsort(which, kind="stable")], np.cumsum(counts)[:-1])
        return np.array([np.median(pens) for pens in of_group])[which]

    def _mark_scale(self, height: int) -> float:
        """The enlargement of marks in images of some height, which stand as ldg.data.strokes draws them."""
        return self.capital / (strokes.CAPITAL * height / strokes.SIZE)

    def _stand(self, image: np.ndarray, pen: float, character: str) -> Glyph:
        """A glyph on the first baseline, at the left edge of the page."""
        bottom, top = _extent(image, character)
        height = (top - bottom) * self.capital
        is_mark, mark_scale = character in strokes.MARKS, self._mark_scale(len(image))

        def enlargement(outline: ink.Outline) -> float:
            return mark_scale if is_mark else height / outline.height

        pen_of_character = pen * strokes.FINE.get(character, 1)
        outline = ink.trace(image, enlargement, pen_of_character, self.threshold, self.highest)
        if outline is None:
            blank = np.zeros((round(height), round(height / 2)), np.float32)
            return Glyph(-round(height), 0, blank, pen, character)
        aspect = outline.width / outline.height
        if is_mark:
            height = outline.height * mark_scale
            bottom = (strokes.BASELINE * len(image) / strokes.SIZE - outline.bottom) * mark_scale / self.capital
        else:
            height *= min(1.0, WIDEST * self.capital / (aspect * height))
        shape = max(1, round(height)), max(1, round(aspect * height))
        drawn = ink.render(image, outline, *shape, binary=self.threshold is not None)
        return Glyph(-round(bottom * self.capital) - shape[0], 0, drawn, pen, character, image, outline)

    def between(self, a: Glyph, b: Glyph, t: float, image: np.ndarray) -> Glyph:
        """Interpolate between two glyphs.

        Args:
            a: The glyph at t = 0.
            b: The glyph at t = 1.
            t: In [0, 1].
            image: Of the character, (H, W) in [0, 1].

        Returns:
            The image's ink in the interpolated place and size.
        """
        height, width = (round((1 - t) * x + t * y) for x, y in zip(a.ink.shape, b.ink.shape, strict=True))
        pen = (1 - t) * a.pen + t * b.pen
        image = self._clean(image)
        outline = ink.trace(image, lambda outline: height / outline.height, pen, self.threshold)
        drawn = np.zeros((height, width), np.float32)
        if outline is not None:
            drawn = ink.render(image, outline, height, width, binary=self.threshold is not None)
        return Glyph(*_corner(a, b, t), drawn, pen)

    def _space(self, glyph: Glyph, following: Glyph) -> int:
        """Pixels between two boxes so that the white looks even, which neither boxes nor nearest points do."""
        return int(self.spaces([glyph], [following])[0, 0])

    def spaces(self, glyphs: Sequence[Glyph], following: Sequence[Glyph]) -> np.ndarray:
        """Measure how far apart pairs of glyphs are set.

        Args:
            glyphs: N on a baseline.
            following: M on the same one.

        Returns:
            (N, M): pixels between the boxes of each of the N and, after it, each of the M.
        """
        tops, bottoms, widths = zip(*(_edges(part) for part in (glyphs, following)), strict=True)
        rows = min(map(min, tops)), max(map(max, bottoms))
        reach, deepest = round(CLOSEST * self.capital), DEPTH * self.capital
        first = np.minimum.outer(*tops)[:, :, None] - rows[0]
        beyond = np.maximum.outer(*bottoms)[:, :, None] - rows[0]
        row = np.arange(rows[1] - rows[0])
        facing = [glyph._replace(ink=glyph.ink[:, ::-1]) for glyph in glyphs]
        gaps = _recesses(facing, *rows, reach)[:, None] + _recesses(following, *rows, reach)
        gaps[(row < first) | (row >= beyond)] = np.inf  # those that neither box meets
        count = (beyond - first)[:, :, 0]
        outside = deepest * (len(row) - count)
        # beyond half of the narrower one, the next but one could be reached
        low = -np.minimum.outer(*widths) // 2 - 1
        high = np.full_like(low, round(self.capital) - 1)
        nearest = gaps.min(axis=2)
        for _ in range(int(np.ceil(np.log2((high - low).max())))):
            shift = (low + high + 1) // 2
            white = (np.minimum(shift[:, :, None] + gaps, deepest).sum(axis=2) - outside) / count
            is_right = (white >= GAP * self.capital) & (shift + nearest >= CLOSEST * self.capital)
            low, high = np.where(is_right, low, shift), np.where(is_right, shift, high)
        return high + round((self.letter_spacing - 1) * GAP * self.capital)


def _broken(words: list[list[Glyph]], width: float) -> list[list[Glyph]]:
    """Lines of glyphs no wider than ``width``, broken between words, or within a word that is wider itself."""
    lines: list[list[Glyph]] = [[]]
    start = 0
    for word in words:
        for number, glyph in enumerate(word):
            right = (glyph if number else word[-1]).right
            if lines[-1] and right - start > width:
                lines.append([])
                start = glyph.left
            lines[-1].append(glyph._replace(left=glyph.left - start))
    return lines


def distinct(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find equal images.

    Args:
        images: (N, ...).

    Returns:
        Where each distinct image comes first, (M,), and for each image the number of its distinct one, (N,).
    """
    numbers: dict[bytes, int] = {}  # which is faster than to sort images
    which = np.array([numbers.setdefault(image.tobytes(), len(numbers)) for image in images], int)
    return np.unique(which, return_index=True)[1], which


def _extent(image: np.ndarray, character: str) -> tuple[float, float]:
    bottom, top = EXTENTS.get(character, (0.0, 1.0))
    if character in "ij" and not ink.has_dot(image):
        top = X_HEIGHT
    return bottom, top


def _corner(a: Glyph, b: Glyph, t: float) -> tuple[int, int]:
    return round((1 - t) * a.top + t * b.top), round((1 - t) * a.left + t * b.left)


def _edges(glyphs: Sequence[Glyph]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top, bottom and width of the box of each glyph."""
    tops, heights, widths = np.array([(glyph.top, *glyph.ink.shape) for glyph in glyphs]).T
    return tops, tops + heights, widths


def _recesses(glyphs: Sequence[Glyph], top: int, bottom: int, reach: int) -> np.ndarray:
    """White (N, rows) from the left edge of each box to the first ink, the nearest within ``reach`` rows."""
    depths = np.full((len(glyphs), bottom - top + 2 * reach), np.inf)
    for glyph, depth in zip(glyphs, depths, strict=True):
        start, side = glyph.top - top + reach, glyph.ink > 0.5
        depth[start : start + len(side)] = np.where(side.any(axis=1), side.argmax(axis=1), np.inf)
    return np.lib.stride_tricks.sliding_window_view(depths, 2 * reach + 1, axis=1).min(axis=2)


@dataclass(frozen=True)
class Tiles:
    """Sets whole images side by side at a pitch of 20/28 of their width.

    Args:
        scale: Enlargement of the images.
        threshold: As of :class:`Baseline`.
    """

    scale: int
    threshold: float | None = None

    def place(self, page: Page, images: np.ndarray, groups: Sequence[int]) -> list[Glyph]:
        """As :meth:`Baseline.place`; ``groups`` is unused."""
        height, width = (size * self.scale for size in images.shape[1:])
        pitch = round(width * 20 / 28)
        cells = [(row, column) for row, line in enumerate(page) for column, cell in enumerate(line) if cell.mixture]
        first, which = distinct(images)
        enlarged = [self._enlarge(images[index]) for index in first]
        return [
            Glyph(row * height, column * pitch, enlarged[index])
            for (row, column), index in zip(cells, which.tolist(), strict=True)
        ]

    def size(self, page: Page, image_shape: tuple[int, int]) -> tuple[int, int]:
        """The height and width of a page in pixels; the width of one that ends in blanks is less."""
        height, width = (size * self.scale for size in image_shape)
        return len(page) * height, (max(map(len, page)) - 1) * round(width * 20 / 28) + width

    def between(self, a: Glyph, b: Glyph, t: float, image: np.ndarray) -> Glyph:
        """As :meth:`Baseline.between`; the size is that of ``image``."""
        return Glyph(*_corner(a, b, t), self._enlarge(image))

    def _enlarge(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape
        field = ink.resample(image, (0, height, height * self.scale), (0, width, width * self.scale))
        drawn = field if self.threshold is None else field > self.threshold
        return drawn.astype(np.float32)


Layout = Baseline | Tiles


def bounds(glyphs: Sequence[Glyph]) -> Bounds:
    """The rectangle around the glyphs."""
    return Bounds(
        min(glyph.top for glyph in glyphs),
        max(glyph.top + glyph.ink.shape[0] for glyph in glyphs),
        min(glyph.left for glyph in glyphs),
        max(glyph.right for glyph in glyphs),
    )


def coloured(page: np.ndarray, ink: Sequence[int], paper: Sequence[int]) -> np.ndarray:
    """Colour a page.

    Args:
        page: (H, W) in [0, 1], 0 where there is ink.
        ink: Red, green and blue, 0 to 255.
        paper: Likewise.

    Returns:
        (H, W, 3) in [0, 1].
    """
    dark, light = (np.array(colour, np.float32) / 255 for colour in (ink, paper))
    return dark + page[:, :, None] * (light - dark)


def draw_page(glyphs: Sequence[Glyph], margin: int, around: Bounds | None = None) -> np.ndarray:
    """Draw glyphs on paper; where they overlap, the darker one shows.

    Args:
        glyphs: Of a page.
        margin: White pixels around the text.
        around: The rectangle to draw; None: that of the glyphs.

    Returns:
        The page (H, W) in [0, 1], dark ink on white.
    """
    around = around or bounds(glyphs)
    height, width = around.bottom - around.top, around.right - around.left
    page = np.zeros((height + 2 * margin, width + 2 * margin), np.float32)
    for glyph in glyphs:
        top, left = glyph.top - around.top + margin, glyph.left - around.left + margin
        view = page[top : top + glyph.ink.shape[0], left : left + glyph.ink.shape[1]]
        np.maximum(view, glyph.ink, out=view)
    return 1 - page
