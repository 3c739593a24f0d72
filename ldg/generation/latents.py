"""The noise that decides the style of handwriting, and its interpolation."""

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ldg.errors import UserError
from ldg.generation.alphabet import Page

Style = Literal["shared", "word", "varied"]


def groups(page: Page, style: Style) -> list[int]:
    """Number the latents of a page.

    Args:
        page: Lines of cells.
        style: ``shared``: one latent for the page; ``word``: one between blanks and line ends; ``varied``: one for
            each cell.

    Returns:
        For each cell with ink, in reading order, the number of its latent, from 0.

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


def draw_noise(numbers: Sequence[int], latent_dim: int, seed: int, temperature: float) -> Tensor:
    """Draw noise from N(0, temperature^2).

    Args:
        numbers: N numbers of latents.
        latent_dim: D.
        seed: Of the latents.
        temperature: Standard deviation.

    Returns:
        (N, D) on the CPU; row i is latent ``numbers[i]`` of the seed.
    """
    generator = torch.Generator().manual_seed(seed)
    return temperature * torch.randn(max(numbers, default=-1) + 1, latent_dim, generator=generator)[list(numbers)]


def fixed_generator() -> torch.Generator:
    """Make the generator of a dynamic binarisation that is the same every time."""
    return torch.Generator().manual_seed(0)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
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
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    angle = cosine.acos().unsqueeze(-1)
    sine = angle.sin()
    straight = sine < 1e-4
    sine = torch.where(straight, torch.ones_like(sine), sine)
    first = torch.where(straight, torch.full_like(sine, 1 - t), ((1 - t) * angle).sin() / sine)
    second = torch.where(straight, torch.full_like(sine, t), (t * angle).sin() / sine)
    return first * a + second * b
