"""The same text, written by several runs."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ldg import checkpoint
from ldg.compare.pictures import Album, encode
from ldg.errors import UserError
from ldg.generation.alphabet import is_written
from ldg.generation.writer import write
from ldg.runs.run import Run


def add_text(runs: Sequence[Run], text: str, seed: int = 0) -> Album:
    """The pictures of runs, and before them a text that each of them writes with the same noise.

    Args:
        runs: whose best checkpoints are loaded; one that cannot be, or cannot write the text, has no picture of it
        text: of characters
        seed: of the noise

    Raises:
        UserError: if none of them writes it.
    """
    written = [_write(run, text, seed) for run in runs]
    if not any(written):
        raise UserError(f"--text: none of the runs has a class for each character of {text!r}; choose another text")
    album = Album(runs)
    kinds, shown = album.kinds, album.shown
    album.kinds, album.shown = {}, {}
    album.add("text", f"“{text}”", [[(0, picture)] if picture else [] for picture in written])
    album.kinds |= kinds
    album.shown |= shown
    return album


def _write(run: Run, text: str, seed: int) -> bytes | None:
    try:
        model = checkpoint.load(run.place)
        if model.conditioning == "none" or not is_written(model.classes):
            return None
        drawn = write(model, text, scale=4, seed=seed)
    except UserError:  # no checkpoint, a judge, a character that it does not have
        return None
    return encode(Image.fromarray((255 * np.asarray(drawn)).round().astype(np.uint8)).convert("RGB"))
