"""Convolutional encoder and decoder for any image size: each stage halves (or doubles) the map, rounding up."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from ldg.models.conditioning import FiLM, Mode, Planes


def stage_sizes(height: int, width: int, stages: int) -> list[tuple[int, int]]:
    """Map sizes from the image down: 28 -> 14 -> 7 -> 4."""
    sizes = [(height, width)]
    for _ in range(stages):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


class Block(nn.Module):
    """Convolution, batch norm, the label's scale and shift (if any), SiLU; with a skip connection where asked."""

    def __init__(self, conv: nn.Module, channels: int, condition_dim: int, skip: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(channels)
        self.film = FiLM(condition_dim, channels, strength=0.1) if condition_dim else None
        self.skip = skip

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """(B, C, H, W) and the label (B, K) -> (B, channels, H', W')."""
        h = self.norm(self.conv(x))
        if self.film is not None:
            assert c is not None
            h = self.film(h, c)
        return F.silu(x + h if self.skip else h)


def residual(channels: int, blocks: int, film_dim: int) -> list[Block]:
    return [
        Block(nn.Conv2d(channels, channels, 3, padding=1, bias=False), channels, film_dim, skip=True)
        for _ in range(blocks)
    ]


class Hidden(nn.Module):
    """Dense layer, the label's scale and shift (if any), SiLU."""

    def __init__(self, in_features: int, features: int, condition_dim: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, features)
        self.film = FiLM(condition_dim, features, strength=1.0) if condition_dim else None

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """(B, in_features) and the label (B, K) -> (B, features)."""
        h = self.dense(x)
        if self.film is not None:
            assert c is not None
            h = self.film(h, c)
        return F.silu(h)


def vector_size(latent_dim: int, depth: int, size: tuple[int, int]) -> int:
    """How many of the latents are a vector where the last are a map with ``depth`` at each place.

    Raises:
        ValueError: if none are left for the vector.
    """
    places = math.prod(size)
    if latent_dim <= depth * places:
        at = "x".join(map(str, size))
        raise ValueError(f"latent_dim {latent_dim} leaves no vector beside {depth} latents at each of {at} places")
    return latent_dim - depth * places


class ConvEncoder(nn.Module):
    """Image (B, C, H, W) and label (B, K) or None -> means and log variances of z, (B, out_features).

    ``channels`` has one entry a stage, ``blocks`` residual convolutions follow each. ``condition`` says how the label
    enters: ``film`` scales and shifts every channel of every layer, ``planes`` appends constant planes to the image,
    ``concat`` joins it to the last feature vector. The last of the latents are a map, ``depth`` at each place of the
    last stage, flattened.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        condition_dim: int,
        out_features: int,
        channels: list[PositiveInt] = [32, 64, 128],  # noqa: B006
        blocks: NonNegativeInt = 0,
        hidden: PositiveInt = 256,
        depth: NonNegativeInt = 0,
        condition: Mode = "film",
    ) -> None:
        super().__init__()
        self.condition = condition if condition_dim else None
        film_dim = condition_dim if condition == "film" else 0
        self.planes = Planes(condition_dim) if self.condition == "planes" else None
        widths = [image_shape[0] + (self.planes.planes if self.planes else 0), *channels]
        layers: list[Block] = []
        for width, following in pairwise(widths):
            down = nn.Conv2d(width, following, 3, stride=2, padding=1, bias=False)
            layers += [Block(down, following, film_dim), *residual(following, blocks, film_dim)]
        self.layers = nn.ModuleList(layers)
        height, width = size = stage_sizes(*image_shape[1:], len(channels))[-1]
        joined = condition_dim if condition == "concat" else 0
        self.hidden = Hidden(channels[-1] * height * width + joined, hidden, film_dim)
        self.head = nn.Linear(hidden, 2 * vector_size(out_features // 2, depth, size))
        self.map_head = nn.Conv2d(channels[-1], 2 * depth, 1) if depth else None

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        if self.planes is not None:
            assert c is not None
            x = self.planes(x, c)
        for layer in self.layers:
            x = layer(x, c)
        features = x.flatten(1)
        if self.condition == "concat":
            assert c is not None
            features = torch.cat([features, c], dim=1)
        of_vector = self.head(self.hidden(features, c))
        if self.map_head is None:
            return of_vector
        of_map = self.map_head(x).flatten(1)
        (mean, log_var), (map_mean, map_log_var) = of_vector.chunk(2, 1), of_map.chunk(2, 1)
        return torch.cat([mean, map_mean, log_var, map_log_var], dim=1)


class ConvDecoder(nn.Module):
    """Latent (B, D) and label (B, K) or None -> likelihood parameters (B, out_shape[0], H, W).

    The mirror of :class:`ConvEncoder`, its ``channels`` too: the last are those of the smallest map. ``planes`` are
    appended to the first map, ``concat`` joins the label to the latent.
    """

    def __init__(
        self,
        out_shape: tuple[int, int, int],
        condition_dim: int,
        latent_dim: int,
        channels: list[PositiveInt] = [32, 64, 128],  # noqa: B006
        blocks: NonNegativeInt = 0,
        hidden: PositiveInt = 256,
        depth: NonNegativeInt = 0,
        condition: Mode = "film",
    ) -> None:
        super().__init__()
        self.condition = condition if condition_dim else None
        film_dim = condition_dim if condition == "film" else 0
        self.planes = Planes(condition_dim) if self.condition == "planes" else None
        channels = channels[::-1]
        self.sizes: Sequence[tuple[int, int]] = stage_sizes(*out_shape[1:], len(channels))[::-1]
        self.first = (channels[0], *self.sizes[0])
        joined = condition_dim if condition == "concat" else 0
        self.vector = vector_size(latent_dim, depth, self.sizes[0])
        self.hidden = Hidden(self.vector + joined, hidden, film_dim)
        self.dense = nn.Linear(hidden, math.prod(self.first))
        self.map = nn.Conv2d(depth, channels[0], 1, bias=False) if depth else None
        widths = [channels[0] + (self.planes.planes if self.planes else 0), *channels[1:]]
        self.layers = nn.ModuleList()
        for width, following in pairwise(widths):
            # kernel = stride: no overlap, so no checkerboard (Odena et al. 2016), and half the time of kernel 4
            up = nn.ConvTranspose2d(width, following, 2, stride=2, bias=False)
            stage = [*residual(width, blocks, film_dim), Block(up, following, film_dim)]
            self.layers.append(nn.ModuleList(stage))
        self.layers.append(nn.ModuleList(residual(widths[-1], blocks, film_dim)))
        # the last doubling by pixel shuffle (Shi et al. 2016): one 3x3 convolution joins all neighbours
        self.head = nn.Sequential(nn.Conv2d(widths[-1], 4 * out_shape[0], 3, padding=1), nn.PixelShuffle(2))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        vector, of_map = z[:, : self.vector], z[:, self.vector :]
        if self.condition == "concat":
            assert c is not None
            vector = torch.cat([vector, c], dim=1)
        x = self.dense(self.hidden(vector, c)).view(-1, *self.first)
        if self.map is not None:
            x = x + self.map(of_map.reshape(len(z), -1, *self.sizes[0]))
        if self.planes is not None:
            assert c is not None
            x = self.planes(x, c)
        for stage, (height, width) in zip(self.layers, self.sizes[:-1], strict=True):
            x = x[:, :, :height, :width]
            for layer in cast(nn.ModuleList, stage):
                x = layer(x, c)
        height, width = self.sizes[-1]
        return self.head(x)[:, :, :height, :width]
