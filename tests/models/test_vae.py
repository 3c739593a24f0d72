"""The VAE's numbers against hand-computed cases and a model with a closed form; its shapes for every size."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from ldg.models.conv import ConvDecoder, ConvEncoder
from ldg.models.dense import DenseDecoder, DenseEncoder
from ldg.models.likelihoods import Bernoulli, DiscretizedLogistic, Gaussian
from ldg.models.posterior import Posterior
from ldg.models.vae import VAE

DENSE = {"encoder": partial(DenseEncoder, hidden=[16]), "decoder": partial(DenseDecoder, hidden=[16])}


def conv(condition="film", blocks=1, depth=0):
    options = {"blocks": blocks, "hidden": 16, "condition": condition, "depth": depth}
    return {
        "encoder": partial(ConvEncoder, channels=[4, 6], **options),
        "decoder": partial(ConvDecoder, channels=[4, 6], **options),
    }


def make(networks=DENSE, shape=(1, 16, 16), classes=3, likelihood=None, **options):
    torch.manual_seed(0)
    return VAE(shape, classes, **networks, likelihood=likelihood or Bernoulli(), **{"latent_dim": 4} | options)


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
        for parameter in model.decoder.parameters():
            parameter.zero_()
        loss = model.loss(images, labels)
    torch.testing.assert_close(loss.log_likelihood, torch.full((5,), -256 * math.log(2)))
    torch.testing.assert_close(loss.loss, -loss.elbo.mean())
    torch.testing.assert_close(loss.kl, model.encode(images, labels).kl().sum(1))
    assert (loss.kl >= 0).all()


def test_free_bits_charge_at_least_their_price_and_only_in_the_loss():
    plain, free = make(), make(free_bits=3.0)
    images, labels = batch(plain)
    a = plain.loss(images, labels, generator=torch.Generator().manual_seed(0))
    b = free.loss(images, labels, generator=torch.Generator().manual_seed(0))
    kl = a.posterior.kl().mean(0)
    torch.testing.assert_close(b.kl, a.kl)
    torch.testing.assert_close(b.loss - a.loss, (3.0 - kl).clamp(min=0).sum())


def test_training_images_alone_are_augmented():
    plain, moved = make(), make(augment=1.0, augment_epochs=2.0)
    images, labels = batch(plain)

    def losses(model, x, epoch=1.9):
        return model.loss(x, labels, epoch, torch.Generator().manual_seed(0)).log_likelihood

    same = losses(plain, images)
    assert (losses(moved, images) == same).sum() < len(images)
    forever = make(augment=1.0)
    assert (losses(forever, images, 1e9) == losses(forever, images, 2.0)).all()
    assert not torch.equal(losses(forever, images, 2.0), losses(moved, images, 2.0))
    still = losses(moved.eval(), images)
    torch.testing.assert_close(losses(moved, images), still)


def test_who_is_told_the_label_is_told_how_an_image_was_changed():
    model = make(augment=1.0).eval()
    labels, change = torch.arange(3), torch.full((3, 5), 0.5)
    kept, changed = model.conditions(labels), model.conditions(labels, change)
    assert torch.equal(kept[1], torch.cat([torch.eye(3), torch.zeros(3, 5)], 1)) and torch.equal(kept[0], kept[1])
    assert torch.equal(changed[1], torch.cat([torch.eye(3), change], 1))
    z = torch.zeros(3, 4)
    assert not torch.equal(model.decoder(z, kept[1]), model.decoder(z, changed[1]))
    # in training it is what was done to each image: half of them are as they were
    seen = []
    model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    model.train().loss(*batch(model, 200), generator=torch.Generator().manual_seed(0))
    assert 60 < (seen[0][:, 3:] == 0).all(1).sum() < 140
    assert make(augment=1.0, conditioning="none").conditions(labels) == (None, None)


class Linear(nn.Module):
    """A linear map of z (decoder), or the exact posterior of that linear model (encoder)."""

    def __init__(self, weight, variance, posterior):
        super().__init__()
        self.weight, self.variance, self.posterior = weight, variance, posterior

    def forward(self, inputs, c):
        if not self.posterior:
            return (inputs @ self.weight.T).view(-1, 1, 4, 4)
        precision = 1 + self.weight.square().sum() / self.variance  # one latent
        mean = (inputs.flatten(1) - 0.5) @ self.weight / self.variance / precision
        return torch.cat([mean, -precision.log().expand_as(mean)], dim=1)


class LinearGaussian(Gaussian):
    def mean(self, params):
        return params + 0.5


def linear_gaussian():
    weight = torch.linspace(-0.3, 0.4, 16)[:, None]
    model = VAE(
        (1, 4, 4),
        1,
        encoder=lambda *_: Linear(weight, 0.05, posterior=True),
        decoder=lambda *_: Linear(weight, 0.05, posterior=False),
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
    elbo = torch.stack([model.loss(x).elbo for _ in range(4000)]).mean(0)
    torch.testing.assert_close(elbo, exact, rtol=0, atol=0.05)


def test_importance_sampling_closes_the_gap_of_a_poor_posterior():
    model, x, exact = linear_gaussian()
    model.encoder.variance = 0.2  # too wide by far
    torch.manual_seed(0)
    elbo = torch.stack([model.loss(x).elbo for _ in range(500)]).mean(0)
    few = torch.stack([model.log_likelihood(x, num_samples=5) for _ in range(200)]).mean(0)
    many = model.log_likelihood(x, num_samples=5000)
    assert (elbo < few).all() and (few < many + 0.02).all()
    torch.testing.assert_close(many, exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (28, 28), (64, 64), (127, 128)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("networks", [DENSE, conv(), conv("planes", 0), conv("concat")])
def test_any_image_size_and_channel_count(networks, channels, size):
    model = make(networks, (channels, *size), likelihood=DiscretizedLogistic() if channels == 3 else None)
    images, labels = batch(model, 2)
    loss = model.loss(images, labels)
    loss.loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    for picture in (model.reconstruct(images, labels), model.sample(labels)):
        assert picture.shape == (2, channels, *size)
        assert picture.min() >= 0 and picture.max() <= 1


def test_the_last_latents_are_a_map_each_of_a_place():
    model = make(conv(depth=2), (3, 17, 23), latent_dim=3 + 2 * 5 * 6, conditioning="none").eval()
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
    with pytest.raises(ValueError, match="60 leaves no vector beside 2 latents at each of 5x6 places"):
        make(conv(depth=2), (3, 17, 23), latent_dim=60)


@pytest.mark.parametrize("networks", [DENSE, conv(), conv("planes"), conv("concat")])
@pytest.mark.parametrize("mode", ["both", "decoder", "none"])
def test_conditioning_tells_just_those_it_names(networks, mode):
    model = make(networks, conditioning=mode)
    for module in model.modules():  # FiLM starts as the identity: give it something to say
        if type(module).__name__ == "FiLM":
            nn.init.normal_(module.scale_shift.weight)
    images, labels = batch(model)
    others = (labels + 1) % 3
    encoder_knows = not torch.equal(model.eval().encode(images, labels).mean, model.encode(images, others).mean)
    z = torch.zeros(5, 4)
    decoder_knows = not torch.equal(model.decode(z, labels), model.decode(z, others))
    told = {"both": (True, True), "decoder": (False, True), "none": (False, False)}
    assert (encoder_knows, decoder_knows) == told[mode]


@pytest.mark.parametrize("networks", [DENSE, conv(), conv("planes"), conv("concat")])
def test_a_one_hot_mixture_is_the_label_itself_and_mixtures_lie_between(networks):
    model = make(networks).eval()
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(3)
    torch.testing.assert_close(model.decode(z, torch.eye(3)), model.decode(z, labels))
    ways = [model.decode(z, torch.tensor([[1 - t, t, 0.0]]).expand(3, -1)) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    steps = [(b - a).abs().max().item() for a, b in pairwise(ways)]
    assert max(steps) < (ways[-1] - ways[0]).abs().max().item() + 1e-6


def test_labels_that_are_needed_and_missing_are_asked_for():
    model = make()
    with pytest.raises(ValueError, match="conditioning='both' needs labels"):
        model.loss(batch(model)[0])


def test_samples_depend_on_generator_and_temperature_alone():
    model = make().eval()
    labels = torch.tensor([0, 1, 2])
    first = model.sample(labels, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(model.sample(labels, generator=torch.Generator().manual_seed(5)), first, rtol=0, atol=0)
    torch.testing.assert_close(model.sample(labels, temperature=0), model.decode(torch.zeros(3, 4), labels))
