"""Learning-rate schedules.

A scheduler steps after each epoch unless its class has ``interval = "step"``. One with an argument ``total_steps`` is
given the length of training.
"""

import math
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


class WarmupCosine(LambdaLR):
    """A linear warm-up, then half a cosine.

    Past its end the rate stays at the floor. The length is not part of the state: a run resumed with more epochs
    stretches.

    Args:
        optimizer: whose learning rate changes
        total_steps: length of training in steps
        warmup: part of training in which the rate rises, in [0, 1)
        floor: last rate as a part of the optimizer's, in [0, 1]
    """

    interval = "step"

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: PositiveInt,
        warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05,
        floor: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        def factor(step: int) -> float:
            done = min(1.0, step / total_steps)
            if done < warmup:
                return (step + 1) / (warmup * total_steps + 1)
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))

        super().__init__(optimizer, factor)


class Plateau(ReduceLROnPlateau):
    """Lowers the rate when a metric has not fallen for some epochs.

    Args:
        optimizer: whose learning rate changes
        monitor: name of the metric, which should fall
        factor: of the rate each time, in (0, 1)
        patience: epochs without a fall before the rate is lowered
        min_lr: the lowest rate
    """

    def __init__(
        self,
        optimizer: Optimizer,
        monitor: str = "val/loss",
        factor: Annotated[float, Field(gt=0, lt=1)] = 0.5,
        patience: NonNegativeInt = 5,
        min_lr: NonNegativeFloat = 1e-5,
    ) -> None:
        super().__init__(optimizer, factor=factor, patience=patience, min_lr=min_lr)
        self.monitor = monitor
