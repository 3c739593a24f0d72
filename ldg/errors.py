"""Exceptions that users are meant to read."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user can put right. The message is one line: what is wrong, and what would be right.

    Commands print it as ``error: <message>`` and exit with status 2; anything else is a bug and keeps its traceback.
    """


class Interrupted(BaseException):
    """A signal has stopped the run.

    Derives from BaseException, like KeyboardInterrupt, so that `except Exception` does not catch it.

    Args:
        signum: the number of the signal
        checkpoint: the file to resume the run from; None if nothing has been saved yet
    """

    def __init__(self, signum: int, checkpoint: Path | None) -> None:
        super().__init__(signum, checkpoint)
        self.signum = signum
        self.checkpoint = checkpoint


def suggestion(word: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown word.

    Args:
        word: what the user typed
        choices: what would have been valid

    Returns:
        ``", did you mean X?"`` with the closest choice, or an empty string if none is close.
    """
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""
