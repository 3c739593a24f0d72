"""A progress bar: epoch, batches, and the latest value of the metric that selects the best model."""

import sys
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

from ldg.streams import leave_dead_outputs


class Progress(ProgressBar):
    """A single bar over the whole training; where stderr is not a terminal, a line at its start and one per epoch.

    Args:
        enabled: whether it prints anything
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__()
        self.bar: tqdm | None = None
        self.enabled = enabled

    def disable(self) -> None:
        """Print nothing from now on."""
        self.enabled = False

    def enable(self) -> None:
        """Print from now on."""
        self.enabled = True

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar."""
        if not self.enabled:
            return
        total = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        self.bar = tqdm(
            total=total,
            initial=trainer.global_step,
            desc=self._epoch(trainer),
            unit="batch",
            dynamic_ncols=True,
            mininterval=0.5,
            disable=not sys.stderr.isatty(),
        )
        if self.bar.disable:
            batches = int(trainer.num_training_batches)
            self._print(f"{self._epoch(trainer)} begins: {batches:,} batch{'es' * (batches != 1)}")

    @staticmethod
    def _print(line: str) -> None:
        try:
            print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:  # who has read the lines has ended; the training goes on
            leave_dead_outputs()

    @staticmethod
    def _epoch(trainer: pl.Trainer) -> str:
        return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Name the epoch."""
        if self.bar is not None:
            self.bar.set_description(self._epoch(trainer), refresh=False)

    def on_train_batch_end(self, *args: Any) -> None:
        """Move the bar by one batch."""
        if self.bar is not None:
            self.bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Show the monitored metric."""
        if self.bar is None:
            return
        monitors = [getattr(callback, "monitor", None) for callback in trainer.checkpoint_callbacks]
        name = next(filter(None, monitors), "val/elbo")
        value = trainer.callback_metrics.get(name)
        text = "" if value is None else f"{name} {float(value):.{4 if abs(value) < 10 else 2}f}"
        self.bar.set_postfix_str(text)
        if self.bar.disable:
            self._print(f"{self._epoch(trainer)}  {text}")

    def close(self) -> None:
        """End the terminal's line."""
        if self.bar is not None:
            self.bar.close()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar."""
        self.close()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar."""
        self.close()
