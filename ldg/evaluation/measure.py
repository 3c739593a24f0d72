"""What a measure is: settings, and a call that looks at a subject and answers with values."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from ldg.evaluation.subject import Subject


@dataclass(frozen=True)
class Value:
    """A number with all that is needed to read it.

    ``error`` is its standard error, ``better`` the direction that is good (None: neither), ``reference`` what real
    images reach in the same measurement.
    """

    value: float
    error: float | None = None
    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    reference: float | None = None

    @property
    def is_number(self) -> bool:
        return math.isfinite(self.value)


@dataclass
class Result:
    """What a measure found: ``values`` by name, ``setting`` how (a line), ``detail`` lists for pictures and files."""

    setting: str
    values: dict[str, Value]
    detail: dict[str, Any] = field(default_factory=dict)


class Measure(ABC):
    """A measure keeps its settings as attributes; called with a subject it answers with a :class:`Result`.

    It may raise :class:`~ldg.evaluation.subject.Skipped` with the reason why it does not apply.
    """

    @abstractmethod
    def __call__(self, subject: Subject) -> Result: ...


def mean(values: Tensor, unit: str = "", better: Literal["higher", "lower"] | None = None) -> Value:
    """The mean of one number per image (N,) and its standard error, std / sqrt(N); NaN if any of them is."""
    values = values.double()
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None
    return Value(float(values.mean()), error, unit, better)
