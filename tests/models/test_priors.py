"""Priors against integrals, inverses and the change of variables; a flow inside a model."""

import math
from functools import partial

import pytest
import torch

from ldg.models.posterior import Posterior, log_normal
from ldg.models.priors import Flow, StandardNormal
from ldg.models.two_levels import TwoLevels
from tests.models.test_vae import batch, make


def flow(latent_dim=2, condition_dim=3, kind=Flow, std=0.3, **options):
    """A learned prior that is far from the identity."""
    torch.manual_seed(0)
    made = kind(latent_dim, condition_dim, couplings=4, hidden=16, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return made.requires_grad_(False)


def test_it_starts_as_the_standard_normal():
    noise, c = torch.randn(5, 4), torch.eye(3)[[0, 1, 2, 0, 1]]
    fresh = Flow(4, 3)
    torch.testing.assert_close(fresh(noise, c), noise)
    torch.testing.assert_close(fresh.log_prob(noise, c), StandardNormal(4, 3).log_prob(noise, c))


@pytest.mark.parametrize("label", [0, 2])
def test_the_density_integrates_to_one(label):
    axis = torch.linspace(-15, 15, 801, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    c = torch.eye(3, dtype=torch.float64)[label].expand(len(z), -1)
    density = flow().double().log_prob(z, c).exp()
    assert float(density.sum()) * float(axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-3)


MAP = {"kind": TwoLevels, "image_shape": (1, 6, 4), "channels": [4], "latent_channels": 2, "std": 0.1}  # 3x2 places


@pytest.mark.parametrize("options", [{"latent_dim": 2}, {"latent_dim": 5}, {"latent_dim": 15, **MAP}])
def test_noise_and_latents_are_two_views_of_the_same(options):
    dim = options["latent_dim"]
    made, noise, c = flow(**options).double(), torch.randn(6, dim).double(), torch.eye(3).double()[[0, 1, 2, 0, 1, 2]]
    z = made(noise, c)
    assert float((z - noise).abs().max()) > 0.1
    back, log_det = made.inverse(z, c)
    torch.testing.assert_close(back, noise)
    for i in range(6):
        jacobian = torch.autograd.functional.jacobian(lambda n, i=i: made(n[None], c[i : i + 1])[0], noise[i])
        torch.testing.assert_close(-torch.linalg.slogdet(jacobian).logabsdet, log_det[i])
    assert not torch.allclose(made(noise, c[[1, 2, 0, 1, 2, 0]]), z)  # the label matters


def test_the_estimated_kl_is_right_on_average():
    posterior = Posterior(torch.tensor([[0.5, -1.0]]).expand(20000, -1), torch.tensor([[-1.0, 0.5]]).expand(20000, -1))
    c = torch.eye(3)[:1].expand(20000, -1)
    z = posterior.at(torch.randn(20000, 2, generator=torch.Generator().manual_seed(0)))
    estimated = Flow(2, 3).requires_grad_(False).kl(posterior, z, c)
    assert estimated.shape == (20000,)
    error = float(estimated.std()) / math.sqrt(20000)
    assert float(estimated.mean()) == pytest.approx(float(posterior.kl()[0].sum()), abs=4 * error)


def test_a_model_draws_from_its_prior_and_is_charged_by_it():
    model = make(prior=partial(Flow, couplings=2, hidden=8), latent_dim=3).eval()
    model.prior.load_state_dict({k: torch.randn_like(v) * 0.3 for k, v in model.prior.state_dict().items()})
    images, labels = batch(model)
    noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    c = torch.eye(3)[labels]
    with torch.no_grad():
        expected = model.decode(model.prior(noise, c), labels)
        torch.testing.assert_close(model.decode_noise(noise, labels), expected)
        torch.testing.assert_close(model.sample(labels, generator=torch.Generator().manual_seed(3)), expected)
        inference = model(images, labels, torch.Generator().manual_seed(4))
        z = inference.posterior.at(torch.randn(5, 3, generator=torch.Generator().manual_seed(4)))
        torch.testing.assert_close(inference.z, z)
        noise, log_det = model.prior.inverse(z, c)
        torch.testing.assert_close(inference.kl, inference.posterior.log_prob(z) - log_normal(noise) - log_det)
        # with many draws the importance-sampled bound is the tighter
        bound = model.log_likelihood(images, labels, 500, torch.Generator().manual_seed(5))
        assert (bound.mean() > inference.elbo.mean() - 0.5).all()


def test_too_few_latents_for_a_prior():
    with pytest.raises(ValueError, match="2 or more"):
        Flow(1, 3)
    with pytest.raises(ValueError, match="12 leaves no vector beside 2 latent channels at each of 3x2 places"):
        flow(12, **MAP)
    with pytest.raises(ValueError, match="latent_channels of 1 or more"):
        flow(12, **MAP | {"latent_channels": 0})
