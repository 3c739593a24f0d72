"""Scorecards side by side, with the difference of each value to that of a baseline in standard errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ldg.errors import UserError
from ldg.evaluation.measure import Value, list_quantities, mean_and_error
from ldg.evaluation.scorecard import PER_IMAGE, Scorecard, read_per_image, read_scorecard
from ldg.evaluation.table import best_columns, format_value
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

    def rows(self) -> list[Row]:
        """The values that some run has, in the order of the measures."""
        quantities = list_quantities()
        there = {i: card for i, card in enumerate(self.cards) if card is not None}
        names = dict.fromkeys(name for card in there.values() for name in card.values)
        ordered = [name for name in quantities if name in names] + sorted(set(names) - set(quantities))
        return [self._row(name, quantities[name].title if name in quantities else name, there) for name in ordered]

    def _row(self, name: str, title: str, cards: dict[int, Scorecard]) -> Row:
        values = {i: card.values[name] for i, card in cards.items() if name in card.values}
        first = next(iter(values.values()))
        units = {value.unit for value in values.values()}
        best = best_columns([cards[i] for i in values], name)
        places = list(values)
        references = {value.reference for value in values.values()}
        everywhere = range(len(self.cards))
        return Row(
            name,
            f"{title}, {first.unit}" if first.unit and len(units) == 1 else title,
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
        if self._conditions(index, name) != self._conditions(self.baseline, name):
            return None
        a, b = (self.per_image[i].get(name, np.empty(0)) for i in (index, self.baseline))
        is_known = _fits(a, mine) and _fits(b, other) and bool(self._conditions(index, name)[-1])
        if is_known and len(a) == len(b):
            mean, error = mean_and_error(torch.from_numpy(a) - torch.from_numpy(b))
            if math.isfinite(mean) and math.isfinite(error or 0.0):
                return Difference(mean, error, True, mine.better)
        error = None if mine.error is None or other.error is None else math.hypot(mine.error, other.error)
        return Difference(mine.value - other.value, error, False, mine.better)

    def _conditions(self, index: int, name: str) -> tuple[str, ...]:
        """Under what a value was measured; at last the fingerprint of the images, which old scorecards lack."""
        card = self.cards[index]
        assert card is not None  # it has the value
        return card.values[name].unit, card.setting(name), card.model["data"], card.model.get("images", "")

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
