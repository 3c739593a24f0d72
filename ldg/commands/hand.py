"""The options of commands that write in the hand of a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ldg.errors import UserError
from ldg.generation import picture

if TYPE_CHECKING:
    import numpy as np

    from ldg.generation.decoder import Decoder
    from ldg.models.vae import VAE


def add_hand(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    Args:
        parser: Of the command.
    """
    group = parser.add_argument_group("your own hand", "Only hands that you may use: your own, or with leave.")
    group.add_argument("--style-from", metavar="PICTURE", help="photograph or scan of a few letters, dark on light")
    group.add_argument("--style-text", metavar="TEXT", help="the letters in it, in reading order: 'abc ABC 123'")
    group.add_argument("--style-cut", metavar="FILE.png", help="write a picture of how the letters were cut")


def check_hand(args: argparse.Namespace) -> None:
    """Refuse options that lack another one, before anything heavy is imported.

    Args:
        args: Of the command.

    Raises:
        UserError: For the first thing that is wrong.
    """
    for option, other in (("style_text", "style_from"), ("style_cut", "style_from"), ("style_from", "style_text")):
        if getattr(args, option) is not None and getattr(args, other) is None:
            raise UserError(f"--{option.replace('_', '-')} goes with --{other.replace('_', '-')}")
    if args.style_from is not None and not Path(args.style_from).is_file():
        raise UserError(f"there is no picture {args.style_from}")


def choose_cut(args: argparse.Namespace, *others: Path) -> None:
    """Choose the file of the picture of how the letters were cut, if the user wants one.

    Args:
        args: Of the command, whose ``style_cut`` becomes the path.
        others: Files that the command writes as well.

    Raises:
        UserError: For a place that cannot be written, a file that exists, or one of the others.
    """
    if args.style_cut is None:
        return
    path = picture.destination(args.style_cut, "cut.png", force=args.force, how="with --style-cut")
    if path.resolve() in [other.resolve() for other in others]:
        raise UserError(f"{path} is written as well: give another name with --style-cut")
    args.style_cut = path


def read_style(args: argparse.Namespace, model: VAE | Decoder) -> np.ndarray | None:
    """The style of the picture that the options name, (D,); None if they name none.

    What is not used is said letter by letter. The picture of how it was cut is written even if the style cannot be
    read.

    Args:
        args: Of the command.
        model: That reads and writes.

    Raises:
        UserError: As :func:`ldg.generation.hand.read_hand`, or for a model that cannot read.
    """
    if args.style_from is None:
        return None
    from ldg.generation import hand
    from ldg.generation.writer import is_typeset
    from ldg.models.vae import VAE

    if not isinstance(model, VAE):
        raise UserError("--style-from needs a model with an encoder: a checkpoint, a run or a .safetensors file")
    if not is_typeset(model) or model.conditioning == "none":
        raise UserError("--style-from needs a model of written characters that knows labels")
    letters, page = hand.cut_letters(model, args.style_from, args.style_text)
    try:
        letters, style = hand.read_style(model, letters, args.style_text)
    finally:
        if args.style_cut is not None:
            picture.save(hand.draw_cut(letters, page), args.style_cut)
            print(args.style_cut, file=sys.stderr)
    for letter in letters:
        if letter.fault:
            print(f"not used: {letter.character!r}, {letter.fault}", file=sys.stderr)
    return style
