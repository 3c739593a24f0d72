"""The one exception a user is meant to read."""

from pathlib import Path


class UserError(Exception):
    """Something the user can put right. The message is one line: what was wrong, and what would be right.

    The scripts print it as ``error: <message>`` and exit with status 2; anything else is a bug and keeps its traceback.
    """


class Interrupted(BaseException):
    """The run was told to stop by ``signum``; ``checkpoint`` is what it can go on from, None if there is nothing yet.

    Like KeyboardInterrupt no Exception, so that nothing on the way takes it for a failure.
    """

    def __init__(self, signum: int, checkpoint: Path | None) -> None:
        super().__init__(signum, checkpoint)
        self.signum = signum
        self.checkpoint = checkpoint
