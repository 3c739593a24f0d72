"""Where the pictures of a sweep's runs stand on the page."""

from collections.abc import Sequence

from ldg.compare.gallery import Layout
from ldg.compare.pictures import MAX_RUNS
from ldg.runs.formats import shorten
from ldg.sweeps.report.results import MAX_TICKS, Results, SweepRun


def arrange_runs(results: Results) -> Layout:
    """Arrange runs by their choices.

    Args:
        results: of the sweep

    Returns:
        Columns for the values of the parameter that has the fewest, rows for those of all others together. If there is
        one parameter, or one of many values, a single row in the order of its values or of rank.
    """
    keys = results.differing
    values = {key: results.values(key) for key in keys}
    if len(keys) < 2 or any(len(v) > MAX_TICKS for v in values.values()):
        runs = results.runs[:MAX_RUNS]
        if len(keys) == 1 and len(values[keys[0]]) <= MAX_TICKS:
            runs = sorted(runs, key=lambda run: _order(run, keys, values))
        return Layout([], [("", [[results.runs.index(run)] for run in runs])])
    across = min(reversed(keys), key=lambda key: len(values[key]))
    down = [key for key in keys if key != across]
    rows: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for run in sorted(results.runs[:MAX_RUNS], key=lambda run: _order(run, down, values)):
        row = rows.setdefault(tuple(run.choices[key] for key in down), {})
        row.setdefault(run.choices[across], []).append(results.runs.index(run))
    return Layout(
        [f"{across}={shorten(value)}" for value in values[across]],
        [
            (
                ", ".join(f"{key}={shorten(value)}" for key, value in zip(down, chosen, strict=True)),
                [row.get(value, []) for value in values[across]],
            )
            for chosen, row in rows.items()
        ],
    )


def _order(run: SweepRun, keys: Sequence[str], values: dict[str, list[str]]) -> list[int]:
    return [values[key].index(run.choices[key]) if run.choices[key] else -1 for key in keys]
