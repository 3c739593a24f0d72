"""Where images lie in latent space."""

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from ldg.figures.picture import Picture, Scene
from ldg.fonts import find_families
from ldg.generation.latents import fixed_generator

IMAGES = 2000


class LatentMap(Picture):
    """Posterior means of val images, coloured by class; principal components where there are more than two."""

    name = "latent_map"
    title = "latent map"
    rank = 7

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        model = scene.model
        images, labels = (x.to(model.device) for x in scene.examples("val", IMAGES))
        batches = zip(images.split(500), labels.split(500), strict=True)
        generator = fixed_generator()
        means = torch.cat([model.encode(x, c, generator).mean for x, c in batches])
        return draw_map(means.cpu().numpy(), labels.cpu().numpy(), model.classes)


def project(means: np.ndarray) -> tuple[np.ndarray, float]:
    """Project onto the two principal components.

    Args:
        means: (N, D), D at least 2

    Returns:
        Points (N, 2) and the share of the variance they hold.
    """
    from sklearn.decomposition import PCA  # takes seconds

    pca = PCA(2, svd_solver="full")
    return pca.fit_transform(means), float(np.nan_to_num(pca.explained_variance_ratio_).sum())


def place(means: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Place latent codes on a map.

    Args:
        means: (N, D), finite
        labels: int (N,), the second axis where D = 1

    Returns:
        Points (N, 2), and the share of the variance that they hold; None where D is 1 or 2, or N below 2.
    """
    if len(means) < 2:
        return np.zeros((len(means), 2)), None
    if means.shape[1] == 1:
        return np.column_stack([means[:, 0], labels]), None
    return (means, None) if means.shape[1] == 2 else project(means)


def glyph(character: str) -> Path:
    """The outline of a character around the origin, as a marker of matplotlib."""
    outline = TextPath((0, 0), character, prop=FontProperties(family=find_families(character)))
    x, y = outline.get_extents().get_points().mean(0)
    return outline.transformed(Affine2D().translate(-x, -y))


def draw_map(means: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> tuple[Figure, str]:
    """A scatter plot of latent codes, coloured by class.

    Args:
        means: (N, D); with D = 1 the class is the second axis
        labels: int (N,)
        classes: names of the classes

    Returns:
        The figure and its caption.
    """
    is_finite = np.isfinite(means).all(1)  # those of a run that diverges are not
    means, labels = means[is_finite], labels[is_finite]
    caption = "Latent map"
    points, share = place(means, labels)
    kind = "latent" if share is None else "component"
    if share is not None:
        caption += f", two principal components ({share:.0%} of the variance)"
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots()
    present = np.unique(labels)
    colours = matplotlib.colormaps["hsv" if len(present) > 20 else "tab20" if len(present) > 10 else "tab10"]
    for number, label in enumerate(present):
        colour = colours(number / len(present)) if len(present) > 20 else colours(number)
        chosen = points[labels == label]
        # too many for a legend: every point is the character itself
        is_character = len(present) > 20 and len(classes[label]) == 1 and not classes[label].isspace()
        look = {"marker": glyph(classes[label]), "s": 30} if is_character else {"s": 8, "label": classes[label]}
        axes.scatter(chosen[:, 0], chosen[:, 1], color=colour, alpha=0.6, linewidths=0, **look)
    if 0 < len(present) <= 20 and len(classes) > 1:
        axes.legend(frameon=False, markerscale=2.5, fontsize=9)
    axes.set(xlabel=f"first {kind}", ylabel=f"second {kind}" if means.shape[1] > 1 else "class")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.2)
    return figure, caption
