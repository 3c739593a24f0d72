"""A ladder of latents: a vector, then maps from the smallest to the largest, each as what is above it says.

The top-down networks of Sønderby et al. (2016, Ladder VAE) and Child (2021, VDVAE), small. What a level is told of the
levels above decides where and how much its noise changes the picture, which is a prior that knows them; what an image
shows is compared with it on the way down, so that q of every level knows what was drawn above.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, cast

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from ldg.models.conv import Block, Hidden, residual, stage_sizes
from ldg.models.likelihoods import Likelihood
from ldg.models.posterior import Posterior
from ldg.models.schedules import Constant
from ldg.models.vae import VAE, Explanation, unit


class LadderEncoder(nn.Module):
    """Image (B, C, H, W) and label (B, K) or None -> (B, out_features) of the vector, then maps from the smallest up.

    ``channels`` has one entry a stage, each of which halves the map; ``blocks`` residual convolutions follow.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        condition_dim: int,
        out_features: int,
        channels: list[PositiveInt] = [32, 64, 96],  # noqa: B006
        blocks: PositiveInt = 2,
        hidden: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for width, following in pairwise([image_shape[0], *channels]):
            down = nn.Conv2d(width, following, 3, stride=2, padding=1, bias=False)
            stage = [Block(down, following, condition_dim), *residual(following, blocks, condition_dim)]
            self.stages.append(nn.ModuleList(stage))
        height, width = stage_sizes(*image_shape[1:], len(channels))[-1]
        self.hidden = Hidden(channels[-1] * height * width, hidden, condition_dim)
        self.head = nn.Linear(hidden, out_features)

    def forward(self, x: Tensor, c: Tensor | None) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            for layer in cast(nn.ModuleList, stage):
                x = layer(x, c)
            maps.append(x)
        return [self.head(self.hidden(x.flatten(1), c)), *reversed(maps)]


class Rung(nn.Module):
    """A map of latents, ``depth`` at each place, and a residual convolution that makes something of it."""

    def __init__(self, channels: int, depth: int, condition_dim: int) -> None:
        super().__init__()
        self.beside = Block(nn.Conv2d(2 * channels, channels, 1, bias=False), channels, condition_dim)
        self.posterior = nn.Conv2d(channels, 2 * depth, 1)
        self.strength = nn.Conv2d(channels, depth, 1)
        self.into = nn.Conv2d(depth, channels, 1, bias=False)
        self.block = residual(channels, 1, condition_dim)[0]
        for head in (self.posterior, self.strength):  # at first every latent is its noise, as strong as any other
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def compare(self, x: Tensor, seen: Tensor, c: Tensor | None) -> Tensor:
        """The state of the picture and the features of an image, (B, C, H, W) each -> mean and log variance of q."""
        return self.posterior(self.beside(torch.cat([x, seen], dim=1), c))

    def forward(self, x: Tensor, z: Tensor, c: Tensor | None) -> Tensor:
        """The state (B, C, H, W) with latents (B, depth, H, W), each as strong as the state lets it be."""
        # without a bound a state far from all others grows exponentially from level to level, past any number
        return self.block(x + self.into(z * self.strength(x).clamp(max=3.0).exp()), c)


class LadderDecoder(nn.Module):
    """Latents (B, D) and label (B, K) or None -> likelihood parameters (B, out_shape[0], H, W); see :meth:`forward`.

    They are the noise of a vector of ``vector_dim`` and then of the maps, from the smallest to the largest, each
    flattened. ``depths`` says how many latents lie at a place of the map of each stage, beginning, as ``channels``,
    with the largest; each stage has ``blocks`` such maps. ``latent_dim`` is how many there are of all.
    """

    def __init__(
        self,
        out_shape: tuple[int, int, int],
        condition_dim: int,
        vector_dim: int,
        channels: list[PositiveInt] = [32, 64, 96],  # noqa: B006
        blocks: PositiveInt = 2,
        hidden: PositiveInt = 256,
        depths: list[NonNegativeInt] = [1, 2, 4],  # noqa: B006
    ) -> None:
        super().__init__()
        if len(depths) != len(channels):
            wanted = f"{len(channels)} numbers, one for each of model.encoder.channels"
            raise ValueError(f"model.decoder.depths={depths}: give {wanted}")
        self.sizes = stage_sizes(*out_shape[1:], len(channels))[::-1]
        widths, depths = channels[::-1], depths[::-1]
        self.first = (widths[0], *self.sizes[0])
        self.hidden = Hidden(vector_dim, hidden, condition_dim)
        self.dense = nn.Linear(hidden, widths[0] * self.sizes[0][0] * self.sizes[0][1])
        self.stages, self.ups = nn.ModuleList(), nn.ModuleList()
        self.parts = [vector_dim]
        for width, depth, (rows, columns) in zip(widths, depths, self.sizes[:-1], strict=True):
            rungs = [Rung(width, depth, condition_dim) for _ in range(blocks)] if depth else []
            self.stages.append(nn.ModuleList(rungs or residual(width, blocks, condition_dim)))
            self.parts += [depth * rows * columns] * len(rungs)
        for width, following in pairwise(widths):
            up = nn.ConvTranspose2d(width, following, 2, stride=2, bias=False)
            self.ups.append(Block(up, following, condition_dim))
        self.latent_dim = sum(self.parts)
        self.head = nn.Sequential(nn.Conv2d(widths[-1], 4 * out_shape[0], 3, padding=1), nn.PixelShuffle(2))

    def forward(
        self, noise: Tensor, c: Tensor | None, encoded: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Posterior | None]:
        """Likelihood parameters of latents ``noise`` (B, D), these, and None.

        Where ``encoded`` is what the encoder gives of images, the latents are those that q makes of the noise, and the
        third is that q.
        """
        pieces = noise.split(self.parts, dim=1)
        latents: list[Tensor] = []
        found: list[Posterior] = []

        def settle(told: Tensor | None) -> Tensor:
            z = pieces[len(latents)]
            if told is not None:
                found.append(Posterior.of(told.flatten(1)))
                z = found[-1].at(z)
            latents.append(z)
            return z

        x = self.dense(self.hidden(settle(encoded[0] if encoded else None), c)).view(-1, *self.first)
        for place, (stage, (height, width)) in enumerate(zip(self.stages, self.sizes[:-1], strict=True)):
            if place:
                x = self.ups[place - 1](x, c)[:, :, :height, :width]
            for layer in cast(nn.ModuleList, stage):
                if isinstance(layer, Rung):
                    z = settle(layer.compare(x, encoded[1 + place], c) if encoded else None)
                    x = layer(x, z.view(len(z), -1, height, width), c)
                else:
                    x = layer(x, c)
        height, width = self.sizes[-1]
        posterior = Posterior(*(torch.cat(parts, 1) for parts in zip(*found, strict=True))) if encoded else None
        return self.head(x)[:, :, :height, :width], torch.cat(latents, 1), posterior


class LadderVAE(VAE):
    """A :class:`VAE` with a ladder of latents: ``latent_dim`` of them in the vector at its top, and those of the maps.

    z is the noise of all levels, standard normal under the prior; q of a level depends on what was drawn above it.
    """

    decoder: LadderDecoder

    def __init__(
        self,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        num_classes: PositiveInt,
        encoder: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        likelihood: Likelihood,
        latent_dim: PositiveInt = 16,
        conditioning: Literal["both", "decoder", "none"] = "both",
        beta: Constant | None = None,
        free_bits: NonNegativeFloat = 0.0,
        augment: NonNegativeFloat = 0.0,
        augment_epochs: PositiveFloat | None = None,
    ) -> None:
        networks = (image_shape, num_classes, encoder, decoder, likelihood, latent_dim)
        super().__init__(*networks, conditioning, beta, free_bits, augment, augment_epochs)
        self.latent_dim = self.decoder.latent_dim

    def _descend(self, encoded: list[Tensor], c: Tensor | None, noise: Tensor) -> Explanation:
        params, z, posterior = self.decoder(noise, c, encoded)
        assert posterior is not None
        return Explanation(posterior, z, params.float())

    def _explain(self, encoded: list[Tensor], c: Tensor | None, generator: torch.Generator | None) -> Explanation:
        size, device = (len(encoded[0]), self.latent_dim), encoded[0].device
        return self._descend(encoded, c, torch.randn(size, device=device, generator=generator))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """Images -> q(z | x, c) on the way of the means; labels are needed wherever the decoder is told them."""
        to_encoder, to_decoder = self.conditions(labels)
        encoded = self.encoder(unit(x), to_encoder)
        return self._descend(encoded, to_decoder, encoded[0].new_zeros(len(x), self.latent_dim)).posterior

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.likelihood.mean(self.decoder(z, self.conditions(labels)[1])[0].float())
