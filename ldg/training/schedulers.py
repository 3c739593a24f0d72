"""Learning-rate schedules that torch does not have."""

import math
from typing import Annotated

from pydantic import Field, PositiveInt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine(LambdaLR):
    """A linear rise in the first ``warmup`` of ``total_steps``, then half a cosine down to ``floor`` times the rate.

    Past its end it stays at the floor. The length is not part of its state: a run resumed with more epochs stretches.
    """

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
