"""From a text to a picture: classes, styles, one decoding of all glyphs, and the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ldg.data import strokes
from ldg.errors import UserError
from ldg.generation import ink, latents, paper, sheets, typeset, vector
from ldg.generation.alphabet import Cell, Page, is_written, number_characters, parse, soft_labels
from ldg.generation.decoder import Decoder, Described, as_decoder
from ldg.memory import TooLarge

if TYPE_CHECKING:
    from ldg.models.vae import VAE

LayoutName = Literal["baseline", "tiles"]
TEMPERATURE = 0.5
HAND_TEMPERATURE = 0.8  # in a given hand: more of the style arrives, and less is read (docs/evaluation.md)
VARIATION = 0.4  # of a letter that comes again in a text
SAMPLE_PADDING = 4
TRIES = 3  # for each alternate of a character, of which the clearest are taken
DOTTED, DOTTED_TRIES = "ij", 12  # which a model may also draw without the dot
DOT_SEED, DOT_SHARES = 0, np.linspace(0.2, 0.9, 24, dtype=np.float32)[:, None]  # of ever more different styles
MARKS_SEED = 15  # of a set of marks that looks even, chosen by eye
BATCH = 1000  # images decoded at once
# what only written characters on baselines have
SETTINGS = ("line_height", "letter_spacing", "word_spacing", "slant", "pen", "align", "ragged", "ruled")
HEIGHT_ON_PAPER = paper.Length(5, "mm")
MARGIN_ON_PAPER = 4.0
MAX_GLYPHS = 100_000  # of vector graphics, which are made in memory


@dataclass(frozen=True)
class Options:
    """Options of writing.

    Attributes:
        style: One style (:mod:`ldg.models.style`) for the whole text (``shared``), for each ``word``, or for each glyph
            (``varied``).
        temperature: At least 0; the lower, the closer each character is to what is usual for it.
        layout: ``baseline`` sets glyphs as type, capitals 20 * scale pixels tall; ``tiles`` sets whole images at a
            pitch of 20/28 of their width.
        threshold: In [0, 1]: ink is black or white, more of it black the lower the threshold; None: grey levels.
        scale: Enlargement, at least 1; None: 5, of pictures so that they are about 140 pixels wide.
        width: Characters (None: 60) or pictures (None: 8) in a line; 0: no limit.
        mix: Share of b in ``a+b``, in [0, 1].
        margins: Paper around the text, in heights of a capital; None: 0.2, of tiles 0, on a sheet of paper 4.
        line_height: Multiplies the distance of the baselines.
        letter_spacing: Multiplies the space between two letters.
        word_spacing: Multiplies the width of a blank.
        slant: Degrees by which the writing leans further to the right, -45 to 45.
        pen: Multiplies the width of the strokes, 0.5 to 2.
        align: ``left``, ``center`` or ``right``.
        ragged: How far glyphs leave the baseline at random; 0: not at all, 1: as a hand does.
        ruled: Whether each line of text stands on a ruled line.
        ink: Name of a colour, or ``#rrggbb``.
        paper: Likewise.
        hand: A style (D,) in the place of drawn ones, as :func:`ldg.generation.hand.read_style` reads it; they vary
            around it with style ``word`` or ``varied``, or with another seed than 0.

    Raises:
        UserError: For a value out of range.
    """

    style: latents.Style = "shared"
    temperature: float = TEMPERATURE
    layout: LayoutName = "baseline"
    threshold: float | None = None
    scale: int | None = None
    width: int | None = None
    mix: float = 0.5
    margins: float | None = None
    line_height: float = 1.0
    letter_spacing: float = 1.0
    word_spacing: float = 1.0
    slant: float = 0.0
    pen: float = 1.0
    align: str = "left"
    ragged: float = 0.0
    ruled: bool = False
    ink: str = "black"
    paper: str = "white"
    hand: np.ndarray | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.layout not in ("baseline", "tiles"):
            raise UserError(f"layout must be baseline or tiles, got {self.layout!r}")
        for name, value in (("threshold", self.threshold), ("mix", self.mix)):
            if value is not None and not 0 <= value <= 1:
                raise UserError(f"{name} must lie in [0, 1], got {value}")
        if self.scale is not None and self.scale < 1:
            raise UserError(f"scale must be at least 1, got {self.scale}")
        if self.temperature < 0:
            raise UserError(f"temperature must not be negative, got {self.temperature}")
        for name, (low, high) in paper.RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(f"{name} must lie in [{low:g}, {high:g}], got {value}")
        if self.align not in paper.ALIGNMENTS:
            raise UserError(f"align must be {', '.join(paper.ALIGNMENTS)}, got {self.align!r}")
        for name in ("ink", "paper"):
            try:
                paper.parse_colour(getattr(self, name))
            except UserError as error:
                raise UserError(f"{name} {error}") from None
        if self.layout == "tiles" and (changed := self.changed(SETTINGS)):
            raise UserError(f"{changed[0]} does not go with layout tiles, which sets whole images")

    def changed(self, names: Sequence[str]) -> list[str]:
        """Which of some options are not the default."""
        return [each.name for each in fields(self) if each.name in names and getattr(self, each.name) != each.default]

    @property
    def colours(self) -> tuple[vector.Colour, vector.Colour] | None:
        """Of ink and paper; None for black on white."""
        if not self.changed(("ink", "paper")):
            return None
        return paper.parse_colour(self.ink), paper.parse_colour(self.paper)


def write(model: VAE | Decoder, text: str, *, seed: int = 0, **options: Any) -> np.ndarray:
    """Write a text.

    Args:
        model: In eval mode.
        text: Where classes are characters, any string of them with spaces and newlines; the marks of
            :class:`ldg.data.strokes.Strokes` that are no classes are drawn as they are there, with the pen and the
            slant of the text. Where classes are words, names separated by commas, each drawn as a captioned tile;
            ``a+b`` blends two classes.
        seed: Of the styles; each seed is another one.
        options: Those of :class:`Options`.

    Returns:
        A picture (H, W) or, in colours, (H, W, 3), in [0, 1], dark ink on white.

    Raises:
        UserError: For an option out of range, a text that the model has no class for, or an unconditional model.
    """
    return write_sheet(model, text, 1, 1, seed=seed, options=Options(**options))


def write_sheet(
    model: VAE | Decoder, text: str, rows: int, columns: int, *, seed: int = 0, options: Options | None = None
) -> np.ndarray:
    """Write a text several times, in the styles of seed, seed + 1, and so on.

    Args:
        model: In eval mode.
        text: See :func:`write`.
        rows: Of the sheet.
        columns: Of the sheet.
        seed: Of the first text.
        options: Of writing; None: the defaults.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1].
    """
    options = options or Options()
    sheets.require_paper(text_size(model, text, rows, columns, options), 3 if options.colours else channels(model))
    page = parse_text(model, text, options)
    decoder, numbers = as_decoder(model), latents.groups(page, options.style)

    def draw(seed: int) -> np.ndarray:
        return compose(model, page, _decode_page(decoder, page, numbers, seed, options), numbers, options, seed)

    return coloured(sheets.sheet([draw(seed + number) for number in range(rows * columns)], columns), options)


def _decode_page(decoder: Decoder, page: Page, numbers: Sequence[int], seed: int, options: Options) -> np.ndarray:
    """The images of a page, (N, C, H, W)."""
    styles = choose_styles(decoder, page, numbers, seed, options)
    return decode_cells(decoder, inked(page), styles, options.temperature)


def choose_styles(decoder: Decoder, page: Page, numbers: Sequence[int], seed: int, options: Options) -> np.ndarray:
    """Choose the styles of glyphs.

    Args:
        decoder: That draws them.
        page: N cells with ink.
        numbers: Of the styles, N.
        seed: Of those that are drawn.
        options: Of which ``hand``, ``style`` and ``temperature`` are used.

    Returns:
        float32 (N, D).
    """
    styles = latents.draw_styles(numbers, decoder.latent_dim, seed)
    if options.hand is not None:
        is_exact = options.style == "shared" and seed == 0
        styles = vary(options.hand[None], styles, 0.0 if is_exact else VARIATION)
    return _dot(decoder, inked(page), styles, options.temperature) if is_typeset(decoder) else styles


def _dot(decoder: Decoder, cells: Sequence[Cell], styles: np.ndarray, temperature: float) -> np.ndarray:
    """Styles (N, D) in which an i or j without its dot has one close by in which it has one, if there is any."""
    chosen: dict[tuple[str, bytes], np.ndarray] = {}
    own = latents.draw_styles(range(len(DOT_SHARES)), decoder.latent_dim, DOT_SEED)
    for place, cell in enumerate(cells):
        if cell.name not in DOTTED:
            continue
        key = cell.name, styles[place].tobytes()
        if key not in chosen:
            near = np.concatenate([styles[place : place + 1], vary(styles[place : place + 1], own, DOT_SHARES)])
            images = decode_cells(decoder, [cell] * len(near), near, temperature)[:, 0]
            dotted = np.flatnonzero(_is_dotted(images))
            chosen[key] = near[dotted[0] if len(dotted) else 0]
        styles = np.concatenate([styles[:place], chosen[key][None], styles[place + 1 :]])
    return styles


def vary(common: np.ndarray, own: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """Mix styles so that they stay standard normal.

    Args:
        common: (1, D).
        own: (N, D).
        share: Of the own part, in [0, 1], one or (N, 1).

    Returns:
        float32 (N, D).
    """
    return (np.sqrt(1 - np.square(share)) * common + share * own).astype(np.float32)


def coloured(picture: np.ndarray, options: Options) -> np.ndarray:
    """A grey picture (H, W) in the colours that options name, (H, W, 3), if they do."""
    return typeset.coloured(picture, *options.colours) if options.colours else picture


def write_vectors(
    model: VAE | Decoder,
    text: str,
    suffix: str,
    *,
    seed: int = 0,
    options: Options | None = None,
    height: paper.Length | None = None,
    page: str | None = None,
    strokes: bool = False,
) -> tuple[bytes, list[np.ndarray]]:
    """Write a text of characters as vector graphics.

    Args:
        model: In eval mode.
        text: See :func:`write`.
        suffix: ``.svg`` or ``.pdf``.
        seed: Of the styles.
        options: Of writing; None: the defaults.
        height: Of a capital; None: that of :func:`write`'s picture at 96 pixels an inch, on paper 5 mm.
        page: Paper of a PDF, a key of :data:`ldg.generation.paper.PAPERS`, at whose width lines are broken; None: one
            sheet as large as the text.
        strokes: Whether to draw the centre lines of the strokes with a pen, as a plotter does, not their outlines.

    Returns:
        The file's content, and the ink of each glyph as :func:`write` draws it.

    Raises:
        UserError: As :func:`write`; for a model of pictures, for more than 100,000 glyphs, and for what does not fit
            on the paper.
    """
    options = options or Options()
    if not is_typeset(model):
        raise UserError(f"{suffix} files hold outlines of written characters, and this model draws pictures: use .png")
    if options.layout == "tiles":
        raise UserError(f"{suffix} files hold outlines, and layout tiles sets images of pixels: use .png")
    layout = _baseline(options, seed)
    height = height or (HEIGHT_ON_PAPER if page else paper.Length(layout.capital, "px"))
    pixel = height.value / layout.capital
    if page:
        margins = MARGIN_ON_PAPER if options.margins is None else options.margins
        options = replace(options, margins=margins, width=0)
        paper_size = [side.points / height.points * layout.capital for side in paper.PAPERS[page]]
        layout = replace(layout, width=paper_size[0] - 2 * margin(options))
    cells = parse_text(model, text, options)
    numbers = latents.groups(cells, options.style)
    if len(numbers) > MAX_GLYPHS:
        number = f"{len(numbers):,}"
        raise TooLarge(f"{suffix} files hold at most {MAX_GLYPHS:,} glyphs, and this text has {number}: split it")
    images = _decode_page(as_decoder(model), cells, numbers, seed, options)
    glyphs = layout.place(cells, images[:, 0], numbers)
    drawn = [*(layout.rules(glyphs) if options.ruled else []), *glyphs]
    sheets = [_around(drawn, margin(options))]
    if page:
        sheets = _on_paper(drawn, layout, margin(options), *paper_size)
        if not sheets:
            raise UserError(f"capitals {height.value:g}{height.unit} tall and their margins leave no room on {page}")
    ink, ground = options.colours or ((0, 0, 0), None)
    look = vector.Look(height.unit, pixel, ink, ground, strokes)
    file = vector.svg(sheets[0], look, text) if suffix == ".svg" else vector.pdf(sheets, look, text)
    return file, [glyph.ink for glyph in glyphs]


def _around(glyphs: Sequence[typeset.Glyph], margin: int) -> vector.Sheet:
    """A sheet as large as the glyphs and a margin."""
    top, bottom, left, right = typeset.bounds(glyphs)
    return vector.Sheet(glyphs, top - margin, left - margin, bottom - top + 2 * margin, right - left + 2 * margin)


def _on_paper(
    glyphs: Sequence[typeset.Glyph], layout: typeset.Baseline, margin: int, width: float, height: float
) -> list[vector.Sheet]:
    """Sheets of paper with as many lines each as have room between the margins; none if not even one letter has."""
    above = margin + typeset.ASCENDER * layout.capital
    room = height - above - margin + typeset.DESCENDER * layout.capital
    if room < 0 or layout.width < layout.capital:
        return []
    lines = 1 + math.floor(room / layout.line_top(1))
    return [
        vector.Sheet(
            [glyph for glyph in glyphs if glyph.line // lines == number],
            layout.line_top(number * lines) - above,
            -margin,
            height,
            width,
        )
        for number in range(1 + glyphs[-1].line // lines)
    ]


def samples(
    model: VAE | Decoder, rows: int, columns: int, *, seed: int = 0, temperature: float = 1.0, scale: int | None = None
) -> np.ndarray:
    """Draw a sheet of samples from the prior, their classes uniformly at random.

    Args:
        model: In eval mode.
        rows: Of the sheet.
        columns: Of the sheet.
        seed: Of noise and classes.
        temperature: Standard deviation of the noise, at least 0.
        scale: Enlargement; None: so that an image is about 140 pixels wide.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1].
    """
    sheets.require_paper(samples_size(model, rows, columns, scale), channels(model))
    rng = np.random.default_rng(seed)
    classes = rng.integers(model.num_classes, size=rows * columns)
    noise = temperature * rng.standard_normal((rows * columns, model.latent_dim), dtype=np.float32)
    images = _decode(as_decoder(model).sample, noise, np.eye(model.num_classes, dtype=np.float32)[classes])
    return sheets.grid(images, columns, SAMPLE_PADDING, tile_scale(model, scale))


def text_size(model: Described, text: str, rows: int, columns: int, options: Options) -> sheets.Size:
    """Estimate the size of what :func:`write_sheet` draws; of characters within a factor of two.

    Args:
        model: Whose classes are written.
        text: See :func:`write`.
        rows: Of the sheet.
        columns: Of the sheet.
        options: Of writing.

    Returns:
        Height and width.

    Raises:
        UserError: As :func:`parse_text`.
    """
    return sheets.sheet_size(page_size(model, parse_text(model, text, options), options), rows * columns, columns)


def samples_size(model: Described, rows: int, columns: int, scale: int | None) -> sheets.Size:
    """Compute the size of what :func:`samples` draws; arguments as there."""
    return sheets.sheet_size(tile_size(model, scale), rows * columns, columns, SAMPLE_PADDING)


def page_size(model: Described, page: Page, options: Options) -> sheets.Size:
    """Estimate the size of what :func:`compose` draws; of characters within a factor of two.

    Args:
        model: Which the images are from.
        page: Lines of cells.
        options: Of writing.

    Returns:
        Height and width.

    Raises:
        UserError: For a setting that only written characters have.
    """
    changed = options.changed((*SETTINGS, "margins", "ink", "paper"))
    if changed and not is_typeset(model):
        raise UserError(f"{changed[0]} is a setting of written characters, and this model draws pictures")
    if is_typeset(model):
        height, width = typesetter(options).size(page, model.image_shape[1:])
        return height + 2 * margin(options), width + 2 * margin(options)
    captions = [cell.name for cell in inked(page)]
    return sheets.captioned_size(tile_size(model, options.scale), captions, max(map(len, page)))


def parse_text(model: Described, text: str, options: Options) -> Page:
    """Parse a text with the classes of a model.

    Args:
        model: Whose classes are written.
        text: See :func:`write`.
        options: Of which ``width`` and ``mix`` are used.

    Returns:
        Lines of cells.

    Raises:
        UserError: If the model has no class for something, or is unconditional.
    """
    if model.conditioning == "none":
        raise UserError(
            "this model was trained without labels (conditioning=none), so it cannot write a given text; "
            "draw a sheet of random samples with --rows and --columns and no text"
        )
    return parse(text, model.classes, options.width, options.mix, strokes.MARKS if is_typeset(model) else "")


def inked(page: Page) -> list[Cell]:
    """The cells of a page that are not blank, in reading order."""
    return [cell for line in page for cell in line if cell.mixture]


def draw_alternates(
    model: VAE | Decoder,
    number: int,
    *,
    seed: int = 0,
    temperature: float = TEMPERATURE,
    variation: float = VARIATION,
    hand: np.ndarray | None = None,
) -> tuple[list[str], np.ndarray]:
    """Draw every character several times in one hand, as a font needs it.

    Args:
        model: In eval mode; its classes are characters.
        number: K, of alternates of a character.
        seed: Of the styles; their common part is what :func:`write` draws with it.
        temperature: As of :class:`Options`.
        variation: Share of its own that each alternate has in its style, in [0, 1].
        hand: The style's common part; None: it is drawn.

    Returns:
        The M characters, and images (K, M, H, W) in [0, 1].

    Raises:
        UserError: If the classes are no characters, the images not grey, or the model is unconditional.
    """
    if not is_typeset(model):
        raise UserError("a font needs a model whose classes are characters, each drawn in grey")
    if model.conditioning == "none":
        raise UserError("a font needs a model that knows labels: this one was trained with conditioning=none")
    indices = sorted(number_characters([*model.classes, *strokes.MARKS]).items())
    marks = {name: index - model.num_classes for name, index in indices if index >= model.num_classes}
    letters = [Cell(name, ((index, 1.0),)) for name, index in indices if len(name.strip()) == 1 and name not in marks]
    tries = [number * (DOTTED_TRIES if cell.name in DOTTED else TRIES) for cell in letters]
    drawn = latents.draw_styles(range(1 + sum(tries)), model.latent_dim, seed)
    styles = vary(drawn[:1] if hand is None else hand[None], drawn[1:], variation)
    cells = [cell for cell, times in zip(letters, tries, strict=True) for _ in range(times)]
    found = np.split(decode_cells(as_decoder(model), cells, styles, temperature)[:, 0], np.cumsum(tries)[:-1])
    each = zip(found, letters, strict=True)
    images = np.stack([_clearest(drawings, number, cell.name in DOTTED) for drawings, cell in each], axis=1)
    pen = _measure_pen(images[0])
    of_marks = [_draw_marks(*pen, model.image_shape[1:], MARKS_SEED + k)[list(marks.values())] for k in range(number)]
    return [*(cell.name for cell in letters), *marks], np.concatenate([images, of_marks], axis=1)


def _clearest(images: np.ndarray, number: int, is_dotted: bool) -> np.ndarray:
    """Of drawings of a letter (N, H, W) those with the least grey; if it has a dot, rather those with one."""
    unclear = (images * (1 - images)).sum(axis=(1, 2)) / np.maximum(images.sum(axis=(1, 2)), ink.FAINT)
    if is_dotted:
        unclear[~_is_dotted(images)] += 1
    return images[np.argsort(unclear)[:number]]


def _is_dotted(images: np.ndarray) -> np.ndarray:
    """Whether drawings of a letter (N, H, W) have a dot above it, (N,)."""
    return np.array([ink.has_dot(ink.clean(image)) for image in images])


def decode_cells(decoder: Decoder, cells: Sequence[Cell], styles: np.ndarray, temperature: float) -> np.ndarray:
    """Decode cells in batches, and draw the marks that the model has no class for.

    Args:
        decoder: Whose classes the cells have.
        cells: N cells with ink.
        styles: (N, D).
        temperature: See :meth:`Decoder.write`.

    Returns:
        Images (N, C, H, W) in [0, 1].
    """
    shares = soft_labels(cells, decoder.num_classes + len(strokes.MARKS))
    labels, of_marks = np.split(shares, [decoder.num_classes], axis=1)
    write = partial(decoder.write, temperature=temperature)
    if not of_marks.any():
        return _decode(write, styles, labels)
    weights = labels.sum(1)
    letters = weights > 0
    images = np.zeros((len(cells), *decoder.image_shape), np.float32)
    if letters.any():
        images[letters] = _decode(write, styles[letters], labels[letters] / weights[letters, None])
    marks = _draw_marks(*_measure_pen(images[letters, 0]), decoder.image_shape[1:], MARKS_SEED)
    return weights[:, None, None, None] * images + np.einsum("nm,mhw->nhw", of_marks, marks)[:, None]


def _measure_pen(letters: np.ndarray) -> tuple[float, float]:
    """Measure with what marks beside letters are drawn.

    Args:
        letters: Images (N, H, W) in [0, 1].

    Returns:
        The width of the pen in an image of 28x28, and the slant; without letters those on average.
    """
    if not len(letters):
        return strokes.PEN, strokes.SLANT
    first, which = typeset.distinct(letters)
    cleaned = [ink.clean(letter) for letter in letters[first]]
    # letters fill the frame, marks are drawn smaller
    width = np.median(np.array([ink.pen_width(letter) for letter in cleaned])[which])
    pen = width / (letters.shape[1] / strokes.SIZE) * typeset.PEN_OF_MARKS
    return float(pen), float(np.mean(np.array([ink.slant(letter) for letter in cleaned])[which]))


def _draw_marks(pen: float, slant: float, size: tuple[int, int], seed: int) -> np.ndarray:
    """Draw all marks.

    Args:
        pen: As of :func:`_measure_pen`.
        slant: Likewise.
        size: Height and width of the images.
        seed: Of what the pen and the slant do not decide.

    Returns:
        (M, H, W) in [0, 1].
    """
    labels = [strokes.Strokes.classes.index(mark) for mark in strokes.MARKS]
    drawn = strokes.draw_characters(np.array(labels), (seed,), pen, slant)[:, 0] / np.float32(255)
    return np.stack([ink.resample(image, (0, strokes.SIZE, size[0]), (0, strokes.SIZE, size[1])) for image in drawn])


def _decode(decode: Callable[..., np.ndarray], drawn: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Decode styles or noise in batches; of many images, equal ones once."""
    if len(drawn) > BATCH:
        first, which = typeset.distinct(np.concatenate([drawn, labels], axis=1))
        if len(first) < len(drawn):
            return _decode(decode, drawn[first], labels[first])[which]
    parts = range(BATCH, len(drawn), BATCH)
    return np.concatenate([decode(*part) for part in zip(np.split(drawn, parts), np.split(labels, parts), strict=True)])


def is_typeset(model: Described) -> bool:
    """Whether a model's images are grey characters, which are set in lines; others are captioned pictures."""
    return is_written(model.classes) and model.image_shape[0] == 1


def compose(
    model: Described, page: Page, images: np.ndarray, numbers: Sequence[int], options: Options, seed: int = 0
) -> np.ndarray:
    """Set the images of a page.

    Args:
        model: Which the images are from.
        page: Lines of cells, N of them with ink.
        images: (N, C, H, W) in [0, 1].
        numbers: Of the styles of the images, N; glyphs of the same style get the same pen.
        options: Of writing; colours are left to :func:`coloured`.
        seed: Of a ragged baseline.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1].
    """
    if is_typeset(model):
        glyphs = typesetter(options, seed).place(page, images[:, 0], numbers)
        rules = _baseline(options).rules(glyphs) if options.ruled else []
        return typeset.draw_page([*rules, *glyphs], margin(options))
    captions = [cell.name for cell in inked(page)]
    return sheets.captioned(tiles(model, images, options), captions, max(map(len, page)))


def tiles(model: Described, images: np.ndarray, options: Options) -> list[np.ndarray]:
    """Enlarge images, smoothly, or to black and white if there is a threshold.

    Args:
        model: Which the images are from.
        images: (N, C, H, W) in [0, 1].
        options: Of which ``scale`` and ``threshold`` are used.

    Returns:
        N pictures (H', W') or (H', W', 3) in [0, 1].
    """
    scale = tile_scale(model, options.scale)
    channels, height, width = model.image_shape
    rows, columns = (0, height, height * scale), (0, width, width * scale)
    large = np.array([[ink.resample(plane, rows, columns) for plane in image] for image in images])
    if options.threshold is not None:
        large = large.mean(axis=1, keepdims=True).repeat(channels, axis=1) > options.threshold
    return list(sheets.on_paper(large))


def typesetter(options: Options, seed: int = 0) -> typeset.Layout:
    """The layout that options name; ``seed`` is that of a ragged baseline."""
    if options.layout == "tiles":
        return typeset.Tiles(options.scale or 5, options.threshold)
    return _baseline(options, seed)


def _baseline(options: Options, seed: int = 0) -> typeset.Baseline:
    return typeset.Baseline(
        typeset.CAPITAL * (options.scale or 5),
        options.threshold,
        options.line_height,
        options.letter_spacing,
        options.word_spacing,
        options.slant,
        options.pen,
        paper.ALIGNMENTS[options.align],
        options.ragged,
        seed,
    )


def margin(options: Options) -> int:
    """Pixels of paper around the text; tiles have their own margin."""
    margins = options.margins
    if margins is None:
        margins = 0 if options.layout == "tiles" else typeset.MARGIN
    return round(margins * typeset.CAPITAL * (options.scale or 5))


def tile_size(model: Described, scale: int | None) -> sheets.Size:
    """Height and width of a whole image, enlarged as by :func:`tile_scale`."""
    _, height, width = model.image_shape
    return height * tile_scale(model, scale), width * tile_scale(model, scale)


def channels(model: Described) -> int:
    """Channels of the pictures of a model: 1 for grey, 3 for colours."""
    return model.image_shape[0]


def tile_scale(model: Described, scale: int | None) -> int:
    """Choose the enlargement of a whole image.

    Args:
        model: Which the images are from.
        scale: The user's choice; None: one that makes an image about 140 pixels wide.

    Returns:
        At least 1.
    """
    return scale or max(1, round(140 / model.image_shape[2]))
