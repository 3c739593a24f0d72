"""Convolutional networks for any image size: each stage halves (or doubles) the feature map, rounding up."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from ldg.models.conditioning import FiLM, Mode, Planes
from ldg.models.network import Depth, Network, Sizes, Widths


def stage_sizes(height: int, width: int, stages: int) -> list[tuple[int, int]]:
    """Compute the sizes of feature maps from the image down, as in 28 -> 14 -> 7 -> 4.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        stages: How many times the map is halved.

    Returns:
        ``stages + 1`` pairs (height, width), the image's first.
    """
    sizes = [(height, width)]
    for _ in range(stages):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


def flatten_map(x: Tensor) -> Tensor:
    """Flatten a feature map (B, C, H, W) to (B, C * H * W).

    The gradient comes back in the map's layout, channels-last. In a vector's layout it would pass on through norms and
    activations, which are slower where their operands differ in layout.
    """
    if x.requires_grad:
        x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return x.flatten(1)


def unflatten_map(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Turn vectors (B, C * H * W) into feature maps (B, C, H, W), channels-last, of ``shape`` (C, H, W)."""
    return x.view(-1, *shape).contiguous(memory_format=torch.channels_last)


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop maps (B, C, H, W) to their first rows and columns, of ``size`` (height, width), in their layout."""
    if x.shape[2:] == size:
        return x
    # a slice's gradient would have another layout
    return F.pad(x, (0, size[1] - x.shape[3], 0, size[0] - x.shape[2]))


class Block(nn.Module):
    """Convolution, batch norm, FiLM if there is a condition, SiLU.

    Args:
        conv: A convolution to ``channels`` channels.
        channels: Output channels.
        condition_dim: Width of the condition; 0: none.
        skip: Add the input to the convolution's output.
    """

    def __init__(self, conv: nn.Module, channels: int, condition_dim: int, skip: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(channels)
        self.film = FiLM(condition_dim, channels, strength=0.1) if condition_dim else None
        self.skip = skip

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Apply the block to ``x`` (B, C, H, W) under ``c`` (B, K) or None: (B, channels, H', W')."""
        h = self.norm(self.conv(x))
        if self.film is not None:
            assert c is not None
            h = self.film(h, c)
        return F.silu(x + h if self.skip else h)


def residual_blocks(channels: int, blocks: int, condition_dim: int) -> list[Block]:
    """Build residual 3x3 convolutions.

    Args:
        channels: Of input and output.
        blocks: How many.
        condition_dim: Width of the condition; 0: none.

    Returns:
        The blocks, in order.
    """
    return [
        Block(nn.Conv2d(channels, channels, 3, padding=1, bias=False), channels, condition_dim, skip=True)
        for _ in range(blocks)
    ]


class Hidden(nn.Module):
    """Dense layer, FiLM if there is a condition, SiLU.

    Args:
        in_features: Input width.
        features: Output width.
        condition_dim: Width of the condition; 0: none.
    """

    def __init__(self, in_features: int, features: int, condition_dim: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, features)
        self.film = FiLM(condition_dim, features, strength=1.0) if condition_dim else None

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Apply the layer to ``x`` (B, in_features) under ``c`` (B, K) or None: (B, features)."""
        h = self.dense(x)
        if self.film is not None:
            assert c is not None
            h = self.film(h, c)
        return F.silu(h)


def vector_size(latent_dim: int, latent_channels: int, size: tuple[int, int]) -> int:
    """Compute how many latents form a vector where the last ones form a feature map.

    Args:
        latent_dim: All latents.
        latent_channels: Latents at each place of the map.
        size: Height and width of the map.

    Returns:
        The number of latents that are left.

    Raises:
        ValueError: If none are left.
    """
    places = math.prod(size)
    if latent_dim <= latent_channels * places:
        at = "x".join(map(str, size))
        raise ValueError(
            f"latent_dim {latent_dim} leaves no vector beside {latent_channels} latent channels at each of {at} places"
        )
    return latent_dim - latent_channels * places


class ConvEncoder(nn.Module):
    """Image (B, C, H, W) and condition (B, K) or None -> means and log variances of z, (B, 2 D)."""

    def __init__(
        self, sizes: Sizes, channels: list[int], blocks: int, hidden: int, latent_channels: int, condition: Mode
    ) -> None:
        super().__init__()
        image_shape, condition_dim = sizes.image_shape, sizes.encoder_condition_dim
        self.condition = condition if condition_dim else None
        film_dim = condition_dim if condition == "film" else 0
        self.planes = Planes(condition_dim) if self.condition == "planes" else None
        widths = [image_shape[0] + (self.planes.planes if self.planes else 0), *channels]
        layers: list[Block] = []
        for width, following in pairwise(widths):
            down = nn.Conv2d(width, following, 3, stride=2, padding=1, bias=False)
            layers += [Block(down, following, film_dim), *residual_blocks(following, blocks, film_dim)]
        self.layers = nn.ModuleList(layers)
        height, width = size = stage_sizes(*image_shape[1:], len(channels))[-1]
        joined = condition_dim if condition == "concat" else 0
        self.hidden = Hidden(channels[-1] * height * width + joined, hidden, film_dim)
        self.head = nn.Linear(hidden, 2 * vector_size(sizes.latent_dim, latent_channels, size))
        self.map_head = nn.Conv2d(channels[-1], 2 * latent_channels, 1) if latent_channels else None

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Compute the parameters of q(z | x, c)."""
        if self.planes is not None:
            assert c is not None
            x = self.planes(x, c)
        for layer in self.layers:
            x = layer(x, c)
        features = flatten_map(x)
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
    """Latents (B, D) and condition (B, K) or None -> likelihood parameters (B, out_channels, H, W).

    It mirrors :class:`ConvEncoder`. ``planes`` are appended to the first map, ``concat`` joins the condition to z.
    """

    def __init__(
        self, sizes: Sizes, channels: list[int], blocks: int, hidden: int, latent_channels: int, condition: Mode
    ) -> None:
        super().__init__()
        condition_dim = sizes.decoder_condition_dim
        self.condition = condition if condition_dim else None
        film_dim = condition_dim if condition == "film" else 0
        self.planes = Planes(condition_dim) if self.condition == "planes" else None
        channels = channels[::-1]
        self.sizes: Sequence[tuple[int, int]] = stage_sizes(*sizes.image_shape[1:], len(channels))[::-1]
        self.first = (channels[0], *self.sizes[0])
        joined = condition_dim if condition == "concat" else 0
        self.vector = vector_size(sizes.latent_dim, latent_channels, self.sizes[0])
        self.hidden = Hidden(self.vector + joined, hidden, film_dim)
        self.dense = nn.Linear(hidden, math.prod(self.first))
        self.map = nn.Conv2d(latent_channels, channels[0], 1, bias=False) if latent_channels else None
        widths = [channels[0] + (self.planes.planes if self.planes else 0), *channels[1:]]
        self.layers = nn.ModuleList()
        for width, following in pairwise(widths):
            # kernel = stride: no overlap, so no checkerboard (Odena et al. 2016), and half the time of kernel 4
            up = nn.ConvTranspose2d(width, following, 2, stride=2, bias=False)
            stage = [*residual_blocks(width, blocks, film_dim), Block(up, following, film_dim)]
            self.layers.append(nn.ModuleList(stage))
        self.layers.append(nn.ModuleList(residual_blocks(widths[-1], blocks, film_dim)))
        # the last doubling by pixel shuffle (Shi et al. 2016): one 3x3 convolution joins all neighbours
        self.head = nn.Sequential(nn.Conv2d(widths[-1], 4 * sizes.out_channels, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Compute the parameters of p(x | z, c)."""
        vector, of_map = z[:, : self.vector], z[:, self.vector :]
        if self.condition == "concat":
            assert c is not None
            vector = torch.cat([vector, c], dim=1)
        x = unflatten_map(self.dense(self.hidden(vector, c)), self.first)
        if self.map is not None:
            x = x + self.map(of_map.reshape(len(z), -1, *self.sizes[0]))
        if self.planes is not None:
            assert c is not None
            x = self.planes(x, c)
        for stage, size in zip(self.layers, self.sizes[:-1], strict=True):
            x = crop(x, size)
            for layer in cast(nn.ModuleList, stage):
                x = layer(x, c)
        return crop(self.head(x), self.sizes[-1])


class ConvNetwork(Network):
    """A convolutional encoder and its mirror image.

    Args:
        sizes: What it is built for.
        channels: Channels of each stage of the encoder; a stage halves the feature map.
        blocks: Residual convolutions after each stage.
        hidden: Width of the dense layer between the smallest map and z.
        latent_channels: The last latents form a map with so many at each place of the last stage; 0: z is a vector.
        condition: How the condition enters. ``film`` scales and shifts every channel of every layer, ``planes`` appends
            constant planes to the first map, ``concat`` joins it to the input of the dense layer.

    Raises:
        ValueError: If the map leaves no latents for the vector.
    """

    def __init__(
        self,
        sizes: Sizes,
        channels: Widths = [32, 64, 128],  # noqa: B006
        blocks: Depth | Literal[0] = 0,
        hidden: PositiveInt = 256,
        latent_channels: NonNegativeInt = 0,
        condition: Mode = "film",
    ) -> None:
        super().__init__(sizes)
        self.encoder = ConvEncoder(sizes, channels, blocks, hidden, latent_channels, condition)
        self.decoder = ConvDecoder(sizes, channels, blocks, hidden, latent_channels, condition)

    def encode(self, x: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.encode`."""
        return self.encoder(x, c)

    def decode(self, z: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.decode`."""
        return self.decoder(z, c)
