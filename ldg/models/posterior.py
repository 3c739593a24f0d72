"""q(z | x, c), the approximate posterior."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_var: Tensor | float = 0.0) -> Tensor:
    """Compute log N(z; mean, exp(log_var)).

    Args:
        z: Points (..., D).
        mean: Means, broadcast to ``z``.
        log_var: Log variances, broadcast to ``z``.

    Returns:
        Log density in nats, summed over the last dimension, (...).
    """
    log_var = torch.as_tensor(log_var, dtype=z.dtype, device=z.device)
    return -0.5 * ((z - mean).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1)


class Posterior(NamedTuple):
    """A normal distribution with independent dimensions.

    Attributes:
        mean: (B, D).
        log_var: Log variances (B, D).
    """

    mean: Tensor
    log_var: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> "Posterior":
        """Make the distribution from a network's output.

        Args:
            parameters: Means and log variances (B, 2 D), in any precision.

        Returns:
            The distribution in float32, log variances limited to [-15, 15].
        """
        mean, log_var = parameters.float().chunk(2, dim=1)
        # e^±15 is beyond any use, and keeps a wild first step from overflowing
        return cls(mean, log_var.clamp(-15.0, 15.0))

    def at(self, noise: Tensor) -> Tensor:
        """Transform standard normal noise (B, D) into a draw (B, D)."""
        return torch.addcmul(self.mean, noise, (0.5 * self.log_var).exp())

    def kl(self) -> Tensor:
        """Compute KL(q || N(0, 1)) of each dimension (Kingma & Welling 2014, appendix B).

        Returns:
            Nats (B, D), not negative.
        """
        return 0.5 * (self.mean.square() + self.log_var.exp() - 1 - self.log_var)

    def log_prob(self, z: Tensor) -> Tensor:
        """Compute log q(z) of latents (B, D), in nats, (B,)."""
        return log_normal(z, self.mean, self.log_var)
