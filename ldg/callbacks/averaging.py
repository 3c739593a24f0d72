"""An exponential moving average of the weights."""

from typing import Annotated, Any

from pydantic import Field, PositiveInt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class Averaging(WeightAveraging):
    """Validates, saves and draws averaged weights: Lightning's WeightAveraging with a warm-up.

    An update moves the average by the fraction 1 - ``decay`` towards the weights. The first updates move it further, by
    9 / (10 + updates), as TensorFlow's ExponentialMovingAverage does: it would otherwise stay near the initial weights.
    In the first ``every_n_steps`` steps the average is the weights themselves, so that runs of a few steps show theirs.

    Args:
        decay: fraction of the average that an update keeps, 0 up to but not including 1
        every_n_steps: optimizer steps from one update to the next
    """

    def __init__(self, decay: Annotated[float, Field(ge=0, lt=1)] = 0.99, every_n_steps: PositiveInt = 10) -> None:
        def towards(average: Tensor, weights: Tensor, updates: Tensor | int) -> Tensor:
            return average + (weights - average) * max(1 - decay, 9 / (10 + int(updates)))

        super().__init__(avg_fn=towards)
        self.every_n_steps = every_n_steps

    @property
    def averaged_module(self) -> LightningModule | None:
        """The module with the averaged weights; None before training."""
        return self._average_model.module if self._average_model is not None else None  # type: ignore[return-value]

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        """Update the average; in the first steps torch copies the weights, as it does while no update is counted."""
        if self._latest_update_step < trainer.global_step <= self.every_n_steps:
            assert self._average_model is not None
            self._average_model.n_averaged.zero_()
        super().on_train_batch_end(trainer, *arguments)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Update the average every ``every_n_steps`` steps, at each of the first ones, and never between epochs."""
        return step_idx is not None and (step_idx < self.every_n_steps or step_idx % self.every_n_steps == 0)
