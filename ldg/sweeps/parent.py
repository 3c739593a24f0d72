"""Worker processes that end when the process that started them is gone."""

import multiprocessing
import os
import signal
import threading
import time


def end_with_parent() -> None:
    """Watch the parent of this worker process, from a thread of its own.

    When the parent is gone, however it ended, a run that this worker trains saves its state as after SIGTERM, and the
    worker ends.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        threading.Thread(target=_watch, args=(parent.pid,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    if _is_training():
        os.kill(os.getpid(), signal.SIGTERM)
    while _is_training():
        time.sleep(0.5)
    time.sleep(1)  # the run's line in runs.csv is written
    os._exit(128 + signal.SIGTERM)


def _is_training() -> bool:
    """Whether a run has set its handler, which saves before it stops."""
    return signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
