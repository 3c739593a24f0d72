"""How far generated images are from real ones, in the features of the judge."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from ldg.evaluation.measure import Measure, Result, Value
from ldg.evaluation.reads import judge_name
from ldg.evaluation.subject import BATCH, Subject

CHUNK = 1000  # rows of a distance matrix at a time


class Given(nn.Identity):
    """Stands where torchmetrics would compute features: they are computed already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet(real: Tensor, drawn: Tensor) -> float:
    """Fréchet distance between features (N, F) and (M, F) (Heusel et al. 2017, eq. 6), by torchmetrics."""
    return float(_compared(FrechetInceptionDistance(Given(real.shape[1])), real, drawn).compute())


def kernel(real: Tensor, drawn: Tensor, seed: int = 0) -> float:
    """Squared maximum mean discrepancy, cubic kernel, 100 subsets of up to 1000 (Bińkowski et al. 2018, section 4)."""
    size = min(1000, len(real), len(drawn))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(Given(real.shape[1]), subsets=100, subset_size=size)
        return float(_compared(metric, real, drawn).compute()[0])


def _compared(metric: Any, real: Tensor, drawn: Tensor) -> Any:
    metric.update(real, real=True)
    metric.update(drawn, real=False)
    return metric


def covered(points: Tensor, support: Tensor, neighbours: int = 3) -> float:
    """The share of ``points`` (N, F) that lie within reach of ``support`` (M, F).

    A point of the support reaches as far as its k-th neighbour in it. Precision is the share of generated points that
    the real ones cover, recall the reverse (Kynkäänniemi et al. 2019, eq. 1 to 3). Written here because torchmetrics
    has no such metric.
    """
    nearest = [torch.cdist(some, support).topk(neighbours + 1, largest=False).values for some in support.split(CHUNK)]
    reach = torch.cat(nearest)[:, -1]
    inside = [(torch.cdist(some, support) <= reach).any(1) for some in points.split(CHUNK)]
    return float(torch.cat(inside).double().mean())


class Distance(Measure):
    """FID, KID, precision and recall of as many generated images as there are test images, of the same classes.

    Each is the mean over ``rounds`` sets of generated images, its error the spread of the rounds over their root. The
    reference is the same distance from the test images to as many training images: no generator can be asked for less.
    """

    def __init__(
        self, rounds: PositiveInt = 3, neighbours: PositiveInt = 3, temperature: NonNegativeFloat = 1.0
    ) -> None:
        self.rounds = rounds
        self.neighbours = neighbours
        self.temperature = temperature

    def __call__(self, subject: Subject) -> Result:
        real = subject.test_features
        _, labels = subject.images("test")
        floor, _ = subject.images("train", len(real))
        seen = subject.features(iter(floor.split(BATCH)), len(floor), "reading training images")
        rounds = []
        for number in range(self.rounds):
            drawn = subject.draw(labels, f"distance {number}", self.temperature)
            rounds.append(subject.features(drawn, len(real), f"reading generated images, round {number + 1}"))
        # the sizes must agree: these distances depend on them
        size = min(len(real), len(seen))
        measures: dict[str, tuple[Callable[[Tensor], float], Any]] = {
            "fid": (lambda other: frechet(real[:size], other[:size]), "lower"),
            "kid": (lambda other: kernel(real[:size], other[:size], subject.seed), "lower"),
            "precision": (lambda other: covered(other[:size], real[:size], self.neighbours), "higher"),
            "recall": (lambda other: covered(real[:size], other[:size], self.neighbours), "higher"),
        }
        values = {}
        for name, (measure, better) in measures.items():
            found = torch.tensor([measure(drawn) for drawn in rounds], dtype=torch.float64)
            error = float(found.std() / len(found) ** 0.5) if len(found) > 1 else None
            values[name] = Value(float(found.mean()), error, "", better, measure(seen))
        setting = (
            f"{self.rounds} x {size:,} generated and {size:,} test images, temperature {self.temperature:g}, "
            f"{self.neighbours} neighbours; features of {judge_name(subject.judge)}"
        )
        return Result(setting, values)
