"""Styles: what stays of an image in another class, by models and numbers that are known."""

from functools import partial

import numpy as np
import pytest
import torch

from ldg.data.strokes import draw_characters
from ldg.evaluation.style import Norm, correlations, traits
from ldg.models.dense import DenseNetwork
from ldg.models.likelihoods import Bernoulli
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
    torch.testing.assert_close(space.styles(z, labels), s, atol=1e-4, rtol=1e-4)
    usual = model.from_noise(torch.zeros(6, 4), labels)
    torch.testing.assert_close(space.latents(s, labels, temperature=0.0), usual)
    one_hot = torch.eye(3)[labels]
    torch.testing.assert_close(space.latents(s, one_hot), z)


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
