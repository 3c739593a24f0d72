"""Distances between generated and real images, in the features of a classifier."""

import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ldg.evaluation.context import BATCH, EvaluationContext, Skipped
from ldg.evaluation.features import TorchvisionFeatures
from ldg.evaluation.measure import Count, Measure, Quantity, Result, Temperature, mean_and_error

CHUNK = 1000  # rows of a distance matrix at a time


class PrecomputedFeatures(nn.Identity):
    """Takes the place of the network in which torchmetrics computes features: they are its input already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance (FID; Heusel et al. 2017, eq. 6), by torchmetrics.

    Args:
        real: features (N, F)
        generated: features (M, F)

    Returns:
        The distance, at least 0 up to rounding.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance  # takes seconds

    return float(_compute(FrechetInceptionDistance(PrecomputedFeatures(real.shape[1])), real, generated))


def kernel_distance(real: Tensor, generated: Tensor, seed: int = 0) -> float:
    """Squared maximum mean discrepancy with a cubic kernel (KID; Bińkowski et al. 2018, section 4), by torchmetrics.

    Args:
        real: features (N, F)
        generated: features (M, F)
        seed: of the 100 subsets of up to 1000 images

    Returns:
        The unbiased estimate, which may be negative.
    """
    from torchmetrics.image.kid import KernelInceptionDistance  # takes seconds

    size = min(1000, len(real), len(generated))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(PrecomputedFeatures(real.shape[1]), subsets=100, subset_size=size)
        return float(_compute(metric, real, generated)[0])


def _compute(metric: Any, real: Tensor, generated: Tensor) -> Any:
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return metric.compute()


def coverage(points: Tensor, support: Tensor, neighbours: int = 3) -> float:
    """The share of points within reach of a support, where each of its points reaches to its k-th neighbour in it.

    Precision is the share of generated points that the real ones cover, recall the reverse (Kynkäänniemi et al. 2019,
    eq. 1 to 3). torchmetrics has no such metric.

    Args:
        points: (N, F)
        support: (M, F)
        neighbours: k

    Returns:
        A share in [0, 1].
    """
    nearest = [torch.cdist(rows, support).topk(neighbours + 1, largest=False).values for rows in support.split(CHUNK)]
    reach = torch.cat(nearest)[:, -1]
    inside = [(torch.cdist(rows, support) <= reach).any(1) for rows in points.split(CHUNK)]
    return float(torch.cat(inside).double().mean())


class Distance(Measure):
    """FID, KID, precision and recall of as many generated images as there are test images, of the same classes.

    Each is the mean over several sets of generated images; its standard error comes from their spread. The reference is
    the distance between the test images and as many training images: the least that a generator can be expected to
    reach.

    Args:
        rounds: sets of generated images
        neighbours: k of precision and recall
        temperature: factor of the prior's standard deviation
        features: what compares images: the ``judge``, or a network of torchvision for pictures that are none of its
    """

    quantities = (
        Quantity("fid", "FID", "", "lower", "headline", in_report=True),
        Quantity("kid", "KID", "", "lower", "headline"),
        Quantity("precision", "precision", "", "higher", "bar"),
        Quantity("recall", "recall", "", "higher", "bar"),
    )

    def __init__(
        self,
        rounds: Count = 3,
        neighbours: Count = 3,
        temperature: Temperature = 1.0,
        features: Literal["judge", "resnet18", "resnet50", "inception_v3"] = "judge",
    ) -> None:
        self.rounds = rounds
        self.neighbours = neighbours
        self.temperature = temperature
        self.features = features

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        images, labels = context.images("test")
        train_images, _ = context.images("train", len(labels))
        # the sizes must agree: these distances depend on them
        size = min(len(labels), len(train_images))
        if size <= self.neighbours:
            raise Skipped(
                f"needs more than {self.neighbours} test and training images (distance.neighbours), has {size}"
            )
        extract: Callable[[Tensor], Tensor]
        if self.features == "judge":
            extract, title, real = context.judge.features, context.judge.description, context.test_features
        else:
            extract = TorchvisionFeatures(self.features, context.device)
            title = extract.title
            real = context.features(images.split(BATCH), len(images), "features of test images", extract)
        train = context.features(train_images.split(BATCH), len(train_images), "features of training images", extract)
        distances: dict[str, Callable[[Tensor], float]] = {
            "fid": lambda other: frechet_distance(real[:size], other[:size]),
            "kid": lambda other: kernel_distance(real[:size], other[:size], context.seed),
            "precision": lambda other: coverage(other[:size], real[:size], self.neighbours),
            "recall": lambda other: coverage(real[:size], other[:size], self.neighbours),
        }
        by_round: dict[str, list[float]] = {name: [] for name in distances}
        for number in range(self.rounds):
            samples = context.sample(labels, f"distance {number}", self.temperature)
            what = f"features of generated images, round {number + 1}"
            generated = context.features(samples, len(real), what, extract)
            for name, distance in distances.items():
                by_round[name].append(distance(generated))
        values = {
            name: self.value(
                name,
                *mean_and_error(torch.tensor(by_round[name], dtype=torch.float64)),
                reference=distance(train),
            )
            for name, distance in distances.items()
        }
        setting = (
            f"{self.rounds} x {size:,} generated and {size:,} test images, temperature {self.temperature:g}, "
            f"{self.neighbours} neighbours; features of {title}"
        )
        return Result(setting, values, {"features": title})
