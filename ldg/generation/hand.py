"""One's own hand: from a few written letters to the style that writes everything else.

Each letter is brought into the form of the model's images and encoded with its label. The posteriors of the styles are
combined as independent views of one style, a product of Gaussians: where a letter tells nothing, it has no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ldg.errors import UserError
from ldg.generation import photo, sheets
from ldg.generation.alphabet import number_characters
from ldg.generation.latents import fixed_generator
from ldg.generation.photo import Piece
from ldg.models.style import StyleSpace
from ldg.models.vae import VAE

SMALLEST = 8  # pixels of a letter's longer side
UNLIKELY = 20.0  # nats by which another class explains a letter better that is not what it is said to be
WIDEST = 0.95  # variance of a style that a letter leaves at most: the prior's is 1


@dataclass(frozen=True)
class Letter:
    """A letter of the picture.

    Attributes:
        character: That it stands for.
        piece: Its ink on the page.
        image: In the form of the model's images, (H, W) in [0, 1], ink 1.
        fault: Why it is not used; empty if it is.
    """

    character: str
    piece: Piece
    image: np.ndarray
    fault: str = ""


def cut_letters(model: VAE, path: str | Path, text: str) -> tuple[list[Letter], np.ndarray]:
    """Cut a picture into letters.

    Args:
        model: Which has classes for the letters, in eval mode.
        path: Of a photograph or scan, dark ink on lighter paper.
        text: What is written there; spaces and line ends do not count.

    Returns:
        The letters that are found, called ``?`` if they are not as many as in the text, and the upright page's ink
        (H, W) in [0, 1].

    Raises:
        UserError: If the file is no picture or has no ink, or if the model has no class for a letter.
    """
    characters = "".join(text.split())
    if not characters:
        raise UserError("--style-text is empty: give the letters in the picture, as in --style-text 'abc ABC 123'")
    if unknown := sorted(set(characters) - number_characters(model.classes).keys()):
        raise UserError(f"--style-text: the model has no class for {', '.join(map(repr, unknown))}")
    page = photo.find_ink(photo.read_picture(path))
    side, pieces = measure_frame(model), photo.cut(page, len(characters))
    names = characters if len(pieces) == len(characters) else "?" * len(pieces)
    images = [form(piece.ink, model.image_shape[1:], side) for piece in pieces]
    letters = [Letter(*parts, _find_fault(parts[1])) for parts in zip(names, pieces, images, strict=True)]
    return letters, page


def _find_fault(piece: Piece) -> str:
    if piece.is_cut:
        return "the edge of the picture cuts it off"
    return f"it is smaller than {SMALLEST} pixels" if max(piece.ink.shape) < SMALLEST else ""


@torch.no_grad()
def read_style(model: VAE, letters: Sequence[Letter], text: str) -> tuple[list[Letter], np.ndarray]:
    """Read the style that letters share.

    Args:
        model: As for :func:`cut_letters`.
        letters: From there.
        text: As there.

    Returns:
        The letters, with what is wrong with those that are not in the style; and the style, float32 (D,), see
        :meth:`ldg.generation.decoder.Decoder.write`.

    Raises:
        UserError: For another number of letters than in the text, or if none can be used.
    """
    wanted = len("".join(text.split()))
    if len(letters) != wanted:
        raise UserError(
            f"the picture has {len(letters)} letters, as far as they can be told apart, and --style-text has {wanted}; "
            "letters must not touch their neighbours (--style-cut FILE.png shows how they were cut)"
        )
    numbers = number_characters(model.classes)
    labels = torch.tensor([numbers[letter.character] for letter in letters], device=model.device)
    images = torch.from_numpy(np.stack([letter.image for letter in letters]))[:, None].to(model.device)
    each = zip(letters, images, labels.tolist(), strict=True)
    checked = [
        letter if letter.fault else replace(letter, fault=_compare_classes(model, image, label))
        for letter, image, label in each
    ]
    kept = torch.tensor([not letter.fault for letter in checked])
    if not kept.any():
        reasons = "; ".join(f"{letter.character!r}: {letter.fault}" for letter in checked[:3])
        raise UserError(f"no letter of the picture can be used ({reasons})")
    return checked, combine(model, images[kept], labels[kept])


def combine(model: VAE, images: Tensor, labels: Tensor) -> np.ndarray:
    """Combine what images tell of their common style.

    Args:
        model: In eval mode.
        images: (N, 1, H, W) in [0, 1].
        labels: (N,).

    Returns:
        The mean of the product of N views and the prior, float32 (D,).
    """
    mean, variance = StyleSpace(model).styles(model.encode(images, labels, fixed_generator()), labels)
    precision = 1 / variance.clamp(max=WIDEST)
    total = (precision - 1).sum(0) + 1  # each posterior has the prior in it, which counts once
    return ((precision * mean).sum(0) / total).cpu().numpy()


def _compare_classes(model: VAE, image: Tensor, label: int) -> str:
    """What is wrong with an image (1, H, W) if another class explains it much better than its own."""
    classes = torch.arange(model.num_classes, device=model.device)
    evidence = model(image.expand(len(classes), -1, -1, -1), classes, fixed_generator()).elbo
    best = int(evidence.argmax())
    is_other = float(evidence[best] - evidence[label]) > UNLIKELY
    return f"it looks like {model.classes[best]!r}" if is_other else ""


@torch.no_grad()
def measure_frame(model: VAE) -> float:
    """Measure the longer side of the ink in a model's images.

    Args:
        model: In eval mode.

    Returns:
        Pixels, the median over the usual images of all classes.
    """
    labels = torch.arange(model.num_classes, device=model.device)
    images = model.decode_noise(torch.zeros(len(labels), model.latent_dim, device=model.device), labels)[:, 0].cpu()
    sizes = [max(np.ptp(np.argwhere(image > 0.5), axis=0), default=0) + 1 for image in images.numpy()]
    return float(np.median(sizes))


def form(ink: np.ndarray, size: tuple[int, int], side: float) -> np.ndarray:
    """Bring the ink of a letter into the form of a model's images.

    Args:
        ink: (h, w) in [0, 1], not all 0.
        size: (H, W) of the images.
        side: Of the ink in them, in pixels.

    Returns:
        (H, W) in [0, 1], the ink in the middle.
    """
    ink = ink / ink.max()  # a faint letter is no other letter
    places = np.argwhere(ink > 0.5)
    low, high = places.min(0), places.max(0) + 1
    scale = side / (high - low).max()
    top, left = (low + high) / 2 - np.array(size) / scale / 2
    box = (left, top, left + size[1] / scale, top + size[0] / scale)
    margin = int(np.ceil(max(size) / scale))
    large = Image.fromarray(np.pad(ink, margin).astype(np.float32))
    shape = (size[1], size[0])
    small = large.resize(shape, Image.Resampling.BICUBIC, tuple(side + margin for side in box), reducing_gap=None)
    return np.clip(np.asarray(small), 0, 1)


def draw_cut(letters: Sequence[Letter], page: np.ndarray) -> np.ndarray:
    """Draw how a picture was cut: the page with a box around each letter, and the letters in the model's form.

    Args:
        letters: In reading order.
        page: (H, W) in [0, 1], ink 1.

    Returns:
        A picture (H', W', 3) in [0, 1]; boxes of letters that are not used are red.
    """
    image = Image.fromarray(np.round(255 * (1 - page)).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for letter in letters:
        (height, width), piece = letter.piece.ink.shape, letter.piece
        box = (piece.left - 2, piece.top - 2, piece.left + width + 1, piece.top + height + 1)
        draw.rectangle(box, outline="crimson" if letter.fault else "seagreen", width=max(1, page.shape[1] // 500))
    upper = np.asarray(image, np.float32) / 255
    if not letters:
        return upper
    scale = max(1, 84 // letters[0].image.shape[0])
    tiles = [1 - letter.image.repeat(scale, 0).repeat(scale, 1)[..., None].repeat(3, 2) for letter in letters]
    captions = [letter.character + (" not used" if letter.fault else "") for letter in letters]
    lower = sheets.captioned(tiles, captions, columns=max(1, upper.shape[1] // (tiles[0].shape[1] + 40)))
    width = max(upper.shape[1], lower.shape[1])
    wide = [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=1) for part in (upper, lower)]
    return np.concatenate(wide)
