"""Measures against cases with known answers, and what all of them have in common."""

import math
import string
import weakref
from functools import partial
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch import nn

from ldg.config.compose import compose_measures
from ldg.data.module import ImageDataModule
from ldg.data.splits import ImageSubset
from ldg.evaluation import cas, class_accuracy, distance, latent
from ldg.evaluation.class_accuracy import ClassAccuracy, count_predictions
from ldg.evaluation.context import EvaluationContext, Skipped, batches
from ldg.evaluation.distance import Distance, coverage, frechet_distance, kernel_distance
from ldg.evaluation.elbo import Elbo, elbo
from ldg.evaluation.latent import Latent
from ldg.evaluation.marginal import Marginal, binarize, marginal
from ldg.evaluation.measure import mean_and_error
from ldg.evaluation.reconstruction import reconstruction
from ldg.evaluation.scorecard import build_measures
from ldg.evaluation.speed import Speed, median_and_error
from ldg.models.classifier import Classifier
from ldg.models.hierarchical import HierarchicalNetwork
from ldg.models.likelihoods import Bernoulli, Gaussian
from ldg.models.posterior import Posterior
from ldg.models.priors import Flow
from ldg.training.module import make_module
from ldg.training.run import make_data
from tests.models.test_vae import linear_gaussian, make
from tests.runs import FEW, MEASURES, TINY, configured

made = partial(make, shape=(1, 28, 28), classes=62)


@pytest.fixture(scope="module")
def data():
    return make_data(configured(*TINY).data)


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return Classifier((1, 28, 28), 62, channels=[8, 16]).eval()


class Copier(nn.Module):
    """A 'generator' that returns the real test images of the requested class, one after the other."""

    conditioning, num_classes, latent_dim, image_shape = "both", 62, 4, (1, 28, 28)
    device = torch.device("cpu")

    def __init__(self, data):
        super().__init__()
        self.classes = data.classes
        self.images, self.labels = data.test[torch.arange(len(data.test))]

    def sample(self, labels, temperature, generator):
        turn = {}
        rows = []
        for label in labels.tolist():
            of_class = (self.labels == label).nonzero().flatten()
            rows.append(int(of_class[turn.get(label, 0) % len(of_class)]))
            turn[label] = turn.get(label, 0) + 1
        return self.images[rows].float() / 255


def test_the_mean_has_its_standard_error():
    assert mean_and_error(torch.tensor([1.0, 2.0, 3.0, 6.0])) == (3.0, pytest.approx(math.sqrt(14 / 3 / 4)))
    assert math.isnan(mean_and_error(torch.tensor([1.0, math.nan]))[0])  # reported, not averaged away
    assert mean_and_error(torch.tensor([2.0])) == (2.0, None)


def test_a_value_has_the_unit_and_the_direction_of_its_quantity():
    value = Elbo().mean("elbo", torch.tensor([-1.0, -3.0]))
    assert (value.value, value.error, value.unit, value.better) == (-2.0, 1.0, "nats", "higher")
    value = Latent().value("label_information", 0.1, unit="of 2 nats", better="lower")
    assert (value.unit, value.better, value.error) == ("of 2 nats", "lower", None)


def test_marginal_likelihood_of_a_linear_gaussian_model_tends_to_the_closed_form():
    model, x, exact = linear_gaussian()
    labels = torch.zeros(len(x), dtype=torch.long)
    model.network.variance = 0.2  # a poor posterior, so that the bounds differ
    generator = torch.Generator().manual_seed(0)
    lower = torch.stack([torch.sub(*elbo(model, x, labels, 200, generator)) for _ in range(5)]).mean(0)
    bound, lower_too = marginal(model, x, labels, 5000, generator)
    assert (lower < bound).all() and (exact - lower).min() > 0.1
    torch.testing.assert_close(bound, exact, rtol=0, atol=0.05)
    torch.testing.assert_close(lower_too, lower, rtol=0, atol=0.15)


@pytest.mark.parametrize(("error", "taken"), [(None, 40), (1e-9, 40), (100.0, 10)])
def test_the_marginal_takes_images_until_the_error_is_small_enough(error, taken, monkeypatch, data):
    monkeypatch.setattr("ldg.evaluation.marginal.BATCH", 10)
    result = Marginal(2, 40, error)(EvaluationContext(made(latent_dim=2), data=data))
    goal = "" if error is None else f" at most, standard error of the gain {error:g}"
    assert result.detail == {"images": taken}
    assert result.setting.startswith(f"2 draws per image, 40 of {len(data.test)} test images{goal}; ")


def test_the_elbo_of_many_draws_holds_one_of_them(monkeypatch):
    model, x, _ = linear_gaussian()
    draws, alive, infer = [], [], type(model).forward

    def forward(self, *arguments):
        inference = infer(self, *arguments)
        draws.append(weakref.ref(inference.kl))
        alive.append(sum(draw() is not None for draw in draws))
        return inference

    monkeypatch.setattr(type(model), "forward", forward)
    labels = torch.zeros(len(x), dtype=torch.long)
    parts = elbo(model, x, labels, 50, torch.Generator().manual_seed(0))
    assert len(alive) == 50 and max(alive) <= 2
    generator = torch.Generator().manual_seed(0)
    inferences = [infer(model, x, labels, generator) for _ in range(50)]
    for part, each in zip(parts, zip(*((i.log_likelihood, i.kl) for i in inferences), strict=True), strict=True):
        assert part.dtype == torch.float32
        torch.testing.assert_close(part, torch.stack(each).mean(0))


def test_the_marginal_of_some_images_estimates_that_of_all(data):
    context = EvaluationContext(made(latent_dim=2), data=data)
    some, every = (Marginal(20, images)(context).values["marginal"] for images in (60, None))
    assert some.error is not None and abs(some.value - every.value) < 4 * some.error
    bound = Elbo()(context).values["elbo"]
    assert every.value > bound.value - 2 * bound.error


def test_elbo_has_bits_per_dimension_only_where_the_likelihood_is_discrete(data):
    assert "bits_per_dim" not in Elbo()(EvaluationContext(made(), data=data)).values
    binary = made(likelihood=Bernoulli("static", seed=3))
    result = Elbo(samples=2)(EvaluationContext(binary, data=data))
    expected = -result.values["elbo"].value / (math.log(2) * 784)
    assert result.values["bits_per_dim"].value == pytest.approx(expected)
    assert binary.likelihood.description in result.setting and "2 draws" in result.setting


def test_the_elbo_of_other_likelihoods_is_also_that_of_their_mean_as_a_grey_bernoulli(data):
    def values(likelihood):
        torch.manual_seed(0)
        return Elbo()(EvaluationContext(made(likelihood=likelihood), data=data)).values

    grey, density = values(Bernoulli()), values(Gaussian())  # the same weights, whose mean is the same sigmoid
    assert "elbo_grey" not in grey
    close = {"rel": 1e-3, "abs": 0}
    assert density["elbo_grey"].value == pytest.approx(grey["elbo"].value, **close) != density["elbo"].value


def test_the_marginal_of_images_statically_binarised_with_numpys_seed(data):
    context = EvaluationContext(made(likelihood=Bernoulli("dynamic")), data=data)
    images, _ = context.images("test")
    np.random.seed(777)
    expected = np.random.binomial(1, images.numpy() / 255)  # as published
    assert (binarize(images, 777).numpy() == 255 * expected).all()
    result = Marginal(2, 20, binarize_seed=777)(context)
    assert "numpy seed 777" in result.setting and result == Marginal(2, 20, binarize_seed=777)(context)
    with pytest.raises(Skipped, match="binarize=dynamic"):
        Marginal(binarize_seed=777)(EvaluationContext(made(), data=data))


def test_a_set_has_no_distance_from_itself_and_noise_adds_some():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(2000, 8, generator=generator)
    noisy = [real + scale * torch.randn(real.shape, generator=generator) for scale in (0.0, 0.5, 1.0, 2.0)]
    fids, kids = [frechet_distance(real, x) for x in noisy], [kernel_distance(real, x) for x in noisy]
    assert fids[0] == pytest.approx(0, abs=1e-3) and abs(kids[0]) < 0.02
    assert fids == sorted(fids) and kids[1:] == sorted(kids[1:]) and kids[1] > kids[0]
    # of two normal distributions: |mean difference|^2 + (difference of the standard deviations)^2 a dimension
    shifted = 3 + 2 * torch.randn(20_000, 8, generator=generator)
    distance_of_normals = frechet_distance(torch.randn(20_000, 8, generator=generator), shifted)
    assert distance_of_normals == pytest.approx(8 * (9 + 1), rel=0.02)


def test_precision_and_recall_tell_a_lost_mode_from_an_invented_one():
    generator = torch.Generator().manual_seed(0)
    modes = [torch.randn(300, 2, generator=generator) + 50 * i for i in range(2)]
    both, first = torch.cat(modes), torch.randn(300, 2, generator=generator)
    assert coverage(both, both) == 1.0
    assert coverage(first, both) > 0.9 and 0.4 < coverage(both, first) < 0.5  # all precise, half of it recalled
    assert coverage(both + 1000, both) == 0.0


def test_a_generator_that_copies_test_images_reaches_the_judges_accuracy_on_them(data, judge):
    context = EvaluationContext(Copier(data), data=data, judge=judge)
    result = ClassAccuracy(per_class=2)(context)
    assert list(result.values) == ["class_accuracy", "class_accuracy_by_frequency", "class_accuracy_merged"]
    for value in result.values.values():
        assert value.value == pytest.approx(value.reference)
    assert result.detail["per_class"] == result.detail["per_class_real"]
    values = Distance(rounds=2)(context).values
    assert values["fid"].value == pytest.approx(0, abs=1e-3)
    assert values["precision"].value == values["recall"].value == 1.0
    assert values["fid"].reference > 1e3 * abs(values["fid"].value)


def test_macro_accuracy_weighs_classes_alike():
    confusion = torch.tensor([[90, 10, 0], [5, 5, 0], [0, 0, 0]])
    accuracy, error = class_accuracy.weighted_accuracy(confusion)
    assert accuracy == pytest.approx(0.7) and 0.05 < error < 0.12
    assert class_accuracy.weighted_accuracy(confusion, confusion.sum(1))[0] == pytest.approx(95 / 110)


def test_look_alikes_merge_to_47_classes(data):
    confusion = torch.zeros(62, 62, dtype=torch.long)
    small, capital = data.classes.index("c"), data.classes.index("C")
    confusion[small, capital] = 4
    confusion[capital, capital] = 2
    confusion[data.classes.index("a"), data.classes.index("A")] = 1  # not alike
    merged = class_accuracy.merge_lookalikes(confusion, data.classes)
    assert merged.shape == (47, 47) and merged.sum() == 7 and merged.diag().sum() == 6


@pytest.mark.parametrize(
    ("classes", "expected"), [("0123", False), ("abc", False), ("aA", False), ("cC", True), (["c", "Cat"], False)]
)
def test_classes_have_look_alikes_where_both_cases_of_such_a_letter_are_among_them(classes, expected):
    assert class_accuracy.has_lookalikes(classes) == expected


NEED_IMAGES = ("elbo", "marginal", "class_accuracy", "distance", "latent", "reconstruction", "style")
ONE = {"style": "there are test images of one class"}
FEW_IMAGES = [
    # classes, labels of the training and of the test images, and the measures that are skipped
    (1, [0] * 30, [0] * 20, ONE),
    (
        1,
        [0],
        [0],
        {"distance": "needs more than 3 test and training images", "latent": "at least two test images", **ONE},
    ),
    (2, [0, 1], [0, 1], {"distance": "needs more than 3 test and training images"}),
    (3, [0, 1] * 10, [2] * 5, ONE),  # a class that only one split has
    (2, [0] * 12 + [1], [0, 1] * 4, {}),  # a class with one training image
    (
        3,
        [0, 1, 2] * 4,
        [],
        dict.fromkeys(NEED_IMAGES, "no test image"),
    ),
]


@pytest.mark.parametrize(("count", "train", "test", "skipped"), FEW_IMAGES)
def test_of_few_images_or_one_class_a_measure_has_a_value_or_a_reason(count, train, test, skipped):
    def subset(labels):
        images = torch.randint(256, (len(labels), 1, 28, 28), generator=torch.Generator().manual_seed(0))
        return ImageSubset(images.byte(), torch.tensor(labels, dtype=torch.long), torch.arange(len(labels)))

    torch.manual_seed(0)
    model = made(classes=count, latent_dim=3)
    model.classes = tuple("abc"[:count])
    judge = Classifier((1, 28, 28), count, channels=[4, 4]).eval()
    data = SimpleNamespace(train=subset(train), test=subset(test))
    context = EvaluationContext(model, data=data, judge=judge)
    for name, measure in build_measures(compose_measures(FEW)).items():
        if name in skipped:
            with pytest.raises(Skipped, match=skipped[name]):
                measure(context)
        elif name != "cas":  # which trains a classifier
            for value in measure(context).values.values():
                numbers = (value.value, value.error or 0.0, value.reference or 0.0)
                assert all(map(math.isfinite, numbers)), (name, value)


def test_no_judge_is_trained_on_one_class():
    context = EvaluationContext(made(classes=1), data=SimpleNamespace(), find_judge=lambda *_: pytest.fail("trained"))
    with pytest.raises(Skipped, match="needs a judge, which tells classes apart: there is one"):
        _ = context.judge


def test_one_class_holds_no_information():
    z, labels = torch.randn(20, 2), torch.zeros(20, dtype=torch.long)
    assert [f"{number:.2f}" for number in latent.label_information(z, labels, z, labels)] == ["0.00"] * 3


def test_one_slow_execution_says_little_of_the_speed():
    assert median_and_error([1.0]) == (1.0, None)
    median, error = median_and_error([1.0, 1.1, 1.0, 0.9, 50.0])
    assert median == 1.0 and 0 < error < 0.1


def test_a_collapsed_model_has_no_active_units_and_its_code_no_label(data):
    model = made(latent_dim=3)
    with torch.no_grad():
        for parameter in model.network.encoder.parameters():
            parameter.zero_()
    result = Latent(probe=100)(EvaluationContext(model, data=data))
    assert result.values["active_units"].value == 0
    assert result.values["aggregate_kl"].value == pytest.approx(0, abs=1e-5)
    assert result.values["moments_kl"].value == pytest.approx(0, abs=1e-6)
    assert result.values["label_information"].value < 0.1
    assert result.detail["kl_per_dim"] == [0, 0, 0]


def test_under_a_learned_prior_the_noise_behind_the_codes_is_measured(data):
    """A flow that moves and scales: codes far from N(0, 1) that are just what it expects, and codes that are not."""
    model = made(latent_dim=2, prior=partial(Flow, couplings=2, hidden=4))
    with torch.no_grad():
        for place, coupling in enumerate(model.prior.couplings):  # the second half by 2 z + 3, then the first
            log_scale, shift = torch.tensor(2 * math.atanh(math.log(2) / 2)), torch.tensor(3.0 + place)
            coupling.network[-1].bias.copy_(torch.stack([log_scale, shift]))
        for parameter in model.network.encoder.parameters():
            parameter.zero_()
        results = {}
        for name, mean, variance in (("like", [4.0, 3.0], 4.0), ("unlike", [0.0, 0.0], 1.0)):
            model.network.encoder[-1].bias.copy_(torch.tensor([*mean, math.log(variance), math.log(variance)]))
            results[name] = Latent(probe=100)(EvaluationContext(model, data=data))
    assert results["like"].values["moments_kl"].value < 0.1  # 124 draws
    # N(-m, 1/4) in each dimension, m = 3/2 and 4/2
    expected = sum(0.5 * (m**2 + 0.25 - 1 - math.log(0.25)) for m in (1.5, 2.0))
    assert results["unlike"].values["moments_kl"].value == pytest.approx(expected, rel=0.1)
    assert results["like"].detail["kl_per_dim"] == pytest.approx([0, 0], abs=1e-5)
    assert "learned prior" in results["like"].setting


def test_the_aggregate_posterior_of_known_distributions():
    generator = torch.Generator().manual_seed(0)
    shifted = Posterior(torch.full((500, 2), 2.0), torch.zeros(500, 2))
    kl = latent.aggregate_kl(shifted, shifted.at(torch.randn(shifted.mean.shape, generator=generator)))
    torch.testing.assert_close(kl, torch.tensor([2.0, 2.0]), rtol=0, atol=0.3)  # (mean^2) / 2 nats
    assert latent.moments_kl(shifted) == pytest.approx(4.0, rel=1e-5)
    # posteriors far from the prior one by one may make up the prior together
    means = torch.randn(4000, 1, generator=generator) * math.sqrt(0.75)
    apart = Posterior(means, torch.full((4000, 1), math.log(0.25)))
    assert apart.kl().mean() > 0.5
    assert latent.aggregate_kl(apart, apart.at(torch.randn(apart.mean.shape, generator=generator))).sum() < 0.03
    assert latent.moments_kl(apart) < 0.01


def test_label_information_between_nothing_and_everything():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (4000,), generator=generator)
    train, test = slice(None, 3000), slice(3000, None)
    noise = torch.randn(4000, 4, generator=generator)
    code = 20 * torch.nn.functional.one_hot(labels, 4) + noise
    bound, error, entropy = latent.label_information(code[train], labels[train], code[test], labels[test])
    assert entropy == pytest.approx(math.log(4), abs=0.01) and bound == pytest.approx(entropy, abs=0.05)
    assert error < 0.02
    assert latent.label_information(noise[train], labels[train], noise[test], labels[test])[0] < 0.05


class Dimmer(nn.Module):
    """Reconstructs images at a fraction of their brightness."""

    device = torch.device("cpu")

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def reconstruct(self, x, labels, generator):
        return self.factor * x


def test_reconstructions_are_compared_pixel_by_pixel(data):
    images, labels = data.test[torch.arange(20)]
    squared, psnr, ssim = reconstruction(Dimmer(1.0), images, labels)
    assert squared.tolist() == [0] * 20 and psnr.isinf().all()
    torch.testing.assert_close(ssim, torch.ones(20))
    squared, psnr, ssim = reconstruction(Dimmer(0.5), images, labels)
    torch.testing.assert_close(squared, (images.float() / 510).square().mean((1, 2, 3)))
    torch.testing.assert_close(psnr, -10 * squared.log10())
    assert (ssim < 1).all()


def test_a_model_without_labels_skips_what_needs_a_requested_class(data, judge):
    context = EvaluationContext(made(conditioning="none"), data=data, judge=judge)
    for measure in (ClassAccuracy(), cas.Cas()):
        with pytest.raises(Skipped, match="conditioning=none"):
            measure(context)
    assert "latency" not in Speed(repeats=1)(context).values
    assert set(Distance(rounds=1)(context).values) == {"fid", "kid", "precision", "recall"}


def test_speed_counts_what_there_is(data):
    model = made()
    model.classes = data.classes
    values = Speed(repeats=2)(EvaluationContext(model)).values  # it needs no data
    assert values["parameters"].value == sum(p.numel() for p in model.parameters())
    assert values["images_per_second"].value > 100 and 0 < values["latency"].value < 60_000
    assert values["latency"].unit == "ms" and values["latency"].error is not None


@pytest.mark.parametrize(("classes", "written"), [(string.ascii_lowercase, "Hello"), ("xyz", "xyz")])
def test_speed_writes_its_text_where_the_classes_can(classes, written, monkeypatch):
    texts = []
    monkeypatch.setattr("ldg.generation.writer.write", lambda model, text: texts.append(text))
    model = made(classes=len(classes))
    model.classes = tuple(classes)
    Speed(repeats=1, text="Hello")(EvaluationContext(model))
    assert {*texts} == {written}  # a capital with its small letter's class


def test_a_progress_bar_does_not_outlive_what_breaks(data, judge, monkeypatch):
    def broken(*_):
        raise RuntimeError("no")

    bars = []
    for module in ("context", "class_accuracy"):
        monkeypatch.setattr(f"ldg.evaluation.{module}.progress", lambda *_: bars.append(MagicMock()) or bars[-1])
    images, labels = data.test[torch.arange(2)]
    begun = batches(made(), images, labels, "of a measure that breaks")
    next(begun)
    begun.close()
    monkeypatch.setattr(Classifier, "features", broken)
    monkeypatch.setattr(Classifier, "forward", broken)
    for call in (
        lambda: EvaluationContext(made(), data=data).features([images], 2, "features", judge.features),
        lambda: count_predictions(judge, [images], labels, "classifying"),
    ):
        with pytest.raises(RuntimeError):
            call()
    assert [bar.__exit__.call_count for bar in bars] == [1, 1, 1]


def test_what_two_measures_need_is_computed_once(data, judge, monkeypatch):
    encoded = []
    model = made(latent_dim=2)
    encode = model.network.encode
    monkeypatch.setattr(model.network, "encode", lambda x, c: (encoded.append(len(x)), encode(x, c))[1])
    context = EvaluationContext(model, data=data, judge=judge)
    results = [measure(context) for measure in (Marginal(2, 20), Elbo(), Marginal(2, 20))]
    assert sum(encoded) == len(data.test) + 2 * 20 and results[0] == results[2]


def test_a_draw_is_that_of_the_whole_inference(data):
    for network in ({}, {"network": partial(HierarchicalNetwork, channels=[4, 4], blocks=1, latent_channels=[1, 0])}):
        model = made(latent_dim=2, **network).eval()
        images, labels = data.test[torch.arange(8)]
        whole = model(images, labels, torch.Generator().manual_seed(1))
        posterior, z = model.draw(images, labels, torch.Generator().manual_seed(1))
        assert torch.equal(z, whole.z) and torch.equal(posterior.mean, whole.posterior.mean)


def test_features_are_computed_once(data, judge, monkeypatch):
    context = EvaluationContext(Copier(data), data=data, judge=judge)
    assert context.test_features is context.test_features
    assert context.test_features.shape == (len(data.test), judge.head.in_features)
    monkeypatch.setattr(distance, "frechet_distance", lambda real, generated: float(len(real) - len(generated)))
    assert Distance(rounds=1)(context).values["fid"].value == 0  # as many of each


@pytest.fixture
def measure_by_name(data, judge, monkeypatch):
    """Carry out a measure of configs/measure on an untrained model of dynamically binarised images.

    The judge is untrained too; what Cas would train a classifier on is kept in ``training_images``.
    """
    training_images = []

    def keep(config, data: ImageDataModule):
        training_images.append(data.train.images)

    monkeypatch.setattr("ldg.training.run.run", keep)
    monkeypatch.setattr(cas, "load_judge", lambda path: judge)
    monkeypatch.setattr(cas, "train_judge", lambda *_: judge)
    config = configured(*TINY, "likelihood.binarize=dynamic")
    model = make_module(config, data.classes).model
    model.config = config.to_dict()
    measures = build_measures(compose_measures(FEW))

    def measure(name, seed=0):
        return measures[name](EvaluationContext(model, seed, data=data, judge=judge))

    measure.model, measure.training_images = model, training_images
    return measure


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_shows_the_encoder_the_binarised_images_that_the_likelihood_explains(
    name, measure_by_name, monkeypatch
):
    shown = []
    network = measure_by_name.model.network
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda x, c: (shown.append(x.clone()), encode(x, c))[1])
    assert measure_by_name(name).values
    assert all(x.unique().tolist() == [0, 1] for x in shown)
    assert bool(shown) == (name in {"elbo", "marginal", "latent", "reconstruction", "style"})  # the others only sample


@pytest.mark.parametrize("name", MEASURES)
def test_the_seed_decides_every_number(name, measure_by_name):
    results = []
    for state, seed in enumerate((5, 5, 6)):
        torch.manual_seed(state)  # of no importance
        np.random.seed(state)
        results.append(measure_by_name(name, seed))
    if name == "speed":
        assert results[0].values["parameters"] == results[1].values["parameters"]  # the others are times
        return
    assert results[0] == results[1]
    if name in {"elbo", "marginal", "distance", "latent", "reconstruction"}:
        assert results[0].values != results[2].values
    if name == "cas":
        first, again, other = measure_by_name.training_images
        assert torch.equal(first, again) and not torch.equal(first, other)
