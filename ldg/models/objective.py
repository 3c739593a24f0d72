"""The training objective: the negative ELBO with a scheduled KL term and free bits."""

from torch import Tensor

from ldg.models.inference import Inference
from ldg.models.schedules import Schedule


class Objective:
    """-E[log p(x | z, c)] + penalty(KL), averaged over the batch.

    Args:
        schedule: Weight of the KL term over training.
        free_bits: KL below this many nats per dimension, averaged over the batch, is not penalised (Kingma et al. 2016,
            eq. 15). It needs the KL of single dimensions, which only a standard normal prior gives.
    """

    def __init__(self, schedule: Schedule, free_bits: float = 0.0) -> None:
        self.schedule = schedule
        self.free_bits = free_bits

    def __call__(self, inference: Inference, epoch: float) -> Tensor:
        """Compute the objective.

        Args:
            inference: A batch as the model sees it.
            epoch: Epochs done, as a float; ``math.inf`` for the end of training.

        Returns:
            A scalar in nats per image, to be minimised.
        """
        kl = inference.kl.mean()
        if self.free_bits:
            kl = inference.posterior.kl().mean(0).clamp(min=self.free_bits).sum()
        return self.schedule.penalty(kl, epoch) - inference.log_likelihood.mean()
