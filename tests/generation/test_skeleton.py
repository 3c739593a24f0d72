import numpy as np
import pytest

from ldg.generation import ink, outlines, skeleton
from tests.generation.test_outlines import around, disc, points


def cross():
    """Two grey strokes, 4 pixels wide, that cross at (14, 14)."""
    image = np.zeros((28, 28), np.float32)
    image[4:24, 12:16] = 1
    image[12:16, 4:24] = 1
    return image


def test_a_thinned_block_is_one_line():
    block = np.zeros((9, 30), bool)
    block[2:7, 3:27] = True
    line = skeleton.thin(block)
    assert line.any(axis=0).sum() > 15 and line.sum(axis=0).max() == 1 and line.sum() == line[4].sum()


def test_a_stroke_is_its_centre_line():
    image = np.zeros((28, 28), np.float32)
    image[4:24, 12:16] = 1
    (path,) = skeleton.trace(image, around(0.5))
    line = points(path)
    np.testing.assert_allclose(line[:, 0], 14, atol=0.3)
    assert abs(line[0, 1] - line[-1, 1]) == pytest.approx(16, abs=2)  # the pen's round ends add its width
    assert len(path) <= 2


def test_a_ring_is_closed_and_in_the_middle():
    (path,) = skeleton.trace(disc(11, hole=5), around(0.5))
    np.testing.assert_array_equal(path[0, 0], path[-1, 3])
    np.testing.assert_allclose(np.hypot(*(points(path) - 14).T), 8, atol=0.4)


def test_the_pen_goes_straight_over_a_crossing():
    paths = skeleton.trace(cross(), around(0.5))
    assert len(paths) == 2
    for path in paths:
        assert np.ptp(points(path), axis=0).max() == pytest.approx(16, abs=2)


def test_a_dot_is_where_the_pen_is_put_down():
    (path,) = skeleton.trace(disc(2.5), around(0.5))
    assert np.ptp(path.reshape(-1, 2), axis=0).max() < 1
    assert skeleton.trace(np.zeros((28, 28), np.float32), around(0.5)) == []


def test_lines_lie_in_the_ink():
    image = ink.clean(disc(11, hole=7))
    outline = ink.trace(image, lambda outline: 5.0, 12)
    (outer,) = (path for path in outlines.trace(image, outline) if len(path) and points(path)[:, 0].min() < 5)
    (line,) = skeleton.trace(image, outline)
    assert points(outer).min() < points(line).min() and points(line).max() < points(outer).max()
