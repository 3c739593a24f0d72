"""Dense encoder and decoder: every pixel a feature, the label concatenated to the input."""

import itertools
import math
from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor, nn


def _hidden(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for size, following in itertools.pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return layers


def _join(x: Tensor, c: Tensor | None) -> Tensor:
    return x if c is None else torch.cat([x, c], dim=1)


class DenseEncoder(nn.Module):
    """Image (B, C, H, W) and label (B, K) or None -> (B, out_features)."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        condition_dim: int,
        out_features: int,
        hidden: list[PositiveInt] = [512, 256],  # noqa: B006
    ) -> None:
        super().__init__()
        sizes = [math.prod(image_shape) + condition_dim, *hidden]
        self.layers = nn.Sequential(*_hidden(sizes), nn.Linear(sizes[-1], out_features))

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        return self.layers(_join(x.flatten(1), c))


class DenseDecoder(nn.Module):
    """Latent (B, D) and label (B, K) or None -> likelihood parameters (B, out_shape[0], H, W).

    The mirror of :class:`DenseEncoder`: the last of ``hidden`` comes first.
    """

    def __init__(
        self,
        out_shape: tuple[int, int, int],
        condition_dim: int,
        latent_dim: int,
        hidden: list[PositiveInt] = [512, 256],  # noqa: B006
    ) -> None:
        super().__init__()
        self.out_shape = out_shape
        sizes = [latent_dim + condition_dim, *hidden[::-1]]
        self.layers = nn.Sequential(*_hidden(sizes), nn.Linear(sizes[-1], math.prod(out_shape)))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        return self.layers(_join(z, c)).view(-1, *self.out_shape)
