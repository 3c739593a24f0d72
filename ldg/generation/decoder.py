"""What writing needs of a model. Imports no torch, so that an exported model writes without it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ldg import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from ldg.models.style import StyleSpace
    from ldg.models.vae import VAE


class Described(Protocol):
    """What is known of a model's images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""

    @property
    def conditioning(self) -> str:
        """``both``, ``decoder`` or ``none``."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""

    @property
    def num_classes(self) -> int:
        """K."""

    @property
    def latent_dim(self) -> int:
        """D."""


@runtime_checkable
class Decoder(Described, Protocol):
    """A model that turns arrays into images."""

    def write(self, styles: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
        """Decode styles, see :class:`ldg.models.style.StyleSpace`.

        Args:
            styles: float32 (N, D).
            labels: Shares of the classes, float32 (N, K).
            temperature: At least 0; the lower, the closer to what is usual for a class.

        Returns:
            Mean images, float32 (N, C, H, W) in [0, 1].
        """

    def sample(self, noise: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Decode the latents that the prior makes of noise (N, D), with labels (N, K), as :meth:`write`."""


class TorchDecoder:
    """The decoder of a model in memory.

    Args:
        model: In eval mode; a change of its parameters is not seen.
    """

    def __init__(self, model: VAE) -> None:
        self.model = model
        self.classes = model.classes
        self.conditioning = model.conditioning
        self.image_shape = model.image_shape
        self.num_classes = model.num_classes
        self.latent_dim = model.latent_dim

    @cached_property
    def style_space(self) -> StyleSpace:
        """The styles of the model."""
        from ldg.models.style import StyleSpace

        return StyleSpace(self.model)

    def write(self, styles: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
        """As :meth:`Decoder.write`."""
        return self._decode(labels, lambda c: self.style_space.latents(self._tensor(styles), c, temperature))

    def sample(self, noise: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """As :meth:`Decoder.sample`."""
        return self._decode(labels, lambda c: self.model.from_noise(self._tensor(noise), c))

    def _decode(self, labels: np.ndarray, latents: Callable[[Tensor], Tensor]) -> np.ndarray:
        import torch

        with torch.no_grad():
            c = self._tensor(labels)
            return self.model.decode(latents(c), c).cpu().numpy()

    def _tensor(self, array: np.ndarray) -> Tensor:
        import torch

        return torch.from_numpy(array).to(self.model.device)


def as_decoder(model: VAE | Decoder) -> Decoder:
    """The decoder of a model; a decoder as it is."""
    return model if isinstance(model, Decoder) else TorchDecoder(model)


def load(path: str | Path, device: str = "cpu") -> VAE | Decoder:
    """Load what a path names: a model, or of an ``.onnx`` file its decoder, without torch.

    Args:
        path: As for :func:`ldg.checkpoint.find`.
        device: Where a model goes, as torch names devices.

    Raises:
        UserError: As :func:`ldg.checkpoint.load`, and for an ``.onnx`` file that ldg has not written.
    """
    file = checkpoint.find(path)
    if file.suffix != ".onnx":
        return checkpoint.load(file, device)
    from ldg.generation.onnx import OnnxDecoder

    return OnnxDecoder(file)


def lightest(path: Path) -> Path:
    """The ``.onnx`` file of the weights that come with ldg, where onnxruntime is installed; another path as it is."""
    is_lighter = path == checkpoint.SHIPPED and find_spec("onnxruntime")
    return path.with_suffix(".onnx") if is_lighter else path
