"""What an architecture is: an encoder, a decoder, and the posterior between them, in one class."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ldg.models.posterior import Posterior

Depth = Annotated[int, Field(ge=1, le=1000)]  # a number of equal layers; more take minutes to make
Widths = Annotated[list[PositiveInt], Field(min_length=1)]  # of layers, one at least


class Sizes(NamedTuple):
    """What a network is built for.

    Attributes:
        image_shape: (C, H, W) of an image.
        out_channels: Maps of likelihood parameters, C times the likelihood's ``parameters_per_channel``.
        latent_dim: The configured number of latents.
        encoder_condition_dim: Width of the encoder's condition; 0: it has none.
        decoder_condition_dim: Width of the decoder's condition; 0: it has none.
    """

    image_shape: tuple[int, int, int]
    out_channels: int
    latent_dim: int
    encoder_condition_dim: int = 0
    decoder_condition_dim: int = 0


class Network(nn.Module):
    """Base class of all architectures. A subclass is built from :class:`Sizes` and settings of its own.

    It implements :meth:`encode` and :meth:`decode`; a hierarchical one also :meth:`infer`. Conditions are float
    matrices: a one-hot label or a mixture of classes whose entries sum to 1, then the parameters of the augmentation,
    if any. A condition is None exactly where its width in ``sizes`` is 0.

    Attributes:
        sizes: What it is built for.
        latent_dim: D, the width of z; ``sizes.latent_dim`` unless a subclass computes it.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.latent_dim = sizes.latent_dim

    @property
    def is_hierarchical(self) -> bool:
        """Whether the posterior depends on what is drawn and decoded on the way, and not on the features alone."""
        return type(self).infer is not Network.infer

    def encode(self, x: Tensor, c: Tensor | None) -> Any:
        """Compute the features of images that the posterior is made of.

        Args:
            x: Images (B, C, H, W) in [0, 1].
            c: The encoder's condition (B, ``encoder_condition_dim``), or None.

        Returns:
            Means and log variances of z, (B, 2 D); of a network with an :meth:`infer` of its own, whatever that takes.
        """
        raise NotImplementedError

    def infer(self, features: Any, c: Tensor | None, noise: Tensor) -> tuple[Posterior, Tensor, Tensor | None]:
        """Turn features into the posterior and one draw from it.

        Args:
            features: What :meth:`encode` returned for B images.
            c: The decoder's condition (B, ``decoder_condition_dim``), or None.
            noise: Standard normal noise (B, D).

        Returns:
            q(z | x, c), the draw z (B, D) that the noise makes of it, and ``decode(z, c)`` where it is a by-product,
            as in a network that samples and decodes in one top-down pass; otherwise None.
        """
        posterior = Posterior.from_parameters(features)
        return posterior, posterior.at(noise), None

    def decode(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Compute the parameters of p(x | z, c).

        Args:
            z: Latents (B, D).
            c: The decoder's condition (B, ``decoder_condition_dim``), or None.

        Returns:
            Likelihood parameters (B, ``out_channels``, H, W).
        """
        raise NotImplementedError

    @torch.no_grad()
    def check(self) -> None:
        """Run the network once on two blank images and compare the shapes with the contract.

        Raises:
            ValueError: If a method returns another shape, with what it returned and what is needed.
        """
        training = self.training
        self.eval()
        sizes, n = self.sizes, 2
        encoder_c, decoder_c = (
            torch.zeros(n, width) if width else None
            for width in (sizes.encoder_condition_dim, sizes.decoder_condition_dim)
        )
        features = self.encode(torch.zeros(n, *sizes.image_shape), encoder_c)
        if not self.is_hierarchical:
            self._compare("encode", features, (n, 2 * self.latent_dim))
        posterior, z, params = self.infer(features, decoder_c, torch.zeros(n, self.latent_dim))
        for part, value in (("mean", posterior.mean), ("log variance", posterior.log_var), ("draw", z)):
            self._compare(f"infer ({part})", value, (n, self.latent_dim))
        out_shape = (n, sizes.out_channels, *sizes.image_shape[1:])
        if params is not None:
            self._compare("infer (likelihood parameters)", params, out_shape)
        self._compare("decode", self.decode(z, decoder_c), out_shape)
        self.train(training)

    def _compare(self, method: str, value: Any, shape: tuple[int, ...]) -> None:
        returned = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if returned != shape:
            name = type(self).__name__
            raise ValueError(f"{name}.{method} returned {returned} for two images; {shape} is needed")
