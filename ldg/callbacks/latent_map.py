"""Where images lie in latent space, and what a two-dimensional one decodes to."""

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from ldg.generation import sheets
from ldg.models.vae import VAE

MANIFOLD = 30  # images a side
EXTENT = 4.0  # standard deviations of the prior


def project(means: np.ndarray) -> tuple[np.ndarray, float]:
    """(N, D) -> (N, 2) on the two principal components, and the share of the variance they hold."""
    centred = means - means.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    variance = singular**2
    return centred @ directions[:2].T, float(variance[:2].sum() / max(variance.sum(), 1e-12))


def latent_map(means: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> tuple[Figure, str]:
    """Posterior means (N, D), directly if D is 2, else their principal components, coloured by class."""
    caption = "Latent map"
    points, kind = means, "latent"
    if means.shape[1] > 2:
        points, share = project(means)
        kind = "component"
        caption += f", two principal components ({share:.0%} of the variance)"
    elif means.shape[1] == 1:
        points = np.column_stack([means[:, 0], labels])
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots()
    present = np.unique(labels)
    colours = matplotlib.colormaps["hsv" if len(present) > 20 else "tab20" if len(present) > 10 else "tab10"]
    for number, label in enumerate(present):
        colour = colours(number / len(present)) if len(present) > 20 else colours(number)
        chosen = points[labels == label]
        # too many for a legend: every point is the character itself
        written = len(present) > 20 and classes[label].isalnum() and len(classes[label]) == 1
        look = {"marker": rf"$\mathrm{{{classes[label]}}}$", "s": 30} if written else {"s": 8, "label": classes[label]}
        axes.scatter(chosen[:, 0], chosen[:, 1], color=colour, alpha=0.6, linewidths=0, **look)
    if len(present) <= 20:
        axes.legend(frameon=False, markerscale=2.5, fontsize=9)
    axes.set(xlabel=f"first {kind}", ylabel=f"second {kind}" if means.shape[1] > 1 else "class")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.2)
    return figure, caption


@torch.no_grad()
def manifold(model: VAE) -> tuple[Figure, str]:
    """A 30 x 30 grid over [-4, 4]^2 of a two-dimensional latent space, decoded (at the mean label, if labels count)."""
    device = next(model.parameters()).device
    ticks = torch.linspace(-EXTENT, EXTENT, MANIFOLD)
    y, x = torch.meshgrid(ticks.flip(0), ticks, indexing="ij")
    z = torch.stack([x, y], -1).reshape(-1, 2).to(device)
    labels = torch.full((len(z), model.num_classes), 1 / model.num_classes, device=device)
    picture = sheets.grid(model.decode(z, labels).cpu().numpy(), MANIFOLD, padding=0)
    figure = Figure(figsize=(9, 9.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(-EXTENT, EXTENT, -EXTENT, EXTENT))
    axes.set(xlabel="z1", ylabel="z2")
    return figure, "Decoded latent plane"
