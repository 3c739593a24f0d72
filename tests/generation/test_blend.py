"""Blends: codes of known images, what is mixed, and the picture of an interpolation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldg.data.splits import ImageSubset
from ldg.errors import UserError
from ldg.figures.blend import draw_interpolations
from ldg.generation.alphabet import parse
from ldg.generation.blend import Codes, draw_sheet, encode_classes, interpolations
from ldg.generation.writer import Options

NAN = [torch.nan] * 3


def test_codes_are_the_mean_of_a_class_and_the_offsets_of_its_test_images():
    def images(values, labels):
        x = torch.tensor(values).view(-1, 1, 1, 1)
        return ImageSubset(x, torch.tensor(labels), torch.arange(len(values)))

    def encode(x, labels, generator):
        return SimpleNamespace(mean=x.flatten(1).expand(-1, 3))  # an image of one pixel: three times its value

    model = SimpleNamespace(
        num_classes=3,
        latent_dim=3,
        classes=("a", "b", "c"),
        encode=encode,
        to_noise=lambda z, labels: z - 1,
        device=torch.device("cpu"),
    )
    data = SimpleNamespace(
        train=images([1.0, 10, 3, 99, 10], [0, 1, 0, 2, 1]), test=images([8.0, 12, 5, 2], [0, 1, 0, 0])
    )
    codes = encode_classes(model, data, [0, 1])
    torch.testing.assert_close(codes.mean, torch.tensor([[1.0] * 3, [9.0] * 3, NAN]), equal_nan=True)
    expected = {0: [0, 3, 6], 1: [2]}  # the smallest first
    assert {index: [*offsets[:, 0]] for index, offsets in codes.offsets.items()} == expected
    with pytest.raises(UserError, match="no test image of 'c'"):
        encode_classes(model, data, [2])


def test_a_dynamic_binarisation_is_the_same_each_time(binarising, shown):
    images = ImageSubset(torch.rand(6, 1, 4, 4), torch.arange(6) % 3, torch.arange(6))
    data = SimpleNamespace(train=images, test=images)
    state = torch.get_rng_state()
    first, second = (encode_classes(binarising, data, [0, 2]) for _ in range(2))
    assert torch.equal(first.mean[[0, 2]], second.mean[[0, 2]]) and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first.offsets[index], second.offsets[index]) for index in (0, 2))
    assert len(shown) == 8 and torch.cat(shown).unique().tolist() == [0, 1]


def test_codes_of_two_test_images_are_the_ends_and_their_norm_is_kept():
    codes = Codes(torch.tensor([[5.0, 0], [0, 7]]), {0: torch.tensor([[3.0, 0]]), 1: torch.tensor([[9.0, 9], [0, 3]])})
    ends = [codes.mix(((0, 1 - t), (1, t)), 1).tolist() for t in (0.0, 1.0)]
    assert ends == [[8, 0], [0, 10]]
    half = torch.tensor([2.5, 3.5])
    between = codes.mix(((0, 0.5), (1, 0.5)), 1)
    torch.testing.assert_close(between - half, torch.full((2,), 3 / 2**0.5))
    torch.testing.assert_close(codes.mix(((0, 0.5), (1, 0.5)), 1, 0.0), half)
    assert codes.mix(((1, 1.0),), 2).tolist() == [9, 16]  # as many pictures as there are, then again


@pytest.fixture
def codes():
    mean = torch.tensor([[0.0, 0, 0], NAN, NAN, [2.0, 0, 0]])
    return Codes(mean, {0: torch.zeros(1, 3), 3: torch.zeros(1, 3)})


def latents(dogs):
    return dogs.batches[-1][:, 0]


@pytest.mark.parametrize(
    ("what", "code", "end"), [("both", [0, 1, 2], 3), ("code", [0, 1, 2], 0), ("label", [0] * 3, 3)]
)
def test_label_and_code_are_mixed_together_or_apart(dogs, codes, what, code, end):
    page = parse("Chihuahua+pug", dogs.classes)
    (interpolation,) = interpolations(dogs, codes, page, 3, what=what)
    assert latents(dogs).tolist() == code and interpolation.ends == ("Chihuahua", "pug")
    last = torch.tensor([[float(code[2]), 0, 0]])
    torch.testing.assert_close(interpolation.frames[2:], dogs.decode(last, torch.tensor([end])))


def test_mix_is_the_share_of_the_second_and_a_single_class_has_its_own_code(dogs, codes):
    page = parse("Chihuahua+pug, pug", dogs.classes, mix=0.25)
    picture = draw_sheet(dogs, codes, page, Options(temperature=0))
    assert latents(dogs).tolist() == [0.5, 2] and picture.ndim == 3


def test_a_single_pair_is_interpolated_in_label_and_code_and_both(dogs, codes):
    def titles(text):
        return [item.title for item in interpolations(dogs, codes, parse(text, dogs.classes), 2)]

    assert titles("Chihuahua+pug") == ["label and code", "label alone", "code alone"]
    assert titles("Chihuahua+pug, pug+chihuahua") == ["label and code"] * 2
    with pytest.raises(UserError, match="--along must be one of both, label, code, got 'style'"):
        interpolations(dogs, codes, parse("Chihuahua+pug", dogs.classes), 2, what="style")
    dogs.conditioning = "none"
    assert titles("Chihuahua+pug") == ["code alone"]
    with pytest.raises(UserError, match="'pug' is one"):
        titles("pug")


def test_the_picture_plots_the_judges_probabilities_of_both_classes(dogs, codes):
    def judge(frames):
        return torch.arange(len(frames))[:, None] * torch.tensor([1.0, 0, 0, 2])

    page = parse("Chihuahua+pug", dogs.classes)
    judged = interpolations(dogs, codes, page, 4, what="both", judge=judge)
    expected = judge(range(4)).softmax(1)[:, [0, 3]]
    torch.testing.assert_close(judged[0].probabilities, expected)
    plain = interpolations(dogs, codes, page, 4, what="both")
    tall, low = (draw_interpolations(dogs, items, Options()) for items in (judged, plain))
    assert tall.shape[0] > low.shape[0] + 50 and tall.shape[2] == 3
    coloured = (np.ptp(tall, axis=2) > 0.2).any(axis=1)
    assert coloured[low.shape[0] :].any() and not (np.ptp(low, axis=2) > 0.2).any()  # two lines below the frames
