"""Layers that condition a network on a label: a (B, K) matrix, one-hot or with mixtures of classes as its rows."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mode = Literal["concat", "planes", "film"]


def label_vector(labels: Tensor, num_classes: int) -> Tensor:
    """Convert labels to rows of class weights.

    Args:
        labels: Class indices, int (B,), or mixtures of classes, float (B, K).
        num_classes: K.

    Returns:
        Float (B, K), one-hot for class indices.
    """
    if labels.is_floating_point():
        return labels
    return F.one_hot(labels.long(), num_classes).float()


class FiLM(nn.Module):
    """Scales and shifts every feature or channel by the condition (FiLM, Perez et al. 2018, eq. 2).

    A mixture of two classes gives the mixture of their scales and shifts.

    Args:
        condition_dim: Width of the condition.
        channels: Features or channels of the input.
        strength: Standard deviation of the shifts at initialisation. At 1 they are as large as the features, so that
            the network uses the label from the first step instead of encoding it in z.
    """

    def __init__(self, condition_dim: int, channels: int, strength: float) -> None:
        super().__init__()
        self.scale_shift = nn.Linear(condition_dim, 2 * channels, bias=False)
        with torch.no_grad():
            nn.init.normal_(self.scale_shift.weight[:channels], std=0.3 * strength)
            nn.init.normal_(self.scale_shift.weight[channels:], std=strength)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Condition ``x`` (B, C) or (B, C, H, W) on ``c`` (B, K); the shape of ``x``."""
        scale_shift = self.scale_shift(c)
        scale, shift = scale_shift.view(*scale_shift.shape, *(1 for _ in x.shape[2:])).chunk(2, dim=1)
        return x * (1 + scale) + shift


class Planes(nn.Module):
    """Appends the condition to a feature map as constant planes.

    Args:
        condition_dim: Width of the condition.
        planes: Planes that it is embedded in.
    """

    def __init__(self, condition_dim: int, planes: int = 8) -> None:
        super().__init__()
        self.planes = planes
        self.embed = nn.Linear(condition_dim, planes, bias=False)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Append to ``x`` (B, C, H, W) the planes of ``c`` (B, K): (B, C + planes, H, W)."""
        return torch.cat([x, self.embed(c)[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
