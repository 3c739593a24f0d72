"""A hierarchical network: q is a distribution, inference and decoding agree, and each level is where it should be."""

from functools import partial

import pytest
import torch

from ldg.models.hierarchical import HierarchicalNetwork, TopDownBlock
from ldg.models.likelihoods import DiscretizedLogistic
from tests.models.test_vae import batch, make


def hierarchical(shape=(1, 16, 16), latent_channels=(1, 2), blocks=1, std=0.0, **options):
    """A small model; ``std`` of the weights that make its levels differ from their prior, which are 0 at first."""
    network = partial(
        HierarchicalNetwork, channels=[4, 6], blocks=blocks, hidden=16, latent_channels=list(latent_channels)
    )
    model = make(network, shape, likelihood=DiscretizedLogistic() if shape[0] == 3 else None, **options)
    for block in top_down_blocks(model):
        for layer in (block.posterior_params, block.log_scale):
            torch.nn.init.normal_(layer.weight, std=std)
    return model


def top_down_blocks(model):
    return [module for module in model.modules() if isinstance(module, TopDownBlock)]


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (28, 28)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_size_and_channel_count(channels, size):
    model = hierarchical((channels, *size))
    images, labels = batch(model, 2)
    model.loss(images, labels).objective.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    for picture in (model.reconstruct(images, labels), model.sample(labels)):
        assert picture.shape == (2, channels, *size) and 0 <= picture.min() <= picture.max() <= 1


def test_maps_cost_nothing_before_training():
    model = hierarchical(blocks=2)
    images, labels = batch(model)
    inference = model(images, labels)
    assert model.latent_dim == inference.posterior.mean.shape[1] == 4 + 2 * 2 * 4 * 4 + 2 * 1 * 8 * 8
    assert inference.posterior.kl()[:, 4:].abs().max() == 0
    torch.testing.assert_close(inference.kl, inference.posterior.kl().sum(1))


@torch.no_grad()
def test_inference_and_decoding_agree():
    model = hierarchical(std=0.5).eval()
    images, labels = batch(model)
    inference = model(images, labels)
    torch.testing.assert_close(model.decode(inference.z, labels), model.likelihood.mean(inference.params))
    # along the means, too
    means = model.encode(images, labels).mean
    assert means[:, 4:].abs().max() > 0.01
    torch.testing.assert_close(model.reconstruct(images, labels), model.decode(means, labels))


@torch.no_grad()
def test_q_is_a_distribution_whatever_was_drawn_above():
    model = hierarchical((1, 8, 8), std=1.0).eval()
    torch.nn.init.normal_(model.network.encoder.head.weight, std=0.05)
    for block in top_down_blocks(model):
        torch.nn.init.normal_(block.z_proj.weight)
    images, labels = batch(model, 1)
    images, labels = images.expand(40_000, -1, -1, -1), labels.expand(40_000)
    posterior, z, *_ = model(images, labels, torch.Generator().manual_seed(0))
    assert posterior.mean[:, -1].std() > 0.01  # the last level's q differs from draw to draw
    # the integral of p(z), by importance sampling from q
    weights = (model.prior.log_prob(z, None) - posterior.log_prob(z)).exp()
    error = float(weights.std()) / 200
    assert error < 0.02 and float(weights.mean()) == pytest.approx(1, abs=4 * error)


@torch.no_grad()
def test_the_levels_above_scale_the_noise_of_a_map():
    model = hierarchical(std=0.5, conditioning="none").eval()
    z = torch.zeros(4, model.latent_dim)
    z[2:, 0] = 3.0  # another vector
    z[1, -1] = z[3, -1] = 1.0  # the same noise in the last corner
    images = model.decode(z)
    changes = images[1::2] - images[::2]
    assert (changes[:, :, :8, :8] == 0).all() and (changes[:, :, -2:, -2:] != 0).any()
    assert not torch.allclose(changes[0], changes[1], rtol=0.05, atol=0)


@torch.no_grad()
def test_no_state_makes_noise_grow_without_bound():
    block = TopDownBlock(4, 2, 0).eval()
    x, z = torch.randn(3, 4, 5, 5), torch.randn(3, 2, 5, 5)
    drawn = []
    for log_scale in (2.0, 3.0, 1e4):
        torch.nn.init.constant_(block.log_scale.bias, log_scale)
        drawn.append(block(x, z, None))
    assert torch.equal(drawn[1], drawn[2]) and not torch.allclose(drawn[0], drawn[1])


@pytest.mark.parametrize("mode", ["both", "decoder", "none"])
def test_conditioning_reaches_the_networks_that_it_names(mode):
    model = hierarchical(conditioning=mode).eval()
    images, labels = batch(model)
    others = (labels + 1) % 3
    tops = [model.encode(images, some).mean[:, :4] for some in (labels, others)]
    z = torch.zeros(5, model.latent_dim)
    decoded = [model.decode(z, some) for some in (labels, others)]
    conditional = {"both": (True, True), "decoder": (False, True), "none": (False, False)}
    assert (not torch.equal(*tops), not torch.equal(*decoded)) == conditional[mode]


def test_a_stage_may_have_no_latents_and_each_says_how_many():
    assert hierarchical(latent_channels=(0, 2)).latent_dim == 4 + 2 * 4 * 4
    with pytest.raises(ValueError, match=r"model.network.latent_channels=\[1\]: give 2 numbers, one for each of"):
        hierarchical(latent_channels=(1,))
