"""A hierarchy of latents: a vector, then feature maps from the smallest to the largest.

Small versions of the top-down networks of Sønderby et al. (2016, Ladder VAE) and Child (2021, VDVAE). The levels above
determine where and how strongly the noise of a level changes the image, which is a prior that depends on them. The
features of an image are merged in on the way down, so that q of each level depends on what was drawn above it.
"""

from itertools import pairwise
from typing import cast

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from ldg.models.conv import Block, Hidden, crop, flatten_map, residual_blocks, stage_sizes, unflatten_map
from ldg.models.network import Depth, Network, Sizes, Widths
from ldg.models.posterior import Posterior


class BottomUpEncoder(nn.Module):
    """Image (B, C, H, W) and condition (B, K) or None -> features of every level, from the top down.

    The first are means and log variances of the vector, (B, 2 V), the others feature maps from the smallest up.
    """

    def __init__(self, sizes: Sizes, channels: list[int], blocks: int, hidden: int) -> None:
        super().__init__()
        condition_dim = sizes.encoder_condition_dim
        self.stages = nn.ModuleList()
        for width, following in pairwise([sizes.image_shape[0], *channels]):
            down = nn.Conv2d(width, following, 3, stride=2, padding=1, bias=False)
            stage = [Block(down, following, condition_dim), *residual_blocks(following, blocks, condition_dim)]
            self.stages.append(nn.ModuleList(stage))
        height, width = stage_sizes(*sizes.image_shape[1:], len(channels))[-1]
        self.hidden = Hidden(channels[-1] * height * width, hidden, condition_dim)
        self.head = nn.Linear(hidden, 2 * sizes.latent_dim)

    def forward(self, x: Tensor, c: Tensor | None) -> list[Tensor]:
        """Compute the features of all levels."""
        maps = []
        for stage in self.stages:
            for layer in cast(nn.ModuleList, stage):
                x = layer(x, c)
            maps.append(x)
        return [self.head(self.hidden(flatten_map(x), c)), *reversed(maps)]


class TopDownBlock(nn.Module):
    """A map of latents and the residual convolution that adds them to the state.

    Args:
        channels: Channels of the state.
        latent_channels: Latents at each place.
        condition_dim: Width of the condition; 0: none.
    """

    def __init__(self, channels: int, latent_channels: int, condition_dim: int) -> None:
        super().__init__()
        self.merge = Block(nn.Conv2d(2 * channels, channels, 1, bias=False), channels, condition_dim)
        self.posterior_params = nn.Conv2d(channels, 2 * latent_channels, 1)
        self.log_scale = nn.Conv2d(channels, latent_channels, 1)
        self.z_proj = nn.Conv2d(latent_channels, channels, 1, bias=False)
        self.block = residual_blocks(channels, 1, condition_dim)[0]
        for head in (self.posterior_params, self.log_scale):  # zero init: posterior equals prior, unit scale
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def infer(self, x: Tensor, features: Tensor, c: Tensor | None) -> Tensor:
        """Compute the posterior's parameters.

        Args:
            x: State (B, C, H, W).
            features: Of the encoder, (B, C, H, W).
            c: Condition (B, K) or None.

        Returns:
            Means and log variances (B, 2 ``latent_channels``, H, W).
        """
        return self.posterior_params(self.merge(torch.cat([x, features], dim=1), c))

    def forward(self, x: Tensor, z: Tensor, c: Tensor | None) -> Tensor:
        """Add latents ``z`` (B, ``latent_channels``, H, W) to the state ``x`` (B, C, H, W), scaled by the state."""
        # without a bound an unusual state grows exponentially from level to level and overflows
        scaled = self.z_proj(z * self.log_scale(x).clamp(max=3.0).exp())
        # of a single channel it would have another layout than x
        return self.block(x + scaled.contiguous(memory_format=torch.channels_last), c)


class TopDownDecoder(nn.Module):
    """The generative path, which is also where the posterior of each level is computed; see :meth:`forward`."""

    def __init__(self, sizes: Sizes, channels: list[int], blocks: int, hidden: int, latent_channels: list[int]) -> None:
        super().__init__()
        condition_dim, vector_dim = sizes.decoder_condition_dim, sizes.latent_dim
        self.sizes = stage_sizes(*sizes.image_shape[1:], len(channels))[::-1]
        widths, self.latent_channels = channels[::-1], latent_channels[::-1]
        self.first = (widths[0], *self.sizes[0])
        self.hidden = Hidden(vector_dim, hidden, condition_dim)
        self.dense = nn.Linear(hidden, widths[0] * self.sizes[0][0] * self.sizes[0][1])
        self.stages, self.ups = nn.ModuleList(), nn.ModuleList()
        self.level_dims = [vector_dim]
        for width, at_place, (rows, columns) in zip(widths, self.latent_channels, self.sizes[:-1], strict=True):
            if at_place:
                self.stages.append(nn.ModuleList(TopDownBlock(width, at_place, condition_dim) for _ in range(blocks)))
                self.level_dims += [at_place * rows * columns] * blocks
            else:
                self.stages.append(nn.ModuleList(residual_blocks(width, blocks, condition_dim)))
        for width, following in pairwise(widths):
            up = nn.ConvTranspose2d(width, following, 2, stride=2, bias=False)
            self.ups.append(Block(up, following, condition_dim))
        self.head = nn.Sequential(nn.Conv2d(widths[-1], 4 * sizes.out_channels, 3, padding=1), nn.PixelShuffle(2))

    def forward(
        self, noise: Tensor, c: Tensor | None, features: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Posterior | None]:
        """Decode latents, or sample them from the posterior on the way.

        Args:
            noise: (B, D), of all levels; without ``features`` the latents themselves.
            c: Condition (B, K) or None.
            features: What :class:`BottomUpEncoder` returned.

        Returns:
            Likelihood parameters (B, out_channels, H, W), latents (B, D), and their posterior, None without features.
        """
        levels = noise.split(self.level_dims, dim=1)
        latents: list[Tensor] = []
        posteriors: list[Posterior] = []

        def sample_level(parameters: Tensor | None) -> Tensor:
            z = levels[len(latents)]
            if parameters is not None:
                posteriors.append(Posterior.from_parameters(parameters.flatten(1)))
                z = posteriors[-1].at(z)
            latents.append(z)
            return z

        vector = sample_level(features[0] if features else None)
        x = unflatten_map(self.dense(self.hidden(vector, c)), self.first)
        stages = zip(self.stages, self.latent_channels, self.sizes[:-1], strict=True)
        for number, (stage, latent_channels, size) in enumerate(stages):
            if number:
                x = crop(self.ups[number - 1](x, c), size)
            for block in cast(nn.ModuleList, stage):
                if latent_channels:
                    z = sample_level(block.infer(x, features[1 + number], c) if features else None)  # type: ignore[operator]
                    x = block(x, z.view(len(z), -1, *size), c)
                else:
                    x = block(x, c)
        posterior = Posterior(*(torch.cat(parts, 1) for parts in zip(*posteriors, strict=True))) if features else None
        return crop(self.head(x), self.sizes[-1]), torch.cat(latents, 1), posterior


class HierarchicalNetwork(Network):
    """A vector of latents, ``sizes.latent_dim`` wide, and maps of latents at each stage, sampled from the top down.

    z is the noise of all levels, standard normal under the prior, each level flattened. Inference and
    decoding share one top-down pass; decoding in a second one would take its time again and count every batch twice in
    the batch norm statistics.

    Args:
        sizes: What it is built for.
        channels: Channels of each stage of the encoder; a stage halves the feature map.
        blocks: Residual convolutions, and maps of latents, of each stage.
        hidden: Width of the dense layer between the smallest map and the vector.
        latent_channels: Latents at each place of a stage's maps, one number for each of ``channels``; 0: none.

    Raises:
        ValueError: If ``latent_channels`` has not as many numbers as ``channels``.
    """

    def __init__(
        self,
        sizes: Sizes,
        channels: Widths = [32, 64, 96],  # noqa: B006
        blocks: Depth = 2,
        hidden: PositiveInt = 256,
        latent_channels: list[NonNegativeInt] = [1, 2, 4],  # noqa: B006
    ) -> None:
        super().__init__(sizes)
        if len(latent_channels) != len(channels):
            needed = f"{len(channels)} numbers, one for each of model.network.channels"
            raise ValueError(f"model.network.latent_channels={latent_channels}: give {needed}")
        self.encoder = BottomUpEncoder(sizes, channels, blocks, hidden)
        self.decoder = TopDownDecoder(sizes, channels, blocks, hidden, latent_channels)
        self.latent_dim = sum(self.decoder.level_dims)

    def encode(self, x: Tensor, c: Tensor | None) -> list[Tensor]:
        """As :meth:`Network.encode`; the features of every level."""
        return self.encoder(x, c)

    def infer(self, features: list[Tensor], c: Tensor | None, noise: Tensor) -> tuple[Posterior, Tensor, Tensor]:
        """As :meth:`Network.infer`, with the likelihood parameters."""
        params, z, posterior = self.decoder(noise, c, features)
        return posterior, z, params

    def decode(self, z: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.decode`."""
        return self.decoder(z, c)[0]
