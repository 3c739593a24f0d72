"""ldg, the letter-digit generator: conditional variational autoencoders, trained, compared, and made to write.

>>> model = ldg.load("outputs/NAME/ID")          # a run folder or a checkpoint
>>> picture = ldg.write("Hello World", model)    # float (H, W) in [0, 1]
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.checkpoint import load
from ldg.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ldg.models.vae import VAE

__all__ = ["UserError", "load", "write"]


def write(text: str, model: VAE | str | Path | None = None, **options: Any) -> np.ndarray:
    """Write a text.

    Args:
        text: See :func:`ldg.generation.writer.write`.
        model: A model, a checkpoint or run folder; None: the newest finished run that can write the text.
        options: Those of :func:`ldg.generation.writer.write`.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1], dark ink on white.

    Raises:
        UserError: If there is no such model, or it cannot write the text.
    """
    from ldg.checkpoint import newest_run
    from ldg.generation import alphabet, writer

    if model is None or isinstance(model, str | Path):
        model = load(model or newest_run(refuse=partial(alphabet.explain_refusal, text)))
    return writer.write(model, text, **options)
