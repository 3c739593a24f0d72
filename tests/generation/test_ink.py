import numpy as np
import pytest

from ldg.generation import ink


def to(height):
    """The enlargement to a height on the page."""
    return lambda outline: height / outline.height


def bar(width, size=28, height=20):
    """A vertical stroke in the middle of an image."""
    image = np.zeros((size, size), np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    image[top : top + height, left : left + width] = 1
    return image


def test_resampling_keeps_constants_and_slopes_and_stays_in_range():
    np.testing.assert_allclose(ink.resample(np.ones((8, 8)), (2, 6, 12), (2, 6, 12)), 1, atol=1e-6)
    slope = np.tile(np.linspace(0, 1, 16), (16, 1))
    expected = np.tile((np.linspace(4 + 1 / 6, 12 - 1 / 6, 24) - 0.5) / 15, (24, 1))
    np.testing.assert_allclose(ink.resample(slope, (4, 12, 24), (4, 12, 24)), expected, atol=1e-6)
    fine = ink.resample(bar(4), (-2, 30, 96), (-2, 30, 96))
    assert fine.min() == 0 and fine.max() == 1
    assert fine.sum() / 9 == pytest.approx(80, rel=0.05)


def test_pen_width_of_a_bar():
    assert ink.pen_width(bar(2)) < ink.pen_width(bar(4)) == pytest.approx(4, rel=0.2)


def test_haze_and_specks_do_not_widen_the_ink():
    image = bar(4)
    noisy = image + 0.05
    noisy[1, 1] = 1.0
    clean, noisy = ink.clean(image), ink.clean(noisy)
    a, b = (ink.trace(x, to(100), 20) for x in (clean, noisy))
    assert b == pytest.approx(a, abs=0.3)


def test_an_empty_image_has_no_ink():
    assert not ink.clean(np.full((28, 28), 0.03)).any()
    assert ink.trace(np.zeros((28, 28), np.float32), to(100), 10) is None
    assert ink.pen_width(np.zeros((28, 28), np.float32)) == 0


def test_the_dot_of_an_i():
    image = bar(3, height=20)
    assert not ink.has_dot(ink.clean(image))
    image[7:10] = 0
    assert ink.has_dot(ink.clean(image))


def test_trace_makes_the_stroke_as_wide_as_the_pen():
    whole = (0, 64, 64)
    blurred = ink.resample(ink.resample(bar(4, size=64, height=56), whole, whole), whole, whole)
    widths = []
    for pen in (6.5, 8.0):
        outline = ink.trace(ink.clean(blurred), to(100), pen)
        aspect = (outline.right - outline.left) / (outline.bottom - outline.top)
        drawn = ink.render(blurred, outline, 100, round(100 * aspect))
        widths.append(drawn[40:60].sum(axis=1).mean())
    assert widths == pytest.approx([6.5, 8.0], rel=0.12)


def test_threshold_shifts_the_level_and_half_keeps_it():
    image = ink.clean(ink.resample(bar(4), (0, 28, 28), (0, 28, 28)))
    levels = [ink.trace(image, to(100), 20, threshold).level for threshold in (0.2, 0.5, 0.8)]
    assert levels == sorted(levels)
    assert levels[1] == pytest.approx(ink.trace(image, to(100), 20).level)
    assert ink.trace(image, to(100), 20, 1.0) is None


def test_a_stroke_gets_thin_but_does_not_break():
    image = np.zeros((28, 28), np.float32)
    image[4:12, 4:24] = image[16:24, 4:24] = 1  # two broad strokes ...
    image[12:16, 12:16] = 0.7  # ... and a faint one between them
    usual, thin = (ink.trace(image, lambda outline: 1, 1.0, highest=highest) for highest in (0.6, 0.9))
    assert usual.level == pytest.approx(0.6, abs=0.01) and 0.6 <= thin.level < 0.75
    field = ink.enlarged(image)[0] > thin.level
    assert len(np.unique(ink.blots(field))) == 2  # the paper, and one piece
    image[12:16, 12:16] = 1
    assert ink.trace(image, lambda outline: 1, 1.0, highest=0.9).level == pytest.approx(0.9, abs=0.01)
