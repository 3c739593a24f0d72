"""Style: what is left of a latent when its class is taken away.

The noise under a conditional prior is no style: each class has a flow of its own, and training has no reason to let the
same noise mean the same slant in all of them. The latents themselves carry the style, and the class. So every class
gets its place and its form, the first two moments of its prior, and the style is what they leave::

    z = mean of p(z | c) + root of the covariance of p(z | c) . style

The root is the symmetric one, which of all whitenings keeps the axes of z most (Kessy et al. 2018, ZCA). The
covariances are drawn halfway to their mean over the classes, as in regularized discriminant analysis (Friedman 1989).
docs/evaluation.md has what other choices give.
"""

import torch
from torch import Tensor

from ldg.models.conditioning import label_vector
from ldg.models.vae import VAE

DRAWS = 256  # of each class, for its moments
SHRINKAGE = 0.5  # of the covariances towards their mean
SEED = 0


class StyleSpace:
    """The styles of a model, (N, D) as its latents, and standard normal like its noise.

    Args:
        model: In eval mode; a change of its parameters is not seen.

    Attributes:
        means: Of p(z | c), (K, D).
        roots: Symmetric, of the covariances, (K, D, D).
    """

    @torch.no_grad()
    def __init__(self, model: VAE) -> None:
        self.model = model
        count = max(DRAWS, 4 * model.latent_dim)
        draws = torch.randn(count, model.latent_dim, generator=torch.Generator().manual_seed(SEED))
        noise = _whitened(draws.double()).float().to(model.device)
        labels = torch.arange(model.num_classes, device=model.device)
        moments = [_moments(model.from_noise(noise, label.expand(count)).cpu().double()) for label in labels]
        means, covariances = (torch.stack(parts) for parts in zip(*moments, strict=True))
        covariances += SHRINKAGE * (covariances.mean(0) - covariances)
        self.means = means.float().to(model.device)
        self.roots = _power(covariances, 0.5).float().to(model.device)

    def latents(self, styles: Tensor, labels: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
        """Turn styles into latents.

        Args:
            styles: (N, D).
            labels: Class indices (N,) or mixtures (N, K).
            temperature: Factor of the noise that the prior would make the latents of: below 1 they are closer to what
                is usual for the class.

        Returns:
            Latents (N, D).
        """
        weights = label_vector(labels, len(self.means))
        z = weights @ self.means + torch.einsum("nk,kij,nj->ni", weights, self.roots, styles)
        return self.model.from_noise(temperature * self.model.to_noise(z, labels), labels)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """Recover the styles of latents.

        Args:
            z: Latents (N, D).
            labels: Class indices (N,).

        Returns:
            Styles (N, D).
        """
        return torch.linalg.solve(self.roots[labels], z - self.means[labels])


def _whitened(draws: Tensor) -> Tensor:
    """Draws with exactly mean 0 and covariance 1, so that under a standard normal prior a style is the noise."""
    mean, covariance = _moments(draws)
    return (draws - mean) @ _power(covariance, -0.5)


def _moments(draws: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,) and the covariance (D, D) of draws (N, D)."""
    mean = draws.mean(0)
    return mean, (draws - mean).T @ (draws - mean) / len(draws)


def _power(covariances: Tensor, exponent: float) -> Tensor:
    """A power of symmetric matrices (..., D, D)."""
    scales, axes = torch.linalg.eigh(covariances)
    return (axes * scales.clamp(min=1e-9)[..., None, :] ** exponent) @ axes.mT
