"""The styles of a page, and the interpolation of latents."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ldg.errors import UserError
from ldg.generation.alphabet import Page

if TYPE_CHECKING:
    import torch

STREAM = 2  # of random numbers, one in which seed 0 is a usual hand
Style = Literal["shared", "word", "varied"]


def groups(page: Page, style: Style) -> list[int]:
    """Number the styles of a page.

    Args:
        page: Lines of cells.
        style: ``shared``: one style for the page; ``word``: one between blanks and line ends; ``varied``: one for
            each cell.

    Returns:
        For each cell with ink, in reading order, the number of its style, from 0.

    Raises:
        UserError: For another style.
    """
    if style not in get_args(Style):
        raise UserError(f"style must be one of {', '.join(get_args(Style))}, got {style!r}")
    if style == "shared":
        return [0 for line in page for cell in line if cell.mixture]
    if style == "varied":
        return list(range(sum(bool(cell.mixture) for line in page for cell in line)))
    runs = [
        list(run) for line in page for inked, run in itertools.groupby(line, lambda cell: bool(cell.mixture)) if inked
    ]
    return [number for number, run in enumerate(runs) for _ in run]


def draw_styles(numbers: Sequence[int], latent_dim: int, seed: int) -> np.ndarray:
    """Draw styles from N(0, 1).

    Args:
        numbers: N numbers of styles.
        latent_dim: D.
        seed: Of the styles.

    Returns:
        float32 (N, D); row i is style ``numbers[i]`` of the seed.
    """
    count = max(numbers, default=-1) + 1
    return np.random.default_rng((STREAM, seed)).standard_normal((count, latent_dim), dtype=np.float32)[list(numbers)]


def fixed_generator() -> torch.Generator:
    """Make the generator of a dynamic binarisation that is the same every time."""
    import torch

    return torch.Generator().manual_seed(0)


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Interpolate spherically (Shoemake 1985; White 2016).

    Unlike linear interpolation this keeps to the norms where a normal prior has its mass. Parallel latents are
    interpolated linearly.

    Args:
        a: Latents (..., D), the result at t = 0.
        b: Latents (..., D), the result at t = 1.
        t: In [0, 1].

    Returns:
        Latents (..., D).
    """
    norms = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    cosine = (a * b).sum(axis=-1, keepdims=True) / np.maximum(norms, 1e-8)
    angle = np.arccos(cosine.clip(-1, 1))
    sine = np.sin(angle)
    is_straight = sine < 1e-4
    sine = np.where(is_straight, 1, sine)
    first = np.where(is_straight, 1 - t, np.sin((1 - t) * angle) / sine)
    second = np.where(is_straight, t, np.sin(t * angle) / sine)
    return first * a + second * b
