"""Signals: which are heeded, and that nothing is written to a terminal that is gone."""

import os
import pty
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from ldg.callbacks.interrupt import SaveOnSignal
from ldg.commands.cli import exit_status
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


@contextmanager
def printing_to(kind):
    """Let stderr go to a terminal or a pipe; a way to close its other end."""
    reader, writer = pty.openpty() if kind == "terminal" else os.pipe()
    before = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield lambda: os.close(reader)
    finally:
        os.dup2(before, 2)
        os.close(before)


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_run_outlives_who_reads_it_long_enough_to_save(kind, trainer, tmp_path):
    """A closed terminal, or tee that got the same Ctrl-C."""
    with printing_to(kind) as close, SaveOnSignal(tmp_path) as stopper:
        stopper.on_train_start(trainer, None)
        os.write(2, b"epoch 1")
        close()
        with pytest.raises(OSError):
            os.write(2, b"epoch 1")
        os.kill(os.getpid(), signal.SIGINT)
        os.write(2, b"epoch 1")
        with pytest.raises(Interrupted):
            stopper.on_train_batch_end(trainer)


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_who_ends_after_the_signal_is_left_too(kind, trainer, tmp_path):
    with printing_to(kind) as close, SaveOnSignal(tmp_path) as stopper:
        stopper.on_train_start(trainer, None)
        os.kill(os.getpid(), signal.SIGINT)
        close()
        with pytest.raises(Interrupted):
            stopper.on_train_batch_end(trainer)
        os.write(2, b"stopped and saved")


def test_a_command_whose_reader_has_ended_says_nothing():
    with printing_to("pipe") as close:
        close()
        assert exit_status(lambda: os.write(2, b"lines")) == 128 + signal.SIGPIPE

    def broken():
        raise BrokenPipeError("another pipe")

    with pytest.raises(BrokenPipeError, match="another pipe"):
        exit_status(broken)


def test_a_command_without_an_output_succeeds(monkeypatch):
    """As after >&- of a shell."""
    monkeypatch.setattr("sys.stdout", None)
    assert exit_status(lambda: print("a line")) == 0
