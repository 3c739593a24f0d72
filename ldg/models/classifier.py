"""A small residual network that tells classes apart: the judge of generated images."""

import math
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from ldg.models.augmentation import augmented
from ldg.models.vae import unit


class Verdict(NamedTuple):
    """What a batch costs: ``loss`` is a scalar to minimise; ``accuracy`` is (B,), 1 where the class was found."""

    loss: Tensor
    accuracy: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What is averaged over an epoch, each (B,), as named by ``Classifier.reports``."""
        return (self.accuracy,)


class Residual(nn.Module):
    """Two convolutions and a shortcut, (B, C, H, W) -> (B, channels, H / stride, W / stride) (He et al. 2016)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        first = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.first = nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)  # a block begins as its shortcut
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels:
            pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(in_channels, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.second(self.first(x)))


class Classifier(nn.Module):
    """Images (B, C, H, W), float in [0, 1] or uint8, -> logits (B, num_classes).

    ``channels`` has one entry a stage of ``blocks`` residual blocks; every stage halves the map. Training images are
    :func:`~ldg.models.augmentation.augmented`; ``smoothing`` is that of the labels (Szegedy et al. 2016).
    """

    reports = ("accuracy",)

    def __init__(
        self,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        num_classes: PositiveInt,
        channels: list[PositiveInt] = [32, 64, 128],  # noqa: B006
        blocks: PositiveInt = 1,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        augment: NonNegativeFloat = 1.0,
        mirror: bool = False,
        smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.augment, self.mirror, self.smoothing = augment, mirror, smoothing
        self.classes: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        layers: list[nn.Module] = []
        width = image_shape[0]
        for following in channels:
            for block in range(blocks):
                layers.append(Residual(width, following, stride=2 if block == 0 else 1))
                width = following
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: (B, C, H, W) -> (B, channels[-1])."""
        return self.stages(unit(x) - 0.5).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

    def loss(
        self, x: Tensor, labels: Tensor, epoch: float = math.inf, generator: torch.Generator | None = None
    ) -> Verdict:
        """Cross-entropy in nats, averaged over the batch; see :class:`Verdict`."""
        x = unit(x)
        if self.training:
            x, _ = augmented(x, self.augment, self.mirror, generator)
        logits = self(x).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.smoothing if self.training else 0.0)
        return Verdict(loss, (logits.argmax(1) == labels).float())
