"""The way between two images, or between two labels, as a model sees it."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ldg.errors import UserError
from ldg.generation import sheets
from ldg.models.vae import VAE


@torch.no_grad()
def between_images(model: VAE, images: Tensor, labels: Tensor, steps: int = 10) -> Tensor:
    """(steps, C, H, W) in [0, 1] from reconstruction to reconstruction of ``images`` (2, C, H, W), labels int64 (2,).

    Posterior means and one-hot labels are mixed linearly.
    """
    z = model.encode(images, labels).mean
    t = torch.linspace(0, 1, steps, device=z.device)[:, None]
    mixed = (1 - t) * _one_hot(model, labels[:1]) + t * _one_hot(model, labels[1:])
    return model.decode((1 - t) * z[:1] + t * z[1:], mixed)


@torch.no_grad()
def between_labels(model: VAE, noise: Tensor, first: int, last: int, steps: int = 10) -> Tensor:
    """(steps, C, H, W) in [0, 1] from class ``first`` to class ``last`` drawn from the same noise (D,)."""
    t = torch.linspace(0, 1, steps, device=noise.device)[:, None]
    ends = _one_hot(model, torch.tensor([first, last], device=noise.device))
    return model.draw(noise.expand(steps, -1), (1 - t) * ends[:1] + t * ends[1:])


def _one_hot(model: VAE, labels: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(labels, model.num_classes).float()


def test_images(model: VAE, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Float images (N, C, H, W) in [0, 1] and int64 labels (N,) of the test split that ``model`` was trained beside.

    Raises:
        UserError: for a checkpoint that names no data set, or an index outside the split.
    """
    from ldg import checkpoint

    config = model.config.get("data")
    if not config or "dataset" not in config:
        raise UserError("the checkpoint names no data set, so there are no test images to go between")
    root = os.environ.get("LDG_DATA") or config.get("root", "data")  # the checkpoint may come from another machine
    settings = {"cache": config.get("cache"), "download": config.get("download", True)}
    arrays = checkpoint.build(config["dataset"]).load("test", root=root, **settings)
    wrong = [index for index in indices if not 0 <= index < len(arrays.labels)]
    if wrong:
        raise UserError(f"no test image {wrong[0]}: the test split has images 0 to {len(arrays.labels) - 1}")
    images = torch.from_numpy(np.stack([np.asarray(arrays.images[index]) for index in indices]))
    labels = torch.tensor([int(arrays.labels[index]) for index in indices])
    return images.float() / 255, labels


def summary(originals: np.ndarray, frames: np.ndarray, scale: int = 3) -> np.ndarray:
    """One row: ``originals`` (2, C, H, W) at its ends, ``frames`` (N, C, H, W) between, percentages underneath."""
    row = np.concatenate([originals[:1], frames, originals[1:]])
    pictures = sheets.on_paper(row.repeat(scale, axis=2).repeat(scale, axis=3))
    percent = [f"{100 * number / (len(frames) - 1):.0f}%" for number in range(len(frames))]
    return sheets.captioned(list(pictures), ["original", *percent, "original"], columns=len(row), padding=6)
