"""Dense networks: every pixel is a feature, the condition is concatenated to the input."""

import itertools
import math
from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ldg.models.network import Network, Sizes


def concatenate(x: Tensor, c: Tensor | None) -> Tensor:
    """Join features (B, F) and a condition (B, K) or None: (B, F + K) or (B, F)."""
    return x if c is None else torch.cat([x, c], dim=1)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = []
    for size, following in itertools.pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class DenseNetwork(Network):
    """Multilayer perceptrons with ReLU as encoder and decoder.

    Args:
        sizes: What it is built for.
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
    """

    def __init__(self, sizes: Sizes, hidden: list[PositiveInt] = [512, 256]) -> None:  # noqa: B006
        super().__init__(sizes)
        self.out_shape = (sizes.out_channels, *sizes.image_shape[1:])
        pixels = math.prod(sizes.image_shape)
        self.encoder = _layers([pixels + sizes.encoder_condition_dim, *hidden, 2 * sizes.latent_dim])
        decoder_in = sizes.latent_dim + sizes.decoder_condition_dim
        self.decoder = _layers([decoder_in, *hidden[::-1], math.prod(self.out_shape)])

    def encode(self, x: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.encode`."""
        return self.encoder(concatenate(x.flatten(1), c))

    def decode(self, z: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.decode`."""
        return self.decoder(concatenate(z, c)).view(-1, *self.out_shape)
