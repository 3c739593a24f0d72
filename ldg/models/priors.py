"""p(z | c): where latents are drawn from. A prior turns standard normal noise into latents, and back.

The noise is what a writer calls a style: the same for every character of a word, while the latents that a learned
prior makes of it suit each character.
"""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ldg.models.posterior import Posterior, log_normal


class StandardNormal(nn.Module):
    """N(0, 1) in every dimension, whatever the label: latents are the noise itself."""

    def __init__(self, latent_dim: PositiveInt, condition_dim: int) -> None:
        super().__init__()

    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        """Noise (B, D) and the label (B, K) or None -> latents (B, D)."""
        return noise

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The noise (B, D) behind latents (B, D), and log |d noise / d z| (B,)."""
        return z, z.new_zeros(len(z))

    def log_prob(self, z: Tensor, c: Tensor | None) -> Tensor:
        """log p(z | c) in nats: (B, D) -> (B,)."""
        noise, log_det = self.inverse(z, c)
        return log_normal(noise) + log_det

    def kl(self, posterior: Posterior, z: Tensor, c: Tensor | None) -> Tensor:
        """KL(q || p) in nats by dimension, (B, D), or one column of it estimated with the draw ``z`` (B, D) from q."""
        return posterior.kl()


class Coupling(nn.Module):
    """Scale and shift of the one half of the dimensions, as the other half and the label say (Dinh et al. 2017, eq. 7).

    It starts as the identity; a scale lies between e^-2 and e^2.
    """

    def __init__(self, kept: int, changed: int, condition_dim: int, hidden: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, 2 * changed)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(kept + condition_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.network.extend([nn.SiLU(), last])

    def forward(self, kept: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The log scale and the shift, (B, changed) each."""
        log_scale, shift = self.network(kept if c is None else torch.cat([kept, c], dim=1)).chunk(2, dim=1)
        return 2 * torch.tanh(log_scale / 2), shift


class Flow(StandardNormal):
    """A learned prior of ``couplings`` invertible layers (Real NVP, Dinh et al. 2017) between noise and latents.

    A prior as flexible as what the encoder makes of real images leaves no holes that samples could fall into (Chen et
    al. 2017, Variational lossy autoencoder, section 3.2).
    """

    def __init__(
        self, latent_dim: PositiveInt, condition_dim: int, couplings: PositiveInt = 4, hidden: PositiveInt = 128
    ) -> None:
        super().__init__(latent_dim, condition_dim)
        if latent_dim < 2:
            raise ValueError("a flow prior needs model.latent_dim of 2 or more; or take model/prior=normal")
        half = latent_dim // 2
        sizes = [(half, latent_dim - half) if i % 2 == 0 else (latent_dim - half, half) for i in range(couplings)]
        self.cut = half
        self.couplings = nn.ModuleList(Coupling(*size, condition_dim, hidden) for size in sizes)

    def forward(self, noise: Tensor, c: Tensor | None) -> Tensor:
        parts = [noise[:, : self.cut], noise[:, self.cut :]]
        for place, coupling in enumerate(self.couplings):
            kept, changed = place % 2, 1 - place % 2
            log_scale, shift = coupling(parts[kept], c)
            parts[changed] = parts[changed] * log_scale.exp() + shift
        return torch.cat(parts, dim=1)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        parts, log_det = [z[:, : self.cut], z[:, self.cut :]], z.new_zeros(len(z))
        for place, coupling in reversed(list(enumerate(self.couplings))):
            kept, changed = place % 2, 1 - place % 2
            log_scale, shift = coupling(parts[kept], c)
            parts[changed] = (parts[changed] - shift) * (-log_scale).exp()
            log_det = log_det - log_scale.sum(1)
        return torch.cat(parts, dim=1), log_det

    def kl(self, posterior: Posterior, z: Tensor, c: Tensor | None) -> Tensor:
        return (posterior.log_prob(z) - self.log_prob(z, c))[:, None]
