"""How like the original a reconstruction is."""

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ldg.evaluation.measure import Measure, Result, mean
from ldg.evaluation.subject import BATCH, Subject, progress
from ldg.models.vae import VAE, unit


@torch.inference_mode()
def reconstruction(model: VAE, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared error per pixel, PSNR in dB, and SSIM of each image and its posterior-mean reconstruction, (N,) each.

    On the [0, 1] scale; PSNR and SSIM (Gaussian window, sigma 1.5) by torchmetrics.
    """
    bar = progress(len(images), "reconstructions")
    squared, psnr, ssim = [], [], []
    for x, c in zip(unit(images).split(BATCH), labels.split(BATCH), strict=True):
        back = model.reconstruct(x, c)
        squared.append((back - x).square().mean((1, 2, 3)))
        psnr.append(peak_signal_noise_ratio(back, x, data_range=1.0, reduction="none", dim=(1, 2, 3)))
        ssim.append(structural_similarity_index_measure(back, x, data_range=1.0, reduction="none"))
        bar.update(len(x))
    bar.close()
    return torch.cat(squared), torch.cat(psnr), torch.cat([torch.as_tensor(s).reshape(-1) for s in ssim])


class Reconstruction(Measure):
    """Mean squared error, PSNR and SSIM of reconstructions from posterior means."""

    def __call__(self, subject: Subject) -> Result:
        images, labels = subject.images("test")
        squared, psnr, ssim = reconstruction(subject.model, images, labels)
        values = {
            "mse": mean(squared, "", "lower"),
            "psnr": mean(psnr, "dB", "higher"),
            "ssim": mean(ssim, "", "higher"),
        }
        return Result(f"{len(images):,} test images, posterior means, pixels in [0, 1]", values)
