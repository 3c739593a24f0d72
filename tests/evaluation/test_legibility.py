"""Whether a run writes, by what a judge recognises."""

from types import SimpleNamespace

import pytest
import torch

from ldg.data.splits import ImageSubset
from ldg.evaluation import legibility
from ldg.models.dense import DenseNetwork
from ldg.models.likelihoods import Bernoulli
from ldg.models.vae import VAE


class Writer(VAE):
    """Its image of class k has the grey level k, but of the last class that of the first."""

    def __init__(self, conditioning="both", classes=("a", "b", "c", "d")):
        super().__init__((1, 4, 4), 4, lambda sizes: DenseNetwork(sizes, [8]), Bernoulli(), 3, conditioning)
        self.classes = classes

    def sample(self, labels, temperature=1.0, generator=None):
        levels = torch.where(labels == 3, 0, labels)
        return (levels / 10)[:, None, None, None].expand(-1, 1, 4, 4)


def judge(x):
    """Reads the grey level of floats, and of bytes."""
    levels = x[:, 0, 0, 0] * 10 if x.is_floating_point() else x[:, 0, 0, 0].long()
    return torch.nn.functional.one_hot(levels.round().long(), 4).float()


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(legibility, "find_shipped_judge", lambda data, config: judge)
    labels = torch.arange(4).repeat(20)
    images = labels.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).clone()
    images[(labels == 2) | (labels == 3)] = 1  # two classes of the real images are taken for another
    return SimpleNamespace(test=ImageSubset(images, labels, torch.arange(80)))


def test_the_shares_of_generated_and_real_characters(data):
    model = Writer().train()
    assert legibility.measure_legibility(model, data, {}) == (0.75, 0.5)
    assert model.training


@pytest.mark.parametrize("model", [Writer("none"), Writer(classes=("cat", "dog", "cow", "pig")), torch.nn.Identity()])
def test_what_writes_no_characters(model, data):
    assert legibility.measure_legibility(model, data, {}) is None


def test_a_data_set_without_a_judge(data, monkeypatch):
    monkeypatch.setattr(legibility, "find_shipped_judge", lambda data, config: None)
    assert legibility.measure_legibility(Writer(), data, {}) is None
