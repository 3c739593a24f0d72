import numpy as np
import pytest

from ldg.generation import ink, outlines


def points(path, number=200):
    """Points along the curves of a path."""
    u = np.linspace(0, 1, number, endpoint=False)
    basis = np.stack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3])
    return np.einsum("kn,skd->snd", basis, path).reshape(-1, 2)


def area(path):
    x, y = points(path).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def disc(radius, size=28, hole=0.0):
    """A disc, grey at its edge as a model draws it."""
    rows, columns = np.mgrid[:size, :size] + 0.5 - size / 2
    distance = np.hypot(rows, columns)
    edge = np.clip(0.5 + (radius - distance) / 3, 0, 1)
    return (edge * np.clip(0.5 + (distance - hole) / 3, 0, 1) if hole else edge).astype(np.float32)


def around(level):
    return ink.Outline(level, 0, 28, 0, 28)


@pytest.mark.parametrize("size", [28, 64])
def test_a_disc_is_round_and_of_few_curves(size):
    radius = 0.3 * size
    (path,) = outlines.trace(disc(radius, size), around(0.5))
    distances = np.hypot(*(points(path) - size / 2).T)
    np.testing.assert_allclose(distances, radius, atol=0.1 * size / 28)
    assert len(path) <= 12


def test_paths_are_closed_and_holes_run_the_other_way():
    paths = outlines.trace(disc(11, hole=5), around(0.5))
    for path in paths:
        np.testing.assert_array_equal(path[:, 3], np.roll(path[:, 0], -1, axis=0))
    assert sorted(map(area, paths)) == pytest.approx([-np.pi * 25, np.pi * 121], rel=0.02)


def test_curves_meet_without_kinks():
    for path in outlines.trace(disc(11, hole=5), around(0.5)):
        arriving, leaving = path[:, 3] - path[:, 2], np.roll(path[:, 1] - path[:, 0], -1, axis=0)
        cosines = (arriving * leaving).sum(axis=1) / np.linalg.norm(arriving, axis=1) / np.linalg.norm(leaving, axis=1)
        assert cosines.min() > 0.999


def test_corners_stay():
    image = np.zeros((28, 28), np.float32)
    image[6:22, 6:22] = 1
    (path,) = outlines.trace(image, around(0.5))
    for corner in [(6, 6), (22, 6), (22, 22), (6, 22)]:  # as sharp as a spline through the pixels, within 0.1
        assert np.hypot(*(points(path) - corner).T).min() < 0.42
    assert area(path) == pytest.approx(256, rel=0.01)


def test_specks_are_dropped_and_ink_at_the_edge_is_closed():
    image = np.zeros((28, 28), np.float32)
    image[:, 12:16] = 1
    image[4, 24] = 0.62
    (path,) = outlines.trace(image, around(0.6))
    assert np.ptp(points(path)[:, 1]) == pytest.approx(28, abs=1.2)


def test_no_ink_has_no_outline():
    assert outlines.trace(np.zeros((28, 28), np.float32), around(0.5)) == []


def test_glyphs_at_once_are_the_same():
    images = [disc(11, hole=5), disc(8), np.zeros((28, 28), np.float32)]
    for image, paths in zip(images, outlines.trace_all(images, [around(0.5)] * 3), strict=True):
        expected = outlines.trace(image, around(0.5))
        assert len(paths) == len(expected)
        for path, other in zip(paths, expected, strict=True):
            np.testing.assert_allclose(path, other, atol=1e-9)
