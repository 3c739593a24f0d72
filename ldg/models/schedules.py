"""How strongly the KL divergence is weighed, and when. ``epoch`` is a float: 2.5 is the middle of the third."""

import math
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor


class Constant:
    """beta * KL: 1 is the ELBO, more is the beta-VAE (Higgins et al. 2017, eq. 4)."""

    def __init__(self, beta: NonNegativeFloat = 1.0) -> None:
        self.beta = beta

    def weight(self, epoch: float) -> float:
        """The factor of the KL term at ``epoch``."""
        return self.beta

    def penalty(self, kl: Tensor, epoch: float) -> Tensor:
        """What a KL of so many nats adds to the loss."""
        return self.weight(epoch) * kl


class Linear(Constant):
    """From 0 to ``beta`` in ``warmup_epochs``, then constant (Sønderby et al. 2016)."""

    def __init__(self, beta: NonNegativeFloat = 1.0, warmup_epochs: PositiveFloat = 1.0) -> None:
        super().__init__(beta)
        self.warmup_epochs = warmup_epochs

    def weight(self, epoch: float) -> float:
        return self.beta * min(1.0, epoch / self.warmup_epochs)


class Cyclical(Constant):
    """From 0 to ``beta`` again and again, rising in the first ``rise`` of each period (Fu et al. 2019, eq. 6)."""

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
        if math.isinf(epoch):
            return self.beta
        return self.beta * min(1.0, epoch % self.period_epochs / (self.period_epochs * self.rise))


class Capacity(Constant):
    """beta * |KL - C|, C rising from 0 to ``capacity`` nats in ``warmup_epochs`` (Burgess et al. 2018, eq. 8)."""

    def __init__(
        self, beta: NonNegativeFloat = 30.0, capacity: NonNegativeFloat = 25.0, warmup_epochs: PositiveFloat = 5.0
    ) -> None:
        super().__init__(beta)
        self.capacity = capacity
        self.warmup_epochs = warmup_epochs

    def penalty(self, kl: Tensor, epoch: float) -> Tensor:
        return self.beta * (kl - self.capacity * min(1.0, epoch / self.warmup_epochs)).abs()
