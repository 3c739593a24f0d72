"""What the latent space is used for: which dimensions are, how like the prior it is, and whether it holds the label."""

import math
import warnings
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ldg.evaluation.measure import Measure, Result, Value
from ldg.evaluation.subject import BATCH, Subject
from ldg.models.posterior import Posterior
from ldg.models.priors import Flow
from ldg.models.vae import VAE, unit


@torch.inference_mode()
def codes(
    model: VAE, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> tuple[Posterior, Tensor]:
    """q(z | x, c) of all images, and a draw (N, D) of it; ``generator`` decides a dynamic binarisation, too."""
    found = [
        model.explain(model.likelihood.target(unit(x), generator), c, generator)
        for x, c in zip(images.split(BATCH), labels.split(BATCH), strict=True)
    ]
    posterior = Posterior(torch.cat([f.posterior.mean for f in found]), torch.cat([f.posterior.log_var for f in found]))
    return posterior, torch.cat([f.z for f in found])


def active_units(posterior: Posterior, threshold: float = 0.01) -> int:
    """Dimensions whose posterior mean has a variance above ``threshold`` over the images (Burda et al. 2016, 5)."""
    return int((posterior.mean.double().var(0) > threshold).sum())


def aggregate_kl(posterior: Posterior, draws: Tensor) -> Tensor:
    """KL(q(z_j) || N(0, 1)) in nats of each dimension, (D,), q(z_j) being the mixture of all images' posteriors.

    Estimated with ``draws`` (M, D) from the aggregate posterior (Hoffman & Johnson 2016); a dimension at a time, since
    the mixture of N posteriors over all dimensions at once cannot tell more than log N nats. It is no more than the
    mean KL of the posteriors (which is convex), and stands for a dimension where that is next to nothing.
    """
    constant = 0.5 * math.log(2 * math.pi)
    found = posterior.kl().mean(0)
    for place in (found > 1e-4).nonzero()[:, 0].tolist():
        z, mean, log_var = draws[:, place], posterior.mean[:, place], posterior.log_var[:, place]
        weights = -0.5 * ((z[:, None] - mean).square() * (-log_var).exp() + log_var) - constant
        log_q = weights.logsumexp(1) - math.log(len(mean))
        found[place] = (log_q + 0.5 * z.square() + constant).mean()
    return found


def moments_kl(posterior: Posterior) -> float:
    """KL in nats from the normal distribution with the aggregate posterior's mean and covariance to N(0, 1)."""
    mean = posterior.mean.double()
    covariance = torch.cov(mean.T).reshape(mean.shape[1], -1) + torch.diag(posterior.log_var.double().exp().mean(0))
    centre = mean.mean(0)
    return float(0.5 * (covariance.trace() + centre @ centre - len(centre) - torch.logdet(covariance)))


def standardised(posterior: Posterior) -> Posterior:
    """Posteriors in units of the codes' own mean and standard deviation, where a learned prior has its own place."""
    centre, log_scale = posterior.mean.mean(0), (posterior.mean.var(0) + posterior.log_var.exp().mean(0)).log()
    return Posterior((posterior.mean - centre) * (-0.5 * log_scale).exp(), posterior.log_var - log_scale)


def label_information(
    known: Tensor, known_labels: Tensor, new: Tensor, new_labels: Tensor, seed: int = 0
) -> tuple[float, float, float]:
    """A lower bound on the mutual information of code and label in nats, its standard error, and the labels' entropy.

    I(z; c) >= H(c) + E[log r(c | z)] for any classifier r (Barber & Agakov 2003): scikit-learn's MLPClassifier with one
    hidden layer of 128 units, fitted to codes (N, D) of training images and asked about those of others. Not below 0.
    """
    from sklearn.neural_network import MLPClassifier

    settings = {"learning_rate_init": 3e-3, "early_stopping": True, "n_iter_no_change": 5, "max_iter": 50}
    probe = MLPClassifier((128,), batch_size=min(200, len(known)), random_state=seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe not fitted to the end gives a lower bound as well
        probe.fit(known.numpy(), known_labels.numpy())
    log_r = np.full((len(new), int(max(known_labels.max(), new_labels.max())) + 1), -math.log(len(known)))
    log_r[:, probe.classes_] = np.maximum(probe.predict_log_proba(new.numpy()), -math.log(len(known)))
    said = log_r[np.arange(len(new)), new_labels.numpy()]
    shares = np.bincount(new_labels.numpy()) / len(new)
    entropy = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    return max(0.0, entropy + float(said.mean())), float(said.std() / math.sqrt(len(said))), entropy


class Latent(Measure):
    """Active units, the aggregate posterior against the prior, and what the code knows of the label.

    Under a learned prior it is the noise behind the codes that is set against N(0, 1), and the KL of a dimension is to
    the normal distribution of all codes in it. ``threshold`` is the variance that makes a unit active; ``probe`` is the
    number of training images whose codes the label is learnt from.
    """

    def __init__(self, threshold: Annotated[float, Field(gt=0)] = 0.01, probe: PositiveInt = 20_000) -> None:
        self.threshold = threshold
        self.probe = probe

    def __call__(self, subject: Subject) -> Result:
        model = subject.model
        images, labels = subject.images("test")
        train_images, train_labels = subject.images("train", self.probe)
        noise = subject.generator("latent")
        posterior, z = codes(model, images, labels, noise)
        _, train_z = codes(model, train_images, train_labels, noise)
        information, error, entropy = label_information(train_z, train_labels, z, labels, subject.seed % 2**32)
        values = {"active_units": Value(active_units(posterior, self.threshold), None, f"of {model.latent_dim}")}
        if isinstance(model.prior, Flow):
            with torch.inference_mode():
                behind, _ = model.prior.inverse(z, model.conditions(labels)[1])
            prior_noise = Posterior(behind, torch.full_like(behind, -math.inf))
            values["moments_kl"] = Value(moments_kl(prior_noise), None, "nats", "lower")
            detail = {"kl_per_dim": standardised(posterior).kl().mean(0).tolist()}
        else:
            marginals = aggregate_kl(posterior, z[torch.randperm(len(z), generator=noise)[:2000]])
            values["aggregate_kl"] = Value(float(marginals.sum()), None, "nats", "lower")
            values["moments_kl"] = Value(moments_kl(posterior), None, "nats", "lower")
            detail = {"kl_per_dim": posterior.kl().mean(0).tolist(), "aggregate_kl_per_dim": marginals.tolist()}
        values["label_information"] = Value(
            information, error, f"of {entropy:.2f} nats", "lower" if model.conditioning == "both" else None
        )
        setting = (
            f"{len(images):,} test images, one draw of z; active above variance {self.threshold:g}; "
            f"label probe (MLP) fitted to {len(train_z):,} training codes"
        )
        if isinstance(model.prior, Flow):
            setting += "; learned prior: moments of the noise behind the codes, KL of dimensions to all codes' normal"
        return Result(setting, values, detail)
