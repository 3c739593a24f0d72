"""Measures against cases with known answers."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from ldg.evaluation import distance, latent, reads
from ldg.evaluation.distance import Distance, covered, frechet, kernel
from ldg.evaluation.elbo import Elbo, elbo
from ldg.evaluation.latent import Latent
from ldg.evaluation.marginal import Marginal, binarized, marginal
from ldg.evaluation.measure import Value, mean
from ldg.evaluation.reads import Reads
from ldg.evaluation.reconstruction import Reconstruction, reconstruction
from ldg.evaluation.speed import Speed
from ldg.evaluation.subject import Skipped, Subject
from ldg.models.classifier import Classifier
from ldg.models.likelihoods import Bernoulli, Gaussian
from ldg.models.posterior import Posterior
from ldg.models.priors import Flow
from tests.models.test_vae import linear_gaussian, make
from tests.runs import TINY, configured


@pytest.fixture(scope="module")
def data():
    from ldg.training.run import instantiate_data

    return instantiate_data(configured(*TINY))


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return Classifier((1, 28, 28), 62, channels=[8, 16]).eval()


class Copier(nn.Module):
    """A 'generator' that hands out the real test images of the class asked for, one after the other."""

    conditioning, num_classes, latent_dim, image_shape = "both", 62, 4, (1, 28, 28)

    def __init__(self, data):
        super().__init__()
        self.classes = data.classes
        self.images, self.labels = data.test[torch.arange(len(data.test))]

    def sample(self, labels, temperature, generator):
        turn = {}
        rows = []
        for label in labels.tolist():
            mine = (self.labels == label).nonzero().flatten()
            rows.append(int(mine[turn.get(label, 0) % len(mine)]))
            turn[label] = turn.get(label, 0) + 1
        return self.images[rows].float() / 255


def test_the_mean_has_its_standard_error():
    value = mean(torch.tensor([1.0, 2.0, 3.0, 6.0]), "nats")
    assert value.value == 3.0 and value.error == pytest.approx(math.sqrt(14 / 3 / 4))
    assert math.isnan(mean(torch.tensor([1.0, math.nan])).value)  # reported, not averaged away


def test_marginal_likelihood_of_a_linear_gaussian_model_tends_to_the_closed_form():
    model, x, exact = linear_gaussian()
    labels = torch.zeros(len(x), dtype=torch.long)
    model.encoder.variance = 0.2  # a poor posterior, so that the bounds differ
    generator = torch.Generator().manual_seed(0)
    lower = torch.stack([torch.sub(*elbo(model, x, labels, 200, generator)) for _ in range(5)]).mean(0)
    bounds = [marginal(model, x, labels, k, generator) for k in (5, 5000)]
    assert (lower < bounds[1]).all() and (exact - lower).min() > 0.1
    torch.testing.assert_close(bounds[1], exact, rtol=0, atol=0.05)


def test_the_marginal_of_some_images_estimates_that_of_all(data):
    model = make(shape=(1, 28, 28), classes=62, latent_dim=2)
    subject = Subject(model, data=data)
    some, every = (Marginal(20, images)(subject).values["marginal"] for images in (60, None))
    assert some.error is not None and abs(some.value - every.value) < 4 * some.error
    bound = Elbo()(subject).values["elbo"]
    assert every.value > bound.value - 2 * bound.error


def test_elbo_has_bits_per_dimension_only_where_the_likelihood_is_discrete(data):
    grey = make(shape=(1, 28, 28), classes=62)
    assert "bits_per_dim" not in Elbo()(Subject(grey, data=data)).values
    binary = make(shape=(1, 28, 28), classes=62, likelihood=Bernoulli("static", seed=3))
    result = Elbo(samples=2)(Subject(binary, data=data))
    expected = -result.values["elbo"].value / (math.log(2) * 784)
    assert result.values["bits_per_dim"].value == pytest.approx(expected)
    assert "binarised once, seed 3" in result.setting and "2 draws" in result.setting


def test_the_elbo_of_other_likelihoods_is_also_that_of_their_mean_as_a_grey_bernoulli(data):
    def values(likelihood):
        torch.manual_seed(0)
        return Elbo()(Subject(make(shape=(1, 28, 28), classes=62, likelihood=likelihood), data=data)).values

    grey, density = values(Bernoulli()), values(Gaussian())  # the same weights, whose mean is the same sigmoid
    assert "elbo_grey" not in grey
    close = {"rel": 1e-3, "abs": 0}
    assert density["elbo_grey"].value == pytest.approx(grey["elbo"].value, **close) != density["elbo"].value


def test_the_marginal_of_images_binarised_once_with_numpys_seed(data):
    subject = Subject(make(shape=(1, 28, 28), classes=62, likelihood=Bernoulli("dynamic")), data=data)
    images, _ = subject.images("test")
    np.random.seed(777)
    expected = np.random.binomial(1, images.numpy() / 255)  # as published
    assert (binarized(images, 777).numpy() == 255 * expected).all()
    result = Marginal(2, 20, binarize_seed=777)(subject)
    assert "numpy seed 777" in result.setting and result == Marginal(2, 20, binarize_seed=777)(subject)
    with pytest.raises(Skipped, match="binarize=dynamic"):
        Marginal(binarize_seed=777)(Subject(make(shape=(1, 28, 28), classes=62), data=data))


def test_a_set_has_no_distance_from_itself_and_noise_adds_some():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(2000, 8, generator=generator)
    noisy = [real + scale * torch.randn(real.shape, generator=generator) for scale in (0.0, 0.5, 1.0, 2.0)]
    fids, kids = [frechet(real, x) for x in noisy], [kernel(real, x) for x in noisy]
    assert fids[0] == pytest.approx(0, abs=1e-3) and abs(kids[0]) < 0.02
    assert fids == sorted(fids) and kids[1:] == sorted(kids[1:]) and kids[1] > kids[0]
    # of two normal distributions: |mean difference|^2 + (difference of the standard deviations)^2 a dimension
    shifted = 3 + 2 * torch.randn(20_000, 8, generator=generator)
    assert frechet(torch.randn(20_000, 8, generator=generator), shifted) == pytest.approx(8 * (9 + 1), rel=0.02)


def test_precision_and_recall_tell_a_lost_mode_from_an_invented_one():
    generator = torch.Generator().manual_seed(0)
    modes = [torch.randn(300, 2, generator=generator) + 50 * i for i in range(2)]
    both, first = torch.cat(modes), torch.randn(300, 2, generator=generator)
    assert covered(both, both) == 1.0
    assert covered(first, both) > 0.9 and 0.4 < covered(both, first) < 0.5  # all precise, half of it recalled
    assert covered(both + 1000, both) == 0.0


def test_a_generator_that_copies_test_images_scores_the_judges_own_accuracy(data, judge):
    subject = Subject(Copier(data), data=data, judge=judge)
    result = Reads(per_class=2)(subject)
    assert set(result.values) == {"reads", "reads_overall", "reads_merged"}
    for value in result.values.values():
        assert value.value == pytest.approx(value.reference)
    assert result.detail["per_class"] == result.detail["per_class_real"]
    values = Distance(rounds=2)(subject).values
    assert values["fid"].value == pytest.approx(0, abs=1e-3)
    assert values["precision"].value == values["recall"].value == 1.0
    assert values["fid"].reference > 1e3 * abs(values["fid"].value)


def test_macro_accuracy_weighs_classes_alike():
    confusion = torch.tensor([[90, 10, 0], [5, 5, 0], [0, 0, 0]])
    accuracy, error = reads.macro(confusion)
    assert accuracy == pytest.approx(0.7) and 0.05 < error < 0.12
    assert reads.macro(confusion, confusion.sum(1))[0] == pytest.approx(95 / 110)


def test_look_alikes_merge_to_47_classes(data):
    confusion = torch.zeros(62, 62, dtype=torch.long)
    small, capital = data.classes.index("c"), data.classes.index("C")
    confusion[small, capital] = 4
    confusion[capital, capital] = 2
    confusion[data.classes.index("a"), data.classes.index("A")] = 1  # not alike
    joined = reads.merged(confusion, data.classes)
    assert joined.shape == (47, 47) and joined.sum() == 7 and joined.diag().sum() == 6


def test_a_collapsed_model_has_no_active_units_and_its_code_no_label(data):
    model = make(shape=(1, 28, 28), classes=62, latent_dim=3)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    result = Latent(probe=100)(Subject(model, data=data))
    assert result.values["active_units"].value == 0
    assert result.values["aggregate_kl"].value == pytest.approx(0, abs=1e-5)
    assert result.values["moments_kl"].value == pytest.approx(0, abs=1e-6)
    assert result.values["label_information"].value < 0.1
    assert result.detail["kl_per_dim"] == [0, 0, 0]


def test_under_a_learned_prior_the_noise_behind_the_codes_is_judged(data):
    """A flow that moves and scales: codes far from N(0, 1) that are just what it expects, and codes that are not."""
    model = make(shape=(1, 28, 28), classes=62, latent_dim=2, prior=partial(Flow, couplings=2, hidden=4))
    with torch.no_grad():
        for place, coupling in enumerate(model.prior.couplings):  # the second half by 2 z + 3, then the first
            log_scale, shift = torch.tensor(2 * math.atanh(math.log(2) / 2)), torch.tensor(3.0 + place)
            coupling.network[-1].bias.copy_(torch.stack([log_scale, shift]))
        for parameter in model.encoder.parameters():
            parameter.zero_()
        found = {}
        for name, mean, variance in (("like", [4.0, 3.0], 4.0), ("unlike", [0.0, 0.0], 1.0)):
            model.encoder.layers[-1].bias.copy_(torch.tensor([*mean, math.log(variance), math.log(variance)]))
            found[name] = Latent(probe=100)(Subject(model, data=data))
    assert found["like"].values["moments_kl"].value < 0.1  # 124 draws
    # N(-m, 1/4) in each dimension, m = 3/2 and 4/2
    expected = sum(0.5 * (m**2 + 0.25 - 1 - math.log(0.25)) for m in (1.5, 2.0))
    assert found["unlike"].values["moments_kl"].value == pytest.approx(expected, rel=0.1)
    assert found["like"].detail["kl_per_dim"] == pytest.approx([0, 0], abs=1e-5)
    assert "learned prior" in found["like"].setting


def test_the_aggregate_posterior_of_known_distributions():
    generator = torch.Generator().manual_seed(0)
    shifted = Posterior(torch.full((500, 2), 2.0), torch.zeros(500, 2))
    kl = latent.aggregate_kl(shifted, shifted.sample(generator))
    torch.testing.assert_close(kl, torch.tensor([2.0, 2.0]), rtol=0, atol=0.3)  # (mean^2) / 2 nats
    assert latent.moments_kl(shifted) == pytest.approx(4.0, rel=1e-5)
    # posteriors far from the prior one by one may make up the prior together
    means = torch.randn(4000, 1, generator=generator) * math.sqrt(0.75)
    apart = Posterior(means, torch.full((4000, 1), math.log(0.25)))
    assert apart.kl().mean() > 0.5
    assert latent.aggregate_kl(apart, apart.sample(generator)).sum() < 0.03
    assert latent.moments_kl(apart) < 0.01


def test_label_information_between_nothing_and_everything():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (4000,), generator=generator)
    known, new = slice(None, 3000), slice(3000, None)
    noise = torch.randn(4000, 4, generator=generator)
    told = 20 * torch.nn.functional.one_hot(labels, 4) + noise
    bound, error, entropy = latent.label_information(told[known], labels[known], told[new], labels[new])
    assert entropy == pytest.approx(math.log(4), abs=0.01) and bound == pytest.approx(entropy, abs=0.05)
    assert error < 0.02
    assert latent.label_information(noise[known], labels[known], noise[new], labels[new])[0] < 0.05


def test_a_perfect_reconstruction(data):
    class Mirror(nn.Module):
        def reconstruct(self, x, labels):
            return x

    images, labels = data.test[torch.arange(20)]
    squared, psnr, ssim = reconstruction(Mirror(), images, labels)
    assert squared.tolist() == [0] * 20 and psnr.isinf().all()
    torch.testing.assert_close(ssim, torch.ones(20))
    half = type("Half", (), {"reconstruct": lambda self, x, c: x / 2})()
    squared, psnr, ssim = reconstruction(half, images, labels)
    torch.testing.assert_close(squared, (images.float() / 510).square().mean((1, 2, 3)))
    torch.testing.assert_close(psnr, -10 * squared.log10())
    assert (ssim < 1).all()


def test_a_model_without_labels_skips_what_asks_for_a_class(data, judge):
    subject = Subject(make(shape=(1, 28, 28), classes=62, conditioning="none"), data=data, judge=judge)
    with pytest.raises(Skipped, match="conditioning=none"):
        Reads()(subject)
    assert "latency" not in Speed(repeats=1)(subject).values
    assert set(Distance(rounds=1)(subject).values) == {"fid", "kid", "precision", "recall"}


def test_the_seed_decides_every_number(data, judge):
    def values(seed):
        subject = Subject(make(shape=(1, 28, 28), classes=62), seed, data=data, judge=judge)
        measures = [Elbo(), Marginal(3, 50), Reads(2), Distance(1), Latent(probe=100), Reconstruction()]
        return {name: value for measure in measures for name, value in measure(subject).values.items()}

    first, again, other = values(0), values(0), values(1)
    assert first == again
    assert all(first[name] != other[name] for name in ("elbo", "marginal", "fid", "label_information"))


def test_speed_counts_what_there_is(data):
    model = make(shape=(1, 28, 28), classes=62)
    model.classes = data.classes
    values = Speed(repeats=2)(Subject(model)).values  # it needs no data
    assert values["parameters"].value == sum(p.numel() for p in model.parameters())
    assert values["images_per_second"].value > 100 and 0 < values["latency"].value < 60_000
    assert isinstance(values["latency"], Value)


def test_features_are_computed_once(data, judge, monkeypatch):
    subject = Subject(Copier(data), data=data, judge=judge)
    assert subject.test_features is subject.test_features
    assert subject.test_features.shape == (len(data.test), judge.head.in_features)
    monkeypatch.setattr(distance, "frechet", lambda real, drawn: float(len(real) - len(drawn)))
    assert Distance(rounds=1)(subject).values["fid"].value == 0  # as many of each
