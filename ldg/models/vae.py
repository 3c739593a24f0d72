"""The one model: a conditional VAE (Kingma & Welling 2014; Sohn et al. 2015) made of exchangeable parts."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from ldg.models.augmentation import MOST, augmented
from ldg.models.conditioning import label_vector
from ldg.models.likelihoods import Likelihood
from ldg.models.posterior import Posterior
from ldg.models.priors import StandardNormal
from ldg.models.schedules import Constant


class Loss(NamedTuple):
    """What a batch costs. ``loss`` is a scalar to minimise; the others are (B,), in nats per image."""

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor
    posterior: Posterior

    @property
    def elbo(self) -> Tensor:
        return self.log_likelihood - self.kl

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What is averaged over an epoch, each (B,), as named by ``VAE.reports``."""
        return self.elbo, self.log_likelihood, self.kl


class Explanation(NamedTuple):
    """How a batch of images may have come about.

    q(z | x, c), a draw ``z`` (B, D) of it, and the likelihood's ``params`` that the decoder gives for that.
    """

    posterior: Posterior
    z: Tensor
    params: Tensor


class VAE(nn.Module):
    """A variational autoencoder that may be told the label.

    ``conditioning`` says who is told: ``both`` encoder and decoder, the ``decoder`` alone, or ``none``. Labels are
    class indices, int64 (B,), or mixtures of classes, float (B, num_classes) with rows that sum to one; a model
    without conditioning ignores them. Images are float (B, C, H, W) in [0, 1] or uint8 in [0, 255].

    ``encoder(image_shape, condition_dim, 2 * latent_dim)`` and ``decoder(out_shape, condition_dim, latent_dim)`` build
    the networks, ``prior(latent_dim, condition_dim)`` what latents are drawn from; ``likelihood``, ``beta`` (a
    schedule) and ``free_bits`` (nats a dimension may cost at no charge, Kingma et al. 2016, eq. 15; with a learned
    prior, all of them together) make the objective. While it is trained, images are
    :func:`~ldg.models.augmentation.augmented` by ``augment``; who is told the label is told as well what was done to
    the image, so that no likelihood is spent on images nobody will show (Jun et al. 2020, Distribution augmentation).
    After ``augment_epochs`` (None: never) they are left as they are, for the last touches to be of these.
    ``classes`` names the labels once a data set or a checkpoint says.
    """

    reports = ("elbo", "log_likelihood", "kl")

    def __init__(
        self,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        num_classes: PositiveInt,
        encoder: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        likelihood: Likelihood,
        latent_dim: PositiveInt = 32,
        conditioning: Literal["both", "decoder", "none"] = "both",
        beta: Constant | None = None,
        free_bits: NonNegativeFloat = 0.0,
        augment: NonNegativeFloat = 0.0,
        augment_epochs: PositiveFloat | None = None,
        prior: Callable[..., StandardNormal] = StandardNormal,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.num_classes = num_classes
        self.latent_dim = latent_dim
        self.conditioning = conditioning
        self.beta = beta or Constant()
        self.free_bits = free_bits
        self.augment = augment
        self.augment_epochs = augment_epochs
        self.classes: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.likelihood = likelihood
        told = num_classes + (len(MOST) if augment else 0)
        self.encoder = encoder(self.image_shape, told if conditioning == "both" else 0, 2 * latent_dim)
        out_shape = (channels * likelihood.parameters_per_channel, height, width)
        condition_dim = 0 if conditioning == "none" else told
        self.decoder = decoder(out_shape, condition_dim, latent_dim)
        self.prior = prior(latent_dim, condition_dim)

    def conditions(self, labels: Tensor | None, change: Tensor | None = None) -> tuple[Tensor | None, Tensor | None]:
        """What the encoder and the decoder are told, (B, K) or None each, of images as they are or ``change``d."""
        if self.conditioning == "none":
            return None, None
        if labels is None:
            raise ValueError(f"a model with conditioning={self.conditioning!r} needs labels")
        c = label_vector(labels, self.num_classes)
        if self.augment:
            c = torch.cat([c, c.new_zeros(len(c), len(MOST)) if change is None else change], dim=1)
        return (c if self.conditioning == "both" else None), c

    def _explain(self, encoded: Any, c: Tensor | None, generator: torch.Generator | None) -> Explanation:
        """What the encoder gives of images, and what the decoder is told -> one draw of z and its decoding."""
        posterior = Posterior.of(encoded)
        z = posterior.sample(generator)
        return Explanation(posterior, z, self.decoder(z, c).float())

    def explain(self, x: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Explanation:
        """Images as the likelihood's target has them -> one :class:`Explanation` of each."""
        to_encoder, to_decoder = self.conditions(labels)
        return self._explain(self.encoder(unit(x), to_encoder), to_decoder, generator)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """Images -> q(z | x, c); for ``conditioning`` decoder or none the labels may be left out."""
        told = self.conditions(labels)[0] if self.conditioning == "both" else None
        return Posterior.of(self.encoder(unit(x), told))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (B, D) -> mean images (B, C, H, W) in [0, 1]."""
        return self.likelihood.mean(self.decoder(z, self.conditions(labels)[1]).float())

    def draw(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Standard normal noise (B, D) -> mean images (B, C, H, W) in [0, 1] of the latents the prior makes of it."""
        return self.decode(self.prior(noise, self.conditions(labels)[1]), labels)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images decoded from their posterior means, (B, C, H, W) in [0, 1]."""
        return self.decode(self.encode(x, labels).mean, labels)

    def sample(self, labels: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """One mean image for each label from the prior, (B, C, H, W); ``temperature`` scales its standard deviation."""
        device = next(self.parameters()).device
        noise = torch.randn(len(labels), self.latent_dim, generator=generator).to(device)
        return self.draw(temperature * noise, labels.to(device))

    def loss(
        self,
        x: Tensor,
        labels: Tensor | None = None,
        epoch: float = math.inf,
        generator: torch.Generator | None = None,
    ) -> Loss:
        """-log p(x | z, c) + beta(epoch) KL, averaged over the batch, with one draw of z; see :class:`Loss`."""
        x, change = unit(x), None
        is_early = self.augment_epochs is None or epoch < self.augment_epochs
        if self.training and self.augment and is_early:
            x, change = augmented(x, self.augment, generator=generator)
            # grey levels stay those of bytes, which a discrete likelihood counts on
            x = (x * 255).round() / 255
        x = self.likelihood.target(x, generator)
        to_encoder, to_decoder = self.conditions(labels, change)
        posterior, z, params = self._explain(self.encoder(x, to_encoder), to_decoder, generator)
        log_likelihood = self.likelihood.log_prob(params, x)
        kl = self.prior.kl(posterior, z, to_decoder)
        charged = kl.mean(0).clamp(min=self.free_bits).sum() if self.free_bits else kl.sum(1).mean()
        loss = self.beta.penalty(charged, epoch) - log_likelihood.mean()
        return Loss(loss, log_likelihood, kl.sum(1), posterior)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Loss:
        return self.loss(x, labels)

    @torch.no_grad()
    def log_likelihood(
        self,
        x: Tensor,
        labels: Tensor | None = None,
        num_samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """log p(x | c) in nats, (B,), estimated from below by importance sampling (Burda et al. 2016, eq. 8)."""
        x = self.likelihood.target(unit(x), generator)
        to_encoder, to_decoder = self.conditions(labels)
        encoded = self.encoder(x, to_encoder)
        log_weights = []
        for _ in range(num_samples):
            posterior, z, params = self._explain(encoded, to_decoder, generator)
            log_p = self.likelihood.log_prob(params, x) + self.prior.log_prob(z, to_decoder)
            log_weights.append(log_p - posterior.log_prob(z))
        return torch.logsumexp(torch.stack(log_weights), 0) - math.log(num_samples)


def unit(x: Tensor) -> Tensor:
    """Bytes [0, 255] as floats [0, 1]; floats as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x
