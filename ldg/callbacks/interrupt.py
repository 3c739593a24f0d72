"""Ctrl-C and SIGTERM: finish the step, save, then stop."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl


class Interrupted(BaseException):
    """Training was told to stop by ``signal`` and has saved itself to ``checkpoint``.

    Like KeyboardInterrupt no Exception, so that nothing on the way takes it for a failure.
    """

    def __init__(self, signum: int, checkpoint: Path) -> None:
        super().__init__(signum, checkpoint)
        self.signum = signum
        self.checkpoint = checkpoint


class SaveOnSignal(pl.Callback):
    """Saves ``last.ckpt`` after the step in which a signal came, and raises :class:`Interrupted`.

    A second signal of the same kind is not waited for: it does what it does without this callback.
    """

    def __init__(self, folder: Path) -> None:
        self.checkpoint = Path(folder) / "checkpoints" / "last.ckpt"
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if self.received is not None:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted(self.received, self.checkpoint)

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()
