"""A small residual classifier: the judge of generated images."""

import math
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from ldg.models.augmentation import AffineAugmentation
from ldg.models.network import Depth, Widths
from ldg.models.vae import unit


class ClassifierOutput(NamedTuple):
    """The result of a training or evaluation step.

    Attributes:
        objective: Cross-entropy in nats, a scalar to minimise.
        accuracy: (B,), 1 where the class was recognised.
    """

    objective: Tensor
    accuracy: Tensor

    @property
    def metrics(self) -> dict[str, Tensor]:
        """What is averaged over an epoch, (B,) each, in the order of ``Classifier.metric_names``."""
        return {"accuracy": self.accuracy}


class Residual(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016).

    Args:
        in_channels: Of the input.
        channels: Of the output.
        stride: By which height and width are divided.
    """

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
        """Apply the block: (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x))  # in this order the sum is channels-last


class Classifier(nn.Module):
    """A residual network for classification.

    Args:
        image_shape: (C, H, W).
        num_classes: K.
        channels: Of each stage; a stage halves the feature map.
        blocks: Residual blocks of each stage.
        dropout: Share of the last features dropped in training.
        augment: Strength of the affine augmentation of training images; 0: none.
        mirror: Also mirror training images at random.
        smoothing: Label smoothing (Szegedy et al. 2016).

    Attributes:
        classes: Names of the labels, set by the data set or the checkpoint.
        config: The resolved config of the run, set by the checkpoint.
        title: Name and first 12 digits of the file's SHA-256, set by what loads a judge.
    """

    metric_names = ("accuracy",)

    def __init__(
        self,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        num_classes: PositiveInt,
        channels: Widths = [32, 64, 128],  # noqa: B006
        blocks: Depth = 1,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        augment: NonNegativeFloat = 1.0,
        mirror: bool = False,
        smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.augmentation = AffineAugmentation(augment, mirror=mirror)
        self.smoothing = smoothing
        self.classes: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.title = type(self).__name__
        layers: list[nn.Module] = []
        width = image_shape[0]
        for following in channels:
            for block in range(blocks):
                layers.append(Residual(width, following, stride=2 if block == 0 else 1))
                width = following
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    @property
    def description(self) -> str:
        """Title and size, for the setting of a measure."""
        return f"{self.title} ({len(self.classes)} classes, {self.head.in_features} features)"

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.head.weight.device

    def features(self, x: Tensor) -> Tensor:
        """Compute the inputs of the last layer.

        Args:
            x: Images (B, C, H, W), float in [0, 1] or uint8.

        Returns:
            (B, ``channels[-1]``).
        """
        return self.stages(unit(x) - 0.5).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (B, K) of images (B, C, H, W), float in [0, 1] or uint8."""
        return self.head(self.dropout(self.features(x)))

    def loss(
        self, x: Tensor, labels: Tensor, epoch: float = math.inf, generator: torch.Generator | None = None
    ) -> ClassifierOutput:
        """Compute the cross-entropy of a batch, on augmented images in training mode.

        Args:
            x: Images (B, C, H, W), float in [0, 1] or uint8.
            labels: Class indices (B,).
            epoch: Unused; the interface of :meth:`ldg.models.vae.VAE.loss`.
            generator: Source of randomness of the augmentation.

        Returns:
            Objective and accuracy.
        """
        x = unit(x)
        if self.training:
            x, _ = self.augmentation(x, generator)
        logits = self(x).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.smoothing if self.training else 0.0)
        return ClassifierOutput(loss, (logits.argmax(1) == labels).float())
