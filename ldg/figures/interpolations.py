"""Interpolations between test images."""

import torch
from matplotlib.figure import Figure

from ldg.figures.layout import draw_rows
from ldg.figures.picture import Picture, Scene
from ldg.generation import interpolate, sheets
from ldg.models.vae import unit

PAIRS = 4


class Interpolations(Picture):
    """Pairs of test images and the interpolation between their posterior means, one pair per row."""

    name = "interpolations"
    title = "interpolations between images"
    rank = 5

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        images, labels = scene.examples("test", 2 * PAIRS)
        if len(images) == 1:  # it is both ends
            images, labels = images.repeat(2, 1, 1, 1), labels.repeat(2)
        x, y = unit(images).to(scene.model.device), labels.to(scene.model.device)
        rows = []
        for start in range(0, len(x) - 1, 2):
            frames = interpolate.between_images(scene.model, x[start : start + 2], y[start : start + 2])
            rows.append(torch.cat([x[start : start + 1], frames, x[start + 1 : start + 2]]).cpu().numpy())
        percent = ["original", *sheets.percentages(len(frames)), "original"]
        return draw_rows(rows, [""] * len(rows), percent), "Interpolations between test images"
