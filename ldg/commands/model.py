"""The trained model that a command writes with, and the options that choose it and its handwriting style."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.commands.cli import number
from ldg.commands.device import add_device, choose_device
from ldg.errors import UserError
from ldg.memory import TooLarge

if TYPE_CHECKING:
    import numpy as np

    from ldg.generation.decoder import Decoder
    from ldg.models.vae import VAE


def add_model(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--checkpoint`` and ``--device`` to a parser.

    Args:
        parser: Of the command.
        what: The model that is taken by default can do, in words.
    """
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="run folder, .ckpt, .safetensors or .onnx file, wandb://ENTITY/PROJECT/ARTIFACT:ALIAS or hf://OWNER/NAME "
        f"(default: the newest finished run in outputs/ that {what} and whose legibility is at least 75 %% of that of "
        "real images, by a judge; else the weights of ldg)",
    )
    add_device(parser)


def add_style(parser: argparse._ActionsContainer, more: str = "") -> None:
    """Add ``--seed`` and ``--temperature`` to a parser.

    Args:
        parser: Or a group of its options.
        more: On the default temperature.
    """
    parser.add_argument("--seed", type=number(int, 0, 2**63 - 2), help="each number is another style (default: 0)")
    parser.add_argument(
        "--temperature",
        type=number(float, 0, 10),
        metavar="T",
        help=f"0 to 10; the lower, the more usual the characters (default: 0.5; with --style-from 0.8{more})",
    )


def choose_temperature(args: argparse.Namespace, hand: np.ndarray | None) -> float:
    """The temperature of characters that a command line names, or the usual one.

    Args:
        args: Of :func:`add_style`.
        hand: The style in which they are written; None: it is drawn.
    """
    from ldg.generation.writer import HAND_TEMPERATURE, TEMPERATURE

    usual = TEMPERATURE if hand is None else HAND_TEMPERATURE
    return usual if args.temperature is None else float(args.temperature)


@contextmanager
def loaded(
    args: argparse.Namespace, refuse: Callable[[dict[str, Any]], str | None], *, encodes: bool
) -> Iterator[tuple[VAE | Decoder, Path | str]]:
    """Load the model that a command line names, and say on stderr which it was.

    An error while it is used says which model it was, unless the user has named it.

    Args:
        args: Of :func:`add_model`.
        refuse: As for :func:`ldg.checkpoint.newest_run`.
        encodes: Whether the encoder is needed, which no ``.onnx`` file has.

    Yields:
        The model, or of an ``.onnx`` file its decoder; and where it is from.

    Raises:
        UserError: If there is none at a path, or it cannot be computed with.
    """
    from ldg import checkpoint
    from ldg.generation import decoder

    source = args.checkpoint
    if source is None:
        source = checkpoint.newest_run(refuse=refuse, note=lambda line: print(line, file=sys.stderr))
    hint = ""
    if args.checkpoint is None and source != checkpoint.SHIPPED:
        shipped = os.path.relpath(checkpoint.SHIPPED)
        hint = f" (the model was {source}; --checkpoint names another, {shipped} writes)"
    if args.checkpoint is None and args.device == "auto" and not encodes:
        source = decoder.lightest(source)
    file = checkpoint.find(source)  # an error before torch is imported
    if Path(source).is_dir():
        source = file.parent.parent  # of a folder above its only run, that run
    device = choose_device(args.device, file)
    try:
        yield decoder.load(file, device), source
    except TooLarge:  # whatever the model
        raise
    except UserError as error:
        raise UserError(f"{error}{hint}") from None
    print(f"with {source}", file=sys.stderr)
