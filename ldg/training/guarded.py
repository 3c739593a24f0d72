"""Loggers whose libraries may fail: that ends the logging, and not the training."""

import functools
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from ldg.errors import one_line


def harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Let an error in a library end the logging and not the training.

    Args:
        method: its first argument is a logger

    Returns:
        The same, but that an exception ends the logging of a logger that can ``give_up``.
    """

    @functools.wraps(method)
    def call(logger: Logger, *args: Any, **kwargs: Any) -> None:
        try:
            method(logger, *args, **kwargs)
        except Exception as error:
            if not hasattr(logger, "give_up"):
                raise
            logger.give_up(error)

    return call


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Let an error in a library end the logging and not the training.

    Args:
        method: of a :class:`GuardedLogger`

    Returns:
        The same, which does nothing after an error, nor in other processes of the training than the first.
    """

    @rank_zero_only
    @functools.wraps(method)
    def call(logger: "GuardedLogger", *args: Any, **kwargs: Any) -> None:
        if not logger.has_failed:
            harmless(method)(logger, *args, **kwargs)

    return call


class GuardedLogger(Logger):
    """A logger that starts its library when there is something to log, and goes without it after an error.

    Its methods that use the library are :func:`guarded`.

    Args:
        project: which its runs belong to
    """

    title: ClassVar[str]  # of the library, in messages
    has_failed = False

    def __init__(self, project: str) -> None:
        super().__init__()
        self.project = project
        self._run: Any = None

    @abstractmethod
    def start(self) -> Any:
        """Start a run of the library, and return its object."""

    def give_up(self, error: Exception) -> None:
        """Go on without the library, after an error in it: say so in one line, and log no more.

        Args:
            error: what the library, or the disk it writes to, says
        """
        self.has_failed = True
        print(f"{self.title}: {one_line(error)}; the run goes on without it", file=sys.stderr)

    @abstractmethod
    def end(self, status: int) -> None:
        """End the library's run, if one was started.

        Args:
            status: 0 for success, 2 for a mistake of the user's, 128 + N for signal N, 1 for anything else
        """

    @abstractmethod
    def log_table(self, key: str, columns: list[str], data: list[list[Any]]) -> None:
        """Log a table.

        Args:
            key: its name
            columns: their names
            data: the cells of each row
        """

    @abstractmethod
    def show(self) -> str | None:
        """The command that shows the runs; None where they are on a server. A run has been started."""

    @property
    def run(self) -> Any:
        """The library's object of the run, which is started when it is first needed."""
        if self._run is None:
            self._run = self.start()
        return self._run

    @property
    def is_used(self) -> bool:
        """Whether the library has a run of this logger."""
        return self._run is not None and not self.has_failed

    @property
    def name(self) -> str:
        """The project."""
        return self.project

    @property
    def version(self) -> str:
        """Empty: the library numbers its runs."""
        return ""


def show_commands(loggers: Sequence[Logger]) -> list[str]:
    """A line for each logger that keeps runs on this machine, with the command that shows them."""
    used = [each for each in loggers if isinstance(each, GuardedLogger) and each.is_used]
    return [f"{f'show it in {each.title}:':<31} {command}" for each in used if (command := each.show())]
