"""The VAE's numbers against hand-computed cases and a model with a closed form; its shapes for every size."""

import math
from functools import partial
from itertools import pairwise
from unittest import mock

import pytest
import torch
from torch import nn

from ldg.models import vae
from ldg.models.conv import ConvNetwork
from ldg.models.dense import DenseNetwork
from ldg.models.likelihoods import Bernoulli, DiscretizedLogistic, Gaussian
from ldg.models.network import Network
from ldg.models.posterior import Posterior
from ldg.models.priors import Flow
from ldg.models.vae import VAE

DENSE = partial(DenseNetwork, hidden=[16])


def conv(condition="film", blocks=1, latent_channels=0):
    return partial(
        ConvNetwork, channels=[4, 6], blocks=blocks, hidden=16, condition=condition, latent_channels=latent_channels
    )


def make(network=DENSE, shape=(1, 16, 16), classes=3, likelihood=None, **options):
    torch.manual_seed(0)
    return VAE(shape, classes, network, likelihood or Bernoulli(), **{"latent_dim": 4} | options)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(model, n=5):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, *model.image_shape), dtype=torch.uint8, generator=generator)
    return images, torch.arange(n) % model.num_classes


def test_kl_of_a_hand_computed_posterior():
    posterior = Posterior(torch.tensor([[1.0, 0.0, -2.0]]), torch.tensor([[0.0, math.log(4.0), math.log(0.25)]]))
    expected = [0.5, 0.5 * (4 - 1 - math.log(4)), 0.5 * (4 + 0.25 - 1 + math.log(4))]
    torch.testing.assert_close(posterior.kl(), torch.tensor([expected]))
    assert Posterior(torch.zeros(1, 3), torch.zeros(1, 3)).kl().tolist() == [[0, 0, 0]]


def test_loss_is_minus_the_elbo_at_beta_one_in_nats_summed_over_pixels():
    model = make()
    images, labels = batch(model)
    with torch.no_grad():  # decoder that answers logit 0 everywhere: log 2 a pixel
        for parameter in model.network.decoder.parameters():
            parameter.zero_()
        loss = model.loss(images, labels)
    inference = loss.inference
    torch.testing.assert_close(inference.log_likelihood, torch.full((5,), -256 * math.log(2)))
    torch.testing.assert_close(loss.objective, -inference.elbo.mean())
    torch.testing.assert_close(inference.kl, model.encode(images, labels).kl().sum(1))
    assert (inference.kl >= 0).all()


def test_free_bits_charge_at_least_their_price_and_only_in_the_loss():
    plain, free = make(), make(free_bits=3.0)
    images, labels = batch(plain)
    a, b = (model.loss(images, labels, generator=seeded()) for model in (plain, free))
    kl = a.inference.posterior.kl().mean(0)
    torch.testing.assert_close(b.inference.kl, a.inference.kl)
    torch.testing.assert_close(b.objective - a.objective, (3.0 - kl).clamp(min=0).sum())


def test_free_bits_are_refused_where_the_kl_of_single_dimensions_is_unknown():
    with pytest.raises(ValueError, match=r"model.free_bits=0\.1 needs model/prior=normal"):
        make(free_bits=0.1, prior=Flow)


def test_training_images_alone_are_augmented():
    plain, moved = make(), make(augment=1.0, augment_epochs=2.0)
    images, labels = batch(plain)

    def losses(model, x, epoch=1.9):
        return model.loss(x, labels, epoch, seeded()).inference.log_likelihood

    same = losses(plain, images)
    assert (losses(moved, images) == same).sum() < len(images)
    forever = make(augment=1.0)
    assert (losses(forever, images, 1e9) == losses(forever, images, 2.0)).all()
    assert not torch.equal(losses(forever, images, 2.0), losses(moved, images, 2.0))
    still = losses(moved.eval(), images)
    torch.testing.assert_close(losses(moved, images), still)


class Conditions(DenseNetwork):
    """Remembers the conditions that it is given."""

    def encode(self, x, c):
        self.of_encoder = c
        return super().encode(x, c)

    def decode(self, z, c):
        self.of_decoder = c
        return super().decode(z, c)


def test_the_networks_are_given_the_parameters_of_the_augmentation():
    model = make(partial(Conditions, hidden=[16]), augment=1.0).eval()
    images, labels = batch(model, 200)
    model(images, labels)
    kept = torch.cat([torch.eye(3)[labels], torch.zeros(200, 5)], 1)
    assert torch.equal(model.network.of_encoder, kept) and torch.equal(model.network.of_decoder, kept)
    # in training those of each image: half of them are as they were
    model.train().loss(images, labels, generator=seeded())
    condition = model.network.of_decoder
    assert torch.equal(condition, model.network.of_encoder) and torch.equal(condition[:, :3], kept[:, :3])
    assert 60 < (condition[:, 3:] == 0).all(1).sum() < 140
    unconditional = make(partial(Conditions, hidden=[16]), augment=1.0, conditioning="none")
    unconditional.loss(images, generator=seeded())
    assert unconditional.network.of_encoder is None
    assert torch.equal(unconditional.network.of_decoder, condition[:, 3:])
    # outside of training, of images that are as they were
    for call in (
        lambda: unconditional.sample(labels),
        lambda: unconditional.reconstruct(images),
        lambda: unconditional.log_likelihood(images, num_samples=1),
    ):
        unconditional.eval().network.of_decoder = None
        call()
        assert torch.equal(unconditional.network.of_decoder, torch.zeros(200, 5))


class Linear(Network):
    """A linear map of one latent, and its exact posterior."""

    def __init__(self, sizes, weight, variance):
        super().__init__(sizes)
        self.weight, self.variance = weight, variance

    def encode(self, x, c):
        precision = 1 + self.weight.square().sum() / self.variance
        mean = (x.flatten(1) - 0.5) @ self.weight / self.variance / precision
        return torch.cat([mean, -precision.log().expand_as(mean)], dim=1)

    def decode(self, z, c):
        return (z @ self.weight.T).view(-1, 1, 4, 4)


class LinearGaussian(Gaussian):
    def mean(self, params):
        return params + 0.5


def linear_gaussian():
    weight = torch.linspace(-0.3, 0.4, 16)[:, None]
    model = VAE(
        (1, 4, 4),
        1,
        partial(Linear, weight=weight, variance=0.05),
        likelihood=LinearGaussian(0.05),
        latent_dim=1,
        conditioning="none",
    )
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    covariance = weight @ weight.T + 0.05 * torch.eye(16)
    exact = torch.distributions.MultivariateNormal(torch.full((16,), 0.5), covariance).log_prob(x.flatten(1))
    return model, x, exact


def test_log_likelihood_of_a_linear_gaussian_model_is_exact_under_its_exact_posterior():
    model, x, exact = linear_gaussian()
    # with the exact posterior every importance weight is p(x) itself
    torch.testing.assert_close(model.log_likelihood(x, num_samples=2), exact, rtol=1e-4, atol=1e-3)
    elbo = torch.stack([model(x).elbo for _ in range(4000)]).mean(0)
    torch.testing.assert_close(elbo, exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("number", [1, 4, 5, 11])
def test_importance_weights_are_summed_on_the_way(number, monkeypatch):
    model, x, _ = linear_gaussian()
    model.network.variance = 0.2
    at_once = model.log_likelihood(x, num_samples=number, generator=seeded())
    monkeypatch.setattr(vae, "MOST_WEIGHTS", 4)
    with mock.patch("torch.stack", side_effect=torch.stack) as stack:
        folded = model.log_likelihood(x, num_samples=number, generator=seeded())
    assert max(len(call.args[0]) for call in stack.call_args_list) <= 4
    assert torch.equal(folded, at_once) if number <= 4 else torch.allclose(folded, at_once)


def test_importance_sampling_closes_the_gap_of_a_poor_posterior():
    model, x, exact = linear_gaussian()
    model.network.variance = 0.2  # too wide by far
    torch.manual_seed(0)
    elbo = torch.stack([model(x).elbo for _ in range(500)]).mean(0)
    few = torch.stack([model.log_likelihood(x, num_samples=5) for _ in range(200)]).mean(0)
    many = model.log_likelihood(x, num_samples=5000)
    assert (elbo < few).all() and (few < many + 0.02).all()
    torch.testing.assert_close(many, exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (28, 28), (64, 64), (127, 128)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", [DENSE, conv(), conv("planes", 0), conv("concat")])
def test_any_image_size_and_channel_count(network, channels, size):
    model = make(network, (channels, *size), likelihood=DiscretizedLogistic() if channels == 3 else None)
    images, labels = batch(model, 2)
    model.loss(images, labels).objective.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    for picture in (model.reconstruct(images, labels), model.sample(labels)):
        assert picture.shape == (2, channels, *size)
        assert picture.min() >= 0 and picture.max() <= 1


def test_the_last_latents_are_a_map_each_of_a_place():
    model = make(conv(latent_channels=2), (3, 17, 23), latent_dim=3 + 2 * 5 * 6, conditioning="none").eval()
    images, _ = batch(model, 2)
    assert model.encode(images).mean.shape == (2, 63)
    z = torch.zeros(3, 63)
    z[1, 0] = z[2, 3] = 1.0  # the vector, and the corner of the map
    with torch.no_grad():
        plain, *moved = model.decode(z)
    everywhere, corner = ((picture - plain).abs().amax(0) > 1e-6 for picture in moved)
    assert everywhere.float().mean() > 0.9
    assert corner[:4, :4].all() and not corner[12:].any() and not corner[:, 12:].any()
    # and of the encoder: the far corner of an image is beyond the sight of a map's first place
    other = images.clone()
    other[:, :, 12:, 18:] = 0.5
    difference = model.encode(other).mean - model.encode(images).mean
    assert (difference[:, 3] == 0).all() and (difference[:, [0, -1]] != 0).all()
    with pytest.raises(ValueError, match="60 leaves no vector beside 2 latent channels at each of 5x6 places"):
        make(conv(latent_channels=2), (3, 17, 23), latent_dim=60)


@pytest.mark.parametrize("network", [DENSE, conv(), conv("planes"), conv("concat")])
@pytest.mark.parametrize("mode", ["both", "decoder", "none"])
def test_conditioning_reaches_the_networks_that_it_names(network, mode):
    model = make(network, conditioning=mode)
    for module in model.modules():  # FiLM starts as the identity
        if type(module).__name__ == "FiLM":
            nn.init.normal_(module.scale_shift.weight)
    images, labels = batch(model)
    others = (labels + 1) % 3
    encoder_is = not torch.equal(model.eval().encode(images, labels).mean, model.encode(images, others).mean)
    z = torch.zeros(5, 4)
    decoder_is = not torch.equal(model.decode(z, labels), model.decode(z, others))
    conditional = {"both": (True, True), "decoder": (False, True), "none": (False, False)}
    assert (encoder_is, decoder_is) == conditional[mode]


@pytest.mark.parametrize("network", [DENSE, conv(), conv("planes"), conv("concat")])
def test_a_one_hot_mixture_is_the_label_itself_and_mixtures_lie_between(network):
    model = make(network).eval()
    z = torch.randn(3, 4, generator=seeded())
    labels = torch.arange(3)
    torch.testing.assert_close(model.decode(z, torch.eye(3)), model.decode(z, labels))
    frames = [model.decode(z, torch.tensor([[1 - t, t, 0.0]]).expand(3, -1)) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    steps = [(b - a).abs().max().item() for a, b in pairwise(frames)]
    assert max(steps) < (frames[-1] - frames[0]).abs().max().item() + 1e-6


def test_missing_labels_are_an_error_that_says_so():
    model = make()
    with pytest.raises(ValueError, match="conditioning='both' needs labels"):
        model.loss(batch(model)[0])


def test_samples_depend_on_generator_and_temperature_alone():
    model = make().eval()
    labels = torch.tensor([0, 1, 2])
    first = model.sample(labels, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(model.sample(labels, generator=torch.Generator().manual_seed(5)), first, rtol=0, atol=0)
    torch.testing.assert_close(model.sample(labels, temperature=0), model.decode(torch.zeros(3, 4), labels))


class Shown(DenseNetwork):
    """Remembers the images that it is shown."""

    def encode(self, x, c):
        self.images = x
        return super().encode(x, c)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_the_encoder_is_shown_the_binarised_images_that_the_likelihood_explains(binarize):
    model = make(partial(Shown, hidden=[16]), likelihood=Bernoulli(binarize)).eval()
    images, labels = batch(model)
    target = model.target(images, seeded(7))
    assert target.unique().tolist() == [0, 1]
    for look in (
        lambda: model(images, labels, seeded(7)),
        lambda: model.loss(images, labels, generator=seeded(7)),
        lambda: model.encode(images, labels, seeded(7)),
        lambda: model.reconstruct(images, labels, seeded(7)),
        lambda: model.log_likelihood(images, labels, 2, seeded(7)),
    ):
        look()
        assert torch.equal(model.network.images, target)
