"""A ladder of latents: its q is a distribution, decoding and explaining agree, and each level is where it should be."""

from functools import partial

import pytest
import torch

from ldg.models.ladder import LadderDecoder, LadderEncoder, LadderVAE, Rung
from ldg.models.likelihoods import Bernoulli, DiscretizedLogistic
from tests.models.test_vae import batch


def ladder(shape=(1, 16, 16), depths=(1, 2), blocks=1, told=0.0, **options):
    """A small model; ``told`` is how much its levels say already, which by itself is nothing."""
    torch.manual_seed(0)
    sizes = {"channels": [4, 6], "blocks": blocks, "hidden": 16}
    networks = partial(LadderEncoder, **sizes), partial(LadderDecoder, depths=list(depths), **sizes)
    likelihood = DiscretizedLogistic() if shape[0] == 3 else Bernoulli()
    model = LadderVAE(shape, 3, *networks, likelihood, **{"latent_dim": 4} | options)
    for module in model.modules():
        if isinstance(module, Rung):
            for layer in (module.posterior, module.strength):
                torch.nn.init.normal_(layer.weight, std=told)
    return model


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (28, 28)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_size_and_channel_count(channels, size):
    model = ladder((channels, *size))
    images, labels = batch(model, 2)
    model.loss(images, labels).loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    for picture in (model.reconstruct(images, labels), model.sample(labels)):
        assert picture.shape == (2, channels, *size) and 0 <= picture.min() <= picture.max() <= 1


def test_maps_that_nothing_was_learnt_of_cost_nothing():
    model = ladder(blocks=2)
    images, labels = batch(model)
    loss = model.loss(images, labels)
    assert model.latent_dim == loss.posterior.mean.shape[1] == 4 + 2 * 2 * 4 * 4 + 2 * 1 * 8 * 8
    assert loss.posterior.kl()[:, 4:].abs().max() == 0
    torch.testing.assert_close(loss.kl, loss.posterior.kl().sum(1))


@torch.no_grad()
def test_what_explains_an_image_decodes_to_it():
    model = ladder(told=0.5).eval()
    images, labels = batch(model)
    found = model.explain(images, labels)
    torch.testing.assert_close(model.decode(found.z, labels), model.likelihood.mean(found.params))
    # and on the way of the means
    means = model.encode(images, labels).mean
    assert means[:, 4:].abs().max() > 0.01
    torch.testing.assert_close(model.reconstruct(images, labels), model.decode(means, labels))


@torch.no_grad()
def test_q_is_a_distribution_whatever_was_drawn_above():
    model = ladder((1, 8, 8), told=1.0).eval()
    torch.nn.init.normal_(model.encoder.head.weight, std=0.05)
    for rung in (module for module in model.modules() if isinstance(module, Rung)):
        torch.nn.init.normal_(rung.into.weight)
    images, labels = batch(model, 1)
    images, labels = images.expand(40_000, -1, -1, -1), labels.expand(40_000)
    posterior, z, _ = model.explain(images, labels, torch.Generator().manual_seed(0))
    assert posterior.mean[:, -1].std() > 0.01  # the last level's q differs from draw to draw
    # the integral of p(z), by importance sampling from q
    weights = (model.prior.log_prob(z, None) - posterior.log_prob(z)).exp()
    error = float(weights.std()) / 200
    assert error < 0.02 and float(weights.mean()) == pytest.approx(1, abs=4 * error)


@torch.no_grad()
def test_a_map_is_strong_where_the_levels_above_let_it():
    model = ladder(told=0.5, conditioning="none").eval()
    z = torch.zeros(4, model.latent_dim)
    z[2:, 0] = 3.0  # another vector
    z[1, -1] = z[3, -1] = 1.0  # the same noise in the last corner
    images = model.decode(z)
    changes = images[1::2] - images[::2]
    assert (changes[:, :, :8, :8] == 0).all() and (changes[:, :, -2:, -2:] != 0).any()
    assert not torch.allclose(changes[0], changes[1], rtol=0.05, atol=0)


@torch.no_grad()
def test_no_state_makes_noise_grow_without_bound():
    rung = Rung(4, 2, 0).eval()
    x, z = torch.randn(3, 4, 5, 5), torch.randn(3, 2, 5, 5)
    drawn = []
    for strength in (2.0, 3.0, 1e4):
        torch.nn.init.constant_(rung.strength.bias, strength)
        drawn.append(rung(x, z, None))
    assert torch.equal(drawn[1], drawn[2]) and not torch.allclose(drawn[0], drawn[1])


@pytest.mark.parametrize("mode", ["both", "decoder", "none"])
def test_conditioning_tells_just_those_it_names(mode):
    model = ladder(conditioning=mode).eval()
    images, labels = batch(model)
    others = (labels + 1) % 3
    tops = [model.encoder(images / 255, model.conditions(some)[0])[0] for some in (labels, others)]
    z = torch.zeros(5, model.latent_dim)
    decoded = [model.decode(z, some) for some in (labels, others)]
    told = {"both": (True, True), "decoder": (False, True), "none": (False, False)}
    assert (not torch.equal(*tops), not torch.equal(*decoded)) == told[mode]


def test_a_stage_may_have_no_latents_and_each_says_how_many():
    assert ladder(depths=(0, 2)).latent_dim == 4 + 2 * 4 * 4
    with pytest.raises(ValueError, match=r"model.decoder.depths=\[1\]: give 2 numbers, one for each of"):
        ladder(depths=(1,))
