"""The ``--device`` of commands that compute with a trained model."""

import argparse
import re
from pathlib import Path

from ldg.errors import UserError


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device`` to a parser, for :func:`choose_device`."""
    help = "auto (default: an accelerator if there is one), cpu, cuda, cuda:1, mps"
    parser.add_argument("--device", default="auto", help=help)


def choose_device(name: str, file: Path | None = None) -> str:
    """The device that a user names.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for an accelerator if there is one
        file: of the model; an ``.onnx`` file is computed on the CPU, without torch

    Returns:
        A name that torch takes.

    Raises:
        UserError: for another name, or a device that this machine does not have.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        raise UserError(f"--device {name}: should be auto, cpu, cuda, cuda:1 (and so on) or mps")
    if file is not None and file.suffix == ".onnx":
        if name not in ("auto", "cpu"):
            raise UserError(f"--device {name}: {file} is computed on the CPU; name a run, .ckpt or .safetensors")
        return "cpu"
    if name == "cpu":
        return name
    import torch

    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    if name == "auto":
        return there[1] if len(there) > 1 else "cpu"
    if name not in there:
        raise UserError(f"--device {name}: this machine has {', '.join(there)}")
    return name
