"""q(z | x, c), what the encoder says of an image."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_var: Tensor | float = 0.0) -> Tensor:
    """log N(z; mean, exp(log_var)) in nats, summed over the last dimension: (B, D) -> (B,)."""
    log_var = torch.as_tensor(log_var, dtype=z.dtype, device=z.device)
    return -0.5 * ((z - mean).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1)


class Posterior(NamedTuple):
    """q(z | x, c): a normal distribution with independent dimensions; ``mean`` and ``log_var`` are (B, D)."""

    mean: Tensor
    log_var: Tensor

    @classmethod
    def of(cls, encoded: Tensor) -> "Posterior":
        """The one whose means and log variances a network gives, (B, 2 D) in any precision."""
        mean, log_var = encoded.float().chunk(2, dim=1)
        # e^±15 is beyond any use, and keeps a wild first step from overflowing
        return cls(mean, log_var.clamp(-15.0, 15.0))

    def at(self, noise: Tensor) -> Tensor:
        """The draw (B, D) that standard normal noise (B, D) makes."""
        return torch.addcmul(self.mean, noise, (0.5 * self.log_var).exp())

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One reparametrised draw, (B, D)."""
        noise = torch.randn(self.mean.shape, dtype=self.mean.dtype, device=self.mean.device, generator=generator)
        return self.at(noise)

    def kl(self) -> Tensor:
        """KL(q || N(0, 1)) of each dimension in nats, (B, D), not negative (Kingma & Welling 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.log_var.exp() - 1 - self.log_var)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) in nats, (B,)."""
        return log_normal(z, self.mean, self.log_var)
