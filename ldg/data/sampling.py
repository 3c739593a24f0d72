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
