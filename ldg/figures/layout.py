"""Figures of images in rows, how figures are saved, and the latents that pictures share."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from ldg.files import whole
from ldg.fonts import find_families
from ldg.generation import sheets, writer
from ldg.models.vae import VAE

MAX_COLUMNS = 12
WIDTH = 84  # of an image, pixels
ROWS = 4  # that differ in style, or in noise


def enlargement(width: int) -> int:
    """The factor that makes images of a width about 84 pixels wide."""
    return max(1, round(WIDTH / width))


def draw_alone(picture: np.ndarray, width: float = 10.0) -> Figure:
    """A picture alone on a figure of its proportions.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1]
        width: of the figure, inches

    Returns:
        The figure, with room for a title.
    """
    height = width * picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(width, height + 0.5), layout="constrained")
    _show_picture(figure.subplots(), picture)
    return figure


def _show_picture(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_rows(rows: list[np.ndarray], names: list[str], columns: list[str] | None = None) -> Figure:
    """Rows of images with a name at the left of each row and above each column.

    Args:
        rows: images (N, C, H, W) in [0, 1] each
        names: of the rows
        columns: names of the N columns; None: none

    Returns:
        The figure.
    """
    count, _, _, width = rows[0].shape
    picture = sheets.grid(np.concatenate(rows), count, padding=2, scale=enlargement(width))
    figure = draw_alone(picture)
    axes = figure.axes[0]
    tick_y, tick_x = picture.shape[0] / len(rows), picture.shape[1] / count
    axes.set_yticks([tick_y * (i + 0.5) for i in range(len(rows))], names)
    axes.tick_params(length=0, labelsize=9)
    if columns:
        axes.xaxis.tick_top()
        longest = max(map(len, columns))
        rotation = 0 if longest <= 8 else 30
        figure.set_figheight(figure.get_figheight() + (0.2 if longest <= 8 else 0.05 * longest))
        axes.set_xticks(
            [tick_x * (i + 0.5) for i in range(count)],
            columns,
            rotation=rotation,
            ha="center" if rotation == 0 else "left",
        )
    return figure


def fit_texts(figure: Figure) -> None:
    """Have the texts of a figure drawn as they are, though a class is called ``$5 or $10`` or 猫.

    Args:
        figure: whose texts are not taken for mathematics any more, and get the fonts that have their characters
    """
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    families = find_families("".join(text.get_text() for text in texts))
    for text in texts:
        text.set(parse_math=False, fontfamily=families)


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Save a figure as PNG.

    Args:
        figure: as :func:`fit_texts` has it drawn
        path: of the file
        dpi: pixels per inch

    Raises:
        UserError: if the file cannot be written.
    """
    fit_texts(figure)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def draw_noise(model: VAE, count: int) -> Tensor:
    """Draw noise of the prior, the same every time.

    Args:
        model: whose prior turns it into latents
        count: number of draws

    Returns:
        Noise (count, D) on the model's device.
    """
    generator = torch.Generator().manual_seed(0)
    return writer.TEMPERATURE * torch.randn(count, model.latent_dim, generator=generator).to(model.device)
