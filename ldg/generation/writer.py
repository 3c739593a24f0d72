"""Text -> picture: classes, latents, one decoding of all glyphs, and the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ldg.errors import UserError
from ldg.generation import latents, sheets, typeset
from ldg.generation.alphabet import Cell, Page, is_written, parse, soft_labels
from ldg.models.vae import VAE

LayoutName = Literal["baseline", "tiles"]
TEMPERATURE = 0.6
CAPITAL = 20  # pixels of scale 1: what EMNIST scales a character to


@dataclass(frozen=True)
class Options:
    """How to write; see :func:`write`."""

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
    """``text`` in the model's hand, as a picture (H, W) or (H, W, 3) in [0, 1], ink dark on white, cropped.

    ``style``: one latent for the whole text (``shared``), a ``word``, or each glyph (``varied``), drawn with ``seed``
    from N(0, temperature^2). ``layout``: ``baseline`` sets glyphs as type, capitals 20 * scale px tall (scale 5 if
    None); ``tiles`` sets whole images at a pitch of 20/28 of their width. ``threshold`` in [0, 1] makes the ink black
    or white: more of it black the lower it is. ``width``: characters (default 60) or pictures (8) a line, 0 for no end.

    Where classes are words, ``text`` lists names with commas and each is a captioned tile; ``a+b`` blends two classes,
    ``mix`` being the share of b.

    Raises:
        UserError: for an impossible option, what the model has no class for, or a model that knows no labels.
    """
    options = Options(style, temperature, layout, threshold, scale, width, mix)
    page = read(model, text, options)
    numbers = latents.groups(page, style)
    images = decode(model, inked(page), latents.draw(numbers, model.latent_dim, seed, temperature))
    return compose(model, page, images, numbers, options)


def write_sheet(
    model: VAE, text: str, rows: int, columns: int, *, seed: int = 0, options: Options | None = None
) -> np.ndarray:
    """``rows`` x ``columns`` renderings of ``text``, with the latents of seed, seed + 1, ..., as one picture."""
    options = options or Options()
    pictures = [write(model, text, seed=seed + number, **vars(options)) for number in range(rows * columns)]
    return sheets.sheet(pictures, columns)


@torch.no_grad()
def samples(
    model: VAE, rows: int, columns: int, *, seed: int = 0, temperature: float = 1.0, scale: int | None = None
) -> np.ndarray:
    """``rows`` x ``columns`` draws from the prior, of classes drawn evenly where there are labels, as one picture."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(model.num_classes, (rows * columns,), generator=generator)
    images = model.sample(labels, temperature, generator=generator)
    return sheets.grid(images.cpu().numpy(), columns, padding=4, scale=tile_scale(model, scale))


def read(model: VAE, text: str, options: Options) -> Page:
    """The page that ``text`` asks ``model`` for; UserError if it has no class for something, or knows no labels."""
    if model.conditioning == "none":
        raise UserError(
            "this model was trained without labels (conditioning=none), so it cannot write a given text; "
            "draw a sheet of random samples with --rows and --columns and no text"
        )
    return parse(text, model.classes, options.width, options.mix)


def inked(page: Page) -> list[Cell]:
    """The cells that are not blank, in reading order."""
    return [cell for line in page for cell in line if cell.mixture]


@torch.no_grad()
def decode(model: VAE, cells: Sequence[Cell], styles: torch.Tensor) -> np.ndarray:
    """The images (N, C, H, W) in [0, 1] of N cells drawn from noise (N, D)."""
    device = next(model.parameters()).device
    labels = torch.from_numpy(soft_labels(cells, model.num_classes))
    return model.draw(styles.to(device), labels.to(device)).cpu().numpy()


def is_typeset(model: VAE) -> bool:
    """Whether the model's images are grey characters, to be written in lines, and not pictures, to be captioned."""
    return is_written(model.classes) and model.image_shape[0] == 1


def compose(model: VAE, page: Page, images: np.ndarray, numbers: Sequence[int], options: Options) -> np.ndarray:
    """The picture of a page whose inked cells look like ``images`` (N, C, H, W), drawn from latents ``numbers``."""
    if is_typeset(model):
        marks = typesetter(options).place(page, images[:, 0], numbers)
        return typeset.draw(marks, margin(options))
    captions = [cell.name for cell in inked(page)]
    return sheets.captioned(tiles(model, images, options), captions, max(map(len, page)))


def tiles(model: VAE, images: np.ndarray, options: Options) -> list[np.ndarray]:
    """Images (N, C, H, W) as enlarged pictures, smooth, or black and white if there is a threshold."""
    scale = tile_scale(model, options.scale)
    channels, height, width = model.image_shape
    rows, columns = (0, height, height * scale), (0, width, width * scale)
    large = np.array([[typeset.ink.resample(plane, rows, columns) for plane in image] for image in images])
    if options.threshold is not None:
        large = large.mean(axis=1, keepdims=True).repeat(channels, axis=1) > options.threshold
    return list(sheets.on_paper(large))


def typesetter(options: Options) -> typeset.Layout:
    """The layout that the options ask for."""
    scale = options.scale or 5
    if options.layout == "tiles":
        return typeset.Tiles(scale, options.threshold)
    return typeset.Baseline(CAPITAL * scale, options.threshold)


def margin(options: Options) -> int:
    """White around the text in pixels; a tile has its own."""
    return 0 if options.layout == "tiles" else round(typeset.MARGIN * CAPITAL * (options.scale or 5))


def tile_scale(model: VAE, scale: int | None) -> int:
    """The enlargement of a whole image: about 140 px across unless ``scale`` says otherwise."""
    return scale or max(1, round(140 / model.image_shape[2]))
