"""How similar reconstructions are to their originals."""

import torch
from torch import Tensor

from ldg.evaluation.context import EvaluationContext, batches
from ldg.evaluation.measure import Measure, Quantity, Result
from ldg.models.vae import VAE, unit


@torch.inference_mode()
def reconstruction(
    model: VAE, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compare images with their reconstructions from posterior means.

    Args:
        model: in eval mode
        images: (N, C, H, W); a likelihood that binarises them does so for the encoder alone
        labels: (N,)
        generator: of a dynamic binarisation

    Returns:
        Squared error per pixel on the [0, 1] scale, PSNR in dB, and SSIM (Gaussian window, sigma 1.5), (N,) each, on
        the CPU. The last two are torchmetrics'.
    """
    from torchmetrics.functional.image import (  # takes seconds
        peak_signal_noise_ratio,
        structural_similarity_index_measure,
    )

    squared, psnr, ssim = [], [], []
    for x, c in batches(model, images, labels, "reconstructions"):
        x = unit(x)
        back = model.reconstruct(x, c, generator)
        squared.append((back - x).square().mean((1, 2, 3)).cpu())
        psnr.append(peak_signal_noise_ratio(back, x, data_range=1.0, reduction="none", dim=(1, 2, 3)).cpu())
        similarity = structural_similarity_index_measure(back, x, data_range=1.0, reduction="none")
        ssim.append(torch.as_tensor(similarity).reshape(-1).cpu())
    return torch.cat(squared), torch.cat(psnr), torch.cat(ssim)


class Reconstruction(Measure):
    """Mean squared error, PSNR and SSIM of reconstructions from posterior means."""

    quantities = (
        Quantity("mse", "squared error of reconstructions", "", "lower"),
        Quantity("psnr", "PSNR", "dB", "higher"),
        Quantity("ssim", "SSIM", "", "higher", "bar"),
    )

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        images, labels = context.images("test")
        names = [quantity.name for quantity in self.quantities]
        per_image = reconstruction(context.model, images, labels, context.generator("reconstruction"))
        values = {name: self.mean(name, value) for name, value in zip(names, per_image, strict=True)}
        return Result(f"{len(images):,} test images, posterior means, pixels in [0, 1]", values)
