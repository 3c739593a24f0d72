"""A scorecard as one picture: what was reached beside what real images reach, and what the model draws."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from ldg.evaluation.measure import Result, Value
from ldg.evaluation.scorecard import Scorecard
from ldg.evaluation.subject import Subject
from ldg.evaluation.table import TITLES, number
from ldg.generation import sheets

SHARES = ("reads", "reads_overall", "reads_merged", "cas", "precision", "recall", "ssim")
HEADLINE = ("elbo", "marginal", "bits_per_dim", "kl", "active_units", "fid", "kid", "parameters")
COLOUR, REAL = "#3b6ea5", "#d1495b"
ROWS, SAMPLES = 11, 12  # of each class on the sheet of samples, and classes in the width of a panel


def draw(card: Scorecard, subject: Subject) -> Figure:
    """The panels that the results allow, on one figure."""
    panels: list[Callable[[Axes], None]] = []
    if any(name in card.values for name in SHARES):
        panels.append(lambda axes: _shares(axes, card))
    if (reads := card.results.get("reads")) is not None:
        panels += [lambda axes: _per_class(axes, reads), lambda axes: _confusion(axes, reads)]
    if (latent := card.results.get("latent")) is not None:
        panels.append(lambda axes: _dimensions(axes, latent))
    lines, columns = (1, len(panels) + 1) if len(panels) < 3 else (2, 3)
    figure = Figure(figsize=(5.4 * columns, 4.9 * lines + 0.9), layout="constrained")
    cells = GridSpec(lines, columns, figure)
    for place, panel in enumerate(panels):
        panel(figure.add_subplot(cells[divmod(place, columns)]))
    line, column = divmod(len(panels), columns)
    _samples(figure.add_subplot(cells[line, column:]), subject, SAMPLES * (columns - column))
    facts = [f"{TITLES[name]} {_headline(card.values[name])}" for name in HEADLINE if name in card.values]
    figure.suptitle(f"{card.name}\n{'    '.join(facts)}", fontsize=12)
    return figure


def save(card: Scorecard, subject: Subject, path: Path) -> None:
    """Write the picture as PNG, as a whole."""
    partial = path.with_suffix(".part")
    draw(card, subject).savefig(partial, dpi=130, format="png")
    partial.replace(path)


def _headline(value: Value) -> str:
    return f"{number(value.value)} {value.unit}".strip()


def _shares(axes: Axes, card: Scorecard) -> None:
    names = [name for name in SHARES if name in card.values][::-1]
    values = [card.values[name] for name in names]
    places = list(range(len(names)))
    errors = [value.error or 0.0 for value in values]
    axes.barh(places, [value.value for value in values], xerr=errors, height=0.6, color=COLOUR, alpha=0.85)
    for place, value in zip(places, values, strict=True):
        axes.text(0.015, place, f"{value.value:.3f}", va="center", color="white", fontsize=10, fontweight="bold")
        if value.reference is not None:
            axes.plot([value.reference] * 2, [place - 0.38, place + 0.38], color=REAL, linewidth=2.5)
            right = max(value.value + (value.error or 0.0), value.reference) + 0.02
            axes.text(right, place, f"{value.reference:.3f}", color=REAL, va="center", fontsize=9)
    axes.set_yticks(places, [TITLES[name].replace(", ", "\n") for name in names], fontsize=9)
    axes.set(xlim=(0, 1.15), ylim=(-0.6, max(3.4, len(names) - 0.4)), title="Shares (red: real images in its place)")
    axes.spines[["top", "right"]].set_visible(False)


def _per_class(axes: Axes, reads: Result) -> None:
    drawn, real = np.array(reads.detail["per_class"]), np.array(reads.detail["per_class_real"])
    places = np.arange(len(drawn))
    axes.bar(places, drawn, color=COLOUR, alpha=0.85, width=0.85, label="generated")
    axes.plot(places, real, linestyle="none", marker="_", markersize=max(3, 240 / len(drawn)), color=REAL, label="real")
    _name_classes(axes, reads.detail["classes"])
    axes.set(ylim=(0, 1.12), xlim=(-0.7, len(drawn) - 0.3), title="Read as asked, by class")
    axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _confusion(axes: Axes, reads: Result) -> None:
    counts = np.array(reads.detail["confusion"], dtype=float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="magma_r", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    _name_classes(axes, reads.detail["classes"], both=True)
    axes.set(xlabel="read as", ylabel="asked for", title="Confusion of generated images")


def _name_classes(axes: Axes, classes: list[str], both: bool = False) -> None:
    """Class names as ticks, where there is room for them."""
    longest, count = max(map(len, classes)), len(classes)
    size = 8 if count <= 20 else 5
    room = count <= 20 or longest == 1
    rotation = 90 if longest > 2 else 0
    places = np.arange(count) if room else np.array([])
    axes.set_xticks(places, classes if room else [], fontsize=size, rotation=rotation)
    axes.tick_params(length=0)
    if both:
        axes.set_yticks(places, classes if room else [], fontsize=size)


def _samples(axes: Axes, subject: Subject, columns: int) -> None:
    chosen = torch.linspace(0, subject.model.num_classes - 1, columns).round().long()
    images = torch.cat(list(subject.draw(chosen.repeat(ROWS), "sheet"))).numpy()
    picture = sheets.grid(images, columns, padding=2, scale=max(1, round(56 / images.shape[3])))
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="equal")
    axes.set(
        xticks=[], yticks=[], title="Samples from the prior" + (", a class a column" if subject.is_conditional else "")
    )
    axes.spines[:].set_visible(False)


def _dimensions(axes: Axes, latent: Result) -> None:
    kl = np.sort(latent.detail["kl_per_dim"])[::-1]
    axes.bar(np.arange(len(kl)), kl, color=COLOUR, alpha=0.85, width=0.85)
    active = int(latent.values["active_units"].value)
    title = f"KL of each latent dimension: {active} of {len(kl)} active"
    axes.set(title=title, xlabel="dimension, sorted", ylabel="nats", xlim=(-0.7, len(kl) - 0.3))
    axes.spines[["top", "right"]].set_visible(False)
