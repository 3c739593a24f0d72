"""Measure models on the test split of their data.

ldg evaluate outputs/NAME/ID                          a run folder or .ckpt; writes scorecard.{json,md,png} there
ldg evaluate handwriting.safetensors                  exported weights; writes to outputs/handwriting
ldg evaluate outputs/NAME/ID outputs/NAME2/ID2        several runs: a column each, the best in each row marked
ldg evaluate outputs/NAME/ID --only elbo,class_accuracy                     a quick look
ldg evaluate outputs/NAME/ID marginal.samples=5000 marginal.error=0.05      settings of measures
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from ldg import checkpoint
from ldg.commands.cli import Parser, number, print_error
from ldg.commands.device import add_device, choose_device
from ldg.config.home import list_measures
from ldg.config.renamed import new_key
from ldg.errors import Interrupted, UserError, suggestion
from ldg.files import look
from ldg.generation.picture import require_writable

JUDGE = "a judge's file or run folder; train: one of this machine (default: the one that comes with ldg, else train)"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line, as far as that is possible without torch.

    Args:
        arguments: without the program's name

    Returns:
        ``runs``; ``settings`` of measures; ``only``, the names of the measures; ``seed``, ``judge`` and ``device``.

    Raises:
        UserError: for the first thing that is wrong.
    """
    listed, further = list_measures()
    measures = [*listed, *further]
    parser = Parser("evaluate", __doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folders, .ckpt or .safetensors files; MEASURE.KEY=VALUE settings")
    add("--only", metavar="A,B", action="append", help=f"some of the measures: {', '.join(measures)}")
    add("--without", metavar="A,B", action="append", default=[], help="leave these out; --without cas saves minutes")
    add("--seed", type=number(int, 0, 2**63 - 2), default=0, help="seed of all noise (default: 0)")
    add("--judge", metavar="train|PATH", help=JUDGE)
    add_device(parser)
    args = parser.parse_args(arguments)
    args.settings = [text for text in args.runs if _is_setting(text, measures)]
    args.runs = [text for text in args.runs if text not in args.settings]
    if not args.runs:
        raise UserError("no run to measure: name a run folder or a .ckpt file")
    if stray := [text for text in args.runs if text in measures and look(text) is None]:
        option, names = (
            ("--without", args.without) if args.only is None and args.without else ("--only", args.only or [])
        )
        joined = ",".join([*names, *stray])
        raise UserError(f"{stray[0]} is a measure, and no run; commas join measures: {option} {joined}")
    excluded = _split_names(args.without, measures)
    only = measures if args.only is None else _split_names(args.only, measures)
    args.only = [name for name in only if name not in excluded]
    if not args.only:
        raise UserError("no measure is left; see --only and --without")
    return args


def _is_setting(text: str, measures: list[str]) -> bool:
    """Whether an argument is MEASURE.KEY=VALUE; anything else names a run.

    Raises:
        UserError: if it looks like a setting, and is none of a measure nor a file.
    """
    match = re.match(r"[+~]*(\w+)\.\w[\w.]*=", text)
    if not match:
        return False
    if match[1] in measures or new_key(match[1]) in measures:
        return True
    if not look(text):
        raise _unknown(match[1], measures)
    return False


def _unknown(name: str, measures: list[str]) -> UserError:
    return UserError(f"there is no measure {name!r}{suggestion(name, measures)}; choose from {', '.join(measures)}")


def _split_names(texts: list[str], measures: list[str]) -> list[str]:
    """The measures that lists with commas name."""
    names = [name for name in map(str.strip, ",".join(texts).split(",")) if name]
    for name in names:
        if (new := new_key(name)) in measures:
            raise UserError(f"the measure {name} is called {new} now")
        if name not in measures:
            raise _unknown(name, measures)
    return names


def main(arguments: list[str]) -> int:
    """Evaluate every checkpoint of a command line, write its scorecard, and print the table of all of them.

    Args:
        arguments: without the program's name

    Returns:
        The exit status: 2 if a checkpoint could not be measured.

    Raises:
        UserError: for the first thing that is wrong with the command line.
        Interrupted: if a signal stops the training of a judge.
    """
    args = parse_arguments(arguments)
    from ldg.config.compose import compose_measures  # loads Hydra

    config = compose_measures(args.settings)
    files = [checkpoint.find(run) for run in args.runs]
    device = choose_device(args.device)
    try:
        return _evaluate_files(args, files, config, device)
    except Interrupted:
        print("stopped; the same command resumes the training of the judge", file=sys.stderr)
        raise


def _evaluate_files(args: argparse.Namespace, files: list[Path], config: dict[str, Any], device: str) -> int:
    judge = args.judge
    if judge not in (None, "train"):
        from ldg.evaluation.judge import load_judge

        judge = load_judge(judge)
    print(f"measures: {', '.join(args.only)}", file=sys.stderr)  # the imports take seconds
    from ldg.evaluation import report, scorecard, table

    status, cards = 0, []
    for file in files:
        print(file, file=sys.stderr)
        try:
            require_writable(report.scorecard_folder(file) / "scorecard.json")  # not after minutes of measuring
            measures = scorecard.build_measures(config, args.only)
            card, context = scorecard.evaluate_checkpoint(file, measures, args.seed, judge, _print_progress, device)
            if not card.results:
                raise UserError(f"nothing of {file} could be measured")
            folder = report.publish_scorecard(card, context)
        except UserError as error:  # the others can still be measured
            status = print_error(error)
            continue
        cards.append(card)
        print(f"  {folder}/scorecard.png", file=sys.stderr)
    if cards:
        print(table.format_text(cards))
    return status


def _print_progress(line: str) -> None:
    print(f"  {line}", file=sys.stderr)
