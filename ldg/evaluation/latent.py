"""The use of the latent space: active dimensions, distance from the prior, and information about the label."""

import math
import warnings
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ldg.evaluation.context import EvaluationContext, Skipped, batches
from ldg.evaluation.measure import Measure, Quantity, Result
from ldg.models.posterior import Posterior
from ldg.models.vae import VAE

WEIGHTS = 2**25  # of draws under posteriors, computed at once


@torch.inference_mode()
def encode_images(
    model: VAE, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> tuple[Posterior, Tensor]:
    """The posteriors of images and a draw from each.

    Args:
        model: in eval mode
        images: (N, C, H, W)
        labels: (N,)
        generator: of the noise, that of a dynamic binarisation included

    Returns:
        q(z | x, c) with mean and log variance (N, D), and z (N, D), on the CPU.
    """
    draws = [model.draw(x, c, generator) for x, c in batches(model, images, labels, "posteriors")]
    mean, log_var = (torch.cat(parts).cpu() for parts in zip(*(posterior for posterior, _ in draws), strict=True))
    return Posterior(mean, log_var), torch.cat([z for _, z in draws]).cpu()


def active_units(posterior: Posterior, threshold: float = 0.01) -> int:
    """The number of active dimensions (Burda et al. 2016, section 5).

    Args:
        posterior: of N images
        threshold: variance of the posterior mean over the images, above which a dimension is active

    Returns:
        0 to D.
    """
    return int((posterior.mean.double().var(0) > threshold).sum())


def aggregate_kl(posterior: Posterior, draws: Tensor) -> Tensor:
    """KL(q(z_j) || N(0, 1)) of each dimension, q(z_j) being the mixture of all images' posteriors.

    Estimated with draws from the aggregate posterior (Hoffman & Johnson 2016); one dimension at a time, since the
    mixture of N posteriors over all dimensions at once cannot exceed log N nats. The mean KL of the posteriors is an
    upper bound (by convexity), and takes its place in a dimension where that is almost zero.

    Args:
        posterior: of N images
        draws: (M, D)

    Returns:
        Nats, (D,).
    """
    constant = 0.5 * math.log(2 * math.pi)
    kl = posterior.kl().mean(0)
    for j in (kl > 1e-4).nonzero()[:, 0].tolist():
        mean, log_var = posterior.mean[:, j], posterior.log_var[:, j]
        log_q = []
        for z in draws[:, j].split(max(1, WEIGHTS // len(mean))):
            weights = -0.5 * ((z[:, None] - mean).square() * (-log_var).exp() + log_var) - constant
            log_q.append(weights.logsumexp(1) - math.log(len(mean)))
        kl[j] = (torch.cat(log_q) + 0.5 * draws[:, j].square() + constant).mean()
    return kl


def moments_kl(posterior: Posterior) -> float:
    """KL to N(0, 1) from the normal distribution with the aggregate posterior's mean and covariance.

    Args:
        posterior: of N images

    Returns:
        Nats.
    """
    mean = posterior.mean.double()
    covariance = torch.cov(mean.T).reshape(mean.shape[1], -1) + torch.diag(posterior.log_var.double().exp().mean(0))
    centre = mean.mean(0)
    return float(0.5 * (covariance.trace() + centre @ centre - len(centre) - torch.logdet(covariance)))


def standardise(posterior: Posterior) -> Posterior:
    """Shift and scale posteriors so that the aggregate posterior has mean 0 and variance 1 in each dimension."""
    centre, log_scale = posterior.mean.mean(0), (posterior.mean.var(0) + posterior.log_var.exp().mean(0)).log()
    return Posterior((posterior.mean - centre) * (-0.5 * log_scale).exp(), posterior.log_var - log_scale)


def label_information(
    train_z: Tensor, train_labels: Tensor, test_z: Tensor, test_labels: Tensor, seed: int = 0
) -> tuple[float, float, float]:
    """A lower bound on the mutual information of latent code and label.

    I(z; c) >= H(c) + E[log r(c | z)] for any classifier r (Barber & Agakov 2003): scikit-learn's MLPClassifier with one
    hidden layer of 128 units.

    Args:
        train_z: codes the classifier is fitted to, (N, D)
        train_labels: int64 (N,)
        test_z: codes the bound is computed on, (M, D)
        test_labels: int64 (M,)
        seed: of the classifier, 0 to 2**32 - 1

    Returns:
        The bound, at least 0, its standard error, and the entropy of the labels, in nats.
    """
    floor = -math.log(len(train_z))
    log_r = np.full((len(test_z), int(max(train_labels.max(), test_labels.max())) + 1), floor)
    classes, counts = train_labels.unique(return_counts=True)
    if len(classes) == 1:
        log_r[:, classes] = 0.0  # of the only class there is
    else:
        log_r[:, classes] = np.maximum(_log_r(train_z, train_labels, test_z, seed, int(counts.min())), floor)
    log_r_label = log_r[np.arange(len(test_z)), test_labels.numpy()]
    shares = np.bincount(test_labels.numpy()) / len(test_z)
    entropy = max(0.0, float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()))
    bound = max(0.0, entropy + float(log_r_label.mean()))
    return bound, float(log_r_label.std() / math.sqrt(len(log_r_label))), entropy


def _log_r(train_z: Tensor, train_labels: Tensor, test_z: Tensor, seed: int, rarest: int) -> np.ndarray:
    """Log probabilities (M, K) of the K classes of the training labels, the rarest of which has ``rarest`` codes."""
    from sklearn.neural_network import MLPClassifier

    # scikit-learn holds out a tenth to decide when to stop: at least two codes, and of two classes both
    can_stop = len(train_z) > 10 and (rarest > 1 or len(train_labels.unique()) > 2)
    settings = {"learning_rate_init": 3e-3, "early_stopping": can_stop, "n_iter_no_change": 5, "max_iter": 50}
    probe = MLPClassifier((128,), batch_size=min(200, len(train_z)), random_state=seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe that has not converged gives a lower bound as well
        probe.fit(train_z.numpy(), train_labels.numpy())
    return probe.predict_log_proba(test_z.numpy())


class Latent(Measure):
    """Active units, the aggregate posterior against the prior, and how much label information the code carries.

    Under a learned prior the moments are those of the noise behind the codes, and the KL of a dimension is to the
    normal distribution of all codes in it.

    Args:
        threshold: variance of the posterior mean above which a unit is active
        probe: training images whose codes the label classifier is fitted to
    """

    quantities = (
        Quantity("active_units", "active units", display="headline"),
        Quantity("aggregate_kl", "aggregate posterior, KL of marginals", "nats", "lower"),
        Quantity("moments_kl", "aggregate posterior, KL of moments", "nats", "lower"),
        Quantity("label_information", "label information in the code", "nats"),
    )

    def __init__(self, threshold: Annotated[float, Field(gt=0)] = 0.01, probe: PositiveInt = 20_000) -> None:
        self.threshold = threshold
        self.probe = probe

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        model = context.model
        images, labels = context.images("test")
        if len(images) < 2:
            raise Skipped("needs at least two test images: it compares their codes")
        train_images, train_labels = context.images("train", self.probe)
        noise = context.generator("latent")
        posterior, z = encode_images(model, images, labels, noise)
        _, train_z = encode_images(model, train_images, train_labels, noise)
        information, error, entropy = label_information(train_z, train_labels, z, labels, context.seed % 2**32)
        active = active_units(posterior, self.threshold)
        values = {"active_units": self.value("active_units", active, unit=f"of {model.latent_dim}")}
        if model.prior.is_learned:
            with torch.inference_mode():
                behind = model.to_noise(z.to(context.device), labels.to(context.device)).cpu()
            prior_noise = Posterior(behind, torch.full_like(z, -math.inf))
            if len(z) > model.latent_dim:  # the covariance of fewer codes is singular
                values["moments_kl"] = self.value("moments_kl", moments_kl(prior_noise))
            detail = {"kl_per_dim": standardise(posterior).kl().mean(0).tolist()}
        else:
            marginals = aggregate_kl(posterior, z[torch.randperm(len(z), generator=noise)[:2000]])
            values["aggregate_kl"] = self.value("aggregate_kl", float(marginals.sum()))
            values["moments_kl"] = self.value("moments_kl", moments_kl(posterior))
            detail = {"kl_per_dim": posterior.kl().mean(0).tolist(), "aggregate_kl_per_dim": marginals.tolist()}
        # a decoder with the label needs no code that repeats it
        better = "lower" if model.conditioning == "both" else None
        unit_of_labels = f"of {entropy:.2f} nats"
        values["label_information"] = self.value(
            "label_information", information, error, unit=unit_of_labels, better=better
        )
        setting = (
            f"{len(images):,} test images, one draw of z; active above variance {self.threshold:g}; "
            f"label classifier (MLP) fitted to {len(train_z):,} training codes"
        )
        if model.prior.is_learned:
            setting += "; learned prior: moments of the noise behind the codes, KL of dimensions to all codes' normal"
        return Result(setting, values, detail)
