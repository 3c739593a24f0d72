"""Orders, splits and spreads: exact, seeded and complete."""

from itertools import chain

import numpy as np
import pytest
import torch

from ldg.data.sampling import BatchIndexSampler
from ldg.data.strata import spread, stratified


def passed(sampler: BatchIndexSampler, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return [batch.tolist() for batch in sampler]


def test_batches_are_slices_of_one_permutation():
    sampler = BatchIndexSampler(10, 4, shuffle=True, seed=3)
    batches = passed(sampler)
    assert [len(batch) for batch in batches] == [4, 4, 2] and len(sampler) == 3
    assert sorted(chain(*batches)) == list(range(10))
    assert next(iter(sampler)).dtype == torch.int64


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[list[int]]:
        return passed(BatchIndexSampler(50, 8, shuffle=True, seed=seed), epoch)

    torch.manual_seed(1)
    first = order(0, 2)
    torch.manual_seed(2)
    assert order(0, 2) == first
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(orders.count(each) == 1 for each in orders)


def test_no_shuffle():
    assert passed(BatchIndexSampler(5, 2), epoch=7) == [[0, 1], [2, 3], [4]]


def test_the_epoch_set_after_the_iterator_was_made_counts():
    sampler = BatchIndexSampler(50, 8, shuffle=True)
    iterator = iter(sampler)
    sampler.set_epoch(5)
    assert [batch.tolist() for batch in iterator] == passed(sampler, 5)


@pytest.mark.parametrize(("size", "world"), [(10, 2), (11, 2), (10, 4), (3, 8)])
def test_ranks_share_an_epoch(size, world):
    samplers = [BatchIndexSampler(size, 2, shuffle=True, rank=rank, world_size=world) for rank in range(world)]
    parts = [passed(sampler, 1) for sampler in samplers]
    assert len({tuple(map(len, part)) for part in parts}) == 1
    indices = [index for part in parts for batch in part for index in batch]
    assert set(indices) == set(range(size))
    assert len(indices) == -(-size // world) * world  # only padded to a multiple of the ranks


def test_start_skips_batches_once():
    sampler = BatchIndexSampler(20, 4, shuffle=True)
    whole = passed(sampler)
    sampler.start = 3
    assert passed(sampler) == whole[3:]
    assert passed(sampler) == whole
    assert len(sampler) == 5


def test_stratified_is_exact():
    labels = np.repeat([0, 1, 2, 3], [100, 30, 2, 1])[np.random.default_rng(0).permutation(133)]
    large, small = stratified(labels, 0.1, seed=0)
    assert np.bincount(labels[small], minlength=4).tolist() == [10, 3, 1, 0]
    assert np.array_equal(np.sort(np.concatenate([large, small])), np.arange(133))
    assert np.array_equal(stratified(labels, 0.1, seed=0)[1], small)
    assert not np.array_equal(stratified(labels, 0.1, seed=1)[1], small)


def test_spread():
    labels = np.array([2, 0, 0, 1, 2, 0])
    assert spread(labels, 3).tolist() == [1, 3, 0]
    assert spread(labels, 5).tolist() == [1, 3, 0, 2, 4]
    assert spread(labels, 9).tolist() == [1, 3, 0, 2, 4, 5]
    assert labels[spread(labels, 2)].tolist() == [0, 2]


def test_weights_draw_as_probable_as_they_say():
    weights = torch.tensor([1.0, 0.0, 3.0]).repeat_interleave(4000)
    sampler = BatchIndexSampler(12000, 100, shuffle=True, seed=1, weights=weights)
    first, again = torch.cat(list(sampler)), torch.cat(list(sampler))
    assert torch.equal(first, again) and len(first) == 12000
    counts = (first // 4000).bincount(minlength=3)
    assert counts[1] == 0 and abs(int(counts[0]) - 3000) < 5 * 47  # a standard deviation is 47
    sampler.set_epoch(1)
    assert not torch.equal(first, torch.cat(list(sampler)))
