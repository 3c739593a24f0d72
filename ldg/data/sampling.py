"""Which images come in which batch: index tensors, in an order that seed and epoch alone decide."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler


class BatchIndexSampler(DistributedSampler):
    """Yields the indices of one batch after the other, int64 (B,), as slices of one permutation.

    Every rank gets the same number of batches: the permutation is padded from its own beginning to a multiple of
    ``world_size``, and a rank takes every ``world_size``-th index. A DistributedSampler by descent, so that Lightning
    does not divide the data among ranks a second time. With ``weights`` (size,) the order is as many draws with
    replacement, as probable as these say.

    Attributes:
        start: the batch the next pass begins with, 0 again after it: for going on in the middle of an epoch
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
        # a generator, so that all this happens when the first batch is wanted, after the epoch was set
        batches = self.order().split(self.batch_size)[self.start :]
        self.start = 0
        yield from batches

    def order(self) -> Tensor:
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
    """Indices of the larger and the smaller part of ``labels`` (N,), each sorted.

    The smaller part holds, of each class with more than one item, ``round(fraction * count)``, at least one, not all.
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
    """Indices of up to ``count`` items of ``labels`` (N,), as evenly over the classes as can be, class after class.

    Fewer items than classes are taken from classes at even distances. No randomness.
    """
    by_class = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    turn = np.arange(len(labels)) - np.repeat(first, sizes)
    rounds = by_class[np.argsort(turn, kind="stable")]
    if count < len(first):
        return rounds[: len(first)][np.linspace(0, len(first) - 1, count).round().astype(int)]
    return rounds[:count]
