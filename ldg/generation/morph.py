"""A morph: an animation from one text to another through labels and styles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ldg.generation import latents, sheets, typeset, writer
from ldg.generation.alphabet import BLANK, Cell, Page
from ldg.generation.decoder import Decoder, Described, as_decoder
from ldg.generation.writer import Options

if TYPE_CHECKING:
    from ldg.models.vae import VAE

Place = tuple[int, int]  # line, number in the line


class End(NamedTuple):
    """One of the two texts.

    Attributes:
        cells: The cells with ink, by place.
        styles: Their styles (D,).
        images: Their images (C, H, W).
        page: The whole text.
        groups: Numbers of the styles, in reading order.
    """

    cells: dict[Place, Cell]
    styles: dict[Place, np.ndarray]
    images: dict[Place, np.ndarray]
    page: Page
    groups: list[int]


def morph(
    model: VAE | Decoder, text: str, to: str, *, frames: int = 24, seed: int = 0, options: Options | None = None
) -> list[np.ndarray]:
    """Draw a morph.

    Labels are interpolated linearly, styles spherically. Glyphs move, and grow from the height of one character to
    that of the other; a glyph that only one of the texts has fades.

    Args:
        model: In eval mode.
        text: The first text, in the style of ``seed``.
        to: The last text, in the style of ``seed + 1``.
        frames: Number of pictures, at least 2.
        seed: Of the styles.
        options: Of writing; None: the defaults.

    Returns:
        Pictures (H, W) or (H, W, 3) in [0, 1] of one size; the first and the last are those of the two texts.

    Raises:
        UserError: If the model has no class for something in the texts.
    """
    options = options or Options()
    sheets.require_paper(size(model, text, to, options), 3 if options.colours else writer.channels(model), frames)
    model = as_decoder(model)
    ends = _end(model, text, seed, options), _end(model, to, seed + 1, options)
    places = sorted(ends[0].cells.keys() | ends[1].cells.keys())
    steps = [number / (frames - 1) for number in range(frames)]
    images = [_images(model, *ends, places, t, options.temperature) for t in steps]
    if writer.is_typeset(model):
        pictures = _written(ends, places, steps, images, options, seed)
        return [writer.coloured(picture, options) for picture in pictures]
    return _captioned(model, ends, places, steps, images, options)


def size(model: Described, text: str, to: str, options: Options) -> sheets.Size:
    """Estimate the height and width of a picture of :func:`morph`; arguments as there."""
    a, b = (writer.text_size(model, one, 1, 1, options) for one in (text, to))
    return max(a[0], b[0]), max(a[1], b[1])


def _end(model: Decoder, text: str, seed: int, options: Options) -> End:
    page = writer.parse_text(model, text, options)
    groups = latents.groups(page, options.style)
    styles = writer.choose_styles(model, groups, seed, options)
    images = writer.decode_cells(model, writer.inked(page), styles, options.temperature)
    cells = {(i, j): cell for i, line in enumerate(page) for j, cell in enumerate(line) if cell.mixture}
    return End(cells, dict(zip(cells, styles, strict=True)), dict(zip(cells, images, strict=True)), page, groups)


def _images(
    model: Decoder, a: End, b: End, places: list[Place], t: float, temperature: float
) -> dict[Place, np.ndarray]:
    """The images at a share ``t`` of the morph. A cell that only one text has keeps its class and style."""
    mixtures = [(a.cells.get(p) or b.cells[p], b.cells.get(p) or a.cells[p]) for p in places]
    cells = [
        Cell(
            x.name,
            (*((i, w * (1 - t)) for i, w in x.mixture), *((i, w * t) for i, w in y.mixture)),
        )
        for x, y in mixtures
    ]
    # `in`, not `or`: the truth of an array is not defined
    first = np.stack([a.styles[p] if p in a.styles else b.styles[p] for p in places])
    last = np.stack([b.styles[p] if p in b.styles else a.styles[p] for p in places])
    return dict(zip(places, writer.decode_cells(model, cells, latents.slerp(first, last, t), temperature), strict=True))


def _opacity(a: End, b: End, place: Place, t: float) -> float:
    return (1 - t) * (place in a.cells) + t * (place in b.cells)


def _written(
    ends: tuple[End, End],
    places: list[Place],
    steps: list[float],
    images: list[dict[Place, np.ndarray]],
    options: Options,
    seed: int,
) -> list[np.ndarray]:
    layout = writer.typesetter(options, seed)
    a, b = (
        dict(zip(end.cells, layout.place(end.page, np.stack(list(end.images.values()))[:, 0], end.groups), strict=True))
        for end in ends
    )

    def glyphs(t: float, drawn: dict[Place, np.ndarray]) -> list[typeset.Glyph]:
        if t in (0.0, 1.0):
            return list((b if t else a).values())
        between = [layout.between(a.get(p) or b[p], b.get(p) or a[p], t, drawn[p][0]) for p in places]
        placed = zip(places, between, strict=True)
        return [glyph._replace(ink=glyph.ink * _opacity(*ends, place, t)) for place, glyph in placed]

    around = typeset.bounds([*a.values(), *b.values()])
    return [
        typeset.draw_page(glyphs(t, drawn), writer.margin(options), around)
        for t, drawn in zip(steps, images, strict=True)
    ]


def _captioned(
    model: Decoder,
    ends: tuple[End, End],
    places: list[Place],
    steps: list[float],
    images: list[dict[Place, np.ndarray]],
    options: Options,
) -> list[np.ndarray]:
    a, b = ends
    captions = [f"{a.cells.get(p, BLANK).name} to {b.cells.get(p, BLANK).name}" for p in places]
    columns = max(len(line) for end in ends for line in end.page)
    pictures = []
    for t, drawn in zip(steps, images, strict=True):
        tiles = writer.tiles(model, np.stack(list(drawn.values())), options)
        faded = [1 - (1 - tile) * _opacity(a, b, place, t) for tile, place in zip(tiles, places, strict=True)]
        pictures.append(sheets.captioned(faded, captions, columns))
    return pictures
