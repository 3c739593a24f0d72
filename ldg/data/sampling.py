"""The indices of the images in each batch, in an order that depends on seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler


class BatchIndexSampler(DistributedSampler):
    """Yields the indices of each batch, int64 (B,), as slices of one permutation.

    Every rank gets the same number of batches: the permutation is padded with its first indices to a multiple of
    ``world_size``, and a rank takes every ``world_size``-th index. It is a DistributedSampler, so that Lightning does
    not divide the data among ranks a second time.

    Args:
        size: number of images
        batch_size: images per batch and rank
        shuffle: False: the order of the images is that of the data set
        seed: with the epoch, determines the permutation
        rank: of this process, 0 to ``world_size`` - 1
        world_size: number of processes
        device: of the indices
        weights: None, or (size,), >= 0: instead of a permutation, ``size`` indices are sampled with replacement, with
            probabilities proportional to the weights

    Attributes:
        start: the first batch of the next epoch, afterwards 0 again; for resuming in the middle of an epoch
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        weights: Tensor | None = None,
    ) -> None:
        super().__init__(range(size), world_size, rank, shuffle, seed)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self.device = device
        self.weights = weights
        self.start = 0

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        # a generator: the order is computed with the first batch, after the epoch was set
        batches = self.compute_order().split(self.batch_size)[self.start :]
        self.start = 0
        yield from batches

    def compute_order(self) -> Tensor:
        """The indices of this rank in this epoch, int64 (num_samples,)."""
        size = len(self.dataset)  # type: ignore[arg-type]
        # neighbouring seeds and epochs must not meet in one sum
        (seed,) = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(seed))
        if self.weights is not None:
            order = torch.multinomial(self.weights, size, replacement=True, generator=generator)
        else:
            order = torch.randperm(size, generator=generator) if self.shuffle else torch.arange(size)
        padded = order[torch.arange(self.total_size) % size]
        return padded[self.rank :: self.num_replicas].contiguous().to(self.device)


def stratified(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide items in two parts, with the same share of every class.

    Args:
        labels: of all items, (N,)
        fraction: of each class in the second part, between 0 and 1. The second part has ``round(fraction * count)``
            items of a class, but at least one and not all; a class of one item is in the first part.
        seed: chooses the items

    Returns:
        Indices of the first and of the second part, int64, each ascending.
    """
    rng = np.random.default_rng(seed)
    chosen = [np.empty(0, dtype=np.int64)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            chosen.append(members[: min(max(1, round(fraction * len(members))), len(members) - 1)])
    small = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), small, assume_unique=True), small


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Choose items as evenly over the classes as possible, without randomness.

    Args:
        labels: of all items, (N,)
        count: at most so many items; if there are more classes, the items are of classes at even distances

    Returns:
        Indices: the first item of each class, then the second of each, and so on.
    """
    by_class = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    turn = np.arange(len(labels)) - np.repeat(first, sizes)
    rounds = by_class[np.argsort(turn, kind="stable")]
    if count < len(first):
        return rounds[: len(first)][np.linspace(0, len(first) - 1, count).round().astype(int)]
    return rounds[:count]
