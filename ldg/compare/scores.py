"""Scorecards side by side, with the difference of each value to that of a baseline in standard errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ldg.errors import UserError
from ldg.evaluation.measure import Value, mean_and_error
from ldg.evaluation.scorecard import PER_IMAGE, Scorecard, read_per_image, read_scorecard
from ldg.evaluation.table import best_columns, format_value, list_titles
from ldg.files import is_inside
from ldg.runs.run import Run


@dataclass(frozen=True)
class Difference:
    """How a value differs from the baseline's.

    Attributes:
        value: the run's minus the baseline's
        error: its standard error; None: unknown
        is_paired: whether it is the mean difference of the same test images, whose error is smaller
        better: the direction that is good; None: neither
    """

    value: float
    error: float | None
    is_paired: bool
    better: str | None

    @property
    def significance(self) -> float | None:
        """The difference in standard errors; None where they are not known."""
        return self.value / self.error if self.error else None

    @property
    def is_better(self) -> bool | None:
        """Whether the run is better, or worse, by at least two standard errors; None: neither can be said."""
        if self.significance is None or abs(self.significance) < 2 or self.better is None:
            return None
        return (self.value > 0) == (self.better == "higher")


@dataclass(frozen=True)
class Row:
    """A value of the scorecards.

    Attributes:
        name: in the files
        title: what people read, with the unit
        better: the direction that is good; None: neither
        texts: of each run the value with its standard error; empty where it has none
        differences: of each run to the baseline; None for itself, and where they do not compare
        best: indices of the runs with the best value
        reference: what real images reach, as text
    """

    name: str
    title: str
    better: str | None
    texts: list[str]
    differences: list[Difference | None]
    best: set[int]
    reference: str


class Scores:
    """The scorecards of runs, as far as they have some that can be read.

    Args:
        runs: to be compared, with the first of those that have one
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.cards = [_read(run) for run in runs]
        self.baseline = next((i for i, card in enumerate(self.cards) if card is not None), 0)
        self.per_image = [
            read_per_image(run.folder / PER_IMAGE) if card and is_inside(run.folder / PER_IMAGE, run.home) else {}
            for run, card in zip(runs, self.cards, strict=True)
        ]

    @property
    def others(self) -> list[int]:
        """Indices of the runs whose test images are not known to be the baseline's."""
        images = [card and card.test_images for card in self.cards]
        return [i for i, mine in enumerate(images) if mine and mine != images[self.baseline]]

    def rows(self) -> list[Row]:
        """The values that some run has, in the order of the measures."""
        there = {i: card for i, card in enumerate(self.cards) if card is not None}
        return [self._row(name, title, there) for name, title in list_titles(list(there.values())).items()]

    def _row(self, name: str, title: str, cards: dict[int, Scorecard]) -> Row:
        values = {i: card.values[name] for i, card in cards.items() if name in card.values}
        first = next(iter(values.values()))
        best = best_columns([cards[i] for i in values], name)
        places = list(values)
        references = {value.reference for value in values.values()}
        everywhere = range(len(self.cards))
        return Row(
            name,
            title,
            first.better,
            [format_value(values[i]) if i in values else "" for i in everywhere],
            [self._difference(name, i, values) for i in everywhere],
            {places[i] for i in best},
            format_value(Value(first.reference)) if first.reference is not None and len(references) == 1 else "",
        )

    def _difference(self, name: str, index: int, values: dict[int, Value]) -> Difference | None:
        mine, other = values.get(index), values.get(self.baseline)
        if index == self.baseline or mine is None or other is None or not (mine.is_finite and other.is_finite):
            return None
        cards = self.cards[index], self.cards[self.baseline]
        conditions, others = (card.conditions(name) if card else () for card in cards)
        if conditions != others:
            return None
        a, b = (self.per_image[i].get(name, np.empty(0)) for i in (index, self.baseline))
        is_known = _fits(a, mine) and _fits(b, other) and bool(conditions[-1])
        if is_known and len(a) == len(b):
            mean, error = mean_and_error(torch.from_numpy(a) - torch.from_numpy(b))
            if math.isfinite(mean) and math.isfinite(error or 0.0):
                return Difference(mean, error, True, mine.better)
        error = None if mine.error is None or other.error is None else math.hypot(mine.error, other.error)
        return Difference(mine.value - other.value, error, False, mine.better)

    def confusions(self) -> dict[int, dict[str, Any]]:
        """What the judge took generated images for, of the runs with the same classes as the first that has any.

        Returns:
            By index of the run ``classes``, ``per_class`` and ``confusion``, as in the scorecard.
        """
        details = {
            i: card.results["class_accuracy"].detail
            for i, card in enumerate(self.cards)
            if card is not None and "class_accuracy" in card.results
        }
        classes = next((detail["classes"] for detail in details.values()), None)
        return {i: detail for i, detail in details.items() if detail["classes"] == classes}


def _fits(numbers: np.ndarray, value: Value) -> bool:
    """Whether numbers of images are those whose mean a value is."""
    return len(numbers) > 0 and math.isclose(numbers.mean(), value.value, rel_tol=1e-4)


def _read(run: Run) -> Scorecard | None:
    if not run.scorecard:  # none, or larger than any
        return None
    try:
        return read_scorecard(run.folder / "scorecard.json")
    except (UserError, OSError):
        return None
