"""What lies between two classes: their labels and their codes, mixed together or apart."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import make_axes_locatable
from torch import Tensor

from ldg.data.module import ImageDataModule
from ldg.errors import UserError
from ldg.generation import latents, sheets, writer
from ldg.generation.alphabet import Cell, Mixture, Page, parse, soft_labels
from ldg.models.classifier import Classifier
from ldg.models.vae import VAE

Along = Literal["both", "label", "code"]
TITLES = {"both": "label and code", "label": "label alone", "code": "code alone"}
DPI = 100
IMAGES = 200  # of a class and split, more of which would change its mean code little


class Codes(NamedTuple):
    """What the encoder makes of real images of classes, seen as the prior's noise.

    ``mean`` (K, D): the mean code of a class, NaN where it was not asked for. ``away``: by class, the way (N, D) from
    its mean to the codes of test images, the most typical image first.
    """

    mean: Tensor
    away: dict[int, Tensor]

    def draw(self, mixture: Mixture, number: int = 0, temperature: float = 1.0) -> Tensor:
        """The code (D,) of one class, or between two by their shares: of their means and test images ``number``.

        At a temperature of 1 the codes of both images are its ends, at 0 the mean codes. Means are mixed linearly;
        what is an image's own, spherically, as its norm is what gives a picture its contrast.
        """
        own = [self.away[index][number % len(self.away[index])] for index, _ in mixture]
        mean = sum(share * self.mean[index] for index, share in mixture)
        return mean + temperature * (own[0] if len(own) == 1 else latents.slerp(own[0], own[1], mixture[1][1]))


@torch.no_grad()
def class_codes(model: VAE, data: ImageDataModule, classes: Sequence[int], images: int = IMAGES) -> Codes:
    """The codes of some classes, each from up to so many of its training images, and of its test images.

    Raises:
        UserError: for a class without images.
    """

    def encoded(split: str, index: int) -> Tensor:
        subset = getattr(data, split)
        places = (subset.labels == index).nonzero()[:images, 0]
        if not len(places):
            raise UserError(f"there is no {split} image of {model.classes[index]!r}: its code is unknown")
        x, labels = subset[places]
        return model.prior.inverse(model.encode(x, labels).mean, model.conditions(labels)[1])[0]

    codes = Codes(torch.full((model.num_classes, model.latent_dim), torch.nan), {})
    for index in set(classes):
        codes.mean[index] = encoded("train", index).mean(0)
        away = encoded("test", index) - codes.mean[index]
        codes.away[index] = away[away.norm(dim=1).argsort(stable=True)]
    return codes


def read(model: VAE, text: str, options: writer.Options) -> Page:
    """The page that ``text`` asks for, also of a model without labels, whose codes alone can be mixed."""
    return parse(text, model.classes, options.width, options.mix)


@torch.no_grad()
def draw(
    model: VAE, codes: Codes, cells: Sequence[Cell], numbers: Sequence[int], temperature: float, along: Along = "both"
) -> Tensor:
    """Images (N, C, H, W) in [0, 1] of cells, each one class or two mixed, between test images ``numbers``.

    What is not mixed ``along`` the way stays the first parent's. What the code is of, the prior is told; what the
    label is, the decoder.
    """
    if along not in get_args(Along):
        raise UserError(f"along must be one of {', '.join(get_args(Along))}, got {along!r}")
    first = [Cell(cell.name, ((cell.mixture[0][0], 1.0),)) for cell in cells]
    of_label, of_code = (first if along == "code" else cells), (first if along == "label" else cells)
    labels, shares = (torch.from_numpy(soft_labels(of, model.num_classes)) for of in (of_label, of_code))
    noise = [codes.draw(cell.mixture, number, temperature) for cell, number in zip(of_code, numbers, strict=True)]
    return model.decode(model.prior(torch.stack(noise), model.conditions(shares)[1]), labels)


def write(
    model: VAE, codes: Codes, page: Page, options: writer.Options, seed: int = 0, along: Along = "both"
) -> np.ndarray:
    """A captioned sheet (H, W) or (H, W, 3) of a page of classes and blends of two, from test images ``seed`` on."""
    cells = writer.inked(page)
    numbers = [seed + number for number in latents.groups(page, options.style)]
    images = draw(model, codes, cells, numbers, options.temperature, along)
    captions = [cell.name for cell in cells]
    return sheets.captioned(writer.tiles(model, images.numpy(), options), captions, max(map(len, page)))


class Way(NamedTuple):
    """Frames (N, C, H, W) in [0, 1] between the classes ``ends``, and what a judge sees of both in them, (N, 2)."""

    title: str
    ends: tuple[str, str]
    frames: Tensor
    probabilities: Tensor | None


@torch.no_grad()
def ways(
    model: VAE,
    codes: Codes,
    page: Page,
    steps: int,
    seed: int = 0,
    temperature: float = 1.0,
    along: Along | None = None,
    judge: Classifier | None = None,
) -> list[Way]:
    """The way from one parent to the other of every pair on the page, in so many steps, between test images ``seed``.

    Of a single pair all ways there are, unless ``along`` names one; of several, the way of label and code together.

    Raises:
        UserError: if a cell of the page is no pair.
    """
    cells = writer.inked(page)
    if single := next((cell.name for cell in cells if len(cell.mixture) != 2), None):
        raise UserError(f"--steps draws the way between two classes, as in 'a+b'; {single!r} is one")
    kinds: Sequence[Along] = [along or "both"]
    if model.conditioning == "none":
        kinds = ["code"]
    elif along is None and len(cells) == 1:
        kinds = get_args(Along)
    found = []
    for cell in cells:
        (a, _), (b, _) = cell.mixture
        way = [Cell("", ((a, 1 - t), (b, t))) for t in torch.linspace(0, 1, steps).tolist()]
        for kind in kinds:
            frames = draw(model, codes, way, [seed] * steps, temperature, kind)
            seen = judge(frames).softmax(1)[:, [a, b]] if judge else None
            found.append(Way(TITLES[kind], (model.classes[a], model.classes[b]), frames, seen))
    return found


def picture(model: VAE, found: Sequence[Way], options: writer.Options) -> np.ndarray:
    """Ways one under the other (H, W, 3) in [0, 1], each with its shares and the judge's probabilities below."""
    rows = [np.concatenate(writer.tiles(model, way.frames.numpy(), options), axis=1) for way in found]
    steps, (height, width) = len(found[0].frames), rows[0].shape[:2]
    plot = 0.9 if found[0].probabilities is not None else 0.0
    legend = 1.3 + 0.085 * max(len(name) for way in found for name in way.ends)
    size = (max(5.0, width / DPI) + legend, len(found) * (height / DPI + plot + 0.75))
    figure = Figure(figsize=size, dpi=DPI, layout="tight")
    FigureCanvasAgg(figure)
    for top, row, way in zip(figure.subplots(len(found), 1, squeeze=False)[:, 0], rows, found, strict=True):
        top.imshow(row, cmap="gray", vmin=0, vmax=1, extent=(-0.5, steps - 0.5, 0, 1))
        top.set_aspect(height / width * steps)
        top.set_title(f"{way.ends[0]} → {way.ends[1]}: {way.title}", fontsize=11)
        top.set(yticks=[], xticks=range(steps), xticklabels=[f"{t:.0%}" for t in np.linspace(0, 1, steps)])
        top.tick_params(length=0)
        top.spines[:].set_visible(False)
        if way.probabilities is not None:
            below = make_axes_locatable(top).append_axes("bottom", plot, pad=0.35)  # as wide as the frames
            for name, column in zip(way.ends, way.probabilities.T.tolist(), strict=True):
                below.plot(range(steps), column, marker="o", markersize=4, label=name)
            below.set(xlim=(-0.5, steps - 0.5), xticks=[], ylabel="judge")
            below.set_ylim(bottom=0)
            below.spines[["top", "right"]].set_visible(False)
            below.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba(), np.float32)[:, :, :3] / 255  # type: ignore[attr-defined]
