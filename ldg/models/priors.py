"""p(z | c), the prior. A prior turns standard normal noise into latents, and back.

The noise is the style of handwriting: it is the same for every character of a word, and a learned prior turns it into
latents that suit each character.
"""

from abc import ABC, abstractmethod

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ldg.models.network import Depth
from ldg.models.posterior import Posterior, log_normal


class Prior(nn.Module, ABC):
    """An invertible map from standard normal noise to latents.

    Args:
        latent_dim: D.
        condition_dim: K, the width of the condition; 0: none.

    Attributes:
        is_learned: False for N(0, 1), under which the KL of single dimensions is known.
    """

    is_learned = True

    def __init__(self, latent_dim: PositiveInt, condition_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.condition_dim = condition_dim

    @abstractmethod
    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        """Turn noise (B, D) under the condition (B, K) or None into latents (B, D)."""

    @abstractmethod
    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Recover the noise (B, D) of latents (B, D), and log |d noise / d z| (B,)."""

    def log_prob(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Compute log p(z | c) of latents (B, D), in nats, (B,)."""
        noise, log_det = self.inverse(z, c)
        return log_normal(noise) + log_det

    def kl(self, posterior: Posterior, z: Tensor, c: Tensor | None) -> Tensor:
        """Estimate KL(q || p) with one draw.

        Args:
            posterior: q, of B images.
            z: A draw (B, D) from it.
            c: Condition (B, K) or None.

        Returns:
            Nats (B,); of one draw, and so possibly negative.
        """
        return posterior.log_prob(z) - self.log_prob(z, c)


class StandardNormal(Prior):
    """N(0, 1) in every dimension, independent of the condition: latents are the noise itself.

    Args:
        latent_dim: D.
        condition_dim: K, the width of the condition; 0: none.
    """

    is_learned = False

    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        """Return the noise (B, D)."""
        return noise

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return latents (B, D) as the noise, and zeros (B,)."""
        return z, z.new_zeros(len(z))

    def kl(self, posterior: Posterior, z: Tensor, c: Tensor | None) -> Tensor:
        """Compute KL(q || N(0, 1)) exactly, in nats, (B,)."""
        return posterior.kl().sum(1)


class Coupling(nn.Module):
    """Scale and shift of one half of the dimensions, computed from the other half (Dinh et al. 2017, eq. 7).

    It starts as the identity; a scale lies between e^-2 and e^2.

    Args:
        kept: Dimensions that stay.
        changed: Dimensions that are scaled and shifted.
        condition_dim: Width of the condition; 0: none.
        hidden: Width of the network that computes scale and shift.
    """

    def __init__(self, kept: int, changed: int, condition_dim: int, hidden: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, 2 * changed)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(kept + condition_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.network.extend([nn.SiLU(), last])

    def forward(self, kept: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute log scale and shift, (B, changed) each, from ``kept`` (B, kept) and the condition."""
        log_scale, shift = self.network(kept if c is None else torch.cat([kept, c], dim=1)).chunk(2, dim=1)
        return 2 * torch.tanh(log_scale / 2), shift


class Flow(Prior):
    """A normalizing flow (Real NVP, Dinh et al. 2017), learned with the rest of the model.

    A flexible prior matches the aggregate posterior, so that samples do not fall into regions that the decoder has
    never seen (Chen et al. 2017, Variational lossy autoencoder, section 3.2).

    Args:
        latent_dim: D, at least 2.
        condition_dim: K, the width of the condition; 0: none.
        couplings: Invertible layers.
        hidden: Width of the networks in them.

    Raises:
        ValueError: If there are fewer than two latents.
    """

    def __init__(
        self, latent_dim: PositiveInt, condition_dim: int, couplings: Depth = 4, hidden: PositiveInt = 128
    ) -> None:
        super().__init__(latent_dim, condition_dim)
        if latent_dim < 2:
            raise ValueError("a flow prior needs model.latent_dim of 2 or more; or take model/prior=normal")
        half = latent_dim // 2
        sizes = [(half, latent_dim - half) if i % 2 == 0 else (latent_dim - half, half) for i in range(couplings)]
        self.cut = half
        self.couplings = nn.ModuleList(Coupling(*size, condition_dim, hidden) for size in sizes)

    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Prior.forward`."""
        parts = [noise[:, : self.cut], noise[:, self.cut :]]
        for place, coupling in enumerate(self.couplings):
            kept, changed = place % 2, 1 - place % 2
            log_scale, shift = coupling(parts[kept], c)
            parts[changed] = parts[changed] * log_scale.exp() + shift
        return torch.cat(parts, dim=1)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """As :meth:`Prior.inverse`."""
        parts, log_det = [z[:, : self.cut], z[:, self.cut :]], z.new_zeros(len(z))
        for place, coupling in reversed(list(enumerate(self.couplings))):
            kept, changed = place % 2, 1 - place % 2
            log_scale, shift = coupling(parts[kept], c)
            parts[changed] = (parts[changed] - shift) * (-log_scale).exp()
            log_det = log_det - log_scale.sum(1)
        return torch.cat(parts, dim=1), log_det
