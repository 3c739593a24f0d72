"""The KL's weight over time, against the numbers of the definition."""

import math

import pytest
import torch

from ldg.models.schedules import Capacity, Constant, Cyclical, Linear


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [
        (Constant(2), {0: 2, 7.5: 2, math.inf: 2}),
        (Linear(4, warmup_epochs=2), {0: 0, 0.5: 1, 1: 2, 2: 4, 9: 4, math.inf: 4}),
        (Cyclical(3, period_epochs=4, rise=0.5), {0: 0, 1: 1.5, 2: 3, 3.9: 3, 4: 0, 5: 1.5, math.inf: 3}),
    ],
)
def test_weight_and_penalty(schedule, weights):
    for epoch, weight in weights.items():
        assert schedule.weight(epoch) == pytest.approx(weight)
        assert schedule.penalty(torch.tensor(5.0), epoch).item() == pytest.approx(5 * weight)


def test_capacity_pulls_the_kl_towards_a_growing_target_from_both_sides():
    schedule = Capacity(beta=10, capacity=20, warmup_epochs=4)
    for epoch, target in {0: 0, 1: 5, 4: 20, 8: 20, math.inf: 20}.items():
        for kl in (0.0, 12.0, 30.0):
            assert schedule.penalty(torch.tensor(kl), epoch).item() == pytest.approx(10 * abs(kl - target))
