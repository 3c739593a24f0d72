"""Blends of two classes: of their labels, of the codes of their images, or of both."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from ldg.data.splits import ImageSplits
from ldg.errors import UserError
from ldg.generation import latents, sheets, writer
from ldg.generation.alphabet import Cell, Mixture, Page, soft_labels
from ldg.models.vae import VAE

What = Literal["both", "label", "code"]
TITLES = {"both": "label and code", "label": "label alone", "code": "code alone"}
IMAGES = 200  # of a class and split; more would hardly change its mean code


class Codes(NamedTuple):
    """What images of some classes are encoded as, in terms of the prior's noise.

    Attributes:
        mean: Mean code of each class (K, D); NaN for a class that was not encoded.
        offsets: By class, the differences (N, D) between the codes of test images and the mean, the smallest first.
    """

    mean: Tensor
    offsets: dict[int, Tensor]

    def mix(self, mixture: Mixture, number: int = 0, temperature: float = 1.0) -> Tensor:
        """Compute the code of one class, or between two classes by their shares.

        Means are interpolated linearly, offsets spherically, because the norm of an offset gives an image its contrast.

        Args:
            mixture: One or two classes and their shares.
            number: Which test image of each class; counted modulo the number of images.
            temperature: Factor of the offset: at 1 the codes of the two test images are the ends, at 0 the means are.

        Returns:
            Noise (D,).
        """
        ends = [self.offsets[index][number % len(self.offsets[index])] for index, _ in mixture]
        mean = sum(share * self.mean[index] for index, share in mixture)
        if len(ends) == 1:
            return mean + temperature * ends[0]
        between = latents.slerp(ends[0].numpy(), ends[1].numpy(), mixture[1][1])
        return mean + temperature * torch.from_numpy(between)


@torch.no_grad()
def encode_classes(model: VAE, data: ImageSplits, classes: Sequence[int], images: int = IMAGES) -> Codes:
    """Encode images of some classes.

    Args:
        model: In eval mode.
        data: Its training and test images.
        classes: Indices of the classes.
        images: How many of each class and split are encoded at most.

    Returns:
        The codes, on the CPU.

    Raises:
        UserError: For a class without images.
    """

    def encode(split: str, index: int) -> Tensor:
        subset = getattr(data, split)
        places = (subset.labels == index).nonzero()[:images, 0]
        if not len(places):
            raise UserError(f"there is no {split} image of {model.classes[index]!r}: its code is unknown")
        x, labels = (part.to(model.device) for part in subset[places])
        return model.to_noise(model.encode(x, labels, latents.fixed_generator()).mean, labels).cpu()

    codes = Codes(torch.full((model.num_classes, model.latent_dim), torch.nan), {})
    for index in set(classes):
        codes.mean[index] = encode("train", index).mean(0)
        offsets = encode("test", index) - codes.mean[index]
        codes.offsets[index] = offsets[offsets.norm(dim=1).argsort(stable=True)]
    return codes


@torch.no_grad()
def decode_blends(
    model: VAE, codes: Codes, cells: Sequence[Cell], numbers: Sequence[int], temperature: float, what: What = "both"
) -> Tensor:
    """Decode cells of one class or two.

    Args:
        model: In eval mode.
        codes: Of all classes in the cells.
        cells: N cells.
        numbers: Which test images each code lies between, N numbers.
        temperature: See :meth:`Codes.mix`.
        what: What is mixed; the rest is that of the first class. The prior is given the classes of the code, the
            decoder those of the label.

    Returns:
        Images (N, C, H, W) in [0, 1].

    Raises:
        UserError: For another ``what``.
    """
    if what not in get_args(What):
        raise UserError(f"--along must be one of {', '.join(get_args(What))}, got {what!r}")
    first = [Cell(cell.name, ((cell.mixture[0][0], 1.0),)) for cell in cells]
    of_label, of_code = (first if what == "code" else cells), (first if what == "label" else cells)
    labels, shares = (
        torch.from_numpy(soft_labels(of, model.num_classes)).to(model.device) for of in (of_label, of_code)
    )
    noise = [codes.mix(cell.mixture, number, temperature) for cell, number in zip(of_code, numbers, strict=True)]
    return model.decode(model.from_noise(torch.stack(noise).to(model.device), shares), labels)


def draw_sheet(
    model: VAE, codes: Codes, page: Page, options: writer.Options, seed: int = 0, what: What = "both"
) -> np.ndarray:
    """Draw a captioned sheet of classes and blends.

    Args:
        model: In eval mode.
        codes: Of all classes on the page.
        page: Cells of one class or two.
        options: Of writing.
        seed: Number of the first test image that the codes lie between.
        what: What is mixed.

    Returns:
        A picture (H, W) or (H, W, 3) in [0, 1].
    """
    sheets.require_paper(writer.page_size(model, page, options), writer.channels(model))
    cells = writer.inked(page)
    numbers = [seed + number for number in latents.groups(page, options.style)]
    images = decode_blends(model, codes, cells, numbers, options.temperature, what)
    captions = [cell.name for cell in cells]
    return sheets.captioned(writer.tiles(model, images.cpu().numpy(), options), captions, max(map(len, page)))


class Interpolation(NamedTuple):
    """Images between two classes.

    Attributes:
        title: What is mixed, in words.
        ends: Names of the two classes.
        frames: Images (N, C, H, W) in [0, 1], on the CPU.
        probabilities: The judge's probabilities of the two classes in each image, (N, 2); None without a judge.
    """

    title: str
    ends: tuple[str, str]
    frames: Tensor
    probabilities: Tensor | None


def interpolations_size(model: VAE, rows: int, steps: int, scale: int | None) -> sheets.Size:
    """Estimate the size of a picture of interpolations below each other.

    Args:
        model: Which the images are from.
        rows: Number of interpolations.
        steps: Images of each.
        scale: See :func:`~ldg.generation.writer.tile_scale`.

    Returns:
        Height and width.
    """
    return sheets.sheet_size(writer.tile_size(model, scale), rows * steps, steps)


@torch.no_grad()
def interpolations(
    model: VAE,
    codes: Codes,
    page: Page,
    steps: int,
    seed: int = 0,
    temperature: float = 1.0,
    scale: int | None = None,
    what: What | None = None,
    judge: Callable[[Tensor], Tensor] | None = None,
) -> list[Interpolation]:
    """Interpolate between the two classes of each pair on a page.

    Args:
        model: In eval mode.
        codes: Of all classes on the page.
        page: Cells of two classes.
        steps: Images of an interpolation, at least 2.
        seed: Number of the test images that the codes lie between.
        temperature: See :meth:`Codes.mix`.
        scale: That they will be drawn at, see :func:`~ldg.generation.writer.tile_scale`.
        what: What is mixed; None: of a single pair each of the three in turn, of several pairs both.
        judge: A classifier, from images to logits (N, K).

    Returns:
        One or three interpolations of each pair; of an unconditional model, one of the code.

    Raises:
        UserError: If a cell of the page is no pair.
    """
    cells = writer.inked(page)
    if single := next((cell.name for cell in cells if len(cell.mixture) != 2), None):
        raise UserError(f"--steps interpolates between two classes, as in 'a+b'; {single!r} is one")
    kinds: Sequence[What] = [what or "both"]
    if model.conditioning == "none":
        kinds = ["code"]
    elif what is None and len(cells) == 1:
        kinds = get_args(What)
    sheets.require_paper(interpolations_size(model, len(cells) * len(kinds), steps, scale), channels=4)
    results = []
    for cell in cells:
        (a, _), (b, _) = cell.mixture
        mixtures = [Cell("", ((a, 1 - t), (b, t))) for t in torch.linspace(0, 1, steps).tolist()]
        for kind in kinds:
            frames = decode_blends(model, codes, mixtures, [seed] * steps, temperature, kind)
            probabilities = judge(frames).softmax(1)[:, [a, b]].cpu() if judge else None
            ends = model.classes[a], model.classes[b]
            results.append(Interpolation(TITLES[kind], ends, frames.cpu(), probabilities))
    return results
