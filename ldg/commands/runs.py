"""List runs: name, age, state, best ELBO and size on disk.

ldg runs                                             those in outputs/, the newest first
ldg runs outputs/sweeps/NAME                         those of a sweep
ldg runs --where "data=emnist and val/elbo>-130"     the ones that conditions hold for
ldg runs --where state=failed --sort model.latent_dim --latest 5

The keys that --where and --sort name are columns as well.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence

from ldg.commands.cli import Parser, number
from ldg.config.home import command
from ldg.errors import UserError
from ldg.files import look
from ldg.runs.formats import align, format_age, format_number, format_size, parse_number, shorten
from ldg.runs.run import Run
from ldg.runs.select import condition_keys, filter_runs, find_runs, sort_runs, values

WHERE = "conditions: state=failed, 'data=emnist and val/elbo>-130', age<2d, model.latent_dim>=16 or name=mine*"
HEAD = ("run", "name", "state", "age", "epochs", "best val/elbo", "size")
SHOWN = {*HEAD, "best"}  # keys that always have a column


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among runs."""
    add = parser.add_argument
    add("--where", metavar="CONDITIONS", help=WHERE)
    add("--name", metavar="PATTERN", help="those with such a name, as in 'emnist-*'")
    add("--latest", type=number(int, 1), metavar="N", help="the N newest of them")


def select_runs(args: argparse.Namespace) -> list[Run]:
    """The runs that a command line with :func:`add_filters` names, the newest last.

    Args:
        args: with ``runs``, of which there may be none: those in ``outputs``

    Raises:
        UserError: for a path without runs, and a condition that is none.
    """
    if not args.runs and look("outputs") is None:
        raise UserError("there is no folder outputs here; name run folders, or a folder that has some below it")
    runs = filter_runs(find_runs(args.runs or ["outputs"]), args.where, args.name)
    newest = sorted(runs, key=lambda run: run.started)[-int(args.latest) :] if args.latest else runs
    return [run for run in runs if run in newest]


def main(arguments: list[str]) -> None:
    """Print the runs of a command line.

    Args:
        arguments: without the program's name

    Raises:
        UserError: for the first thing that is wrong with the command line.
    """
    parser = Parser("runs", __doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run folders, or folders of runs (default: outputs)")
    add_filters(parser)
    parser.add_argument("--sort", default="age", metavar="KEY", help="by name, size, val/elbo, ... (default: age)")
    parser.add_argument("--reverse", action="store_true", help="the largest first")
    args = parser.parse_args(arguments)
    runs = sort_runs(select_runs(args), args.sort)
    if not runs:
        return print(describe_none(args))
    keys = [key for key in dict.fromkeys([args.sort, *condition_keys(args.where)]) if key not in SHOWN]
    lines = [_line(run, keys) for run in (reversed(runs) if args.reverse else runs)]
    added = list(zip(*lines, strict=True))[len(HEAD) :]
    numeric = [all(cell == "–" or parse_number(cell.replace(",", "")) is not None for cell in cells) for cells in added]
    right = (3, 4, 5, 6, *(i for i, is_numeric in enumerate(numeric, len(HEAD)) if is_numeric))
    print(align([(*HEAD, *keys), *lines], right))
    print(f"\n{len(runs)} run{'' if len(runs) == 1 else 's'}, {format_size(sum(run.size for run in runs))}")


def require_runs(args: argparse.Namespace) -> list[Run]:
    """As :func:`select_runs`, at least one.

    Raises:
        UserError: also if no run is left.
    """
    if runs := select_runs(args):
        return runs
    raise UserError(f"{describe_none(args)}; {command('runs')} lists those that are there")


def describe_none(args: argparse.Namespace) -> str:
    """That no run is left, in a sentence.

    Args:
        args: as for :func:`select_runs`
    """
    given = {"--where": args.where, "--name": args.name}
    options = [f"{option} {shlex.quote(text)}" for option, text in given.items() if text is not None]
    return f"no run matches {' '.join(options)}"


def _line(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    trained = run.costs.get("epochs") or len(run.curve("train/loss")[0])
    epochs = "–" if run.state == "exported" and not trained else str(trained)
    best = "–" if run.best is None else f"{run.best:.2f}"
    age, size = format_age(time.time() - run.started), format_size(run.size)
    known = values(run) if keys else {}
    return (str(run.place), run.name, run.state, age, epochs, best, size, *(_cell(known.get(key)) for key in keys))


def _cell(value: float | str | None) -> str:
    return "–" if value is None else shorten(value) if isinstance(value, str) else format_number(value)
