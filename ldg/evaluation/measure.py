"""The interface of a measure, and the values it returns."""

import importlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ldg.config.compose import compose_measures
from ldg.evaluation.context import EvaluationContext

Direction = Literal["higher", "lower"]
Count = Annotated[int, Field(gt=0, le=1_000_000)]  # of draws, images or repetitions: more would never end
Temperature = Annotated[float, Field(ge=0, le=10)]  # factor of the prior's standard deviation


@dataclass(frozen=True)
class Quantity:
    """What one number of a measure is called, and how it is shown.

    Attributes:
        name: key in ``scorecard.json``, in a sweep's ``runs.csv`` and in W&B (there after ``test/``)
        title: what people read
        unit: empty for a pure number; a measure may replace it where it depends on the run
        better: the direction that is good; None: neither
        display: ``bar``: a share in [0, 1], drawn beside what real images reach; ``headline``: in the title of the
            scorecard picture; ``table``: in the table only. The table holds all of them.
        in_report: whether a sweep's report shows its column at first
    """

    name: str
    title: str
    unit: str = ""
    better: Direction | None = None
    display: Literal["bar", "headline", "table"] = "table"
    in_report: bool = False


@dataclass(frozen=True)
class Value:
    """A number with all that is needed to interpret it.

    Attributes:
        value: the number
        error: its standard error; None: unknown or zero
        unit: empty for a pure number
        better: the direction that is good; None: neither
        reference: what real images reach in the same measurement; None: it does not apply to them
        per_image: of a mean over all test images, the float32 numbers of these in their order, (N,); else None.
            ``scorecard.npz`` keeps them, so that two runs compare image by image.
    """

    value: float
    error: float | None = None
    unit: str = ""
    better: Direction | None = None
    reference: float | None = None
    per_image: Any = field(default=None, compare=False, repr=False)

    @property
    def is_finite(self) -> bool:
        """Whether the number is neither NaN nor infinite."""
        return math.isfinite(self.value)


@dataclass
class Result:
    """What a measure returns.

    Attributes:
        setting: how it was measured, in one line
        values: the numbers by name
        detail: lists for pictures and files
    """

    setting: str
    values: dict[str, Value]
    detail: dict[str, Any] = field(default_factory=dict)


class Measure(ABC):
    """A measure declares its ``quantities`` and keeps its settings as attributes.

    A run may lack some of the quantities: not every one applies to every model.
    """

    quantities: ClassVar[tuple[Quantity, ...]]

    @abstractmethod
    def __call__(self, context: EvaluationContext) -> Result:
        """Measure a model.

        Args:
            context: the model, its data, a judge, and noise

        Returns:
            Some or all of the declared quantities.

        Raises:
            Skipped: with the reason, if the measure does not apply.
        """

    def value(
        self, name: str, value: float, error: float | None = None, reference: float | None = None, **changes: Any
    ) -> Value:
        """A value of a declared quantity.

        Args:
            name: of the quantity
            value: the number
            error: its standard error
            reference: what real images reach
            changes: ``unit`` or ``better``, where they depend on the run

        Returns:
            The value with the quantity's unit and direction.
        """
        quantity = next(quantity for quantity in self.quantities if quantity.name == name)
        attributes = {"unit": quantity.unit, "better": quantity.better} | changes
        return Value(value, error, reference=reference, **attributes)

    def mean(self, name: str, values: Tensor) -> Value:
        """The mean of a declared quantity over all test images.

        Args:
            name: of the quantity
            values: one number per image in the order of the test split, (N,)

        Returns:
            As :func:`mean_and_error`, with the numbers themselves.
        """
        return replace(self.value(name, *mean_and_error(values)), per_image=values.float().numpy())


def mean_and_error(values: Tensor) -> tuple[float, float | None]:
    """The mean over images and its standard error.

    Args:
        values: one number per image, (N,)

    Returns:
        The mean, NaN if any of the numbers is, and std / sqrt(N), None for a single image.
    """
    return float(values.double().mean()), standard_error(values)


def standard_error(values: Tensor) -> float | None:
    """The standard error of a mean, std / sqrt(N); None for a single number."""
    return float(values.double().std() / math.sqrt(len(values))) if len(values) > 1 else None


@cache
def list_quantities() -> dict[str, Quantity]:
    """All quantities by name: those of the measures in ``configs/evaluate.yaml``, in its order, then the others'."""
    quantities: dict[str, Quantity] = {}
    for node in compose_measures([]).values():
        module, _, name = node["_target_"].rpartition(".")
        measure: type[Measure] = getattr(importlib.import_module(module), name)
        quantities |= {quantity.name: quantity for quantity in measure.quantities}
    return quantities


def main_metrics() -> list[str]:
    """The metrics that tables show first: of validation, and those that measures choose."""
    measured = [f"test/{name}" for name, quantity in list_quantities().items() if quantity.in_report]
    return ["val/elbo", "val/log_likelihood", "val/kl", *measured]
