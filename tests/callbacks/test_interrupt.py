"""Signals: which are heeded, and that nothing is written to a terminal that is gone."""

import os
import pty
import signal
from types import SimpleNamespace

import pytest

from ldg.callbacks.interrupt import SaveOnSignal
from ldg.errors import Interrupted

OTHERS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture(autouse=True)
def heeded():
    """The tests may have been started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def trainer(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    return SimpleNamespace(is_last_batch=False, world_size=1, save_checkpoint=lambda path: path.touch())


@pytest.mark.parametrize("signum", OTHERS)
def test_they_stop_a_run_as_sigterm_does(signum, trainer, tmp_path):
    before = signal.getsignal(signum)
    with SaveOnSignal(tmp_path) as stopper:
        with pytest.raises(Interrupted) as stopped:
            os.kill(os.getpid(), signum)
        assert stopped.value.args == (signum, None, False)
        stopper.on_train_start(trainer, None)
        os.kill(os.getpid(), signum)
        with pytest.raises(Interrupted) as stopped:
            stopper.on_train_batch_end(trainer)
        assert stopped.value.args == (signum, tmp_path / "checkpoints" / "last.ckpt", True)
    assert signal.getsignal(signum) == before


def test_what_nohup_ignores_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SaveOnSignal(tmp_path):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_outlives_its_terminal_long_enough_to_save(trainer, tmp_path):
    leader, terminal = pty.openpty()
    with SaveOnSignal(tmp_path) as stopper:
        stopper._terminals = [terminal]
        stopper.on_train_start(trainer, None)
        os.close(leader)
        with pytest.raises(OSError):
            os.write(terminal, b"epoch 1")
        os.kill(os.getpid(), signal.SIGHUP)
        os.write(terminal, b"epoch 1")
    os.close(terminal)
