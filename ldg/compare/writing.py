"""The same text, written by several runs."""

import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ldg import checkpoint
from ldg.compare.pictures import Album, encode
from ldg.errors import UserError
from ldg.generation.alphabet import is_written
from ldg.generation.writer import write
from ldg.runs.run import Run
from ldg.runs.select import label_runs


def add_text(runs: Sequence[Run], text: str, seed: int = 0) -> Album:
    """The pictures of runs, and before them a text that each of them writes with the same styles.

    Args:
        runs: whose best checkpoints are loaded; one that cannot be, or cannot write the text, has no picture of it, and
            is named on stderr
        text: of characters
        seed: of the styles

    Raises:
        UserError: if none of them writes it.
    """
    written: list[bytes | None] = []
    reasons: dict[str, str] = {}
    for run, label in zip(runs, label_runs(runs), strict=True):
        try:
            written.append(_write(run, text, seed))
        except UserError as error:
            written.append(None)
            reasons[label] = str(error)
    if not any(written):
        raise UserError(f"--text: none of the runs writes {text!r}; {_example(reasons)}")
    if reasons:
        print(f"without a picture of the text: {', '.join(reasons)}; {_example(reasons)}", file=sys.stderr)
    album = Album(runs)
    kinds, shown = album.kinds, album.shown
    album.kinds, album.shown = {}, {}
    album.add("text", f"“{text}”", [[(0, picture)] if picture else [] for picture in written])
    album.kinds |= kinds
    album.shown |= shown
    return album


def _example(reasons: dict[str, str]) -> str:
    label, reason = next(iter(reasons.items()))
    return f"{label}: {reason}"


def _write(run: Run, text: str, seed: int) -> bytes:
    model = checkpoint.load(run.place)
    if model.conditioning == "none":
        raise UserError("it was trained without labels (conditioning=none)")
    if not is_written(model.classes):
        raise UserError("its classes are words")
    drawn = write(model, text, scale=4, seed=seed)
    return encode(Image.fromarray((255 * np.asarray(drawn)).round().astype(np.uint8)).convert("RGB"))
