import string
from itertools import pairwise

import numpy as np
import pytest

from ldg.generation import typeset
from ldg.generation.alphabet import parse
from ldg.generation.typeset import Baseline, Tiles

CLASSES = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)


def box(width=14, size=28):
    """The outline of a box, 20 of 28 pixels tall."""
    image = np.zeros((size, size), np.float32)
    top, side = size // 7, max(2, size // 10)
    image[top : size - top, top : top + width] = 1
    image[top + side : size - top - side, top + side : top + width - side] = 0
    return image


def place(text, layout=None, image=None):
    page = parse(text, CLASSES)
    inked = sum(bool(cell.mixture) for line in page for cell in line)
    images = np.stack([box() if image is None else image] * inked)
    return (layout or Baseline(100)).place(page, images, [0] * inked)


def top(glyph):
    return -glyph.top


def bottom(glyph):
    return -(glyph.top + glyph.ink.shape[0])


def test_what_has_no_descender_stands_on_the_baseline():
    assert {bottom(glyph) for glyph in place("HaxdtiZ0il")} == {0}
    assert {bottom(glyph) for glyph in place("gpqyj")} == {-40}


def test_heights():
    capital, x, ascender, descender, digit = place("Hxdp7")
    assert [top(glyph) for glyph in (capital, x, ascender, descender, digit)] == [100, 64, 106, 64, 94]


def test_the_ink_fills_its_box():
    for glyph in place("Hello gyp"):
        assert glyph.ink[0].max() > 0.4 and glyph.ink[-1].max() > 0.4
        assert glyph.ink[:, 0].max() > 0.4 and glyph.ink[:, -1].max() > 0.4


def test_one_pen_for_small_letters_and_capitals():
    capital, x = (glyph.ink[glyph.ink.shape[0] // 2] > 0.5 for glyph in place("Hx"))
    enlarged = 100 / 64
    assert 1 <= (capital.sum() / x.sum()) < 0.9 * enlarged


def test_boxes_stand_evenly_apart():
    glyphs = place("nnnn")
    gaps = {b.left - a.left - a.ink.shape[1] for a, b in pairwise(glyphs)}
    assert gaps == {17}


def test_a_recess_is_filled():
    slanted = np.zeros((28, 28), np.float32)
    for row in range(4, 24):
        slanted[row, 22 - row // 2 : 25 - row // 2] = 1
    first, second = place("ll", image=slanted)
    assert second.left < first.left + first.ink.shape[1]  # the boxes overlap
    page = np.zeros((200, 200))
    page[: first.ink.shape[0], : first.ink.shape[1]] += first.ink > 0.5
    page[: second.ink.shape[0], second.left : second.left + second.ink.shape[1]] += second.ink > 0.5
    assert page.max() == 1  # the ink does not


def test_a_blank_is_half_a_capital_wide_each():
    one, two = place("n n"), place("n  n")
    assert one[1].left - one[0].left - one[0].ink.shape[1] == 50
    assert two[1].left - one[1].left == 50


def test_lines_are_evenly_spaced():
    assert [glyph.top for glyph in place("H\nH\nH")] == [-100, 85, 270]


def test_very_wide_glyphs_are_drawn_smaller():
    dash = np.zeros((28, 28), np.float32)
    dash[12:15, 4:24] = 1
    (glyph,) = place("a", image=dash)
    assert glyph.ink.shape[1] == pytest.approx(160, abs=1)


def test_an_empty_glyph_leaves_a_gap():
    (glyph,) = place("H", image=np.zeros((28, 28), np.float32))
    assert glyph.ink.shape == (100, 50) and not glyph.ink.any()


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_a_threshold_leaves_two_values(threshold):
    page = typeset.draw_page(place("Hag", Baseline(100, threshold)), margin=5)
    assert set(np.unique(page)) <= {0.0, 1.0}


def test_a_lower_threshold_is_bolder():
    inks = [1 - typeset.draw_page(place("Hag", Baseline(100, t)), margin=5) for t in (0.1, 0.5, 0.9)]
    assert inks[0].mean() > inks[1].mean() > inks[2].mean()


def test_tiles_at_a_pitch_of_twenty():
    glyphs = place("ab\n c", Tiles(1))
    assert [(glyph.top, glyph.left) for glyph in glyphs] == [(0, 0), (0, 20), (28, 20)]
    assert glyphs[0].ink.shape == (28, 28)


def test_overlapping_tiles_show_the_darker():
    page = typeset.draw_page(place("aa", Tiles(1), image=np.full((28, 28), 0.75, np.float32)), margin=0)
    assert page.shape == (28, 48)
    np.testing.assert_allclose(page[10, 10:38], 0.25, atol=1e-6)


@pytest.mark.parametrize("size", [16, 28, 64, 128])
def test_any_image_size(size):
    (glyph,) = place("H", image=box(size // 2, size))
    assert (top(glyph), bottom(glyph)) == (100, 0)


def test_between_two_marks():
    capital, x = place("H"), place("p")
    middle = Baseline(100).between(capital[0], x[0], 0.5, box())
    assert (top(middle), bottom(middle)) == (82, -20)
