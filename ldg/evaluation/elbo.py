"""The evidence lower bound and its two parts."""

import math

import torch
from pydantic import PositiveInt
from torch import Tensor

from ldg.evaluation.measure import Measure, Result, mean
from ldg.evaluation.subject import BATCH, Subject, progress
from ldg.models.likelihoods import Bernoulli, Likelihood
from ldg.models.vae import VAE, unit

DARKEST = 1 / 512  # half a grey level: no mean image is surer of a pixel


@torch.inference_mode()
def elbo_grey(model: VAE, images: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The ELBO of each image, (N,) nats, were the mean image the coins of a grey :class:`Bernoulli`.

    It compares models of other likelihoods, with half a grey level as the least doubt of a pixel.
    """
    found = []
    for x, c in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        x = unit(x)
        posterior, z, params = model.explain(x, c, generator)
        logits = model.likelihood.mean(params).clamp(DARKEST, 1 - DARKEST).logit()
        found.append(Bernoulli().log_prob(logits, x) - model.prior.kl(posterior, z, model.conditions(c)[1]).sum(1))
    return torch.cat(found)


@torch.inference_mode()
def elbo(
    model: VAE, images: Tensor, labels: Tensor, samples: int = 1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """E_q[log p(x | z, c)] and KL(q || p) of each image, (N,) nats, the first averaged over ``samples`` draws of z."""
    bar = progress(samples * len(images), "ELBO")
    log_likelihoods, kls = [], []
    for x, c in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        parts = [model.loss(x, c, generator=generator) for _ in range(samples)]
        log_likelihoods.append(torch.stack([part.log_likelihood for part in parts]).mean(0))
        kls.append(torch.stack([part.kl for part in parts]).mean(0))
        bar.update(samples * len(x))
    bar.close()
    return torch.cat(log_likelihoods), torch.cat(kls)


class Elbo(Measure):
    """ELBO, expected log-likelihood and KL in nats per image; bits per dimension where the likelihood is discrete.

    Where it is no Bernoulli, also the ELBO as a grey Bernoulli's, by which models of other likelihoods compare.
    """

    def __init__(self, samples: PositiveInt = 1) -> None:
        self.samples = samples

    def __call__(self, subject: Subject) -> Result:
        model = subject.model
        images, labels = subject.images("test")
        log_likelihood, kl = elbo(model, images, labels, self.samples, subject.generator("elbo"))
        values = {
            "elbo": mean(log_likelihood - kl, "nats", "higher"),
            "log_likelihood": mean(log_likelihood, "nats", "higher"),
            "kl": mean(kl, "nats"),
        }
        if model.likelihood.discrete:
            bits = (kl - log_likelihood) / (math.log(2) * math.prod(model.image_shape))
            values["bits_per_dim"] = mean(bits, "bits", "lower")
        if not isinstance(model.likelihood, Bernoulli):
            values["elbo_grey"] = mean(elbo_grey(model, images, labels, subject.generator("grey")), "nats", "higher")
        draws = f"{self.samples} draw{'s' if self.samples > 1 else ''} of z"
        return Result(f"{len(images):,} test images, {draws}; {targets(model.likelihood)}", values)


def targets(likelihood: Likelihood) -> str:
    """What the likelihood is of: results of different kinds cannot be compared."""
    name = type(likelihood).__name__
    if isinstance(likelihood, Bernoulli):
        kind = {
            "none": "grey values as they are",
            "dynamic": "binarised anew at each look",
            "static": f"binarised once, seed {likelihood.seed}",
        }[likelihood.binarize]
        return f"{name}, {kind}"
    return f"{name}, a {'probability of grey levels' if likelihood.discrete else 'density on [0, 1]'}"
