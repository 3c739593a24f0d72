"""What a two-dimensional latent space decodes to."""

import torch
from matplotlib.figure import Figure

from ldg.figures.picture import Picture, Scene
from ldg.generation import sheets
from ldg.models.vae import VAE

SIDE = 30  # images
EXTENT = 4.0  # standard deviations of the prior


class Manifold(Picture):
    """A 30 x 30 grid over [-4, 4]^2 of a two-dimensional latent space, decoded with all classes in equal parts."""

    name = "manifold"
    title = "decoded latent plane"
    rank = 8

    def applies_to(self, model: VAE) -> bool:
        """For models with two latent dimensions."""
        return model.latent_dim == 2

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        model = scene.model
        ticks = torch.linspace(-EXTENT, EXTENT, SIDE)
        y, x = torch.meshgrid(ticks.flip(0), ticks, indexing="ij")
        z = torch.stack([x, y], -1).reshape(-1, 2).to(model.device)
        labels = torch.full((len(z), model.num_classes), 1 / model.num_classes, device=model.device)
        picture = sheets.grid(model.decode(z, labels).cpu().numpy(), SIDE, padding=0)
        figure = Figure(figsize=(9, 9.4), layout="constrained")
        axes = figure.subplots()
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(-EXTENT, EXTENT, -EXTENT, EXTENT))
        axes.set(xlabel="z1", ylabel="z2")
        return figure, "Decoded latent plane"
