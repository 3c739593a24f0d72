"""The evidence lower bound and its two parts."""

import math

import torch
from torch import Tensor

from ldg.evaluation.context import EvaluationContext, batches
from ldg.evaluation.measure import Count, Measure, Quantity, Result
from ldg.models.likelihoods import Bernoulli
from ldg.models.vae import VAE, unit

DARKEST = 1 / 512  # half a grey level: no mean image is surer of a pixel


@torch.inference_mode()
def elbo_grey(model: VAE, images: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The ELBO with the decoded mean image as the probabilities of a :class:`Bernoulli` of grey values.

    It compares models with different likelihoods. Probabilities stay half a grey level away from 0 and 1.

    Args:
        model: in eval mode
        images: (N, C, H, W)
        labels: (N,)
        generator: of the noise

    Returns:
        Nats per image, (N,), on the CPU.
    """
    bounds = []
    for x, c in batches(model, images, labels, "ELBO of a grey Bernoulli"):
        inference = model(x, c, generator)
        logits = model.likelihood.mean(inference.params).clamp(DARKEST, 1 - DARKEST).logit()
        bounds.append((Bernoulli().log_prob(logits, unit(x)) - inference.kl).cpu())
    return torch.cat(bounds)


@torch.inference_mode()
def elbo(
    model: VAE, images: Tensor, labels: Tensor, samples: int = 1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The two parts of the ELBO, with beta = 1.

    Args:
        model: in eval mode
        images: (N, C, H, W)
        labels: (N,)
        samples: draws of z per image, over which both are averaged
        generator: of the noise

    Returns:
        E_q[log p(x | z, c)] and KL(q || p) in nats per image, (N,) each, on the CPU.
    """
    means = []
    for x, c in batches(model, images, labels, "ELBO"):
        total = torch.zeros(2, len(x), dtype=torch.float64)  # on the CPU: not every accelerator has float64
        for _ in range(samples):
            inference = model(x, c, generator)
            total += torch.stack([inference.log_likelihood, inference.kl]).cpu()
        means.append((total / samples).float())
    log_likelihood, kl = torch.cat(means, dim=1)
    return log_likelihood, kl


def elbo_of_test_images(context: EvaluationContext, samples: int = 1) -> tuple[Tensor, Tensor]:
    """The two parts of the ELBO of all test images, computed once.

    Args:
        context: of the model
        samples: draws of z per image

    Returns:
        As :func:`elbo`.
    """
    images, labels = context.images("test")
    return context.once(
        f"elbo of {samples}", lambda: elbo(context.model, images, labels, samples, context.generator("elbo"))
    )


class Elbo(Measure):
    """ELBO, expected log-likelihood and KL; bits per dimension where the likelihood is discrete.

    For likelihoods other than Bernoulli also :func:`elbo_grey`.

    Args:
        samples: draws of z per image
    """

    quantities = (
        Quantity("elbo", "ELBO", "nats", "higher", "headline", in_report=True),
        Quantity("elbo_grey", "ELBO as of a grey Bernoulli", "nats", "higher"),
        Quantity("log_likelihood", "log-likelihood of the image", "nats", "higher"),
        Quantity("kl", "KL", "nats", display="headline"),
        Quantity("bits_per_dim", "bits per dimension", "bits", "lower", "headline"),
    )

    def __init__(self, samples: Count = 1) -> None:
        self.samples = samples

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        model = context.model
        images, labels = context.images("test")
        log_likelihood, kl = elbo_of_test_images(context, self.samples)
        values = {
            "elbo": self.mean("elbo", log_likelihood - kl),
            "log_likelihood": self.mean("log_likelihood", log_likelihood),
            "kl": self.mean("kl", kl),
        }
        if model.likelihood.discrete:
            bits = (kl - log_likelihood) / (math.log(2) * math.prod(model.image_shape))
            values["bits_per_dim"] = self.mean("bits_per_dim", bits)
        if not isinstance(model.likelihood, Bernoulli):
            values["elbo_grey"] = self.mean("elbo_grey", elbo_grey(model, images, labels, context.generator("grey")))
        draws = f"{self.samples} draw{'s' if self.samples > 1 else ''} of z"
        return Result(f"{len(images):,} test images, {draws}; {model.likelihood.description}", values)
