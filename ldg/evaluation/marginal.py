"""The marginal likelihood, estimated by importance sampling."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ldg.evaluation.context import EvaluationContext, Skipped, batches
from ldg.evaluation.elbo import elbo
from ldg.evaluation.measure import Count, Measure, Quantity, Result, mean_and_error
from ldg.models.vae import VAE

BATCH = 250
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # of NumPy's legacy generator


@torch.inference_mode()
def marginal(
    model: VAE, images: Tensor, labels: Tensor, samples: int = 500, generator: torch.Generator | None = None
) -> Tensor:
    """A lower bound on log p(x | c) by importance sampling (Burda et al. 2016, eq. 8).

    Memory is that of one batch of 250 images and 5000 importance weights for each, whatever ``samples``.

    Args:
        model: in eval mode
        images: (N, C, H, W)
        labels: (N,)
        samples: draws of z per image
        generator: of the noise

    Returns:
        Nats per image, (N,), on the CPU.
    """
    what = f"importance sampling, {samples} draws"
    return torch.cat(
        [model.log_likelihood(x, c, samples, generator).cpu() for x, c in batches(model, images, labels, what, BATCH)]
    )


def binarize(images: Tensor, seed: int) -> Tensor:
    """Binarise images statically, with NumPy's legacy generator.

    Args:
        images: uint8 (N, C, H, W)
        seed: of the generator

    Returns:
        uint8 (N, C, H, W), each pixel 255 with its grey value as the probability, else 0.
    """
    grey = images.numpy() / 255
    return torch.from_numpy(255 * np.random.RandomState(seed).binomial(1, grey).astype(np.uint8))


class Marginal(Measure):
    """The importance-weighted bound on log p(x | c) in nats per image.

    The bound of some test images is extrapolated to all. What it gains over the ELBO varies far less between images
    than the ELBO itself, so the mean over all test images is estimated as their mean ELBO plus the mean gain of some (a
    difference estimator: Cochran 1977, section 7.9). The standard error counts both.

    Args:
        samples: draws of z per image; tables in papers use 5000
        images: how many test images, chosen at random; None: all
        binarize_seed: binarise all images statically with NumPy's legacy generator, as Tomczak & Welling (2018, VAE
            with a VampPrior) do with 777; for a likelihood that binarises
    """

    quantities = (Quantity("marginal", "marginal log-likelihood", "nats", "higher", "headline"),)

    def __init__(
        self, samples: Count = 500, images: PositiveInt | None = 1000, binarize_seed: Seed | None = None
    ) -> None:
        self.samples = samples
        self.images = images
        self.binarize_seed = binarize_seed

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        model = context.model
        all_images, all_labels = context.images("test")
        target = model.likelihood.description
        if self.binarize_seed is not None:
            if getattr(model.likelihood, "binarize", "none") == "none":
                raise Skipped("binarize_seed needs a likelihood that binarises: likelihood.binarize=dynamic")
            all_images = binarize(all_images, self.binarize_seed)
            target = f"Bernoulli, statically binarised, numpy seed {self.binarize_seed}"
        chosen = context.choose("test", self.images)
        images, labels = all_images[chosen], all_labels[chosen]
        bound = marginal(model, images, labels, self.samples, context.generator("marginal"))
        setting = f"{self.samples} draws per image, {len(images):,} of {len(all_images):,} test images; {target}"
        if len(images) == len(all_images):
            return Result(setting, {"marginal": self.mean("marginal", bound)})
        log_likelihood, kl = elbo(model, all_images, all_labels, 1, context.generator("elbo"))
        base, base_error = mean_and_error(log_likelihood - kl)
        log_likelihood, kl = elbo(model, images, labels, 1, context.generator("gain"))
        gain, gain_error = mean_and_error(bound - (log_likelihood - kl))
        error = None
        if base_error is not None and gain_error is not None:
            error = (base_error**2 + gain_error**2) ** 0.5
        return Result(setting, {"marginal": self.value("marginal", base + gain, error)})
