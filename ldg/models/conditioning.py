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
    """Scale and shift of every feature or channel by the label: FiLM, Perez et al. 2018, eq. 2.

    A mixture of two classes gives the mixture of their scales and shifts. The shifts start as large as the features
    they are added to (``strength`` 1): a label that is heard from the first step on is not left to the latent.
    """

    def __init__(self, condition_dim: int, channels: int, strength: float) -> None:
        super().__init__()
        self.scale_shift = nn.Linear(condition_dim, 2 * channels, bias=False)
        with torch.no_grad():
            nn.init.normal_(self.scale_shift.weight[:channels], std=0.3 * strength)
            nn.init.normal_(self.scale_shift.weight[channels:], std=strength)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, C) or (B, C, H, W), and (B, K) -> the shape of x."""
        scale_shift = self.scale_shift(c)
        scale, shift = scale_shift.view(*scale_shift.shape, *(1 for _ in x.shape[2:])).chunk(2, dim=1)
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
