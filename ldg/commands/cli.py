"""What all commands share: parsing arguments, one-line errors and exit status."""

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ldg.config.home import command
from ldg.config.secrets import mask
from ldg.errors import Interrupted, UserError, explain, suggestion
from ldg.streams import leave_dead_outputs

INTERRUPTED = 128  # plus the number of the signal, as shells have it
MISTAKE = 2  # what the user can put right


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with the option that was nearly typed.

    Options cannot be abbreviated, and the description keeps its line breaks.

    Args:
        name: of the command, as ``ldg --help`` lists it
        description: what stands above the list of options in ``--help``, with examples that begin with ``ldg NAME``
    """

    def __init__(self, name: str, description: str | None) -> None:
        super().__init__(
            prog=command(name),
            description=spell(description or "", name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise UserError with argparse's message."""
        raise UserError(f"{message} (see --help)")

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse arguments; options and positional ones may alternate.

        Raises:
            UserError: for the first argument that is wrong.
        """
        if "COMP_LINE" in os.environ and args and args[0] == "-sc":
            raise SystemExit(0)  # a shell asks for completions, as it asks train.py; nothing is to be done
        known, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            options = re.findall(r"--[\w-]+", self.format_usage()) if unknown[0].startswith("-") else []
            hint = suggestion(unknown[0], options).removeprefix(", ") or "a text with spaces needs quotes; see --help"
            raise UserError(f"unknown argument {unknown[0]!r}: {hint}")
        return known


def spell(text: str, name: str) -> str:
    """Write a command in a text as its user types it.

    Args:
        text: in which it is written ``ldg NAME``
        name: of the command
    """
    return text.replace(f"ldg {name}", command(name))


def number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Callable[[str], float]:
    """An argparse type for numbers within limits.

    Args:
        kind: ``int`` or ``float``
        low: the smallest number that is taken
        high: the largest one

    Returns:
        A function from the argument's text to the number.
    """
    what = "whole number" if kind is int else "number"
    limits = f"from {low} to {high}" if high < float("inf") else f"of at least {low}"

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(low) - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a {what} {limits}, got {text!r}")
        return value

    return convert


def print_error(error: UserError) -> int:
    """Print a mistake of the user as one line; its exit status."""
    line = mask(str(error)).replace("\n", "\\n").replace("\r", "\\r")  # values that are quoted may have line breaks
    print(f"error: {line}", file=sys.stderr)
    return MISTAKE


def exit_status(action: Callable[[], int | None]) -> int:
    """Carry out an action of a command.

    Args:
        action: returns an exit status, or None for success

    Returns:
        The action's status; 2 for what the user can put right, once it is printed; 128 + N after signal N.

    Raises:
        Exception: for what is to be mended in ldg.
    """
    try:
        status = action() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except Interrupted as stopped:
        return INTERRUPTED + stopped.signum
    except BrokenPipeError:
        if not leave_dead_outputs():
            raise
        return INTERRUPTED + signal.SIGPIPE  # whoever read the output, as head does, has ended
    except Exception as error:
        if (explanation := explain(error)) is None:
            raise
        return print_error(explanation)


def start(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Carry out a command with the arguments of this process, and end the process.

    Ctrl-C ends it at once unless ``main`` handles the signal: an exception in the middle of torch's import can abort
    the process, and what has been written is whole. A config may name classes of modules in the working directory,
    which stands behind all packages.

    Args:
        main: takes the command line without the program's name; returns an exit status, or None for success
    """
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files, whatever a notebook has set
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED + signal.SIGINT))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or β, or a name's letters, shows ?
    sys.path.append("")
    sys.exit(exit_status(lambda: main(sys.argv[1:])))
