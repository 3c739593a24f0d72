"""Random affine maps of training images, so that a model learns what a picture may be and not these pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# most radians, shear, share of the size, of the width and of the height that an image is changed by at a strength of 1
MOST = (math.radians(15), 0.15, 0.15, 0.08, 0.08)


def augmented(
    x: Tensor, strength: float, mirror: bool = False, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Half of the images (B, C, H, W), in [0, 1], through a random affine map each; ``mirror``: any, mirrored.

    The other half stays as sharp as the images that a model is to be measured on. Also what was done to each, (B, 5) in
    units of ``MOST``: 0 for an image that was kept.
    """
    uniform = 2 * torch.rand(7, len(x), generator=generator, device=x.device) - 1
    change = strength * (uniform[6] > 0) * uniform[:5]
    turn, shear, scale, right, down = (most * c for most, c in zip(MOST, change, strict=True))
    cos, sin = turn.cos() / (1 + scale), turn.sin() / (1 + scale)
    flip = uniform[5].sign() if mirror else 1.0
    theta = torch.stack([cos * flip, shear - sin, 2 * right, sin * flip, cos, 2 * down], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False), change.T
