"""Whether a run writes: what share of its characters a judge recognises, measured at its end in about a second."""

from typing import Any, NamedTuple

import torch

from ldg.data.splits import ImageSplits
from ldg.data.strata import spread
from ldg.evaluation.judge import find_shipped_judge
from ldg.generation.alphabet import is_written
from ldg.models.classifier import Classifier
from ldg.models.vae import VAE

PER_CLASS = 10
SEED = 0


class Legibility(NamedTuple):
    """Shares of characters that a judge recognises.

    Attributes:
        generated: Of images generated at temperature 1, as many of each class.
        real: Of test images.
    """

    generated: float
    real: float


@torch.inference_mode()
def measure_legibility(model: VAE | Classifier, data: ImageSplits, config: dict[str, Any]) -> Legibility | None:
    """Count what the judge that comes with ldg recognises of ten images of each class.

    Args:
        model: Any model; its mode is kept.
        data: Its data set.
        config: The run's ``data`` config.

    Returns:
        The shares; None for a model that does not write characters, or whose data set has no judge.
    """
    if not isinstance(model, VAE) or model.conditioning == "none" or not is_written(model.classes):
        return None
    if (judge := find_shipped_judge(data, config)) is None:
        return None
    chosen = spread(data.test.labels.numpy(), PER_CLASS * model.num_classes)
    images, real_labels = data.test[torch.from_numpy(chosen)]
    labels = torch.arange(model.num_classes).repeat_interleave(PER_CLASS)
    generator = torch.Generator().manual_seed(SEED)
    training = model.training
    samples = model.eval().sample(labels, generator=generator).cpu()
    model.train(training)

    def recognised(x: torch.Tensor, c: torch.Tensor) -> float:
        return float((judge(x).argmax(1) == c).double().mean())

    return Legibility(recognised(samples, labels), recognised(images, real_labels))
