import string

import numpy as np
import pytest

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
    z = latents.draw_styles([0, 1, 0], 4, seed=5)
    assert (z[0] == z[2]).all() and (z[0] != z[1]).all()
    np.testing.assert_array_equal(z, latents.draw_styles([0, 1, 0], 4, seed=5))
    assert (z != latents.draw_styles([0, 1, 0], 4, seed=6)).all()


def test_slerp_by_hand():
    x, y = np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]])
    np.testing.assert_array_equal(latents.slerp(x, y, 0.0), x)
    np.testing.assert_allclose(latents.slerp(x, y, 1.0), y, atol=1e-12)
    np.testing.assert_allclose(latents.slerp(x, y, 0.5), np.array([[2.0, 2.0]]) / 2**0.5)


def test_slerp_of_parallel_latents_is_straight():
    x = np.array([[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(latents.slerp(x, 3 * x, 0.5), 2 * x)
    np.testing.assert_allclose(latents.slerp(x, x, 0.3), x)
