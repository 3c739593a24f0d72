"""Choose items of a data set by their classes. Imports no torch, so that the cache can be made without it."""

import numpy as np


def stratified(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide items in two parts, with the same share of every class.

    Args:
        labels: of all items, (N,)
        fraction: of each class in the second part, between 0 and 1. The second part has ``round(fraction * count)``
            items of a class, but at least one and not all; a class of one item is in the first part.
        seed: chooses the items

    Returns:
        Indices of the first and of the second part, int64, each ascending.
    """
    rng = np.random.default_rng(seed)
    chosen = [np.empty(0, dtype=np.int64)]
    by_class = np.argsort(labels, kind="stable")
    _, first = np.unique(labels[by_class], return_index=True)
    for members in map(rng.permutation, np.split(by_class, first[1:]) if len(labels) else []):
        if len(members) > 1:
            chosen.append(members[: min(max(1, round(fraction * len(members))), len(members) - 1)])
    small = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), small, assume_unique=True), small


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Choose items as evenly over the classes as possible, without randomness.

    Args:
        labels: of all items, (N,)
        count: at most so many items; if there are more classes, the items are of classes at even distances

    Returns:
        Indices: the first item of each class, then the second of each, and so on.
    """
    by_class, turn, _ = _take_turns(labels)
    rounds, classes = by_class[np.argsort(turn, kind="stable")], np.count_nonzero(turn == 0)
    if count < classes:
        return rounds[:classes][np.linspace(0, classes - 1, count).round().astype(int)]
    return rounds[:count]


def choose_part(labels: np.ndarray, count: int) -> np.ndarray:
    """Choose items at random, always the same ones, with the same share of every class.

    Args:
        labels: of all items, (N,)
        count: of the items to choose, at most N

    Returns:
        Indices (count,), ascending. Every class has an item among them if ``count`` is at least the number of classes.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    by_class, turn, size = _take_turns(labels[order])
    return np.sort(order[by_class[np.argsort(turn / size, kind="stable")[:count]]])


def _take_turns(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of items in order of their classes, the place of each in its class, and the size of the class."""
    by_class = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    return by_class, np.arange(len(labels)) - np.repeat(first, sizes), np.repeat(sizes, sizes)
