import string

import pytest
import torch

from ldg.errors import UserError
from ldg.generation import latents
from ldg.generation.alphabet import parse


def groups(text, style):
    return latents.groups(parse(text, tuple(string.ascii_lowercase)), style)


def test_styles():
    assert groups("ab cd\ne", "shared") == [0, 0, 0, 0, 0]
    assert groups("ab cd\ne", "word") == [0, 0, 1, 1, 2]
    assert groups("ab cd\ne", "varied") == [0, 1, 2, 3, 4]


def test_unknown_style():
    with pytest.raises(UserError, match="style must be one of shared, word, varied, got 'wild'"):
        groups("a", "wild")


def test_draw_repeats_by_number_and_seed():
    z = latents.draw_noise([0, 1, 0], 4, seed=5, temperature=1.0)
    assert torch.equal(z[0], z[2]) and not torch.equal(z[0], z[1])
    assert torch.equal(z, latents.draw_noise([0, 1, 0], 4, seed=5, temperature=1.0))
    assert not torch.equal(z, latents.draw_noise([0, 1, 0], 4, seed=6, temperature=1.0))
    assert not latents.draw_noise([0], 4, seed=5, temperature=0.0).any()


def test_drawing_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    latents.draw_noise([0], 4, seed=5, temperature=1.0)
    assert torch.equal(state, torch.get_rng_state())


def test_slerp_by_hand():
    x, y = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert torch.equal(latents.slerp(x, y, 0.0), x)
    torch.testing.assert_close(latents.slerp(x, y, 1.0), y)
    torch.testing.assert_close(latents.slerp(x, y, 0.5), torch.tensor([[2.0, 2.0]]) / 2**0.5)


def test_slerp_of_parallel_latents_is_straight():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(latents.slerp(x, 3 * x, 0.5), 2 * x)
    torch.testing.assert_close(latents.slerp(x, x, 0.3), x)
