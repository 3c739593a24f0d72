"""The results of a sweep so far, read from its folder, of which some files may be missing yet."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from ldg.compare.differences import is_seed
from ldg.evaluation.measure import main_metrics
from ldg.runs.formats import parse_number, shorten
from ldg.runs.run import Run
from ldg.sweeps.ledger import Ledger

MAX_TICKS = 12  # values of a parameter that can be distinguished as rows, columns or ticks
OTHER = {"run", "state", "wandb", "error"}  # columns of runs.csv that are neither parameters nor numbers
STATES = ("finished", "pruned", "running", "interrupted", "failed")


class SweepRun(Run):
    """A line of ``runs.csv``, and the folder of its run.

    Args:
        home: of the sweep; nothing outside of it is read
        row: the line, as text by column
        keys: the sweep's parameters
    """

    def __init__(self, home: Path, row: dict[str, str], keys: Iterable[str]) -> None:
        super().__init__(home / row["run"], home)
        self.row = row
        self.keys = list(keys)

    @property
    def name(self) -> str:
        """The run's name in the sweep."""
        return self.row["run"]

    @cached_property
    def state(self) -> str:
        """What the ledger says, such as ``finished``."""
        return self.row.get("state") or "–"

    @cached_property
    def choices(self) -> dict[str, str]:
        """The values of the sweep's parameters, as they were written; empty where they are not known."""
        return {key: self.row.get(key) or "" for key in self.keys}

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Metrics and other numbers by name, as far as they are finite."""
        cells = {key: parse_number(text) for key, text in self.row.items() if key not in {*OTHER, *self.keys}}
        return {key: value for key, value in cells.items() if value is not None}

    @property
    def wandb(self) -> str:
        """The id of the W&B run, or empty."""
        return self.row.get("wandb") or ""

    @property
    def error(self) -> str:
        """Of a failed run, in one line."""
        return self.row.get("error") or ""

    def latest(self, metric: str) -> float | None:
        """A number at the run's end; before that, the one of its latest epoch; None if there is neither."""
        return self.numbers.get(metric, next(reversed(self.curve(metric)[1]), None))


class Results:
    """The runs of a sweep, the best first.

    Args:
        folder: of the sweep

    Raises:
        UserError: if the folder holds no sweep.
    """

    def __init__(self, folder: Path) -> None:
        ledger = Ledger(folder)
        self.folder = folder
        self.sweep = ledger.read_sweep()
        self.objectives = self.sweep.objectives
        self.objective = next(iter(self.objectives))
        self.runs = sorted((SweepRun(folder, row, self.sweep.parameters) for row in ledger.read_rows()), key=self._rank)

    def _rank(self, run: SweepRun) -> tuple[int, float]:
        if run.state == "finished" and self.objective in run.numbers:
            return 0, -self._sign(self.objective) * run.numbers[self.objective]
        return 1 + (STATES.index(run.state) if run.state in STATES else len(STATES)), 0.0

    def _sign(self, metric: str) -> int:
        return 1 if self.objectives.get(metric) == "maximize" else -1

    @property
    def finished(self) -> list[SweepRun]:
        """The finished runs, the best first."""
        return [run for run in self.runs if run.state == "finished"]

    @property
    def best(self) -> SweepRun | None:
        """The finished run that is best in the first objective."""
        return next((run for run in self.finished if self.objective in run.numbers), None)

    def number(self, name: str) -> float | None:
        """The first objective of the run of this name."""
        return next((run.numbers.get(self.objective) for run in self.runs if run.name == name), None)

    @property
    def status(self) -> str:
        """How many runs are in which state, in words."""
        counts = Counter(run.state for run in self.runs)
        total = max(self.sweep.runs, len(self.runs))
        words = [f"{counts.pop('finished', 0)} of {total} runs finished"]
        words += [f"{count} {state}" for state, count in counts.items()]
        return ", ".join([*words, *([f"{total - len(self.runs)} not begun"] if total > len(self.runs) else [])])

    def values(self, key: str) -> list[str]:
        """The values of a parameter, planned or in use: numbers by size, words in the order of the plan."""
        planned = self.sweep.parameters[key]
        used = [run.choices[key] for run in self.runs if run.choices[key]]
        values = list(dict.fromkeys([*(map(str, planned) if isinstance(planned, list) else ()), *used]))
        if all(parse_number(value) is not None for value in values):
            return sorted(values, key=float)
        return sorted(values, key=planned.find) if isinstance(planned, str) else values

    @cached_property
    def differing(self) -> list[str]:
        """The parameters that have more than one value."""
        return [key for key in self.sweep.parameters if len(self.values(key)) > 1]

    @property
    def hyperparameters(self) -> list[str]:
        """Those of them that are no seeds, which have no order and no effect but chance."""
        return [key for key in self.differing if not is_seed(key)]

    @cached_property
    def constant(self) -> dict[str, str]:
        """The parameters that have one value in all runs."""
        return {key: self.values(key)[0] for key in self.sweep.parameters if len(self.values(key)) == 1}

    @property
    def metrics(self) -> list[str]:
        """The objectives, the main metrics, and all others."""
        reported = {key for run in self.runs for key in run.numbers if "/" in key}
        main = [key for key in main_metrics() if key in reported]
        return list(dict.fromkeys([*self.objectives, *main, *sorted(reported)]))

    def scale(self, key: str) -> str:
        """How a parameter is drawn: ``words``, ``linear`` or ``log``."""
        values, planned = self.values(key), self.sweep.parameters[key]
        numbers = [x for x in map(parse_number, values) if x is not None]
        if not values or len(numbers) < len(values):
            return "words"
        if isinstance(planned, str):
            return "log" if "log" in planned and min(numbers) > 0 else "linear"
        gaps = [b - a for a, b in itertools.pairwise(numbers)]
        return "log" if len(gaps) > 1 and numbers[0] > 0 and max(gaps) >= 4 * min(gaps) else "linear"

    def label(self, run: SweepRun) -> str:
        """What distinguishes a run from the others: its choices where they are short, its name otherwise."""
        return self._labels[run]

    @cached_property
    def _labels(self) -> dict[SweepRun, str]:
        choices = {run: ", ".join(shorten(run.choices[key]) or "–" for key in self.differing) for run in self.runs}
        is_short = all(0 < len(text) <= 32 for text in choices.values())
        return choices if is_short else {run: run.name for run in self.runs}

    def pareto_front(self) -> list[SweepRun]:
        """The finished runs that no other one equals in every objective and beats in one."""
        points = {
            run.name: [self._sign(metric) * run.numbers[metric] for metric in self.objectives]
            for run in self.finished
            if all(metric in run.numbers for metric in self.objectives)
        }

        def is_dominated(point: list[float]) -> bool:
            return any(p != point and all(a >= b for a, b in zip(p, point, strict=True)) for p in points.values())

        return [run for run in self.finished if run.name in points and not is_dominated(points[run.name])]

    def plane(self) -> tuple[str, str] | None:
        """The two parameters of a heat map, if exactly two differ besides the seeds and both have few values."""
        keys = self.hyperparameters
        if len(keys) != 2 or any(len(self.values(key)) > MAX_TICKS for key in keys):
            return None
        return keys[0], keys[1]

    def means(self, metric: str, row: str, column: str) -> list[list[float]]:
        """The mean of a metric over the finished runs with each pair of values.

        Args:
            metric: its name
            row: the parameter whose values are the rows
            column: the parameter whose values are the columns

        Returns:
            Rows of means; NaN where there is no run.
        """
        cells: dict[tuple[str, str], list[float]] = {}
        for run in self.finished:
            if metric in run.numbers:
                cells.setdefault((run.choices[row], run.choices[column]), []).append(run.numbers[metric])
        means = {place: sum(values) / len(values) for place, values in cells.items()}
        return [[means.get((a, b), math.nan) for b in self.values(column)] for a in self.values(row)]
