"""Ctrl-C, SIGTERM, and what a closed terminal or a batch system sends: finish the step, save, then stop."""

import contextlib
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from ldg.errors import Interrupted
from ldg.streams import leave_dead_outputs

# SLURM announces the end of a job by a signal that its user has chosen, mostly one of the last two; Windows has none
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
HANGUP = getattr(signal, "SIGHUP", None)
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
AGREE_EVERY = 10  # steps: how often the processes of a DDP run compare whether one received a signal


class SaveOnSignal(Checkpoint):
    """Saves ``last.ckpt`` after a signal, then raises Interrupted: a context manager around a run, and its callback.

    In training this happens after the current step, or at the end of the epoch if its last step is done (validation and
    gallery are completed). Before and after training, and at a second signal, Interrupted is raised at once. Lightning
    calls a Checkpoint after all other callbacks, so what is saved at the end of an epoch is complete.

    Args:
        folder: of the run
    """

    def __init__(self, folder: Path) -> None:
        self.checkpoint = Path(folder) / "checkpoints" / "last.ckpt"
        self.training = False
        self.has_trained = False
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # handlers can be set there only
            heeded = [s for s in SIGNALS if s != HANGUP or signal.getsignal(s) != signal.SIG_IGN]  # not under nohup
            self._before = {signum: signal.signal(signum, self._receive) for signum in heeded}
        return self

    def __exit__(self, *args: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _interrupted(self, signum: int) -> Interrupted:
        return Interrupted(signum, self.checkpoint if self.checkpoint.exists() else None, self.has_trained)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        leave_dead_outputs()
        if not self.training or self.received is not None:
            raise self._interrupted(signum)
        self.received = signum
        with contextlib.suppress(OSError):  # whoever reads it has received the signal, too
            # print is not safe in a handler
            os.write(2, b"\nstopping after this step or epoch; once more to stop at once\n")

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Set the handlers again: Lightning has replaced them."""
        for signum in self._before:
            signal.signal(signum, self._receive)
        self.training = True

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Stop after the step if a signal has arrived."""
        self.has_trained = True
        # a checkpoint of an epoch's last step would be taken for one of a finished epoch
        if not trainer.is_last_batch and (trainer.world_size == 1 or trainer.global_step % AGREE_EVERY == 0):
            self._stop_if_signalled(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop after the epoch if a signal has arrived."""
        self._stop_if_signalled(trainer)

    def _stop_if_signalled(self, trainer: pl.Trainer) -> None:
        is_signalled = self.received is not None
        if trainer.world_size > 1:
            is_signalled = trainer.strategy.reduce_boolean_decision(is_signalled, all=False)
        if is_signalled:
            leave_dead_outputs()
            trainer.save_checkpoint(self.checkpoint)
            raise self._interrupted(self.received or signal.SIGTERM)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop if a signal has arrived while the last pictures were drawn."""
        self.training = False
        if self.received is not None:
            raise self._interrupted(self.received)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Let the next signal raise Interrupted at once."""
        self.training = False
