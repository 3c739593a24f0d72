"""A prior for latents that are a vector and a map: the vector says the whole, the map its places."""

import math

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from ldg.models.conv import stage_sizes, vector_size
from ldg.models.priors import Flow


class MapCoupling(nn.Module):
    """Scale and shift of the places of a map where ``mask`` (H, W) is 1, as the others and a context say.

    The masked convolutional coupling of Dinh et al. 2017 (section 3.4); it starts as the identity.
    """

    mask: Tensor

    def __init__(self, depth: int, context: int, hidden: int, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        last = nn.Conv2d(hidden, 2 * depth, 3, padding=1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Conv2d(depth + context, hidden, 3, padding=1), nn.SiLU())
        self.network.extend([nn.Conv2d(hidden, hidden, 3, padding=1), nn.SiLU(), last])

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, depth, H, W), (B, context, H, W) -> log scale and shift, as ``x`` and 0 where it is kept."""
        log_scale, shift = self.network(torch.cat([x * (1 - self.mask), context], dim=1)).chunk(2, dim=1)
        return self.mask * 2 * torch.tanh(log_scale / 2), self.mask * shift


class TwoLevels(Flow):
    """A flow on the vector, and given it and the label a convolutional flow on the map.

    ``depth`` latents lie at each place of the smallest map that ``channels`` stages make of an image; the latents that
    are left are the vector. Every second place of the map is made to fit the others around it, ``couplings`` times.

    Raises:
        ValueError: for a ``depth`` of 0, or one that leaves no vector.
    """

    def __init__(
        self,
        latent_dim: PositiveInt,
        condition_dim: int,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        channels: list[PositiveInt],
        depth: NonNegativeInt,
        couplings: PositiveInt = 4,
        hidden: PositiveInt = 64,
        context: PositiveInt = 16,
        dense: PositiveInt = 256,
    ) -> None:
        if not depth:
            raise ValueError("a prior of two levels needs a map of latents: model.encoder.depth of 1 or more")
        size = stage_sizes(*image_shape[1:], len(channels))[-1]
        self.vector = vector_size(latent_dim, depth, size)
        super().__init__(self.vector, condition_dim)
        self.shape = (depth, *size)
        self.context = nn.Sequential(
            nn.Linear(self.vector + condition_dim, dense),
            nn.SiLU(),
            nn.Linear(dense, context * math.prod(size)),
            nn.Unflatten(1, (context, *size)),
        )
        checkered = (torch.arange(size[0])[:, None] + torch.arange(size[1])) % 2.0
        masks = [torch.ones(size), *(checkered if place % 2 else 1 - checkered for place in range(couplings))]
        self.map_couplings = nn.ModuleList(MapCoupling(depth, context, hidden, mask) for mask in masks)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, : self.vector], x[:, self.vector :].reshape(-1, *self.shape)

    def _told(self, vector: Tensor, c: Tensor | None) -> Tensor:
        return self.context(vector if c is None else torch.cat([vector, c], dim=1))

    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        vector, places = self._split(noise)
        vector = super().forward(vector, c)
        context = self._told(vector, c)
        for coupling in self.map_couplings:
            log_scale, shift = coupling(places, context)
            places = places * log_scale.exp() + shift
        return torch.cat([vector, places.flatten(1)], dim=1)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        vector, places = self._split(z)
        noise, log_det = super().inverse(vector, c)
        context = self._told(vector, c)
        for coupling in reversed(self.map_couplings):
            log_scale, shift = coupling(places, context)
            places = (places - shift) * (-log_scale).exp()
            log_det = log_det - log_scale.flatten(1).sum(1)
        return torch.cat([noise, places.flatten(1)], dim=1), log_det
