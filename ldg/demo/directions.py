"""The directions in which a model's styles differ most, as a reader sees them."""

from typing import NamedTuple

import numpy as np
import torch

from ldg.evaluation.style import TRAITS, correlations, traits
from ldg.generation import ink, writer
from ldg.generation.decoder import Decoder

CLASSES = 16  # whose images are compared, evenly among all
STEP = 1.0  # of the differences, in standard deviations of a style
STYLES = 40  # random ones, by which directions are named
CLEAR = 0.45  # correlation with a trait from which a direction has its name
HEIGHT = 20  # of the ink, to which letters are enlarged as on a line


class Direction(NamedTuple):
    """A direction of styles.

    Attributes:
        name: What grows along it, ``pen``, ``slant`` or ``width``, or its number.
        vector: float32 (D,), of length 1.
    """

    name: str
    vector: np.ndarray


def find_directions(decoder: Decoder, count: int) -> list[Direction]:
    """Find the principal directions of the change of images with the style.

    Written characters are compared as they are set, all equally tall and in the middle.

    Args:
        decoder: Of a conditional model.
        count: How many; at most D.

    Returns:
        Orthogonal directions, that of the largest change first.
    """
    labels = np.linspace(0, decoder.num_classes - 1, min(CLASSES, decoder.num_classes)).round().astype(int)
    steps = STEP * np.eye(decoder.latent_dim, dtype=np.float32)
    forward, backward = (_see(decoder, sign * steps, labels) for sign in (1, -1))
    change = (forward - backward).reshape(decoder.latent_dim, -1)
    _, axes = np.linalg.eigh(change @ change.T)
    vectors = axes.T[::-1][:count].astype(np.float32)
    names = [f"direction {number}" for number in range(1, len(vectors) + 1)]
    if writer.is_typeset(decoder):
        vectors, named = _name(decoder, vectors, labels)
        names = [named.get(number, name) for number, name in enumerate(names)]
    return [Direction(*parts) for parts in zip(names, vectors, strict=True)]


def _see(decoder: Decoder, styles: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The images (N, K, C, H, W) of styles (N, D) and labels (K,)."""
    shares = np.eye(decoder.num_classes, dtype=np.float32)[np.tile(labels, len(styles))]
    flat = decoder.write(styles.repeat(len(labels), axis=0), shares, writer.TEMPERATURE)
    if writer.is_typeset(decoder):
        flat = np.stack([_as_set(image[0])[None] for image in flat])
    return flat.reshape(len(styles), len(labels), *flat.shape[1:])


def _as_set(image: np.ndarray) -> np.ndarray:
    """An image (H, W) whose ink is enlarged to HEIGHT and moved to the middle, on as many pixels."""
    places = np.argwhere(image > 0.5 * max(float(image.max()), ink.FAINT))
    if not len(places):
        return image
    low, high = places.min(0), places.max(0) + 1
    unit = (high - low)[0] / HEIGHT
    top, left = (low + high) / 2 - np.array(image.shape) * unit / 2
    rows, columns = image.shape
    return ink.resample(image, (top, top + rows * unit, rows), (left, left + columns * unit, columns))


def _name(decoder: Decoder, vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
    """Directions turned so that their trait grows along them, and the names of those that have one."""
    styles = np.random.default_rng(0).standard_normal((STYLES, decoder.latent_dim), dtype=np.float32)
    images = _see(decoder, styles, labels)
    measured = traits(torch.from_numpy(images.reshape(-1, *images.shape[2:]))).reshape(*images.shape[:2], -1)
    measured -= measured.mean(0)  # letters differ, whoever writes them
    along = (styles @ vectors.T).repeat(len(labels), axis=0)
    # letters are equally tall, so that their size is their width
    names = (*TRAITS[:2], "width")
    columns = measured.reshape(len(along), -1).T
    known = np.stack([correlations(along, np.broadcast_to(column[:, None], along.shape)) for column in columns])
    found: dict[int, str] = {}
    for trait, number in zip(*np.unravel_index(np.argsort(-np.abs(known), axis=None), known.shape), strict=True):
        if abs(known[trait, number]) > CLEAR and number not in found and names[trait] not in found.values():
            found[int(number)] = names[trait]
            vectors[number] *= np.sign(known[trait, number])
    return vectors, found
