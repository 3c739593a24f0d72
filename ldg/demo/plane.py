"""A map of the latent space in which every pixel can be decoded."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ldg import checkpoint
from ldg.errors import UserError
from ldg.figures.latent_map import IMAGES, draw_map, place
from ldg.generation.latents import fixed_generator
from ldg.models.vae import VAE

BATCH = 500


class Plane:
    """The latent map of a model.

    A pixel stands for the latent nearest to it, moved within the plane of the map: so it lies where latents are, and
    next to a point of the map it is that of an image.

    Args:
        model: In eval mode.

    Attributes:
        picture: uint8 (H, W, 3).
        caption: What is on it.
    """

    def __init__(self, model: VAE) -> None:
        self.model = model
        self.latents, self.labels, source = _latents(model)
        self.points, _ = place(self.latents, self.labels)
        centred = self.latents - self.latents.mean(0)
        self._basis = np.linalg.lstsq(self.points - self.points.mean(0), centred)[0]
        figure, caption = draw_map(self.latents, self.labels, model.classes)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self.picture = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
        self.caption = f"{caption}; {source}."
        self._to_points = figure.axes[0].transData.inverted()

    @torch.no_grad()
    def decode(self, column: int, row: int, label: int | None = None) -> tuple[np.ndarray, int]:
        """Decode a pixel.

        Args:
            column: Of the picture.
            row: Of the picture.
            label: The class that is drawn; None: that of the nearest latent.

        Returns:
            The image (C, H, W) in [0, 1], and its class.
        """
        point = self._to_points.transform((column + 0.5, len(self.picture) - row - 0.5))
        nearest = int(((self.points - point) ** 2).sum(1).argmin())
        label = int(self.labels[nearest]) if label is None else label
        z = self.latents[nearest] + (point - self.points[nearest]) @ self._basis
        device = self.model.device
        latent = torch.from_numpy(z.astype(np.float32))[None].to(device)
        return self.model.decode(latent, torch.tensor([label], device=device))[0].cpu().numpy(), label


@torch.no_grad()
def _latents(model: VAE) -> tuple[np.ndarray, np.ndarray, str]:
    """Latents (N, D), finite, their labels (N,), and what they are."""
    generator = fixed_generator()
    try:
        test = checkpoint.load_data(model).test
        chosen = torch.randperm(len(test), generator=generator)[:IMAGES].sort().values
        images, labels = test[chosen]
        parts = zip(images.to(model.device).split(BATCH), labels.to(model.device).split(BATCH), strict=True)
        z = torch.cat([model.encode(x, c, generator).mean for x, c in parts])
        source = f"{len(z):,} test images, encoded"
    except UserError:  # the data are elsewhere
        labels = torch.arange(IMAGES) % model.num_classes
        noise = torch.randn(IMAGES, model.latent_dim, generator=generator)
        z = model.from_noise(noise.to(model.device), labels.to(model.device))
        source = f"{IMAGES:,} draws of the prior, as the model's data are not on this machine"
    latents, known = z.cpu().numpy(), torch.isfinite(z).all(1).cpu().numpy()
    return latents[known], labels.numpy()[known], source
