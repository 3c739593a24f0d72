"""What lies between two classes: codes of known images, what is mixed, and the picture of the way."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldg.data.module import ImageSubset
from ldg.errors import UserError
from ldg.generation import crossbreed
from ldg.generation.crossbreed import Codes, class_codes, ways
from ldg.generation.writer import Options
from ldg.models.priors import StandardNormal

NAN = [torch.nan] * 3


class Shifted(StandardNormal):
    """Noise moved by one."""

    def inverse(self, z, c):
        return z - 1, z.new_zeros(len(z))


def test_codes_are_the_mean_of_a_class_and_the_ways_to_its_test_images():
    def images(values, labels):
        x = torch.tensor(values).view(-1, 1, 1, 1)
        return ImageSubset(x, torch.tensor(labels), torch.arange(len(values)))

    def encode(x, labels):
        return SimpleNamespace(mean=x.flatten(1).expand(-1, 3))  # an image of one pixel: three times its value

    model = SimpleNamespace(
        num_classes=3,
        latent_dim=3,
        classes=("a", "b", "c"),
        encode=encode,
        conditions=lambda labels: (None, labels),
        prior=Shifted(3, 3),
    )
    data = SimpleNamespace(
        train=images([1.0, 10, 3, 99, 10], [0, 1, 0, 2, 1]), test=images([8.0, 12, 5, 2], [0, 1, 0, 0])
    )
    codes = class_codes(model, data, [0, 1])
    torch.testing.assert_close(codes.mean, torch.tensor([[1.0] * 3, [9.0] * 3, NAN]), equal_nan=True)
    away = {0: [0, 3, 6], 1: [2]}  # the nearest first
    assert {index: [*way[:, 0]] for index, way in codes.away.items()} == away
    with pytest.raises(UserError, match="no test image of 'c'"):
        class_codes(model, data, [2])


def test_images_of_two_classes_are_the_ends_of_the_way_and_their_norm_is_kept():
    codes = Codes(torch.tensor([[5.0, 0], [0, 7]]), {0: torch.tensor([[3.0, 0]]), 1: torch.tensor([[9.0, 9], [0, 3]])})
    ends = [codes.draw(((0, 1 - t), (1, t)), 1).tolist() for t in (0.0, 1.0)]
    assert ends == [[8, 0], [0, 10]]
    half = torch.tensor([2.5, 3.5])
    between = codes.draw(((0, 0.5), (1, 0.5)), 1)
    torch.testing.assert_close(between - half, torch.full((2,), 3 / 2**0.5))
    torch.testing.assert_close(codes.draw(((0, 0.5), (1, 0.5)), 1, 0.0), half)
    assert codes.draw(((1, 1.0),), 2).tolist() == [9, 16]  # as many pictures as there are, then again


@pytest.fixture
def codes():
    mean = torch.tensor([[0.0, 0, 0], NAN, NAN, [2.0, 0, 0]])
    return Codes(mean, {0: torch.zeros(1, 3), 3: torch.zeros(1, 3)})


def latents(dogs):
    return dogs.batches[-1][:, 0]


@pytest.mark.parametrize(
    ("along", "code", "end"), [("both", [0, 1, 2], 3), ("code", [0, 1, 2], 0), ("label", [0] * 3, 3)]
)
def test_label_and_code_are_mixed_together_or_apart(dogs, codes, along, code, end):
    page = crossbreed.read(dogs, "Chihuahua+pug", Options())
    (way,) = ways(dogs, codes, page, 3, along=along)
    assert latents(dogs).tolist() == code and way.ends == ("Chihuahua", "pug")
    last = torch.tensor([[float(code[2]), 0, 0]])
    torch.testing.assert_close(way.frames[2:], dogs.decode(last, torch.tensor([end])))


def test_mix_is_the_share_of_the_second_and_a_single_class_has_its_own_code(dogs, codes):
    page = crossbreed.read(dogs, "Chihuahua+pug, pug", Options(mix=0.25))
    picture = crossbreed.write(dogs, codes, page, Options(temperature=0))
    assert latents(dogs).tolist() == [0.5, 2] and picture.ndim == 3


def test_a_pair_is_shown_all_ways_and_several_pairs_one_way_each(dogs, codes):
    def titles(text):
        return [way.title for way in ways(dogs, codes, crossbreed.read(dogs, text, Options()), 2)]

    assert titles("Chihuahua+pug") == ["label and code", "label alone", "code alone"]
    assert titles("Chihuahua+pug, pug+chihuahua") == ["label and code"] * 2
    dogs.conditioning = "none"
    assert titles("Chihuahua+pug") == ["code alone"]
    with pytest.raises(UserError, match="'pug' is one"):
        titles("pug")


def test_the_picture_plots_what_the_judge_sees_of_both_parents(dogs, codes):
    def judge(frames):
        return torch.arange(len(frames))[:, None] * torch.tensor([1.0, 0, 0, 2])

    page = crossbreed.read(dogs, "Chihuahua+pug", Options())
    judged = ways(dogs, codes, page, 4, along="both", judge=judge)
    expected = judge(range(4)).softmax(1)[:, [0, 3]]
    torch.testing.assert_close(judged[0].probabilities, expected)
    plain = ways(dogs, codes, page, 4, along="both")
    tall, low = (crossbreed.picture(dogs, found, Options()) for found in (judged, plain))
    assert tall.shape[0] > low.shape[0] + 50 and tall.shape[2] == 3
    coloured = (np.ptp(tall, axis=2) > 0.2).any(axis=1)
    assert coloured[low.shape[0] :].any() and not (np.ptp(low, axis=2) > 0.2).any()  # two lines below the frames
