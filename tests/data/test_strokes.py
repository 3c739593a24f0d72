"""The drawn characters: reproducible, balanced, and shaped as EMNIST's are."""

import numpy as np

from ldg.data.strokes import Strokes, draw_characters


def drawn(split="train", **arguments):
    chunks = list(Strokes(**arguments).read(split, []))
    return np.concatenate([images for images, _ in chunks]), np.concatenate([labels for _, labels in chunks])


def test_balanced_and_reproducible():
    images, labels = drawn(per_class=20)
    assert images.shape == (1240, 1, 28, 28) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [20] * 62
    again, _ = drawn(per_class=20)
    assert np.array_equal(images, again)
    other, _ = drawn(per_class=20, seed=1)
    assert not np.array_equal(images, other)


def test_no_image_twice():
    train, _ = drawn(per_class=10)
    test, _ = drawn("test", test_per_class=10)
    assert len(np.unique(np.concatenate([train, test]).reshape(1240, -1), axis=0)) == 1240


def test_conventions():
    images = draw_characters(np.repeat(np.arange(62), 20), (0,))[:, 0]
    ink = images > 30
    assert not images[:, [0, 0, 27, 27], [0, 27, 0, 27]].any()  # black paper
    assert (images.max((1, 2)) > 150).all()  # white ink
    height, width = (np.ptp(np.where(ink.any(axis), np.arange(28), 13), axis=1) + 1 for axis in (2, 1))
    assert np.median(np.maximum(height, width)) in (22, 23, 24)
    assert 30 < images.mean() < 50  # EMNIST: 44
    rows = (images.mean(2) * np.arange(28)).sum(1) / images.mean(2).sum(1)
    assert abs(rows.mean() - 13.5) < 1
    sizes = {c: height[20 * i : 20 * i + 20].mean() for i, c in enumerate(Strokes.classes)}
    assert abs(sizes["o"] - sizes["O"]) < 3 and abs(sizes["c"] - sizes["C"]) < 4


def test_characters_are_distinct():
    """A nearest-mean classifier of blurred images is right far more often than 1 in 62."""
    train, labels = drawn(per_class=50)
    test, truth = drawn("test", test_per_class=10)
    coarse = [x.reshape(len(x), 14, 2, 14, 2).mean((2, 4)).reshape(len(x), -1) for x in (train[:, 0], test[:, 0])]
    means = np.stack([coarse[0][labels == label].mean(0) for label in range(62)])
    nearest = np.linalg.norm(coarse[1][:, None] - means, axis=2).argmin(1)
    assert (nearest == truth).mean() > 0.5
