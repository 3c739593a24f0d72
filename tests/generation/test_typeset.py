import string
from itertools import pairwise

import numpy as np
import pytest

from ldg.generation import ink, typeset
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


def test_settings_multiply_spaces():
    near, far = place("nn n\nn"), place("nn n\nn", Baseline(100, line_height=2, letter_spacing=3, word_spacing=4))
    gap = [b.left - a.right for a, b in pairwise(near[:3])], [b.left - a.right for a, b in pairwise(far[:3])]
    assert gap == ([17, 50], [17 + 34, 200])
    assert (near[3].top - near[0].top, far[3].top - far[0].top) == (185, 370)


def test_slant_leans_the_ink():
    image = np.zeros((28, 28), np.float32)
    image[4:24, 12:15] = 1
    upright, leaning = (place("l", Baseline(100, slant=slant), image)[0].ink for slant in (0, 20))
    assert ink.slant(upright) == pytest.approx(0, abs=0.01)
    assert ink.slant(leaning) == pytest.approx(np.tan(np.radians(20)), abs=0.06)


@pytest.mark.parametrize("pen", [0.5, 0.7, 1.5, 2.0])
def test_pen_multiplies_the_width_of_strokes(pen):
    image = np.zeros((28, 28), np.float32)
    image[4:24, 12:15] = 1
    normal, other = (place("l", Baseline(100, pen=pen), image)[0].ink for pen in (1.0, pen))
    assert other.shape[1] / normal.shape[1] == pytest.approx(pen, rel=0.2)
    assert other.shape[0] == normal.shape[0]


def test_lines_are_aligned():
    for align, lefts in ((0.0, (0, 0)), (0.5, (0, 1)), (1.0, (0, 2))):
        glyphs = place("nnn\nn", Baseline(100, align=align))
        free = glyphs[2].right - glyphs[0].ink.shape[1]
        assert [glyphs[0].left, glyphs[3].left] == [round(share * free / 2) for share in lefts]


def test_a_ragged_baseline_is_another_with_another_seed():
    def tops(seed, ragged=1.0):
        return [glyph.top for glyph in place("nnnnnnnn", Baseline(100, ragged=ragged, seed=seed))]

    assert set(tops(0, 0.0)) == {-64}
    assert tops(0) == tops(0) != tops(1) and 1 < np.std(tops(0)) < 8
    assert np.std(tops(0, 3.0)) > 2 * np.std(tops(0))


def test_lines_are_broken_at_a_width():
    layout = Baseline(100, width=300)
    glyphs = place("nnn nn nnnnnnnnnn", layout)
    assert max(glyph.right for glyph in glyphs) <= 300
    assert [glyph.line for glyph in glyphs][:6] == [0, 0, 0, 1, 1, 2]
    assert glyphs[3].left == glyphs[5].left == 0
    rules = layout.rules(glyphs)
    assert [rule.top for rule in rules] == [layout.line_top(line) for line in range(glyphs[-1].line + 1)]
    assert {rule.right for rule in rules} == {300}


def test_colours():
    page = typeset.coloured(np.array([[0.0, 1.0]]), (255, 0, 0), (0, 0, 255))
    np.testing.assert_array_equal(page, [[[1, 0, 0], [0, 0, 1]]])
