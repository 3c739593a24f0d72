"""Interpolations between two images or two labels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ldg.checkpoint import load_data
from ldg.errors import UserError
from ldg.generation import latents, sheets, writer
from ldg.models.conditioning import label_vector
from ldg.models.vae import VAE, unit

PADDING = 6  # pixels around an image of a summary


@torch.no_grad()
def between_images(model: VAE, images: Tensor, labels: Tensor, steps: int = 10) -> Tensor:
    """Interpolate from the reconstruction of one image to that of another.

    Posterior means and one-hot labels are interpolated linearly.

    Args:
        model: In eval mode.
        images: (2, C, H, W), uint8 or float in [0, 1], on the model's device.
        labels: int64 (2,), likewise.
        steps: Number of images, at least 2.

    Returns:
        Images (steps, C, H, W) in [0, 1].
    """
    z = model.encode(images, labels, latents.fixed_generator()).mean
    classes = label_vector(labels, model.num_classes)
    t = torch.linspace(0, 1, steps, device=z.device)[:, None]
    return model.decode((1 - t) * z[:1] + t * z[1:], (1 - t) * classes[:1] + t * classes[1:])


@torch.no_grad()
def between_labels(model: VAE, noise: Tensor, first: int, last: int, steps: int = 10) -> Tensor:
    """Interpolate from one class to another with the same noise.

    Args:
        model: In eval mode.
        noise: Standard normal noise (D,), on the model's device.
        first: Index of the first class.
        last: Index of the last class.
        steps: Number of images, at least 2.

    Returns:
        Images (steps, C, H, W) in [0, 1].
    """
    t = torch.linspace(0, 1, steps, device=noise.device)[:, None]
    ends = label_vector(torch.tensor([first, last], device=noise.device), model.num_classes)
    return model.decode_noise(noise.expand(steps, -1), (1 - t) * ends[:1] + t * ends[1:])


def read_test_images(model: VAE, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Read images of the test split that belongs to a model.

    Args:
        model: From a checkpoint.
        indices: N numbers of images.

    Returns:
        Images (N, C, H, W), float in [0, 1], and labels int64 (N,), on the model's device.

    Raises:
        UserError: For a checkpoint that names no data set, data that are not on this machine, or an index outside the
            split.
    """
    test = load_data(model).test
    if wrong := [index for index in indices if not 0 <= index < len(test)]:
        raise UserError(f"no test image {wrong[0]}: the test split has images 0 to {len(test) - 1}")
    images, labels = test[torch.tensor(indices)]
    return unit(images.to(model.device)), labels.to(model.device)


def summary_size(model: VAE, steps: int, scale: int | None = None) -> sheets.Size:
    """Estimate the size of what :func:`draw_summary` draws.

    Args:
        model: Which the images are from.
        steps: Number of images between the originals.
        scale: See :func:`~ldg.generation.writer.tile_scale`.

    Returns:
        Height and width.
    """
    captions = ["original"] * (steps + 2)
    return sheets.captioned_size(writer.tile_size(model, scale), captions, len(captions), padding=PADDING)


def draw_summary(originals: np.ndarray, frames: np.ndarray, scale: int = 3) -> np.ndarray:
    """Draw an interpolation in one row, between the originals and above percentages.

    Args:
        originals: (2, C, H, W) in [0, 1].
        frames: (N, C, H, W) in [0, 1].
        scale: Enlargement.

    Returns:
        A picture (H', W') or (H', W', 3) in [0, 1].
    """
    row = np.concatenate([originals[:1], frames, originals[1:]])
    pictures = sheets.on_paper(row.repeat(scale, axis=2).repeat(scale, axis=3))
    captions = ["original", *sheets.percentages(len(frames)), "original"]
    return sheets.captioned(list(pictures), captions, columns=len(row), padding=PADDING)
