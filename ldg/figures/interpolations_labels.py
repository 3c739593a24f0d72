"""Interpolations between classes."""

import numpy as np
from matplotlib.figure import Figure

from ldg.figures.layout import ROWS, draw_noise, draw_rows
from ldg.figures.picture import Picture, Scene
from ldg.generation import interpolate, sheets
from ldg.models.vae import VAE


class LabelInterpolations(Picture):
    """Interpolations between neighbours in the list of classes, each pair with noise of its own."""

    name = "interpolations_labels"
    title = "interpolations between labels"
    rank = 6

    def applies_to(self, model: VAE) -> bool:
        """For models with labels of several classes."""
        return model.conditioning != "none" and model.num_classes > 1

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        model = scene.model
        z = draw_noise(model, ROWS)
        first = np.unique(np.linspace(0, model.num_classes - 2, ROWS).astype(int))
        rows = [interpolate.between_labels(model, z[i], int(a), int(a) + 1).cpu().numpy() for i, a in enumerate(first)]
        names = [f"{model.classes[a]} → {model.classes[a + 1]}" for a in first]
        return draw_rows(rows, names, sheets.percentages(len(rows[0]))), "From label to label with fixed noise"
