"""The section of curves: metrics over epochs, steps or time."""

import math
from collections.abc import Sequence
from typing import Any

from ldg.compare.markup import section, select
from ldg.runs.formats import parse_number
from ldg.runs.run import Run

POSITIONS = ("epoch", "step", "seconds")  # columns of metrics.csv and times.csv, over which metrics are drawn
MAX_POINTS = 10_000  # epochs of all runs
TASKS = "These runs have different data or likelihoods: their ELBO values cannot be compared."


def read_curves(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The metrics of each run's epochs.

    Returns:
        Of each run positions ``x`` and values ``y`` by name, lists of equal length with None where there is none.
    """
    return [_thin(run, MAX_POINTS // len(runs) + 1) for run in runs]


def _thin(run: Run, most: int) -> dict[str, Any]:
    """Of more than ``most`` epochs some are left out, at equal distances and never the last one."""
    rows = [row for row in run.rows if row.get("epoch")]
    rows = rows[:: -max(1, math.ceil(len(rows) / most))][::-1]
    names = dict.fromkeys(name for row in rows for name in row)
    positions = {name: [parse_number(row.get(name)) for row in rows] for name in POSITIONS}
    columns = {name: [_round(row.get(name)) for row in rows] for name in names if name not in POSITIONS}
    known = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return {"x": positions, "y": known}


def _round(text: str | None) -> float | None:
    value = parse_number(text)
    return None if value is None else float(f"{value:.6g}")


def curve_section(curves: Sequence[dict[str, Any]], metric: str, has_seeds: bool) -> str:
    """The plot, which a script draws; nothing without a metric.

    Args:
        curves: from :func:`read_curves`
        metric: that is shown first
        has_seeds: whether some runs differ in their seeds alone
    """
    metrics = sorted({name for curve in curves for name in curve["y"]})
    if not metrics:
        return ""
    chosen = metric if metric in metrics else next((m for m in metrics if m.startswith("val/")), metrics[0])
    controls = [
        select("metric", "metric", {name: name for name in metrics}, chosen),
        select("over", "over", {"epoch": "epochs", "step": "steps", "seconds": "time"}),
        '<label><input type="checkbox" id="log"> logarithmic</label>',
        '<label>smoothing <input type="range" id="smoothing" min="0" max="0.95" step="0.05" value="0">'
        '<output id="smoothing-value">0.00</output></label>',
        f'<label{"" if has_seeds else " hidden"}><input type="checkbox" id="grouped"{" checked" if has_seeds else ""}>'
        " runs that differ in their seeds as mean and standard deviation</label>",
    ]
    return section(
        "Curves",
        "Drag to zoom, double-click to zoom out; a click on a name hides its curve. On the keyboard, with the chart in "
        "focus: <kbd>+</kbd> and <kbd>−</kbd> zoom, arrows move, <kbd>0</kbd> zooms out.",
        f'<div class="controls">{"".join(controls)}</div>',
        f'<p class="warning" id="task-note" role="status" hidden>{TASKS}</p>',
        '<div id="curves" class="chart" role="figure" tabindex="0"></div>'
        '<p class="note" id="curve-note" role="status"></p>',
    )
