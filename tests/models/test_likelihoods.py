"""Likelihoods against closed forms, torch.distributions and numerical integration."""

import math

import pytest
import torch
from torch import distributions

from ldg.models import likelihoods
from ldg.models.likelihoods import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian

SHAPE = (5, 2, 4, 3)


@pytest.fixture
def x():
    return torch.randint(0, 256, SHAPE, generator=torch.Generator().manual_seed(0)) / 255


@pytest.fixture
def params():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


def per_image(log_prob):
    return log_prob.flatten(1).sum(1)


def test_bernoulli_is_the_binary_cross_entropy_in_nats(x, params):
    p = params.sigmoid()
    expected = per_image(x * p.log() + (1 - x) * (1 - p).log())
    torch.testing.assert_close(Bernoulli().log_prob(params, x), expected)
    torch.testing.assert_close(Bernoulli().mean(params), p)


def test_dynamic_binarisation_draws_anew_and_static_does_not(x):
    dynamic, static = Bernoulli("dynamic"), Bernoulli("static", seed=3)
    assert set(dynamic.target(x).unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(dynamic.target(x), dynamic.target(x))
    torch.testing.assert_close(static.target(x), static.target(x), rtol=0, atol=0)
    torch.testing.assert_close(static.target(x.flip(0)).flip(0), static.target(x), rtol=0, atol=0)
    assert not torch.equal(static.target(x), Bernoulli("static", seed=4).target(x))


def test_static_binarisation_has_the_grey_values_as_probabilities():
    x = torch.full((400, 1, 28, 28), 0.25)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = torch.arange(400) // 256 / 255, torch.arange(400) % 256 / 255  # all different
    drawn = Bernoulli("static").target(x)
    sigma = math.sqrt(0.25 * 0.75 / (400 * 783))
    assert abs(drawn[:, :, 1:].mean().item() - 0.25) < 5 * sigma * math.sqrt(28 / 27)
    # neighbouring pixels and neighbouring images are independent
    flat = (drawn - 0.25).flatten(1)
    assert abs((flat[:, 1:-1] * flat[:, 2:]).mean().item()) < 5 * 0.1875 / math.sqrt(400 * 782)
    assert abs((flat[1:] * flat[:-1]).mean().item()) < 5 * 0.1875 / math.sqrt(399 * 784)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_gaussian_is_a_normal_density(x, params, activation):
    likelihood = Gaussian(variance=0.04, activation=activation)
    mean = params.sigmoid() if activation == "sigmoid" else (params.tanh() + 1) / 2
    expected = per_image(distributions.Normal(mean, 0.2).log_prob(x))
    torch.testing.assert_close(likelihood.log_prob(params, x), expected)
    torch.testing.assert_close(likelihood.mean(params), mean)


def test_squared_error_on_minus_one_to_one_is_the_gaussian_with_an_eighth(x, params):
    nll = -Gaussian(variance=0.125, activation="tanh").log_prob(params, x)
    squared = per_image((2 * x - 1 - params.tanh()).square())
    pixels = x[0].numel()
    torch.testing.assert_close(nll, squared + pixels / 2 * math.log(math.pi / 4))


def test_learned_variance_settles_at_the_mean_squared_error():
    torch.manual_seed(0)
    likelihood = Gaussian("learned")
    params, x = torch.zeros(64, 1, 8, 8), (0.5 + 0.1 * torch.randn(64, 1, 8, 8))
    optimizer = torch.optim.Adam(likelihood.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (-likelihood.log_prob(params, x).mean()).backward()
        optimizer.step()
    assert likelihood.log_variance.exp().item() == pytest.approx((x - 0.5).square().mean().item(), rel=1e-3)


def test_continuous_bernoulli_integrates_to_one_and_its_mean_is_its_mean():
    likelihood = ContinuousBernoulli()
    x = ((torch.arange(20000) + 0.5) / 20000).view(-1, 1, 1, 1)
    for logit in (-6.0, -0.3, 1e-4, 2.0, 8.0):
        params = torch.full((20000, 1, 1, 1), logit)
        density = likelihood.log_prob(params, x).double().exp()
        assert density.mean().item() == pytest.approx(1, abs=1e-3)
        mean = (density * x.flatten()).mean().item()
        assert likelihood.mean(params)[0].item() == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize("location", [-3.0, -0.4, 0.3, 2.0])
@pytest.mark.parametrize("log_scale", [-6.0, -1.0, 1.0])
def test_discretized_logistic_sums_to_one_over_the_grey_levels(location, log_scale):
    likelihood = DiscretizedLogistic()
    x = (torch.arange(256) / 255).view(-1, 1, 1, 1)
    params = torch.tensor([location, log_scale]).view(1, 2, 1, 1).expand(256, -1, -1, -1)
    probability = likelihood.log_prob(params, x).double().exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-4)
    mean = (probability * x.flatten()).sum().item()
    assert likelihood.mean(params)[0].item() == pytest.approx(mean, abs=2e-3)


def test_discretized_logistic_has_finite_gradients_where_float_arithmetic_runs_out():
    params = torch.tensor([50.0, -100.0]).view(1, 2, 1, 1).requires_grad_()
    log_prob = DiscretizedLogistic().log_prob(params, torch.full((1, 1, 1, 1), 0.4))
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all() and torch.isfinite(params.grad).all()


def test_noise_of_the_static_binarisation_is_uniform():
    x = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    noise = likelihoods.pixel_noise(x, 0).flatten()
    counts = torch.histc(noise.float(), 20, 0, 1)
    expected = len(noise) / 20
    assert ((counts - expected).square() / expected).sum().item() < 50  # chi-square, 19 degrees: p < 1e-4
