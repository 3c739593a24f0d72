"""A prior for latents that are a vector and a feature map: first the vector, then the map given the vector."""

import math

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from ldg.models.conv import stage_sizes, vector_size
from ldg.models.network import Depth
from ldg.models.priors import Flow


class MapCoupling(nn.Module):
    """Masked convolutional coupling (Dinh et al. 2017, section 3.4), which starts as the identity.

    Args:
        latent_channels: Channels of the map.
        context: Channels of the context.
        hidden: Channels of the network that computes scale and shift.
        mask: (H, W), 1 at the places that are scaled and shifted, computed from the others and the context.
    """

    mask: Tensor

    def __init__(self, latent_channels: int, context: int, hidden: int, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        last = nn.Conv2d(hidden, 2 * latent_channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Conv2d(latent_channels + context, hidden, 3, padding=1), nn.SiLU())
        self.network.extend([nn.Conv2d(hidden, hidden, 3, padding=1), nn.SiLU(), last])

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log scale and shift of ``x`` (B, latent_channels, H, W) given ``context`` (B, context, H, W).

        Args:
            x: The map.
            context: What is known besides.

        Returns:
            Two maps in the shape of ``x``, 0 at the places that stay.
        """
        log_scale, shift = self.network(torch.cat([x * (1 - self.mask), context], dim=1)).chunk(2, dim=1)
        return self.mask * 2 * torch.tanh(log_scale / 2), self.mask * shift


class TwoLevels(Flow):
    """A flow on the vector and, given the vector and the condition, a convolutional flow on the map.

    Each coupling of the map changes every second place given the others.

    Args:
        latent_dim: D.
        condition_dim: K, the width of the condition; 0: none.
        image_shape: (C, H, W).
        channels: Channels of the network's stages; their number gives the size of the smallest map.
        latent_channels: Latents at each place of the smallest map, at least 1; the other latents are the vector.
        couplings: Invertible layers on the map.
        hidden: Width of the networks in them.
        context: Channels that tell the map about vector and condition.
        dense: Width of the layer from vector and condition to them.

    Raises:
        ValueError: If ``latent_channels`` is 0 or leaves no vector.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        condition_dim: int,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        channels: list[PositiveInt],
        latent_channels: NonNegativeInt,
        couplings: Depth = 4,
        hidden: PositiveInt = 64,
        context: PositiveInt = 16,
        dense: PositiveInt = 256,
    ) -> None:
        if not latent_channels:
            raise ValueError("a prior of two levels needs a map of latents: model.network.latent_channels of 1 or more")
        size = stage_sizes(*image_shape[1:], len(channels))[-1]
        self.vector = vector_size(latent_dim, latent_channels, size)
        super().__init__(self.vector, condition_dim)
        self.shape = (latent_channels, *size)
        self.context = nn.Sequential(
            nn.Linear(self.vector + condition_dim, dense),
            nn.SiLU(),
            nn.Linear(dense, context * math.prod(size)),
            nn.Unflatten(1, (context, *size)),
        )
        checkered = (torch.arange(size[0])[:, None] + torch.arange(size[1])) % 2.0
        masks = [torch.ones(size), *(checkered if place % 2 else 1 - checkered for place in range(couplings))]
        self.map_couplings = nn.ModuleList(MapCoupling(latent_channels, context, hidden, mask) for mask in masks)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, : self.vector], x[:, self.vector :].reshape(-1, *self.shape)

    def _context_of(self, vector: Tensor, c: Tensor | None) -> Tensor:
        return self.context(vector if c is None else torch.cat([vector, c], dim=1))

    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Prior.forward`."""
        vector, places = self._split(noise)
        vector = super().forward(vector, c)
        context = self._context_of(vector, c)
        for coupling in self.map_couplings:
            log_scale, shift = coupling(places, context)
            places = places * log_scale.exp() + shift
        return torch.cat([vector, places.flatten(1)], dim=1)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """As :meth:`Prior.inverse`."""
        vector, places = self._split(z)
        noise, log_det = super().inverse(vector, c)
        context = self._context_of(vector, c)
        for coupling in reversed(self.map_couplings):
            log_scale, shift = coupling(places, context)
            places = (places - shift) * (-log_scale).exp()
            log_det = log_det - log_scale.flatten(1).sum(1)
        return torch.cat([noise, places.flatten(1)], dim=1), log_det
