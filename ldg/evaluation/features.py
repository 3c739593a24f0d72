"""Features of images by a network of torchvision, for pictures of a kind that no judge has learned."""

from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from ldg.errors import UserError, one_line
from ldg.evaluation.context import Skipped
from ldg.models.vae import unit

CHUNK = 50  # images that are enlarged at once


class TorchvisionFeatures:
    """The inputs of the last layer of a classifier of ImageNet, whose weights torchvision has downloaded before.

    Images are resized to the classifier's square, whole and without regard to their proportions; grey ones get three
    equal channels.

    Args:
        name: of the network in torchvision, one whose last layer is called ``fc``
        device: that everything is computed on

    Raises:
        Skipped: if its weights are not where torchvision puts them.
        UserError: if what lies there cannot be loaded.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        import torchvision.models

        weights = torchvision.models.get_model_weights(name)["DEFAULT"]
        file = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(weights.url).path).name)
        if not file.is_file():
            command = f"python -c \"import torchvision; torchvision.models.{name}(weights='DEFAULT')\""
            raise Skipped(f"distance.features={name} needs {file}, which this downloads: {command}")
        try:
            network = torchvision.models.get_model(name, weights=weights, progress=False)  # from that file
        except Exception as error:
            raise UserError(f"{file} is damaged or not the weights of {name}; remove it: {one_line(error)}") from error
        network.fc = nn.Identity()
        self.network = network.to(device).eval()
        self.preset = weights.transforms()
        self.size = self.preset.crop_size[0]
        self.title = f"torchvision's {name} ({weights.name}), images resized to {self.size}x{self.size}"

    def __call__(self, images: Tensor) -> Tensor:
        """Compute features.

        Args:
            images: (B, C, H, W), float in [0, 1] or uint8, of one channel or three

        Returns:
            (B, F).
        """
        return torch.cat([self.network(self._enlarge(unit(part))) for part in images.split(CHUNK)])

    def _enlarge(self, images: Tensor) -> Tensor:
        from torchvision.transforms import functional as F

        resized = F.resize(images, [self.size, self.size], antialias=True)
        return F.normalize(resized.expand(-1, 3, -1, -1), self.preset.mean, self.preset.std)
