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
from ldg.generation import sheets, writer
from ldg.generation.alphabet import Cell, Page, parse, soft_labels
from ldg.models.classifier import Classifier
from ldg.models.vae import VAE

Along = Literal["both", "label", "code"]
TITLES = {"both": "label and code", "label": "label alone", "code": "code alone"}
DPI = 100
IMAGES = 200  # of a class, from which its codes are estimated


class Codes(NamedTuple):
    """The codes of classes as normal distributions with independent dimensions, ``mean`` and ``std`` (K, D) each.

    They are fitted to what the encoder makes of real images, its doubt included (Ghosh et al. 2020, From variational to
    deterministic autoencoders, section 4), seen as the prior's noise; rows of classes that were not asked for are NaN.
    """

    mean: Tensor
    std: Tensor

    def draw(self, shares: Tensor, noise: Tensor) -> Tensor:
        """Codes (N, D) that belong to classes by ``shares`` (N, K), rows summing to 1, from noise (N, D)."""
        asked = shares.any(dim=0)  # 0 times NaN would be NaN
        shares = shares[:, asked]
        return shares @ self.mean[asked] + (shares @ self.std[asked]) * noise


@torch.no_grad()
def class_codes(model: VAE, data: ImageDataModule, classes: Sequence[int], images: int = IMAGES) -> Codes:
    """The codes of some classes, each from up to so many of its training images.

    Raises:
        UserError: for a class without images.
    """
    mean = torch.full((model.num_classes, model.latent_dim), torch.nan)
    std = mean.clone()
    for index in dict.fromkeys(classes):
        places = (data.train.labels == index).nonzero()[:images, 0]
        if not len(places):
            raise UserError(f"there is no training image of {model.classes[index]!r}: its code is unknown")
        x, labels = data.train[places]
        z = model.encode(x, labels).sample(torch.Generator().manual_seed(index))
        behind, _ = model.prior.inverse(z, model.conditions(labels)[1])
        mean[index], std[index] = behind.mean(0), behind.std(0, correction=0)
    return Codes(mean, std)


def read(model: VAE, text: str, options: writer.Options) -> Page:
    """The page that ``text`` asks for, also of a model without labels, whose codes alone can be mixed."""
    return parse(text, model.classes, options.width, options.mix)


def shares(cells: Sequence[Cell], num_classes: int, along: Along) -> tuple[Tensor, Tensor]:
    """Labels and shares of the code, (N, K) each: what is not mixed ``along`` the way stays the first parent's."""
    if along not in get_args(Along):
        raise UserError(f"along must be one of {', '.join(get_args(Along))}, got {along!r}")
    mixed = torch.from_numpy(soft_labels(cells, num_classes))
    first = torch.zeros_like(mixed)
    first[range(len(cells)), [cell.mixture[0][0] for cell in cells]] = 1
    return (first if along == "code" else mixed), (first if along == "label" else mixed)


@torch.no_grad()
def draw(model: VAE, codes: Codes, cells: Sequence[Cell], noise: Tensor, along: Along = "both") -> Tensor:
    """Images (N, C, H, W) in [0, 1] of cells, each one class or two mixed, from standard normal noise (N, D).

    What the code is of, the prior is told; what the label is, the decoder.
    """
    labels, of_code = shares(cells, model.num_classes, along)
    z = model.prior(codes.draw(of_code, noise), model.conditions(of_code)[1])
    return model.decode(z, labels)


def write(
    model: VAE, codes: Codes, page: Page, options: writer.Options, seed: int = 0, along: Along = "both"
) -> np.ndarray:
    """A captioned sheet (H, W) or (H, W, 3) of a page of classes and blends of two."""
    cells = writer.inked(page)
    numbers = writer.latents.groups(page, options.style)
    noise = writer.latents.draw(numbers, model.latent_dim, seed, options.temperature)
    images = draw(model, codes, cells, noise, along)
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
    noise: Tensor,
    along: Along | None = None,
    judge: Classifier | None = None,
) -> list[Way]:
    """The way from one parent to the other of every pair on the page, in so many steps, all from one noise (D,).

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
            frames = draw(model, codes, way, noise.expand(steps, -1), kind)
            seen = judge(frames).softmax(1)[:, [a, b]] if judge else None
            found.append(Way(TITLES[kind], (model.classes[a], model.classes[b]), frames, seen))
    return found


def picture(model: VAE, found: Sequence[Way], options: writer.Options) -> np.ndarray:
    """Ways one under the other (H, W, 3) in [0, 1], each with its shares and the judge's probabilities below."""
    rows = [np.concatenate(writer.tiles(model, way.frames.numpy(), options), axis=1) for way in found]
    steps, (height, width) = len(found[0].frames), rows[0].shape[:2]
    plot = 0.9 if found[0].probabilities is not None else 0.0
    size = (max(5.0, width / DPI) + 2.0, len(found) * (height / DPI + plot + 0.75))
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
