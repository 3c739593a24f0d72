"""How a label reaches a network: as a (B, K) vector that is one-hot, or a mixture of classes whose rows sum to one."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mode = Literal["concat", "planes", "film"]


def label_vector(labels: Tensor, num_classes: int) -> Tensor:
    """Class indices (B,) or class mixtures (B, K) as float (B, K)."""
    if labels.is_floating_point():
        return labels
    return F.one_hot(labels.long(), num_classes).float()


class FiLM(nn.Module):
    """Per-channel scale and shift of a feature map by the label: FiLM, Perez et al. 2018, eq. 2.

    It starts as the identity, and a mixture of two classes gives the mixture of their scales and shifts.
    """

    def __init__(self, condition_dim: int, channels: int) -> None:
        super().__init__()
        self.scale_shift = nn.Linear(condition_dim, 2 * channels, bias=False)
        nn.init.zeros_(self.scale_shift.weight)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, C, H, W) and (B, K) -> (B, C, H, W)."""
        scale, shift = self.scale_shift(c)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(x + shift, x, scale)


class Planes(nn.Module):
    """The label, embedded in a few constant planes, appended to a feature map."""

    def __init__(self, condition_dim: int, planes: int = 8) -> None:
        super().__init__()
        self.planes = planes
        self.embed = nn.Linear(condition_dim, planes, bias=False)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, C, H, W) and (B, K) -> (B, C + planes, H, W)."""
        return torch.cat([x, self.embed(c)[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
