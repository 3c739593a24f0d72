"""Styles: what stays of an image in another class, by models and numbers that are known."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldg.data.splits import ImageSubset
from ldg.data.strokes import draw_characters
from ldg.evaluation.context import EvaluationContext, Skipped
from ldg.evaluation.style import Norm, Style, choose_others, correlations, traits
from ldg.models import style
from ldg.models.classifier import Classifier
from ldg.models.dense import DenseNetwork
from ldg.models.likelihoods import Bernoulli
from ldg.models.posterior import Posterior
from ldg.models.priors import Flow, Prior, StandardNormal
from ldg.models.style import StyleSpace
from ldg.models.vae import VAE


class Affine(Prior):
    """A prior whose moments are known: a class has a mean and a scale of its own."""

    def __init__(self, latent_dim, condition_dim):
        super().__init__(latent_dim, condition_dim)
        self.mean = torch.arange(condition_dim * latent_dim).view(condition_dim, latent_dim).float()
        self.scale = 1 + torch.arange(condition_dim)[:, None].float()

    def forward(self, noise, c):
        return c @ self.mean + (c @ self.scale) * noise

    def inverse(self, z, c):
        return (z - c @ self.mean) / (c @ self.scale), torch.zeros(len(z))


def made(prior, latent_dim=4):
    network = partial(DenseNetwork, hidden=[8])
    return VAE((1, 4, 4), 3, network, Bernoulli(), latent_dim=latent_dim, prior=prior).eval()


def test_under_a_standard_normal_prior_the_style_is_the_latent():
    model = made(StandardNormal)
    s, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(StyleSpace(model).latents(s, labels), s)


def test_a_class_has_the_moments_of_its_prior_and_covariances_halfway_to_their_mean():
    space = StyleSpace(made(Affine))
    torch.testing.assert_close(space.means, torch.arange(12).view(3, 4).float())
    variances = np.array([1, 4, 9])
    expected = np.sqrt((variances + variances.mean()) / 2)
    for root, scale in zip(space.roots, expected, strict=True):
        torch.testing.assert_close(root, float(scale) * torch.eye(4), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_styles_come_back_from_latents():
    torch.manual_seed(0)
    model = made(partial(Flow, couplings=2, hidden=8))
    for coupling in model.prior.couplings:
        torch.nn.init.normal_(coupling.network[-1].weight, std=0.3)
    space, s, labels = StyleSpace(model), torch.randn(6, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    z = space.latents(s, labels)
    mean, variance = space.styles(Posterior(z, torch.zeros(6, 4)), labels)
    torch.testing.assert_close(mean, s, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(variance, space.inverses[labels].square().sum(2))
    usual = model.from_noise(torch.zeros(6, 4), labels)
    torch.testing.assert_close(space.latents(s, labels, temperature=0.0), usual)
    one_hot = torch.eye(3)[labels]
    torch.testing.assert_close(space.latents(s, one_hot), z)


@torch.no_grad()
def test_of_many_dimensions_the_variances_are_taken(monkeypatch):
    dense, s, labels = StyleSpace(made(Affine)), torch.randn(3, 4), torch.tensor([0, 1, 2])
    monkeypatch.setattr(style, "MOST", 3)
    diagonal = StyleSpace(made(Affine))
    assert diagonal.roots.shape == (3, 4)
    torch.testing.assert_close(diagonal.latents(s, labels), dense.latents(s, labels), atol=1e-4, rtol=1e-4)
    z = diagonal.latents(s, labels)
    torch.testing.assert_close(diagonal.styles(Posterior(z, z), labels)[0], s, atol=1e-4, rtol=1e-4)


class Slanted(VAE):
    """A model whose first latent is the slant of a bar, whatever the class, which is where the bar stands."""

    def encode(self, x, labels=None, generator=None):
        slant = torch.from_numpy(traits(x))[:, 1:2]
        return Posterior(slant.expand(-1, 2), torch.zeros(len(x), 2))

    def decode(self, z, labels=None):
        return bars(z[:, 0], labels)


def bars(slants, labels):
    rows, columns = torch.arange(28)[:, None] - 13.5, torch.arange(28) - 13.5
    middle = labels.float()[:, None, None] - 1 - slants[:, None, None] * rows
    return (2 - (columns - middle).abs()).clamp(0, 1)[:, None]


def test_a_model_that_keeps_the_slant_and_one_that_does_not():
    network = partial(DenseNetwork, hidden=[8])
    model = Slanted((1, 28, 28), 3, network, Bernoulli(), latent_dim=2).eval()
    model.classes = ("a", "b", "c")
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(40)
    images = bars(0.4 * torch.randn(120, generator=generator), labels)
    data = SimpleNamespace(test=ImageSubset((255 * images).byte(), labels, torch.arange(120)))
    judge = Classifier((1, 28, 28), 3, channels=[4, 4]).eval()
    kept = Style(120, 1.0)(EvaluationContext(model, data=data, judge=judge)).values
    assert kept["style_slant"].value > 0.9 and 0 <= kept["style_accuracy"].value <= 1
    model.decode = lambda z, c: bars(z[torch.randperm(len(z), generator=generator), 0], c)
    assert abs(Style(120, 1.0)(EvaluationContext(model, data=data, judge=judge)).values["style_slant"].value) < 0.3


def test_another_class_is_any_but_the_own():
    labels, classes = torch.tensor([3, 5, 9]).repeat(200), torch.tensor([3, 5, 9])
    others = choose_others(labels, classes, torch.Generator().manual_seed(0))
    pairs = set(zip(labels.tolist(), others.tolist(), strict=True))
    assert pairs == {(a, b) for a in (3, 5, 9) for b in (3, 5, 9) if a != b}
    with pytest.raises(Skipped, match="of one class"):
        choose_others(labels[:1], classes[:1], torch.Generator())


def test_traits_are_those_with_which_characters_are_drawn():
    labels = np.full(400, 18)  # an I: its axis is its slant
    rng = np.random.default_rng(0)
    pens, slants = rng.uniform(2, 3.4, 400), rng.uniform(-0.3, 0.5, 400)
    pen, slant, size = traits(torch.from_numpy(draw_characters(labels, (0,), pens, slants))).T
    assert np.corrcoef(pen, pens)[0, 1] > 0.9 and pen.mean() == pytest.approx(pens.mean(), rel=0.15)
    assert np.corrcoef(slant, slants)[0, 1] > 0.85 and np.polyfit(slants, slant, 1)[0] == pytest.approx(1, abs=0.15)
    assert (size > 5).all() and (size < 9).all()  # a line of 20 pixels and a little: 20 / sqrt(12)
    assert not traits(torch.zeros(1, 1, 28, 28)).any()


def test_a_trait_counts_from_the_mean_of_its_class():
    labels = np.repeat([0, 2], 6)
    values = np.arange(12.0)[:, None] + 100 * labels[:, None]
    standard = Norm(values, labels)(values, labels)
    np.testing.assert_allclose(standard[:6], standard[6:])
    assert standard.mean() == pytest.approx(0) and standard.std() == pytest.approx(1)


def test_correlations_by_hand():
    a = np.array([[1.0, 1], [2, 2], [3, 3], [4, 4]])
    b = np.array([[2.0, 1], [4, -1], [6, -1], [8, 1]])
    np.testing.assert_allclose(correlations(a, b), [1, 0], atol=1e-12)
