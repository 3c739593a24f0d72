"""ldg, the letter-digit generator: conditional variational autoencoders, trained, compared, and made to write.

>>> model = ldg.load("outputs/NAME/ID")          # a run folder or a checkpoint
>>> picture = ldg.write("Hello World", model)    # float (H, W) in [0, 1]
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ldg.generation.decoder import Decoder
    from ldg.models.vae import VAE

__all__ = ["UserError", "load", "write"]


def load(path: str | Path, device: str = "cpu") -> Any:
    """Load a trained model.

    Args:
        path: A checkpoint, a run folder, ``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS`` or ``hf://OWNER/NAME``; or an
            exported ``.onnx`` file.
        device: Where the model goes, as torch names devices; an ``.onnx`` file is computed on the CPU.

    Returns:
        A :class:`ldg.models.vae.VAE` in eval mode, with ``classes`` and ``config`` set; of an ``.onnx`` file a
        :class:`ldg.generation.decoder.Decoder`, which only writes.

    Raises:
        UserError: If there is no such model, or it is damaged or another program's.
    """
    from ldg.generation import decoder

    return decoder.load(path, device)


def write(text: str, model: VAE | Decoder | str | Path | None = None, **options: Any) -> np.ndarray:
    """Write a text.

    Args:
        text: See :func:`ldg.generation.writer.write`.
        model: A model, or what :func:`load` takes; None: the newest finished run that can write the text.
        options: Those of :func:`ldg.generation.writer.write`.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1], dark ink on white.

    Raises:
        UserError: If there is no such model, or it cannot write the text.
    """
    from ldg.checkpoint import newest_run
    from ldg.generation import alphabet, decoder, writer

    if model is None:
        model = decoder.lightest(newest_run(refuse=partial(alphabet.explain_refusal, text)))
    loaded = decoder.load(model) if isinstance(model, str | Path) else model
    return writer.write(loaded, text, **options)
