"""A scorecard as one picture: what the model reaches beside what real images reach, and samples."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from torch import Tensor

from ldg.generation import sheets
from ldg.models.vae import VAE

COLOUR, REAL = "#3b6ea5", "#d1495b"
ROWS, COLUMNS = 11, 12  # samples of each class, and classes in the width of a panel
NUMBERED = 10  # classes whose confusion is written in numbers
LETTERS = 90  # that have room below the samples


@dataclass(frozen=True)
class Bar:
    """A share in [0, 1].

    Attributes:
        title: what it is
        value: the share
        error: its standard error; None: none is drawn
        reference: what real images reach; None: it is not drawn
    """

    title: str
    value: float
    error: float | None
    reference: float | None


@dataclass(frozen=True)
class ScorecardPicture:
    """The panels that a scorecard's results allow, on one figure.

    Attributes:
        run: its name
        headline: numbers for the title, with their names
        bars: shares
        class_accuracy: ``classes``, and by class ``per_class``, ``per_class_real`` and ``confusion``; None: no panels
        kl_per_dim: nats of each latent dimension; None: no panel. In lists from a file, None stands for NaN.
        active_units: how many of these are active, as text
        classifiers: what has recognised or compared images
    """

    run: str
    headline: list[str]
    bars: list[Bar]
    class_accuracy: dict[str, Any] | None = None
    kl_per_dim: list[float] | None = None
    active_units: str = ""
    classifiers: Sequence[str] = ()

    def draw(self, sample: Callable[[Tensor], Iterable[Tensor]], model: VAE) -> tuple[Figure, str]:
        """Draw the picture.

        Args:
            sample: takes labels (N,) and returns batches of generated images (B, C, H, W) in [0, 1], on the CPU
            model: that generates them

        Returns:
            The figure, titled, and its caption.
        """
        panels: list[Callable[[Axes], None]] = []
        if self.bars:
            panels.append(self._draw_bars)
        if self.class_accuracy is not None:
            panels += [self._draw_accuracies, self._draw_confusion]
        if self.kl_per_dim is not None:
            panels.append(self._draw_dimensions)
        lines, columns = (1, len(panels) + 1) if len(panels) < 3 else (2, 3)
        figure = Figure(figsize=(5.4 * columns, 4.9 * lines + 0.9), layout="constrained")
        cells = GridSpec(lines, columns, figure)
        for place, panel in enumerate(panels):
            panel(figure.add_subplot(cells[divmod(place, columns)]))
        line, column = divmod(len(panels), columns)
        room = COLUMNS * (columns - column)
        classes = torch.linspace(0, model.num_classes - 1, min(room, model.num_classes)).round().long()
        labels = classes.repeat_interleave(room // len(classes))  # as many columns for each class
        samples = torch.cat(list(sample(labels.repeat(ROWS)))).numpy()
        names = [model.classes[index] for index in classes] if model.conditioning != "none" else []
        _draw_samples(figure.add_subplot(cells[line, column:]), samples, len(labels), names)
        figure.suptitle(f"{self.run}\n{'    '.join(self.headline)}", fontsize=12)
        if self.classifiers:
            figure.supxlabel(f"recognised and compared by {'; '.join(self.classifiers)}", fontsize=9)
        return figure, self.run

    def _draw_bars(self, axes: Axes) -> None:
        bars = self.bars[::-1]
        places = list(range(len(bars)))
        errors = [bar.error or 0.0 for bar in bars]
        axes.barh(places, [bar.value for bar in bars], xerr=errors, height=0.6, color=COLOUR, alpha=0.85)
        for place, bar in zip(places, bars, strict=True):
            inside = bar.value > 0.15  # of the bar there is room for the number
            left = 0.015 if inside or not np.isfinite(bar.value) else bar.value + (bar.error or 0.0) + 0.015
            text, colour = f"{bar.value:.3f}".replace("nan", "NaN"), "white" if inside else "black"
            axes.text(left, place, text, va="center", color=colour, fontsize=10, fontweight="bold")
            if bar.reference is not None:
                axes.plot([bar.reference] * 2, [place - 0.38, place + 0.38], color=REAL, linewidth=2.5)
                right = max(bar.value + (bar.error or 0.0), bar.reference) + 0.02
                axes.text(right, place, f"{bar.reference:.3f}", color=REAL, va="center", fontsize=9)
        axes.set_yticks(places, [bar.title.replace(", ", "\n") for bar in bars], fontsize=9)
        axes.set(xlim=(0, 1.15), ylim=(-0.6, max(3.4, len(bars) - 0.4)), title="Shares (red: real images)")
        axes.spines[["top", "right"]].set_visible(False)

    def _draw_accuracies(self, axes: Axes) -> None:
        assert self.class_accuracy is not None
        generated, real = (np.array(self.class_accuracy[key], float) for key in ("per_class", "per_class_real"))
        places = np.arange(len(generated))
        axes.bar(places, generated, color=COLOUR, alpha=0.85, width=0.85, label="generated")
        axes.hlines(real, places - 0.42, places + 0.42, color=REAL, label="real")
        _name_classes(axes, self.class_accuracy["classes"])
        axes.set(ylim=(0, 1.12), xlim=(-0.7, len(generated) - 0.3), title="Accuracy of the judge, by class")
        axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)

    def _draw_confusion(self, axes: Axes) -> None:
        assert self.class_accuracy is not None
        counts = np.array(self.class_accuracy["confusion"], dtype=float)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="magma_r", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
        if len(shares) <= NUMBERED:
            for (row, column), share in np.ndenumerate(shares):
                colour = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=9)
        _name_classes(axes, self.class_accuracy["classes"], both=True)
        axes.set(xlabel="predicted class", ylabel="requested class", title="Confusion of generated images")

    def _draw_dimensions(self, axes: Axes) -> None:
        assert self.kl_per_dim is not None
        kl = np.sort(np.array(self.kl_per_dim, float))[::-1]
        axes.bar(np.arange(len(kl)), kl, color=COLOUR, alpha=0.85, width=0.85)
        title = f"KL of each latent dimension: {self.active_units} of {len(kl)} active"
        axes.set(title=title, xlabel="dimension, sorted", ylabel="nats", xlim=(-0.7, len(kl) - 0.3))
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.spines[["top", "right"]].set_visible(False)


def _name_classes(axes: Axes, classes: list[str], both: bool = False) -> None:
    """Class names as ticks, where there is room for them."""
    longest, count = max(map(len, classes)), len(classes)
    size = 8 if count <= 20 else 5
    has_room = count <= 20 or longest == 1
    rotation = 90 if longest > 2 else 0
    places = np.arange(count) if has_room else np.array([])
    axes.set_xticks(places, classes if has_room else [], fontsize=size, rotation=rotation)
    axes.tick_params(length=0)
    if both:
        axes.set_yticks(places, classes if has_room else [], fontsize=size)


def _draw_samples(axes: Axes, images: np.ndarray, columns: int, names: list[str]) -> None:
    """A sheet of samples, each class in as many columns, above its name where there is room."""
    picture = sheets.grid(images, columns, padding=2, scale=max(1, round(56 / images.shape[3])))
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="equal")
    axes.set(xticks=[], yticks=[], title="Samples from the prior" + (", by class" if names else ""))
    if names and max(map(len, names)) <= LETTERS // len(names):
        width = picture.shape[1] / len(names)
        axes.set_xticks([width * (place + 0.5) for place in range(len(names))], names, fontsize=8)
        axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
