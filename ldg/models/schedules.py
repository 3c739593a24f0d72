"""KL schedules: the weight of the KL term over training. ``epoch`` is a float: 2.5 is the middle of the third epoch."""

import math
from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor


class Schedule(ABC):
    """Base class of KL schedules.

    Args:
        beta: Weight of the KL term at its full strength.
    """

    def __init__(self, beta: NonNegativeFloat = 1.0) -> None:
        self.beta = beta

    @abstractmethod
    def weight(self, epoch: float) -> float:
        """Factor of the KL term at ``epoch``; ``math.inf`` means the end of training."""

    def penalty(self, kl: Tensor, epoch: float) -> Tensor:
        """Compute what the KL term adds to the objective.

        Args:
            kl: KL in nats, a scalar.
            epoch: Epochs done, as a float.

        Returns:
            Nats, a scalar.
        """
        return self.weight(epoch) * kl


class Constant(Schedule):
    """beta * KL: 1 is the ELBO, more is the beta-VAE (Higgins et al. 2017, eq. 4).

    Args:
        beta: Weight of the KL term.
    """

    def weight(self, epoch: float) -> float:
        """The same at every ``epoch``."""
        return self.beta


class Linear(Schedule):
    """From 0 to ``beta`` in ``warmup_epochs``, then constant (Sønderby et al. 2016).

    Args:
        beta: Weight of the KL term after the warm-up.
        warmup_epochs: Length of the warm-up.
    """

    def __init__(self, beta: NonNegativeFloat = 1.0, warmup_epochs: PositiveFloat = 1.0) -> None:
        super().__init__(beta)
        self.warmup_epochs = warmup_epochs

    def weight(self, epoch: float) -> float:
        """Rises linearly with ``epoch``."""
        return self.beta * min(1.0, epoch / self.warmup_epochs)


class Cyclical(Schedule):
    """From 0 to ``beta`` in the first part of each period, then constant until it ends (Fu et al. 2019, eq. 6).

    Args:
        beta: Weight of the KL term at the top of each cycle.
        period_epochs: Length of a cycle.
        rise: Share of a cycle, in (0, 1], in which the weight rises.
    """

    def __init__(
        self,
        beta: NonNegativeFloat = 1.0,
        period_epochs: PositiveFloat = 4.0,
        rise: Annotated[float, Field(gt=0, le=1)] = 0.5,
    ) -> None:
        super().__init__(beta)
        self.period_epochs = period_epochs
        self.rise = rise

    def weight(self, epoch: float) -> float:
        """Depends on the place of ``epoch`` in its cycle."""
        if math.isinf(epoch):
            return self.beta
        return self.beta * min(1.0, epoch % self.period_epochs / (self.period_epochs * self.rise))


class Capacity(Schedule):
    """beta * |KL - C|, C rising from 0 to ``capacity`` (Burgess et al. 2018, eq. 8).

    Args:
        beta: Weight of the distance between KL and capacity, gamma in the paper.
        capacity: C at the end, in nats.
        warmup_epochs: Epochs until C reaches ``capacity``.
    """

    def __init__(
        self, beta: NonNegativeFloat = 30.0, capacity: NonNegativeFloat = 25.0, warmup_epochs: PositiveFloat = 5.0
    ) -> None:
        super().__init__(beta)
        self.capacity = capacity
        self.warmup_epochs = warmup_epochs

    def weight(self, epoch: float) -> float:
        """Is ``beta`` throughout: it is the target that changes."""
        return self.beta

    def penalty(self, kl: Tensor, epoch: float) -> Tensor:
        """As :meth:`Schedule.penalty`, of the distance to the capacity at ``epoch``."""
        return self.beta * (kl - self.capacity * min(1.0, epoch / self.warmup_epochs)).abs()
