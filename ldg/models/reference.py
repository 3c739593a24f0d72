"""The networks of older Keras systems, layer by layer, so that they can be measured beside ldg's own.

All layers start from N(0, ``std``) with zero biases and batch norm gains from N(1, ``std``), or as Keras would have it
(Glorot & Bengio 2010) where ``std`` is null; the latent heads always start that way.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from ldg.models.conv import stage_sizes


def _norm(kind: type[nn.Module], features: int) -> nn.Module:
    return kind(features, eps=1e-3, momentum=0.01)  # Keras's settings in torch's terms


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    return [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]


def _initialise(network: nn.Module, std: float | None) -> None:
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                assert module.bias is not None
                module.bias.zero_()
                nn.init.xavier_uniform_(module.weight) if std is None else nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.BatchNorm2d) and std is not None:
                nn.init.normal_(module.weight, mean=1.0, std=std)


class ReferenceEncoder(nn.Module):
    """Image (B, C, H, W) and label (B, K) or None -> (B, out_features), the means and log variances.

    ``channels`` and ``strides`` have an entry for each convolution, ``hidden`` for each dense layer after them. A label
    reaches convolutions through a dense layer from pixels and label to an image. ``signed`` scales images to [-1, 1];
    ``norm_heads`` puts batch norm behind the latent heads.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        condition_dim: int,
        out_features: int,
        channels: list[PositiveInt] = [],  # noqa: B006
        strides: list[PositiveInt] = [],  # noqa: B006
        hidden: list[PositiveInt] = [],  # noqa: B006
        kernel: PositiveInt = 3,
        signed: bool = False,
        norm_heads: bool = False,
        std: PositiveFloat | None = 0.02,
    ) -> None:
        super().__init__()
        self.image_shape, self.signed = image_shape, signed
        pixels, (_, height, width) = math.prod(image_shape), image_shape
        self.front = nn.Sequential(*_dense([pixels + condition_dim, pixels])) if channels and condition_dim else None
        maps: list[nn.Module] = []
        for (before, after), stride in zip(pairwise([image_shape[0], *channels]), strides, strict=True):
            conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2)
            maps += [conv, _norm(nn.BatchNorm2d, after), nn.ReLU()]
            height, width = -(-height // stride), -(-width // stride)
        self.maps = nn.Sequential(*maps)
        features = channels[-1] * height * width if channels else pixels + condition_dim
        sizes = [features, *hidden]
        self.hidden = nn.Sequential(*_dense(sizes))
        _initialise(self, std)
        self.heads = nn.Linear(sizes[-1], out_features)
        for head in self.heads.weight.chunk(2):  # one for the means, one for the log variances
            nn.init.xavier_uniform_(head)
        nn.init.zeros_(self.heads.bias)
        self.norm = _norm(nn.BatchNorm1d, out_features) if norm_heads else nn.Identity()

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        x = 2 * x - 1 if self.signed else x
        if c is not None:
            x = torch.cat([x.flatten(1), c], dim=1)
        if self.front is not None:
            x = self.front(x).view(-1, *self.image_shape)
        return self.norm(self.heads(self.hidden(self.maps(x).flatten(1))))


class ReferenceDecoder(nn.Module):
    """Latent (B, D) and label (B, K) or None -> likelihood parameters (B, out_shape[0], H, W).

    ``hidden`` are dense layers; then ``first`` channels of a small map, and a transposed convolution for each of
    ``channels`` and ``strides``, the last of them to the image; without ``first`` a dense layer to the pixels.
    ``norm_first`` puts batch norm behind the small map; ``norm_last`` behind the last but one convolution too.
    """

    def __init__(
        self,
        out_shape: tuple[int, int, int],
        condition_dim: int,
        latent_dim: int,
        first: PositiveInt | None = None,
        channels: list[PositiveInt] = [],  # noqa: B006
        strides: list[PositiveInt] = [],  # noqa: B006
        hidden: list[PositiveInt] = [],  # noqa: B006
        kernel: PositiveInt = 3,
        norm_first: bool = False,
        norm_last: bool = True,
        std: PositiveFloat | None = 0.02,
    ) -> None:
        super().__init__()
        sizes = [latent_dim + condition_dim, *hidden]
        self.maps = nn.Sequential()
        if first is None:
            self.hidden = nn.Sequential(*_dense(sizes), nn.Linear(sizes[-1], math.prod(out_shape)))
            self.shape = out_shape
        else:
            self.shape = (first, *stage_sizes(*out_shape[1:], sum(stride == 2 for stride in strides))[-1])
            self.hidden = nn.Sequential(*_dense([*sizes, math.prod(self.shape)]))
            if norm_first:
                self.maps.append(_norm(nn.BatchNorm2d, first))
            for place, ((before, after), stride) in enumerate(zip(pairwise([first, *channels]), strides, strict=False)):
                self.maps.append(nn.ConvTranspose2d(before, after, kernel, stride, kernel // 2, stride - 1))
                if norm_last or place < len(channels) - 1:
                    self.maps.append(_norm(nn.BatchNorm2d, after))
                self.maps.append(nn.ReLU())
            self.maps.append(nn.ConvTranspose2d(channels[-1], out_shape[0], kernel, padding=kernel // 2))
        _initialise(self, std)

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        z = z if c is None else torch.cat([z, c], dim=1)
        return self.maps(self.hidden(z).view(-1, *self.shape))
