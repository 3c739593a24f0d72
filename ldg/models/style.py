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
from ldg.models.posterior import Posterior
from ldg.models.vae import VAE

DRAWS = 256  # of each class, for its moments
SHRINKAGE = 0.5  # of the covariances towards their mean
MOST = 128  # dimensions of which the correlations are taken; of more the variances alone
SMALLEST = 1e-9  # variance
SEED = 0


class StyleSpace:
    """The styles of a model, (N, D) as its latents, and standard normal like its noise.

    Under a prior that is not learned they are the latents themselves.

    Args:
        model: In eval mode; a change of its parameters is not seen.

    Attributes:
        means: Of p(z | c), (K, D); empty under a prior that is not learned.
        roots: Symmetric, of the covariances, (K, D, D); (K, D) where only the variances are taken.
        inverses: Of the roots.
    """

    @torch.no_grad()
    def __init__(self, model: VAE) -> None:
        self.model = model
        self.is_plain = not model.prior.is_learned
        if self.is_plain:
            return
        count = DRAWS if model.latent_dim > MOST else max(DRAWS, 4 * model.latent_dim)
        draws = torch.randn(count, model.latent_dim, generator=torch.Generator().manual_seed(SEED))
        noise = _whitened(draws.double()).float().to(model.device)
        labels = torch.arange(model.num_classes, device=model.device)
        moments = [_moments(model.from_noise(noise, label.expand(count)).cpu().double()) for label in labels]
        means, covariances = (torch.stack(parts) for parts in zip(*moments, strict=True))
        covariances += SHRINKAGE * (covariances.mean(0) - covariances)
        self.means = means.float().to(model.device)
        self.roots, self.inverses = (_power(covariances, power).float().to(model.device) for power in (0.5, -0.5))

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
        if self.is_plain:
            return temperature * styles
        weights = label_vector(labels, len(self.means))
        if self.roots.ndim == 3:
            moved = torch.einsum("nk,kij,nj->ni", weights, self.roots, styles)
        else:
            moved = (weights @ self.roots) * styles
        z = weights @ self.means + moved
        return self.model.from_noise(temperature * self.model.to_noise(z, labels), labels)

    def styles(self, posterior: Posterior, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what posteriors say of the style.

        Args:
            posterior: q(z | x, c) of N images.
            labels: Class indices (N,).

        Returns:
            Means and variances (N, D); the variances without correlations.
        """
        mean, variance = posterior.mean, posterior.log_var.exp()
        if self.is_plain:
            return mean, variance
        inverses, mean = self.inverses[labels], mean - self.means[labels]
        if inverses.ndim == 2:
            return inverses * mean, inverses.square() * variance
        return torch.einsum("nij,nj->ni", inverses, mean), torch.einsum("nij,nj->ni", inverses.square(), variance)


def _whitened(draws: Tensor) -> Tensor:
    """Draws with exactly mean 0 and covariance 1, so that under a standard normal prior a style is the noise."""
    mean, covariance = _moments(draws)
    rest, root = draws - mean, _power(covariance, -0.5)
    return rest * root if root.ndim == 1 else rest @ root


def _moments(draws: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,) and the covariance (D, D) of draws (N, D); of many dimensions the variances (D,)."""
    mean = draws.mean(0)
    rest = draws - mean
    return mean, rest.square().mean(0) if len(mean) > MOST else rest.T @ rest / len(draws)


def _power(covariances: Tensor, exponent: float) -> Tensor:
    """A power of symmetric matrices (..., D, D), or of variances (..., D) of many dimensions."""
    if covariances.shape[-1] > MOST:
        return covariances.clamp(min=SMALLEST) ** exponent
    scales, axes = torch.linalg.eigh(covariances)
    return (axes * scales.clamp(min=SMALLEST)[..., None, :] ** exponent) @ axes.mT
