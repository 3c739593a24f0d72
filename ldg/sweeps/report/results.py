"""What a sweep has found so far, read from its folder. Half of it may not be written yet."""

import csv
import itertools
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ldg.sweeps.ledger import Ledger

FEW = 12  # values of a parameter that can be told apart as rows, columns or ticks
OTHER = {"run", "state", "wandb", "error"}  # columns of runs.csv that are neither parameters nor numbers
# shown at first, besides the objectives
KNOWN = ("val/elbo", "val/log_likelihood", "val/kl", "test/elbo", "test/reads", "test/fid")


@dataclass(frozen=True, eq=False)
class Run:
    """A line of ``runs.csv``: ``choices`` as they were written, ``numbers`` as far as they are finite."""

    name: str
    state: str
    choices: dict[str, str]
    numbers: dict[str, float]
    wandb: str
    error: str
    folder: Path

    @cached_property
    def _epochs(self) -> list[dict[str, str]]:
        try:
            text = (self.folder / "metrics.csv").read_text(errors="replace")
        except OSError:
            return []
        whole = text[: text.rfind("\n") + 1]  # a line without an end is still being written
        return list(csv.DictReader(whole.splitlines()))

    def curve(self, metric: str) -> tuple[list[float], list[float]]:
        """Epochs and values of a metric, where it has any."""
        points = [(number(row.get("epoch")), number(row.get(metric))) for row in self._epochs]
        found = [(epoch, value) for epoch, value in points if epoch is not None and value is not None]
        return [epoch for epoch, _ in found], [value for _, value in found]

    def newest(self, metric: str) -> float | None:
        """The number at the run's end; before that, the one of its newest epoch."""
        return self.numbers.get(metric, next(reversed(self.curve(metric)[1]), None))


class Results:
    """A sweep's facts and its runs, the best first.

    Raises:
        UserError: if ``folder`` holds no sweep.
    """

    def __init__(self, folder: Path) -> None:
        ledger = Ledger(folder)
        self.folder = folder
        self.facts = ledger.facts
        self.objectives: dict[str, str] = self.facts["objectives"]
        self.objective = next(iter(self.objectives))
        self._planned: dict[str, list[str] | str] = self.facts["parameters"] or {}
        self.runs = sorted((self._run(row) for row in ledger.rows() if row.get("run")), key=self._rank)

    def _run(self, row: dict[str, str]) -> Run:
        choices = {key: row.get(key) or "" for key in self._planned}
        cells = {key: number(text) for key, text in row.items() if key not in OTHER and key not in choices}
        numbers = {key: value for key, value in cells.items() if value is not None}
        name, state = row["run"], row.get("state") or "–"
        return Run(name, state, choices, numbers, row.get("wandb") or "", row.get("error") or "", self.folder / name)

    def _rank(self, run: Run) -> tuple[int, float]:
        if run.state == "finished" and self.objective in run.numbers:
            return 0, -self._sign(self.objective) * run.numbers[self.objective]
        order = ("finished", "pruned", "running", "interrupted", "failed")
        return 1 + (order.index(run.state) if run.state in order else len(order)), 0.0

    def _sign(self, metric: str) -> int:
        return 1 if self.objectives.get(metric) == "maximize" else -1

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.state == "finished"]

    @property
    def best(self) -> Run | None:
        """The finished run that is best in the first objective."""
        return next((run for run in self.finished if self.objective in run.numbers), None)

    def number(self, run: str) -> float | None:
        """The first objective of a run, by its name."""
        return next((found.numbers.get(self.objective) for found in self.runs if found.name == run), None)

    @property
    def state(self) -> str:
        """How many runs are in which state, in words."""
        counts = Counter(run.state for run in self.runs)
        total = max(int(self.facts["runs"]), len(self.runs))
        words = [f"{counts.pop('finished', 0)} of {total} runs finished"]
        words += [f"{count} {state}" for state, count in counts.items()]
        return ", ".join([*words, *([f"{total - len(self.runs)} not begun"] if total > len(self.runs) else [])])

    def values(self, key: str) -> list[str]:
        """The values of a parameter: numbers by size, words in the order of the plan."""
        planned = self._planned[key]
        found = [run.choices[key] for run in self.runs if run.choices[key]]
        values = list(dict.fromkeys([*(map(str, planned) if isinstance(planned, list) else ()), *found]))
        if all(number(value) is not None for value in values):
            return sorted(values, key=float)
        return sorted(values, key=planned.find) if isinstance(planned, str) else values

    @cached_property
    def differing(self) -> list[str]:
        """The parameters that have more than one value."""
        return [key for key in self._planned if len(self.values(key)) > 1]

    @cached_property
    def constant(self) -> dict[str, str]:
        """The parameters that have one value in all runs."""
        return {key: self.values(key)[0] for key in self._planned if len(self.values(key)) == 1}

    @property
    def metrics(self) -> list[str]:
        """The objectives, the metrics people ask for first, and all others."""
        found = {key for run in self.runs for key in run.numbers if "/" in key}
        return list(dict.fromkeys([*self.objectives, *(key for key in KNOWN if key in found), *sorted(found)]))

    def scale(self, key: str) -> str:
        """How a parameter is drawn: ``words``, ``linear`` or ``log``."""
        values, planned = self.values(key), self._planned[key]
        numbers = [x for x in map(number, values) if x is not None]
        if not values or len(numbers) < len(values):
            return "words"
        if isinstance(planned, str):
            return "log" if "log" in planned and min(numbers) > 0 else "linear"
        gaps = [b - a for a, b in itertools.pairwise(numbers)]
        return "log" if len(gaps) > 1 and numbers[0] > 0 and max(gaps) >= 4 * min(gaps) else "linear"

    def label(self, run: Run) -> str:
        """What tells a run from the others: its choices where they are short, its name otherwise."""
        return self._labels[run]

    @cached_property
    def _labels(self) -> dict[Run, str]:
        choices = {run: ", ".join(brief(run.choices[key]) or "–" for key in self.differing) for run in self.runs}
        is_short = all(0 < len(text) <= 32 for text in choices.values())
        return choices if is_short else {run: run.name for run in self.runs}

    def front(self) -> list[Run]:
        """The Pareto front: the finished runs that no other one equals in every objective and beats in one."""
        points = {
            run.name: [self._sign(metric) * run.numbers[metric] for metric in self.objectives]
            for run in self.finished
            if all(metric in run.numbers for metric in self.objectives)
        }

        def beaten(point: list[float]) -> bool:
            return any(p != point and all(a >= b for a, b in zip(p, point, strict=True)) for p in points.values())

        return [run for run in self.finished if run.name in points and not beaten(points[run.name])]

    def axes(self) -> tuple[str, str] | None:
        """The two parameters of a heat map, if there are exactly two besides the seeds, of few values each."""
        keys = [key for key in self.differing if key.rpartition(".")[2] != "seed"]
        if len(keys) != 2 or any(len(self.values(key)) > FEW for key in keys):
            return None
        return keys[0], keys[1]

    def means(self, metric: str, row: str, column: str) -> list[list[float]]:
        """The mean of a metric over the finished runs with each pair of values; NaN where there is none."""
        cells: dict[tuple[str, str], list[float]] = {}
        for run in self.finished:
            if metric in run.numbers:
                cells.setdefault((run.choices[row], run.choices[column]), []).append(run.numbers[metric])
        found = {place: sum(values) / len(values) for place, values in cells.items()}
        return [[found.get((a, b), math.nan) for b in self.values(column)] for a in self.values(row)]


def number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def shown(value: float | None) -> str:
    """Four figures, and no more decimals than four."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1000 or (value == int(value) and size >= 1):
        return f"{value:,.0f}"
    return f"{value:.4g}" if 0 < size < 0.01 else f"{value:.{4 if size < 1 else 3 if size < 10 else 2}f}"


def duration(seconds: float | None) -> str:
    """A time in two units at the most."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def brief(text: str) -> str:
    """A parameter's value, a long number with four figures."""
    value = number(text)
    return f"{value:.4g}" if value is not None and len(text) > 7 else text
