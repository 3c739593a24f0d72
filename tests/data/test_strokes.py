"""The drawn characters: reproducible, balanced, and shaped as EMNIST's are."""

import numpy as np

from ldg.data.strokes import MARKS, Strokes, draw_characters
from ldg.generation.ink import slant


def drawn(split="train", **arguments):
    chunks = list(Strokes(**arguments).read(split, []))
    return np.concatenate([images for images, _ in chunks]), np.concatenate([labels for _, labels in chunks])


def test_balanced_and_reproducible():
    images, labels = drawn(per_class=20)
    assert images.shape == (1620, 1, 28, 28) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [20] * 81
    again, _ = drawn(per_class=20)
    assert np.array_equal(images, again)
    other, _ = drawn(per_class=20, seed=1)
    assert not np.array_equal(images, other)


def test_no_image_twice():
    train, _ = drawn(per_class=10)
    test, _ = drawn("test", test_per_class=10)
    assert len(np.unique(np.concatenate([train, test]).reshape(1620, -1), axis=0)) == 1620


def test_conventions():
    images = draw_characters(np.repeat(np.arange(62), 20), (0,))[:, 0]  # letters and digits
    ink = images > 30
    assert not images[:, [0, 0, 27, 27], [0, 27, 0, 27]].any()  # black paper
    assert (images.max((1, 2)) > 150).all()  # white ink
    height, width = (np.ptp(np.where(ink.any(axis), np.arange(28), 13), axis=1) + 1 for axis in (2, 1))
    assert np.median(np.maximum(height, width)) in (22, 23, 24)
    assert 26 < images.mean() < 44  # EMNIST: 44, and in part blotted
    rows = (images.mean(2) * np.arange(28)).sum(1) / images.mean(2).sum(1)
    assert abs(rows.mean() - 13.5) < 1
    sizes = {c: height[20 * i : 20 * i + 20].mean() for i, c in enumerate(Strokes.classes[:62])}
    assert abs(sizes["o"] - sizes["O"]) < 3 and abs(sizes["c"] - sizes["C"]) < 4


def test_characters_are_distinct():
    """A nearest-mean classifier of blurred images is right far more often than 1 in 81."""
    train, labels = drawn(per_class=50)
    test, truth = drawn("test", test_per_class=10)
    coarse = [x.reshape(len(x), 14, 2, 14, 2).mean((2, 4)).reshape(len(x), -1) for x in (train[:, 0], test[:, 0])]
    means = np.stack([coarse[0][labels == label].mean(0) for label in range(81)])
    nearest = np.linalg.norm(coarse[1][:, None] - means, axis=2).argmin(1)
    assert (nearest == truth).mean() > 0.5


def test_marks_stand_on_the_line():
    """By size and height alone . - and ' differ; capitals of their line reach from row 3.5 to 21.5."""
    images = draw_characters(np.repeat(np.arange(62, 81), 20), (0,))[:, 0]
    rows = [np.flatnonzero((image > 100).any(1)) for image in images]
    top, bottom = (np.array([edge(row) for row in rows]).reshape(19, 20).mean(1) for edge in (np.min, np.max))
    extent = {mark: (top[i], bottom[i]) for i, mark in enumerate(MARKS)}
    assert extent["."][0] > 16 and 19 < extent["."][1] < 23
    assert extent[","][1] > extent["."][1] + 1  # it hangs below the line
    assert extent["'"][1] < 11 and extent['"'][1] < 11
    assert extent["-"][0] > 8 and extent["-"][1] < 17
    assert extent["!"][0] < 7 and extent["!"][1] > 18
    assert images[:, [0, 27]].max() < 60 and images[:, :, [0, 27]].max() < 60  # none leaves the frame


def test_a_pen_and_a_slant_of_choice():
    labels = np.repeat(Strokes.classes.index("/"), 20)
    thin, thick = (draw_characters(labels, (0,), pen=pen, slant=0.0).mean() for pen in (1.5, 3.0))
    assert 1.7 < thick / thin < 3
    left, right = (slant(image[0] / 255) for image in (draw_characters(labels[:1], (0,), 2.0, s)[0] for s in (0, 0.4)))
    assert 0.3 < right - left < 0.5
