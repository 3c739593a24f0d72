"""Random affine augmentation of training images, with the condition that describes it."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# rotation in radians, shear, and shares of size, width and height by which an image changes at most at strength 1
MAX_AFFINE = (math.radians(15), 0.15, 0.15, 0.08, 0.08)


class AffineAugmentation:
    """Rotates, shears, scales and shifts half of the images at random, and reports the parameters of each.

    The other half stays as sharp as the images that a model is evaluated on. A model that is conditioned on the
    parameters spends no likelihood on augmented images when it draws with parameters of 0 (Jun et al. 2020,
    Distribution augmentation).

    Args:
        strength: Share of ``MAX_AFFINE`` that an image changes by at most.
        epochs: Augment in the first so many epochs; None: in all.
        mirror: Also mirror images at random.
    """

    condition_dim = len(MAX_AFFINE)

    def __init__(self, strength: float, epochs: float | None = None, mirror: bool = False) -> None:
        self.strength = strength
        self.epochs = epochs
        self.mirror = mirror

    def is_active(self, epoch: float) -> bool:
        """Whether images are augmented at ``epoch``, counted from 0 as a float."""
        return self.epochs is None or epoch < self.epochs

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            x: Images (B, C, H, W) in [0, 1].
            generator: Source of randomness, on the device of ``x``.

        Returns:
            The images (B, C, H, W), and the condition (B, 5) in [-strength, strength], 0 for an image that was kept.
        """
        uniform = 2 * torch.rand(7, len(x), generator=generator, device=x.device) - 1
        change = self.strength * (uniform[6] > 0) * uniform[:5]
        angle, shear, scale, right, down = (most * c for most, c in zip(MAX_AFFINE, change, strict=True))
        cos, sin = angle.cos() / (1 + scale), angle.sin() / (1 + scale)
        flip = uniform[5].sign() if self.mirror else 1.0
        theta = torch.stack([cos * flip, shear - sin, 2 * right, sin * flip, cos, 2 * down], 1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False), change.T
