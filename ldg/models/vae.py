"""The conditional variational autoencoder (Kingma & Welling 2014; Sohn et al. 2015), made of exchangeable parts.

Images x and labels c pass through it in one way, :meth:`VAE.forward`::

    x       bytes or floats -> [0, 1] -> the likelihood's target: what encoder and likelihood are given
    c       label -> class weights, and the parameters of the augmentation if there is one
    network encode(x, c) -> features; infer(features, c, noise) -> q(z | x, c), z; decode(z, c) -> likelihood parameters
    (1)     log p(x | z, c)          likelihood
    (2)     KL(q(z | x, c) || p(z | c))  prior
    ELBO    (1) - (2), nats per image
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from ldg.models.augmentation import AffineAugmentation
from ldg.models.conditioning import label_vector
from ldg.models.inference import Inference, Loss
from ldg.models.likelihoods import Likelihood
from ldg.models.network import Network, Sizes
from ldg.models.objective import Objective
from ldg.models.posterior import Posterior
from ldg.models.priors import Prior, StandardNormal
from ldg.models.schedules import Constant, Schedule

MOST_WEIGHTS = 5000  # importance weights of an image in memory; a larger number is summed on the way


class VAE(nn.Module):
    """A variational autoencoder, conditional or not.

    Labels are class indices, int (B,), or mixtures of classes, float (B, K) with rows that sum to 1; an unconditional
    model ignores them. Images are (B, C, H, W), uint8 or float in [0, 1]. A likelihood that binarises its images does
    so for the encoder as well: in training, reconstruction, interpolation and every measure, the model is shown
    :meth:`target`.

    Args:
        image_shape: (C, H, W).
        num_classes: K.
        network: Makes the network from :class:`~ldg.models.network.Sizes`.
        likelihood: p(x | z, c).
        latent_dim: Width of z; of a hierarchical network, of its vector.
        conditioning: What is given the label: encoder and decoder (``both``), the ``decoder`` alone, or ``none``.
        kl: Schedule of the KL term's weight; None: a constant 1.
        free_bits: KL below this many nats per dimension is not penalised; needs a standard normal prior.
        augment: Strength of random affine augmentation, applied to half of each training batch; 0: none. The decoder is
            given its parameters, and with ``both`` the encoder as well.
        augment_epochs: Augment in the first so many epochs; None: in all.
        prior: Makes the prior from the width of z and that of the condition.

    Attributes:
        latent_dim: D, the width of z.
        classes: Names of the labels, set by the data set or the checkpoint.
        config: The resolved config of the run, set by the checkpoint.

    Raises:
        ValueError: If the network breaks its contract or the parts do not fit together.
    """

    metric_names = ("elbo", "log_likelihood", "kl")

    def __init__(
        self,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        num_classes: PositiveInt,
        network: Callable[[Sizes], Network],
        likelihood: Likelihood,
        latent_dim: PositiveInt = 32,
        conditioning: Literal["both", "decoder", "none"] = "both",
        kl: Schedule | None = None,
        free_bits: NonNegativeFloat = 0.0,
        augment: NonNegativeFloat = 0.0,
        augment_epochs: PositiveFloat | None = None,
        prior: Callable[[int, int], Prior] = StandardNormal,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.num_classes = num_classes
        self.conditioning = conditioning
        self.objective = Objective(kl or Constant(), free_bits)
        self.augmentation = AffineAugmentation(augment, augment_epochs) if augment else None
        self.classes: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.likelihood = likelihood
        decoder_dim = 0 if conditioning == "none" else num_classes
        decoder_dim += self.augmentation.condition_dim if self.augmentation else 0
        encoder_dim = decoder_dim if conditioning == "both" else 0
        out_channels = channels * likelihood.parameters_per_channel
        self.network = network(Sizes(self.image_shape, out_channels, latent_dim, encoder_dim, decoder_dim))
        self.network.check()
        self.latent_dim = self.network.latent_dim
        self.prior = prior(self.latent_dim, decoder_dim)
        if free_bits and self.prior.is_learned:
            raise ValueError(
                f"model.free_bits={free_bits} needs model/prior=normal: "
                "a learned prior does not give the KL of single dimensions"
            )

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU for a model without."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))

    def _conditions(
        self, batch: Tensor, labels: Tensor | None, augmentation: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """The conditions of encoder and decoder for ``batch``, floats (B, ...): (B, K') or None each."""
        parts = []
        if self.conditioning != "none":
            if labels is None:
                raise ValueError(f"a model with conditioning={self.conditioning!r} needs labels")
            parts.append(label_vector(labels, self.num_classes))
        if self.augmentation is not None:
            if augmentation is None:
                augmentation = batch.new_zeros(len(batch), self.augmentation.condition_dim)
            parts.append(augmentation)
        c = torch.cat(parts, dim=1) if parts else None
        return (c if self.conditioning == "both" else None), c

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Convert images to the encoder's input, which is what the likelihood is computed of.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            generator: Source of randomness of a dynamic binarisation; None: torch's global one.

        Returns:
            Float (B, C, H, W) in [0, 1], binarised if the likelihood says so.
        """
        return self.likelihood.target(unit(x), generator)

    def _infer_and_decode(self, features: Any, c: Tensor | None, noise: Tensor) -> tuple[Posterior, Tensor, Tensor]:
        """Posterior, draw and likelihood parameters."""
        posterior, z, params = self.network.infer(features, c, noise)
        return posterior, z, (self.network.decode(z, c) if params is None else params).float()

    def _infer_targets(
        self, x: Tensor, labels: Tensor | None, augmentation: Tensor | None, generator: torch.Generator | None
    ) -> Inference:
        """The inference of a batch whose images ``x`` are targets already."""
        encoder_c, c = self._conditions(x, labels, augmentation)
        features = self.network.encode(x, encoder_c)
        posterior, z, params = self._infer_and_decode(
            features, c, draw_noise(len(x), self.latent_dim, x.device, generator)
        )
        return Inference(posterior, z, params, self.likelihood.log_prob(params, x), self.prior.kl(posterior, z, c))

    def forward(self, x: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Inference:
        """Infer a batch with one draw of z.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: Class indices (B,) or mixtures (B, K); may be None for an unconditional model.
            generator: Source of randomness; None: torch's global one.

        Returns:
            Posterior, draw, likelihood parameters, log likelihood and KL.
        """
        return self._infer_targets(self.target(x, generator), labels, None, generator)

    def loss(
        self,
        x: Tensor,
        labels: Tensor | None = None,
        epoch: float = math.inf,
        generator: torch.Generator | None = None,
    ) -> Loss:
        """Compute the objective of a batch, on augmented images in training mode.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: As in :meth:`forward`.
            epoch: Epochs done, as a float; ``math.inf`` for the end of training.
            generator: Source of randomness; None: torch's global one.

        Returns:
            The objective and the :class:`Inference` it was computed from.
        """
        x, parameters = unit(x), None
        if self.training and self.augmentation is not None and self.augmentation.is_active(epoch):
            x, parameters = self.augmentation(x, generator)
            # grey levels stay those of bytes, which a discrete likelihood counts on
            x = (x * 255).round() / 255
        inference = self._infer_targets(self.likelihood.target(x, generator), labels, parameters, generator)
        return Loss(self.objective(inference, epoch), inference)

    def draw(
        self, x: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Posterior, Tensor]:
        """Infer a batch as :meth:`forward` does, but without decoding where the network allows it.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: As in :meth:`forward`.
            generator: Source of randomness; None: torch's global one.

        Returns:
            The posterior and a draw of z (B, D) from it.
        """
        x = self.target(x, generator)
        encoder_c, c = self._conditions(x, labels)
        noise = draw_noise(len(x), self.latent_dim, x.device, generator)
        return self.network.infer(self.network.encode(x, encoder_c), c, noise)[:2]

    def encode(self, x: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Posterior:
        """Compute q(z | x, c); of a hierarchical network, along the means of the levels above.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: As in :meth:`forward`; may be None where the encoder is not conditioned and z is not hierarchical.
            generator: Source of randomness of a dynamic binarisation; None: torch's global one.

        Returns:
            Means and log variances (B, D).
        """
        x = self.target(x, generator)
        if labels is None and self.conditioning == "decoder" and not self.network.is_hierarchical:
            encoder_c = c = None
        else:
            encoder_c, c = self._conditions(x, labels)
        features = self.network.encode(x, encoder_c)
        return self.network.infer(features, c, torch.zeros(len(x), self.latent_dim, device=x.device))[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute E[x | z, c].

        Args:
            z: Latents (B, D).
            labels: As in :meth:`forward`.

        Returns:
            Mean images (B, C, H, W) in [0, 1].
        """
        return self.likelihood.mean(self.network.decode(z, self._conditions(z, labels)[1]).float())

    def from_noise(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Turn noise into latents of the prior.

        Args:
            noise: Standard normal noise (B, D).
            labels: As in :meth:`forward`.

        Returns:
            Latents (B, D).
        """
        return self.prior(noise, self._conditions(noise, labels)[1])

    def to_noise(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Recover the noise that the prior turns into latents.

        Args:
            z: Latents (B, D).
            labels: As in :meth:`forward`.

        Returns:
            Noise (B, D).
        """
        return self.prior.inverse(z, self._conditions(z, labels)[1])[0]

    def decode_noise(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Decode the latents that the prior makes of noise.

        Args:
            noise: Standard normal noise (B, D).
            labels: As in :meth:`forward`.

        Returns:
            Mean images (B, C, H, W) in [0, 1].
        """
        return self.decode(self.from_noise(noise, labels), labels)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decode images from their posterior means.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: As in :meth:`forward`.
            generator: Source of randomness of a dynamic binarisation; None: torch's global one.

        Returns:
            Mean images (B, C, H, W) in [0, 1].
        """
        return self.decode(self.encode(x, labels, generator).mean, labels)

    def sample(self, labels: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Draw one mean image for each label from the prior.

        Args:
            labels: Class indices (B,) or mixtures (B, K), one for each image; an unconditional model ignores them.
            temperature: Scale of the noise's standard deviation.
            generator: Source of randomness, of the CPU; None: torch's global one.

        Returns:
            Mean images (B, C, H, W) in [0, 1].
        """
        # noise of the CPU, whatever the device: the same seed gives the same image everywhere
        noise = draw_noise(len(labels), self.latent_dim, torch.device("cpu"), generator).to(self.device)
        return self.decode_noise(temperature * noise, labels.to(self.device))

    @torch.no_grad()
    def bounds(
        self,
        x: Tensor,
        labels: Tensor | None = None,
        num_samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Estimate log p(x | c) from below in two ways, with the same draws of z.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: As in :meth:`forward`.
            num_samples: Draws of z for each image.
            generator: Source of randomness; None: torch's global one.

        Returns:
            The importance-weighted bound (Burda et al. 2016, eq. 8) and the ELBO, nats (B,) each: the logarithm of the
            mean of the importance weights, and the mean of their logarithms.
        """
        x = self.target(x, generator)
        encoder_c, c = self._conditions(x, labels)
        features = self.network.encode(x, encoder_c)
        log_weights: list[Tensor] = []
        total = torch.zeros(len(x), dtype=torch.float64)  # on the CPU: not every accelerator has float64
        for _ in range(num_samples):
            if len(log_weights) == MOST_WEIGHTS:
                log_weights = [torch.logsumexp(torch.stack(log_weights), 0)]
            noise = draw_noise(len(x), self.latent_dim, x.device, generator)
            posterior, z, params = self._infer_and_decode(features, c, noise)
            log_p = self.likelihood.log_prob(params, x) + self.prior.log_prob(z, c)
            log_weights.append(log_p - posterior.log_prob(z))
            total += log_weights[-1].cpu()
        bound = torch.logsumexp(torch.stack(log_weights), 0) - math.log(num_samples)
        return bound, (total / num_samples).to(bound)

    def log_likelihood(
        self,
        x: Tensor,
        labels: Tensor | None = None,
        num_samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The importance-weighted bound of :meth:`bounds`.

        Args:
            x: Images (B, C, H, W), uint8 or float in [0, 1].
            labels: As in :meth:`forward`.
            num_samples: Draws of z for each image.
            generator: Source of randomness; None: torch's global one.

        Returns:
            Nats (B,).
        """
        return self.bounds(x, labels, num_samples, generator)[0]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile encoder and decoder in place, so that the names in a checkpoint stay the same."""
        for part in self.network.children():
            part.compile(*args, **kwargs)


def draw_noise(count: int, dim: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Draw standard normal noise on the generator's device and move it.

    Args:
        count: B.
        dim: D.
        device: Where the noise is needed.
        generator: Source of randomness; None: torch's global one on ``device``.

    Returns:
        Float (B, D) on ``device``.
    """
    source = device if generator is None else generator.device
    return torch.randn(count, dim, device=source, generator=generator).to(device)


def unit(x: Tensor) -> Tensor:
    """Convert bytes in [0, 255] to floats in [0, 1]; floats stay as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x
