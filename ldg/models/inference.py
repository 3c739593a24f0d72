"""What a model makes of a batch of images, and the loss that is computed from it."""

from typing import NamedTuple

from torch import Tensor

from ldg.models.posterior import Posterior


class Inference(NamedTuple):
    """The result of inference for B images, with one draw of z.

    Attributes:
        posterior: q(z | x, c).
        z: The draw (B, D).
        params: Likelihood parameters (B, out_channels, H, W) decoded from ``z``.
        log_likelihood: log p(x | z, c) in nats, (B,).
        kl: KL(q(z | x, c) || p(z | c)) in nats, (B,); under a learned prior estimated with ``z``.
    """

    posterior: Posterior
    z: Tensor
    params: Tensor
    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound in nats, (B,)."""
        return self.log_likelihood - self.kl


class Loss(NamedTuple):
    """The result of a training or evaluation step.

    Attributes:
        objective: A scalar to minimise, nats per image.
        inference: The batch it was computed from.
    """

    objective: Tensor
    inference: Inference

    @property
    def metrics(self) -> dict[str, Tensor]:
        """What is averaged over an epoch, (B,) each, in the order of ``VAE.metric_names``."""
        inference = self.inference
        return {"elbo": inference.elbo, "log_likelihood": inference.log_likelihood, "kl": inference.kl}
