"""The one exception a user is meant to read."""


class UserError(Exception):
    """Something the user can put right. The message is one line: what was wrong, and what would be right.

    The scripts print it as ``error: <message>`` and exit with status 2; anything else is a bug and keeps its traceback.
    """
