"""Ctrl-C and SIGTERM: finish the step, save, then stop."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from ldg.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGREE_EVERY = 10  # steps; the processes of a DDP run ask each other so often


class SaveOnSignal(Checkpoint):
    """As a context manager around a run and a callback in it: after a signal, save ``last.ckpt`` and raise Interrupted.

    In training this happens after the step, or at the end of the epoch if its last step is done (validation and gallery
    are waited for); before and after training, and at a second signal, at once. Lightning calls a Checkpoint after all
    other callbacks: what is saved at the end of an epoch is complete.
    """

    def __init__(self, folder: Path) -> None:
        self.checkpoint = Path(folder) / "checkpoints" / "last.ckpt"
        self.training = False
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            self._before = {signum: signal.signal(signum, self._note) for signum in SIGNALS}
        return self

    def __exit__(self, *args: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if not self.training or self.received is not None:
            raise Interrupted(signum, self.checkpoint if self.checkpoint.exists() else None)
        self.received = signum
        os.write(2, b"\nstopping after this step or epoch; once more to stop at once\n")  # print is not for handlers

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for signum in self._before:
            signal.signal(signum, self._note)  # Lightning has put its own in between
        self.training = True

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        # a checkpoint of an epoch's last step would be taken for one of a finished epoch
        if not trainer.is_last_batch and (trainer.world_size == 1 or trainer.global_step % AGREE_EVERY == 0):
            self._stop_if_told(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._stop_if_told(trainer)

    def _stop_if_told(self, trainer: pl.Trainer) -> None:
        told = self.received is not None
        if trainer.world_size > 1:
            told = trainer.strategy.reduce_boolean_decision(told, all=False)
        if told:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted(self.received or signal.SIGTERM, self.checkpoint)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.training = False
        if self.received is not None:  # while the last pictures were drawn
            raise Interrupted(self.received, self.checkpoint if self.checkpoint.exists() else None)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self.training = False
