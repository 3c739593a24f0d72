"""The plots of a sweep's report, each a figure of its own so that a page can place them."""

import io
import itertools
import math
import warnings
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from PIL import Image

from ldg.figures.layout import fit_texts
from ldg.runs.formats import format_cell, shorten
from ldg.sweeps.report.results import MAX_TICKS, Results, SweepRun

COLOUR, BEST = "#3b6ea5", "#d1495b"
MAX_LABELS = 8  # ticks of a numeric axis, names of points


@dataclass(frozen=True)
class Panel:
    """A plot of a report.

    Attributes:
        title: above the plot
        png: the plot; None if it cannot be drawn
        note: why it cannot be drawn
    """

    title: str
    png: bytes | None
    note: str = ""


def encode_png(figure: Figure) -> bytes:
    """A figure as PNG of few colours."""
    buffer = io.BytesIO()
    fit_texts(figure)
    with warnings.catch_warnings():  # a name may have characters that the font lacks, or leave no room
        warnings.simplefilter("ignore")
        figure.savefig(buffer, dpi=150, format="png")
    small = io.BytesIO()
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(192).save(small, "PNG", optimize=True)
    return small.getvalue()


def _make_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


class Scale:
    """The axis of a parameter.

    Args:
        results: of the sweep
        key: of the parameter
    """

    def __init__(self, results: Results, key: str) -> None:
        self.values = results.values(key)
        self.kind = results.scale(key)
        self.has_few_values = len(self.values) <= MAX_TICKS

    def position(self, value: str) -> float:
        """The coordinate of a value on the axis."""
        return float(self.values.index(value)) if self.kind == "words" else float(value)

    def fraction(self, value: str) -> float:
        """The position of a value between the ends of the axis, in [0, 1]."""
        if self.kind == "words":
            return (self.position(value) + 0.5) / len(self.values)
        low, high, x = (self._stretch(v) for v in (self.values[0], self.values[-1], value))
        return (x - low) / (high - low)

    def _stretch(self, value: str) -> float:
        return math.log(float(value)) if self.kind == "log" else float(value)

    def apply(self, axes: Axes) -> None:
        """Set scale, ticks and their labels of a horizontal axis."""
        if self.kind == "log":
            axes.set_xscale("log")
            is_narrow = float(self.values[-1]) < 200 * float(self.values[0])
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_narrow else (1,)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        if self.kind != "words" and len(self.values) > MAX_LABELS:
            return
        names = [shorten(value) for value in self.values]
        is_long = sum(map(len, names)) > 36
        axes.set_xticks(
            [self.position(value) for value in self.values],
            names,
            rotation=30 if is_long else 0,
            ha="right" if is_long else "center",
        )
        axes.set_xticks([], minor=True)
        if self.kind == "words":
            axes.set_xlim(-0.5, len(self.values) - 0.5)


def limits(values: list[float]) -> tuple[float, float]:
    """The range that shows all values but outliers, with a little room.

    Args:
        values: finite ones

    Returns:
        Its ends; values beyond the quartiles by more than six times their distance are outside.
    """
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    reach = 6 * (high - low) or math.inf
    low, high = max(ordered[0], low - reach), min(ordered[-1], high + reach)
    room = 0.05 * (high - low) or 0.5
    return low - room, high + room


def draw_effects(results: Results) -> list[Panel]:
    """Draw each objective against each hyperparameter that differs."""
    return [
        Panel(f"{metric} by {key}", encode_png(figure))
        for metric in results.objectives
        for key in results.hyperparameters
        if (figure := _draw_effect(results, metric, key)) is not None
    ]


def _draw_effect(results: Results, metric: str, key: str) -> Figure | None:
    runs = [run for run in results.finished if metric in run.numbers and run.choices[key]]
    if len(runs) < 2:
        return None
    scale = Scale(results, key)
    figure, axes = _make_figure(4.4, 3.2)
    axes.scatter(
        [scale.position(run.choices[key]) for run in runs],
        [run.numbers[metric] for run in runs],
        color=COLOUR,
        alpha=0.6,
    )
    by_value: dict[str, list[float]] = {}
    for run in sorted(runs, key=lambda run: scale.values.index(run.choices[key])):
        by_value.setdefault(run.choices[key], []).append(run.numbers[metric])
    if len(by_value) < len(runs) and scale.has_few_values:
        means = [sum(numbers) / len(numbers) for numbers in by_value.values()]
        xs = [scale.position(value) for value in by_value]
        if scale.kind == "words":
            axes.hlines(means, [x - 0.22 for x in xs], [x + 0.22 for x in xs], color=COLOUR, linewidth=2)
        else:
            axes.plot(xs, means, color=COLOUR, linewidth=1.5)
    if results.best in runs and metric == results.objective:
        assert results.best is not None
        axes.scatter(scale.position(results.best.choices[key]), results.best.numbers[metric], color=BEST, zorder=3)
    scale.apply(axes)
    axes.set(xlabel=key, ylabel=metric, ylim=limits([run.numbers[metric] for run in runs]))
    axes.grid(alpha=0.3)
    return figure


def draw_parallel(results: Results) -> list[Panel]:
    """Draw parallel coordinates: a line for each run, through its choices to its objectives."""
    runs = [run for run in results.finished if all(metric in run.numbers for metric in results.objectives)]
    keys = results.hyperparameters
    if len(keys) < 2 or len(runs) < 2:
        return []
    scales = [Scale(results, key) for key in keys]
    spans = {metric: limits([run.numbers[metric] for run in runs]) for metric in results.objectives}
    names = [*keys, *results.objectives]
    figure, axes = _make_figure(min(14.0, 2.2 * len(names) + 1), 4.2)
    axes.spines[:].set_visible(False)

    def height(run: SweepRun, metric: str) -> float:
        low, high = spans[metric]
        return min(1.0, max(0.0, (run.numbers[metric] - low) / (high - low)))

    for run in reversed(runs):  # the best on top
        if not all(run.choices[key] for key in keys):
            continue
        ys = [scale.fraction(run.choices[key]) for key, scale in zip(keys, scales, strict=True)]
        ys += [height(run, metric) for metric in results.objectives]
        axes.plot(range(len(ys)), ys, color=_colour(height(run, results.objective)), alpha=0.7, linewidth=1.4)
        if run is results.best:
            axes.plot(range(len(ys)), ys, color=BEST, linewidth=2.6)
    for x, scale in enumerate(scales):
        values = scale.values if scale.has_few_values else [scale.values[0], scale.values[-1]]
        _draw_axis(axes, x, [(scale.fraction(value), shorten(value)) for value in values])
    for x, (low, high) in enumerate(spans.values(), start=len(scales)):
        _draw_axis(axes, x, [(i / 4, format_cell(low + i / 4 * (high - low))) for i in range(5)])
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.set(yticks=[], ylim=(-0.03, 1.03), xlim=(-0.2, len(names) - 0.4))
    return [Panel("All choices together (red: the best)", encode_png(figure))]


def _draw_axis(axes: Axes, x: int, ticks: list[tuple[float, str]]) -> None:
    """A vertical axis at ``x`` with labels at heights in [0, 1]."""
    axes.axvline(x, color="0.3", linewidth=0.8)
    for y, text in ticks:
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
        axes.text(x + 0.03, y, text, va="center", fontsize=8, bbox=box, zorder=4)


def _colour(fraction: float) -> tuple[float, float, float, float]:
    """A colour for a number in [0, 1], dark enough for white paper."""
    return colormaps["viridis"](0.9 * fraction)


def draw_heat_maps(results: Results) -> list[Panel]:
    """Draw the mean of each objective over a plane of two parameters."""
    plane = results.plane()
    if plane is None:
        return []
    panels = []
    for metric in results.objectives:
        means = results.means(metric, *plane)
        if not all(map(math.isnan, itertools.chain(*means))):
            figure = _draw_heat_map(results, *plane, metric, means)
            panels.append(Panel(f"{metric} by {plane[0]} and {plane[1]}", encode_png(figure)))
    return panels


def _draw_heat_map(results: Results, row: str, column: str, metric: str, means: list[list[float]]) -> Figure:
    rows, columns = results.values(row), results.values(column)
    figure, axes = _make_figure(min(10.0, 2.6 + 0.95 * len(columns)), min(8.0, 1.5 + 0.62 * len(rows)))
    low, high = limits([value for line in means for value in line if not math.isnan(value)])
    colours = "viridis" if results.objectives[metric] == "maximize" else "viridis_r"
    axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
    middle = (low + high) / 2
    for y, x in itertools.product(range(len(rows)), range(len(columns))):
        is_light = math.isnan(means[y][x]) or (means[y][x] > middle) == (colours == "viridis")
        axes.text(x, y, format_cell(means[y][x]), ha="center", va="center", color="black" if is_light else "white")
    is_long = any(len(shorten(value)) > 9 for value in columns)
    axes.set_xticks(range(len(columns)), map(shorten, columns), rotation=30 if is_long else 0)
    axes.set_yticks(range(len(rows)), map(shorten, rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=column, ylabel=row)
    return figure


def draw_fronts(results: Results) -> list[Panel]:
    """Draw every two of several objectives against each other, with the Pareto front marked."""
    front = results.pareto_front()
    panels = []
    for x, y in itertools.combinations(results.objectives, 2):
        runs = [run for run in results.finished if x in run.numbers and y in run.numbers]
        if not runs:
            continue
        figure, axes = _make_figure(6.4, 4.2)
        axes.scatter([run.numbers[x] for run in runs], [run.numbers[y] for run in runs], color=COLOUR, alpha=0.5)
        ordered = sorted(front, key=lambda run: run.numbers[x])
        line = "-" if len(results.objectives) == 2 else ""
        axes.plot(
            [run.numbers[x] for run in ordered],
            [run.numbers[y] for run in ordered],
            color=BEST,
            marker="o",
            linestyle=line,
        )
        for run in ordered[:MAX_LABELS]:
            name = results.label(run)
            side = "right" if run.numbers[x] > sum(axes.get_xlim()) / 2 else "left"
            point, shift = (run.numbers[x], run.numbers[y]), (-6 if side == "right" else 6, 4)
            axes.annotate(name, point, shift, textcoords="offset points", fontsize=8, ha=side)
        axes.set(xlabel=f"{x} ({results.objectives[x]})", ylabel=f"{y} ({results.objectives[y]})")
        axes.grid(alpha=0.3)
        axes.margins(0.12)
        panels.append(Panel(f"{y} against {x} (red: the Pareto front)", encode_png(figure)))
    return panels
