"""The marginal likelihood, estimated by importance sampling."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from ldg.evaluation.context import EvaluationContext, Skipped, batches
from ldg.evaluation.elbo import elbo, elbo_of_test_images
from ldg.evaluation.measure import Count, Measure, Quantity, Result, mean_and_error, standard_error
from ldg.models.vae import VAE

# images at once: the feature maps of more do not fit the caches of a CPU, and the error is looked at after each batch
BATCH = 125
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # of NumPy's legacy generator


@torch.inference_mode()
def marginal(
    model: VAE,
    images: Tensor,
    labels: Tensor,
    samples: int = 500,
    generator: torch.Generator | None = None,
    error: float | None = None,
) -> tuple[Tensor, Tensor]:
    """A lower bound on log p(x | c) by importance sampling (Burda et al. 2016, eq. 8), and the ELBO by the same draws.

    Memory is that of one batch of 125 images and 5000 importance weights for each, whatever ``samples``.

    Args:
        model: in eval mode
        images: (N, C, H, W), in random order if there is an ``error``
        labels: (N,)
        samples: draws of z per image
        generator: of the noise
        error: stop after the batch by which the standard error of the mean difference of the two is so small, in nats
            (Chow & Robbins 1965); None: take all images

    Returns:
        Bound and ELBO of the first M images, nats per image, (M,) each, on the CPU.
    """
    bounds, elbos = torch.empty(0), torch.empty(0)
    for x, c in batches(model, images, labels, f"importance sampling, {samples} draws", BATCH):
        bound, mean = model.bounds(x, c, samples, generator)
        bounds, elbos = torch.cat([bounds, bound.cpu()]), torch.cat([elbos, mean.cpu()])
        reached = standard_error(bounds - elbos)
        if error is not None and reached is not None and reached <= error:
            break
    return bounds, elbos


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
    difference estimator: Cochran 1977, section 7.9). The gain of an image is its bound minus its ELBO, both from the
    same draws, whose noise so cancels. The standard error counts both parts.

    Args:
        samples: draws of z per image, which the bound depends on; tables in papers use 5000
        images: at most so many test images, chosen at random; None: all
        error: standard error of the mean gain in nats, at which no more images are taken; None: take all ``images``
        binarize_seed: binarise all images statically with NumPy's legacy generator, as Tomczak & Welling (2018, VAE
            with a VampPrior) do with 777; for a likelihood that binarises
    """

    quantities = (Quantity("marginal", "marginal log-likelihood", "nats", "higher", "headline"),)

    def __init__(
        self,
        samples: Count = 500,
        images: PositiveInt | None = 1000,
        error: PositiveFloat | None = 0.1,
        binarize_seed: Seed | None = None,
    ) -> None:
        self.samples = samples
        self.images = images
        self.error = error
        self.binarize_seed = binarize_seed

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        model = context.model
        images, labels = context.images("test")
        target = model.likelihood.description
        if self.binarize_seed is not None:
            if getattr(model.likelihood, "binarize", "none") == "none":
                raise Skipped("binarize_seed needs a likelihood that binarises: likelihood.binarize=dynamic")
            images = binarize(images, self.binarize_seed)
            target = f"Bernoulli, statically binarised, numpy seed {self.binarize_seed}"
        chosen = context.choose("test", self.images)
        chosen = chosen[torch.randperm(len(chosen), generator=context.generator("order"))]
        noise = context.generator("marginal")
        bound, lower = marginal(model, images[chosen], labels[chosen], self.samples, noise, self.error)
        goal = "" if self.error is None else f" at most, standard error of the gain {self.error:g}"
        setting = f"{self.samples} draws per image, {len(chosen):,} of {len(images):,} test images{goal}; {target}"
        detail = {"images": len(bound)}
        if len(bound) == len(images):
            return Result(setting, {"marginal": self.mean("marginal", bound[chosen.argsort()])}, detail)
        if self.binarize_seed is None:
            log_likelihood, kl = elbo_of_test_images(context)
        else:
            log_likelihood, kl = elbo(model, images, labels, 1, context.generator("elbo"))
        base, base_error = mean_and_error(log_likelihood - kl)
        gain, gain_error = mean_and_error(bound - lower)
        error = None
        if base_error is not None and gain_error is not None:
            error = (base_error**2 + gain_error**2) ** 0.5
        return Result(setting, {"marginal": self.value("marginal", base + gain, error)}, detail)
