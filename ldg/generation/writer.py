"""From a text to a picture: classes, latents, one decoding of all glyphs, and the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ldg.data import strokes
from ldg.errors import UserError
from ldg.generation import ink, latents, sheets, typeset
from ldg.generation.alphabet import Cell, Page, is_written, number_characters, parse, soft_labels
from ldg.models.vae import VAE

LayoutName = Literal["baseline", "tiles"]
TEMPERATURE = 0.6
VARIATION = 0.4  # of a letter that comes again in a text
SAMPLE_PADDING = 4
TRIES = 3  # for each alternate of a character, of which the clearest are taken
DOTTED, DOTTED_TRIES = "ij", 12  # which a model may also draw without the dot
MARKS_SEED = 15  # of a set of marks that looks even, chosen by eye
BATCH = 1000  # images decoded at once


@dataclass(frozen=True)
class Options:
    """Options of writing, described at :func:`write`.

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


def write(
    model: VAE,
    text: str,
    *,
    style: latents.Style = "shared",
    seed: int = 0,
    temperature: float = TEMPERATURE,
    layout: LayoutName = "baseline",
    threshold: float | None = None,
    scale: int | None = None,
    width: int | None = None,
    mix: float = 0.5,
) -> np.ndarray:
    """Write a text.

    Args:
        model: In eval mode.
        text: Where classes are characters, any string of them with spaces and newlines; the marks of
            :class:`ldg.data.strokes.Strokes` that are no classes are drawn as they are there, with the pen and the
            slant of the text. Where classes are words, names separated by commas, each drawn as a captioned tile;
            ``a+b`` blends two classes.
        style: One latent for the whole text (``shared``), for each ``word``, or for each glyph (``varied``).
        seed: Of the latents; each seed is another handwriting style.
        temperature: Standard deviation of the latents, at least 0.
        layout: ``baseline`` sets glyphs as type, capitals 20 * scale pixels tall; ``tiles`` sets whole images at a
            pitch of 20/28 of their width.
        threshold: In [0, 1]: ink is black or white, more of it black the lower the threshold; None: grey levels.
        scale: Enlargement, at least 1; None: 5, of pictures so that they are about 140 pixels wide.
        width: Characters (None: 60) or pictures (None: 8) in a line; 0: no limit.
        mix: Share of b in ``a+b``, in [0, 1].

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1], dark ink on white.

    Raises:
        UserError: For an option out of range, a text that the model has no class for, or an unconditional model.
    """
    options = Options(style, temperature, layout, threshold, scale, width, mix)
    page = parse_text(model, text, options)
    numbers = latents.groups(page, style)
    sheets.require_paper(page_size(model, page, options), channels(model))
    images = decode_cells(model, inked(page), latents.draw_noise(numbers, model.latent_dim, seed, temperature))
    return compose(model, page, images, numbers, options)


def write_sheet(
    model: VAE, text: str, rows: int, columns: int, *, seed: int = 0, options: Options | None = None
) -> np.ndarray:
    """Write a text several times, with the latents of seed, seed + 1, and so on.

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
    sheets.require_paper(text_size(model, text, rows, columns, options), channels(model))
    pictures = [write(model, text, seed=seed + number, **vars(options)) for number in range(rows * columns)]
    return sheets.sheet(pictures, columns)


@torch.no_grad()
def samples(
    model: VAE, rows: int, columns: int, *, seed: int = 0, temperature: float = 1.0, scale: int | None = None
) -> np.ndarray:
    """Draw a sheet of samples from the prior, their classes uniformly at random.

    Args:
        model: In eval mode.
        rows: Of the sheet.
        columns: Of the sheet.
        seed: Of latents and classes.
        temperature: Standard deviation of the latents, at least 0.
        scale: Enlargement; None: so that an image is about 140 pixels wide.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1].
    """
    sheets.require_paper(samples_size(model, rows, columns, scale), channels(model))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(model.num_classes, (rows * columns,), generator=generator)
    noise = temperature * torch.randn(rows * columns, model.latent_dim, generator=generator)
    return sheets.grid(_decode(model, noise, labels), columns, SAMPLE_PADDING, tile_scale(model, scale))


def text_size(model: VAE, text: str, rows: int, columns: int, options: Options) -> sheets.Size:
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


def samples_size(model: VAE, rows: int, columns: int, scale: int | None) -> sheets.Size:
    """Compute the size of what :func:`samples` draws; arguments as there."""
    return sheets.sheet_size(tile_size(model, scale), rows * columns, columns, SAMPLE_PADDING)


def page_size(model: VAE, page: Page, options: Options) -> sheets.Size:
    """Estimate the size of what :func:`compose` draws; of characters within a factor of two.

    Args:
        model: Which the images are from.
        page: Lines of cells.
        options: Of writing.

    Returns:
        Height and width.
    """
    if is_typeset(model):
        return typesetter(options).size(page, model.image_shape[1:])
    captions = [cell.name for cell in inked(page)]
    return sheets.captioned_size(tile_size(model, options.scale), captions, max(map(len, page)))


def parse_text(model: VAE, text: str, options: Options) -> Page:
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
    model: VAE, number: int, *, seed: int = 0, temperature: float = TEMPERATURE, variation: float = VARIATION
) -> tuple[list[str], np.ndarray]:
    """Draw every character several times in one hand, as a font needs it.

    Args:
        model: In eval mode; its classes are characters.
        number: K, of alternates of a character.
        seed: Of the latents; their common part is what :func:`write` draws with it.
        temperature: Standard deviation of the latents, at least 0.
        variation: Share of its own that each alternate has in its latent, in [0, 1].

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
    letters = [Cell(name, ((index, 1.0),)) for name, index in indices if name.strip() and name not in marks]
    tries = [number * (DOTTED_TRIES if cell.name in DOTTED else TRIES) for cell in letters]
    noise = latents.draw_noise(range(1 + sum(tries)), model.latent_dim, seed, temperature)
    styles = math.sqrt(1 - variation**2) * noise[:1] + variation * noise[1:]
    cells = [cell for cell, times in zip(letters, tries, strict=True) for _ in range(times)]
    found = np.split(decode_cells(model, cells, styles)[:, 0], np.cumsum(tries)[:-1])
    each = zip(found, letters, strict=True)
    images = np.stack([_clearest(drawings, number, cell.name in DOTTED) for drawings, cell in each], axis=1)
    pen = _measure_pen(images[0])
    drawn = [_draw_marks(*pen, model.image_shape[1:], MARKS_SEED + k)[list(marks.values())] for k in range(number)]
    return [*(cell.name for cell in letters), *marks], np.concatenate([images, drawn], axis=1)


def _clearest(images: np.ndarray, number: int, is_dotted: bool) -> np.ndarray:
    """Of drawings of a letter (N, H, W) those with the least grey; if it has a dot, rather those with one."""
    unclear = (images * (1 - images)).sum(axis=(1, 2)) / np.maximum(images.sum(axis=(1, 2)), ink.FAINT)
    if is_dotted:
        rows = np.pad((images > 0.4).any(axis=2), ((0, 0), (1, 0)))
        unclear[(rows[:, 1:] & ~rows[:, :-1]).sum(axis=1) < 2] += 1
    return images[np.argsort(unclear)[:number]]


@torch.no_grad()
def decode_cells(model: VAE, cells: Sequence[Cell], noise: torch.Tensor) -> np.ndarray:
    """Decode cells in batches, and draw the marks that the model has no class for.

    Args:
        model: In eval mode.
        cells: N cells with ink.
        noise: (N, D).

    Returns:
        Images (N, C, H, W) in [0, 1].
    """
    shares = torch.from_numpy(soft_labels(cells, model.num_classes + len(strokes.MARKS)))
    labels, of_marks = shares.split([model.num_classes, len(strokes.MARKS)], dim=1)
    if not of_marks.any():
        return _decode(model, noise, labels)
    weights = labels.sum(1)
    letters = weights > 0
    images = torch.zeros(len(cells), *model.image_shape)
    if letters.any():
        images[letters] = torch.from_numpy(_decode(model, noise[letters], labels[letters] / weights[letters, None]))
    pen = _measure_pen(images[letters, 0].numpy())
    marks = torch.from_numpy(_draw_marks(*pen, model.image_shape[1:], MARKS_SEED))
    weights = weights[:, None, None, None]
    return (weights * images + torch.einsum("nm,mhw->nhw", of_marks, marks)[:, None]).numpy()


def _measure_pen(letters: np.ndarray) -> tuple[float, float]:
    """Measure with what marks beside letters are drawn.

    Args:
        letters: Images (N, H, W) in [0, 1].

    Returns:
        The width of the pen in an image of 28x28, and the slant; without letters those on average.
    """
    cleaned = [ink.clean(letter) for letter in letters]
    if not cleaned:
        return strokes.PEN, strokes.SLANT
    # letters fill the frame, marks are drawn smaller
    width = float(np.median([ink.pen_width(letter) for letter in cleaned]))
    pen = width / (letters.shape[1] / strokes.SIZE) * typeset.PEN_OF_MARKS
    return pen, float(np.mean([ink.slant(letter) for letter in cleaned]))


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


def _decode(model: VAE, noise: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Decode in batches; of many images, equal ones once."""
    if len(noise) > BATCH:
        pairs = torch.cat([noise, labels.reshape(len(noise), -1).to(noise.dtype)], 1)
        first, which = typeset.distinct(pairs.numpy())
        if len(first) < len(noise):
            return _decode(model, noise[first], labels[first])[which]
    parts = zip(noise.to(model.device).split(BATCH), labels.to(model.device).split(BATCH), strict=True)
    return torch.cat([model.decode_noise(z, c).cpu() for z, c in parts]).numpy()


def is_typeset(model: VAE) -> bool:
    """Whether a model's images are grey characters, which are set in lines; others are captioned pictures."""
    return is_written(model.classes) and model.image_shape[0] == 1


def compose(model: VAE, page: Page, images: np.ndarray, numbers: Sequence[int], options: Options) -> np.ndarray:
    """Set the images of a page.

    Args:
        model: Which the images are from.
        page: Lines of cells, N of them with ink.
        images: (N, C, H, W) in [0, 1].
        numbers: Of the latents of the images, N; glyphs with the same latent get the same pen.
        options: Of writing.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1].
    """
    if is_typeset(model):
        glyphs = typesetter(options).place(page, images[:, 0], numbers)
        return typeset.draw_page(glyphs, margin(options))
    captions = [cell.name for cell in inked(page)]
    return sheets.captioned(tiles(model, images, options), captions, max(map(len, page)))


def tiles(model: VAE, images: np.ndarray, options: Options) -> list[np.ndarray]:
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


def typesetter(options: Options) -> typeset.Layout:
    """The layout that options name."""
    scale = options.scale or 5
    if options.layout == "tiles":
        return typeset.Tiles(scale, options.threshold)
    return typeset.Baseline(typeset.CAPITAL * scale, options.threshold)


def margin(options: Options) -> int:
    """White pixels around the text; 0 for tiles, which have their own margin."""
    return 0 if options.layout == "tiles" else round(typeset.MARGIN * typeset.CAPITAL * (options.scale or 5))


def tile_size(model: VAE, scale: int | None) -> sheets.Size:
    """Height and width of a whole image, enlarged as by :func:`tile_scale`."""
    _, height, width = model.image_shape
    return height * tile_scale(model, scale), width * tile_scale(model, scale)


def channels(model: VAE) -> int:
    """Channels of the pictures of a model: 1 for grey, 3 for colours."""
    return model.image_shape[0]


def tile_scale(model: VAE, scale: int | None) -> int:
    """Choose the enlargement of a whole image.

    Args:
        model: Which the images are from.
        scale: The user's choice; None: one that makes an image about 140 pixels wide.

    Returns:
        At least 1.
    """
    return scale or max(1, round(140 / model.image_shape[2]))
