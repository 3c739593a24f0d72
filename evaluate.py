"""Measure models on the test split of their data.

python evaluate.py outputs/NAME/ID                          a run folder or .ckpt; writes scorecard.{json,md,png} there
python evaluate.py ldg/weights/handwriting.safetensors      exported weights; writes to outputs/handwriting
python evaluate.py outputs/NAME/ID outputs/NAME2/ID2        several runs: a column each, the best in each row marked
python evaluate.py outputs/NAME/ID --only elbo,reads        a quick look
python evaluate.py outputs/NAME/ID marginal.samples=5000 marginal.images=null     the settings of configs/measure
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from pathlib import Path
from typing import NoReturn

from ldg import checkpoint
from ldg.errors import Interrupted, UserError

HOME = Path(__file__).resolve().parent
MEASURES = sorted(file.stem for file in (HOME / "configs" / "measure").glob("*.yaml"))


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments, checked as far as they can be without torch; raises UserError."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folders, .ckpt or .safetensors files; MEASURE.KEY=VALUE settings")
    add("--only", metavar="A,B", help=f"some of the measures: {', '.join(MEASURES)}")
    add("--without", metavar="A,B", help="all but these: --without cas spares minutes")
    add("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    add("--judge", metavar="PATH", help="a judge of your own, trained with experiment=judge (default: made and cached)")
    args = parser.parse_intermixed_args(arguments)
    args.settings = [run for run in args.runs if re.match(r"[+~]*\w+(\.\w+)+=", run) and not Path(run).exists()]
    args.runs = [run for run in args.runs if run not in args.settings]
    if not args.runs:
        raise UserError("no run to measure: name a run folder or a .ckpt file")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed}: must not be negative")
    chosen = _names(args.only) if args.only is not None else MEASURES
    args.only = [name for name in chosen if name not in _names(args.without or "")]
    if not args.only:
        raise UserError("no measure is left: name some with --only")
    return args


def _names(text: str) -> list[str]:
    """The measures that a list names, each by as many letters as tell it apart."""
    names = []
    for given in filter(None, map(str.strip, text.split(","))):
        meant = [given] if given in MEASURES else [name for name in MEASURES if name.startswith(given)]
        if len(meant) != 1:
            problem = f"{given!r} may be {' or '.join(meant)}" if meant else f"there is no measure {given!r}"
            raise UserError(f"{problem}: choose from {', '.join(MEASURES)}")
        names += meant
    return names


def main(arguments: list[str]) -> int:
    try:
        args = parse(arguments)
        files = [checkpoint.find(run) for run in args.runs]
        from ldg.training.config import accept_measures

        config = accept_measures(args.settings, HOME)
    except UserError as error:
        return say(error)
    try:
        return measure(args, files, config)
    except Interrupted as stopped:  # while a judge was trained
        print("stopped; the same command goes on with the judge it was training", file=sys.stderr)
        return 128 + stopped.signum


def measure(args: argparse.Namespace, files: list[Path], config: dict) -> int:
    """Evaluate every checkpoint, write its scorecard, and print the table of those that could be measured."""
    from ldg.evaluation import report, scorecard, table
    from ldg.evaluation.judge import load_judge

    status, cards = 0, []
    try:
        judge = load_judge(args.judge) if args.judge else None
    except UserError as error:
        return say(error)
    for file in files:
        print(file, file=sys.stderr)
        try:
            card, subject = scorecard.evaluate(file, scorecard.make(config, args.only), args.seed, judge, tell)
            if not card.results:
                raise UserError(f"nothing of {file} could be measured")
            folder = report.publish(card, subject)
        except UserError as error:  # the others can still be measured
            status = say(error)
            continue
        cards.append(card)
        print(f"  {folder}/scorecard.png", file=sys.stderr)
    if cards:
        print(table.console(cards))
    return status


def tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr)


def say(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    # a measure has nothing to save; what was written is whole
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    sys.exit(main(sys.argv[1:]))
