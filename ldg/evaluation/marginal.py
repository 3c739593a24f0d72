"""The marginal likelihood, estimated by importance sampling."""

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from ldg.evaluation.elbo import elbo, targets
from ldg.evaluation.measure import Measure, Result, Value, mean
from ldg.evaluation.subject import Skipped, Subject, progress
from ldg.models.vae import VAE

BATCH = 250


@torch.inference_mode()
def marginal(
    model: VAE, images: Tensor, labels: Tensor, samples: int = 500, generator: torch.Generator | None = None
) -> Tensor:
    """log p(x | c) of each image, (N,) nats, from below with ``samples`` draws (Burda et al. 2016, eq. 8).

    Memory is that of one batch of 250 images, whatever ``samples``.
    """
    bar = progress(len(images), f"importance sampling, {samples} draws")
    found = []
    for x, c in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        found.append(model.log_likelihood(x, c, samples, generator))
        bar.update(len(x))
    bar.close()
    return torch.cat(found)


def binarized(images: Tensor, seed: int) -> Tensor:
    """uint8 images with every pixel 0 or 255, drawn with its grey value as the probability."""
    grey = images.numpy() / 255
    return torch.from_numpy(255 * np.random.RandomState(seed).binomial(1, grey).astype(np.uint8))


class Marginal(Measure):
    """log p(x | c) in nats per image: the importance-weighted bound with ``samples`` draws (500; tables use 5000).

    ``images`` of the test split, chosen at random, are looked at (None: all). What the bound gains over the ELBO varies
    far less between images than the ELBO itself, so the mean over all test images is estimated as their mean ELBO plus
    the mean gain over those looked at (a difference estimator: Cochran 1977, section 7.9), and both errors are counted.
    ``binarize_seed`` makes all of them black and white once, with numpy's old generator, as Tomczak & Welling (2018,
    VAE with a VampPrior) do with 777; it goes with a likelihood that binarises.
    """

    def __init__(
        self, samples: PositiveInt = 500, images: PositiveInt | None = 1000, binarize_seed: NonNegativeInt | None = None
    ) -> None:
        self.samples = samples
        self.images = images
        self.binarize_seed = binarize_seed

    def __call__(self, subject: Subject) -> Result:
        model = subject.model
        every, labels_of_all = subject.images("test")
        likelihood = targets(model.likelihood)
        if self.binarize_seed is not None:
            if getattr(model.likelihood, "binarize", "none") == "none":
                raise Skipped("binarize_seed goes with a likelihood that binarises: likelihood.binarize=dynamic")
            every = binarized(every, self.binarize_seed)
            likelihood = f"Bernoulli, binarised once, numpy seed {self.binarize_seed}"
        chosen = subject.chosen("test", self.images)
        images, labels = every[chosen], labels_of_all[chosen]
        bound = marginal(model, images, labels, self.samples, subject.generator("marginal"))
        looked_at = f"{len(images):,} of {len(every):,} test images"
        setting = f"{self.samples} draws a look, {looked_at}; {likelihood}"
        if len(images) == len(every):
            return Result(setting, {"marginal": mean(bound, "nats", "higher")})
        log_likelihood, kl = elbo(model, every, labels_of_all, 1, subject.generator("elbo"))
        base = mean(log_likelihood - kl)
        log_likelihood, kl = elbo(model, images, labels, 1, subject.generator("gain"))
        gain = mean(bound - (log_likelihood - kl))
        assert base.error is not None and gain.error is not None
        error = (base.error**2 + gain.error**2) ** 0.5
        return Result(setting, {"marginal": Value(base.value + gain.value, error, "nats", "higher")})
