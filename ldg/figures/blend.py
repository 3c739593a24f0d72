"""Interpolations between two classes, with what a judge recognises in them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import make_axes_locatable

from ldg.figures.layout import fit_texts
from ldg.generation import sheets, writer
from ldg.generation.blend import Interpolation
from ldg.models.vae import VAE

DPI = 100


def draw_interpolations(model: VAE, interpolations: Sequence[Interpolation], options: writer.Options) -> np.ndarray:
    """Draw interpolations below each other, each above its shares and the judge's probabilities.

    Args:
        model: Which the images are from.
        interpolations: Of equally many images.
        options: Of writing.

    Returns:
        A picture (H, W, 3) in [0, 1].
    """
    rows = [np.concatenate(writer.tiles(model, i.frames.numpy(), options), axis=1) for i in interpolations]
    steps, (height, width) = len(interpolations[0].frames), rows[0].shape[:2]
    plot = 0.9 if interpolations[0].probabilities is not None else 0.0
    legend = 1.3 + 0.085 * max(len(name) for interpolation in interpolations for name in interpolation.ends)
    size = (max(5.0, width / DPI) + legend, len(interpolations) * (height / DPI + plot + 0.75))
    figure = Figure(figsize=size, dpi=DPI, layout="tight")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(interpolations), 1, squeeze=False)[:, 0]
    for top, row, interpolation in zip(axes, rows, interpolations, strict=True):
        top.imshow(row, cmap="gray", vmin=0, vmax=1, extent=(-0.5, steps - 0.5, 0, 1))
        top.set_aspect(height / width * steps)
        top.set_title(f"{interpolation.ends[0]} → {interpolation.ends[1]}: {interpolation.title}", fontsize=11)
        top.set(yticks=[], xticks=range(steps), xticklabels=sheets.percentages(steps))
        top.tick_params(length=0)
        top.spines[:].set_visible(False)
        if interpolation.probabilities is not None:
            below = make_axes_locatable(top).append_axes("bottom", plot, pad=0.35)  # as wide as the frames
            for name, column in zip(interpolation.ends, interpolation.probabilities.T.tolist(), strict=True):
                below.plot(range(steps), column, marker="o", markersize=4, label=name, clip_on=False)
            below.set(xlim=(-0.5, steps - 0.5), xticks=[], ylabel="judge")
            below.set(ylim=(0, 1), yticks=(0, 1))
            below.spines[["top", "right"]].set_visible(False)
            below.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    fit_texts(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.float32)[:, :, :3] / 255
