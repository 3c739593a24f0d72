"""List runs: name, age, state, best ELBO and size on disk.

ldg runs                                             those in outputs/, the newest first
ldg runs outputs/sweeps/NAME                         those of a sweep
ldg runs --where "data=emnist and val/elbo>-130"     the ones that conditions hold for
ldg runs --where state=failed --sort age --latest 5
"""

from __future__ import annotations

import argparse
import time

from ldg.commands.cli import Parser, number
from ldg.errors import UserError
from ldg.files import look
from ldg.runs.formats import align, format_age, format_size
from ldg.runs.run import Run
from ldg.runs.select import filter_runs, find_runs, sort_runs

WHERE = "conditions: state=failed, 'data=emnist and val/elbo>-130', age<2d, model.latent_dim>=16 or name=mine*"
HEAD = ("run", "name", "state", "age", "epochs", "best val/elbo", "size")


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
    lines = [HEAD, *(_line(run) for run in (reversed(runs) if args.reverse else runs))]
    print(align(lines, right=(3, 4, 5, 6)))
    print(f"\n{len(runs)} run{'' if len(runs) == 1 else 's'}, {format_size(sum(run.size for run in runs))}")


def _line(run: Run) -> tuple[str, ...]:
    epochs = run.costs.get("epochs") or len(run.curve("train/loss")[0])
    best = "–" if run.best is None else f"{run.best:.2f}"
    place = str(run.place)
    return place, run.name, run.state, format_age(time.time() - run.started), str(epochs), best, format_size(run.size)
