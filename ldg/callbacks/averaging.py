"""An exponential moving average of the weights."""

from typing import Annotated

from pydantic import Field, PositiveInt
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class Averaging(WeightAveraging):
    """Validates, keeps and draws with averaged weights: Lightning's WeightAveraging with a warm-up.

    Every ``every_n_steps`` steps the average moves by 1 - ``decay`` of the way to the weights; in the beginning, where
    it would still be the first weights, by 9 / (10 + updates), as TensorFlow's ExponentialMovingAverage does.
    """

    def __init__(self, decay: Annotated[float, Field(ge=0, lt=1)] = 0.99, every_n_steps: PositiveInt = 10) -> None:
        def towards(average: Tensor, weights: Tensor, updates: Tensor | int) -> Tensor:
            return average + (weights - average) * max(1 - decay, 9 / (10 + int(updates)))

        super().__init__(avg_fn=towards)
        self.every_n_steps = every_n_steps

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and step_idx % self.every_n_steps == 0
