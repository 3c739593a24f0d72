"""Style and content apart: does the style of a real image arrive in another class, and is that class then read?"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ldg.data import strokes
from ldg.evaluation.class_accuracy import count_predictions, count_real, weighted_accuracy
from ldg.evaluation.context import BATCH, EvaluationContext, Skipped, batches
from ldg.evaluation.measure import Count, Measure, Quantity, Result, Temperature
from ldg.generation import ink
from ldg.generation.writer import is_typeset
from ldg.models.style import StyleSpace
from ldg.models.vae import VAE, unit

TRAITS = ("pen", "slant", "size")
ENLARGED = 4  # times, for the width of a pen of about two pixels
FEWEST = 5  # images of a class, for the mean and the deviation of its traits


def traits(images: Tensor) -> np.ndarray:
    """Measure the pen, the slant and the size of the ink in images.

    Args:
        images: (N, 1, H, W), uint8 or float in [0, 1], ink 1

    Returns:
        (N, 3): the width of the strokes in pixels (twice the ink over the length of its edge), the slant in columns to
        the right for each row upwards (of second moments), and the root mean square distance of the ink from its
        centre in pixels; of an image without ink zeros.
    """
    return np.concatenate([_traits(unit(batch)) for batch in images.split(BATCH)])


def _traits(x: Tensor) -> np.ndarray:
    large = F.interpolate(x, scale_factor=ENLARGED, mode="bicubic", align_corners=False).clamp(0, 1)[:, 0]
    down, right = torch.gradient(large, dim=(1, 2))
    edge = torch.hypot(down, right).sum((1, 2)).clamp(min=ink.FAINT)
    pen = 2 * large.sum((1, 2)) / edge / ENLARGED
    mass = x[:, 0] / x.sum((1, 2, 3)).clamp(min=ink.FAINT)[:, None, None]
    rows, columns = (torch.arange(size, dtype=x.dtype, device=x.device) for size in x.shape[2:])
    rows = rows - torch.einsum("nhw,h->n", mass, rows)[:, None]
    columns = columns - torch.einsum("nhw,w->n", mass, columns)[:, None]
    across, tall, wide = (torch.einsum("nhw,nh,nw->n", mass, rows**i, columns**j) for i, j in ((1, 1), (2, 0), (0, 2)))
    slant = -across / tall.clamp(min=1.0)
    return torch.stack([pen, slant, (tall + wide).sqrt()], dim=1).cpu().numpy()


class Norm:
    """What is usual for each class: a trait counts in deviations from the mean of its class.

    Args:
        traits: of real images, (N, T)
        labels: (N,)
    """

    def __init__(self, traits: np.ndarray, labels: np.ndarray) -> None:
        classes = range(int(labels.max()) + 1)
        groups = [traits[labels == label] for label in classes]
        everything = traits.std(0)
        self.mean = np.stack([group.mean(0) if len(group) else np.full(len(everything), np.nan) for group in groups])
        self.deviation = np.stack([group.std(0) if len(group) >= FEWEST else everything for group in groups])

    def __call__(self, traits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Standardise traits (N, T) by the mean and the deviation of their classes (N,)."""
        return (traits - self.mean[labels]) / np.maximum(self.deviation[labels], 1e-9)


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The correlations of the columns of two matrices (N, T), (T,)."""
    a, b = (x - x.mean(0) for x in (first, second))
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)).clip(1e-12)


def choose_others(labels: Tensor, classes: Tensor, generator: torch.Generator) -> Tensor:
    """Choose for each image another class at random.

    Args:
        labels: of the images, (N,)
        classes: to choose from, ascending, each label among them
        generator: of the choice

    Returns:
        Classes (N,).

    Raises:
        Skipped: if there is one class.
    """
    if len(classes) < 2:
        raise Skipped("a style goes from one class to another: there are test images of one class")
    numbers = torch.randint(len(classes) - 1, labels.shape, generator=generator)
    return classes[numbers + (numbers >= torch.searchsorted(classes, labels)).long()]


def _is_strokes(model: VAE) -> bool:
    return model.config.get("data", {}).get("dataset", {}).get("_target_") == f"{strokes.__name__}.Strokes"


def _drawn_by_one_hand(labels: np.ndarray, others: np.ndarray, norm: Norm) -> dict[str, float]:
    """What characters reach that are drawn with the same pen and the same slant."""
    pens, slants = strokes.choose_hands(len(labels), np.random.default_rng(0))
    drawn = [
        norm(traits(torch.from_numpy(strokes.draw_characters(classes, (seed,), pens, slants))), classes)
        for seed, classes in enumerate((labels, others))
    ]
    return dict(zip(TRAITS[:2], map(float, correlations(*drawn)), strict=False))


class Style(Measure):
    """Real images written again as other classes, in their style.

    Each image of ``pairs`` random test images is encoded with its label and decoded in a random other class with the
    same style (:class:`ldg.models.style.StyleSpace`). A judge reads the results; of characters, pen, slant and size of
    source and result are correlated. Letters differ in slant and size whoever writes them, so that a trait counts in
    standard deviations from the mean of its class among real test images: a copy of the source would not score. The
    references are characters of :class:`ldg.data.strokes.Strokes` drawn with one pen and one slant.

    Args:
        pairs: images and classes
        temperature: see :meth:`ldg.models.style.StyleSpace.latents`
    """

    quantities = (
        Quantity("style_accuracy", "class accuracy in a given style", "", "higher", "bar"),
        *(Quantity(f"style_{trait}", f"style kept: {trait}", "", "higher", "bar") for trait in TRAITS),
    )

    def __init__(self, pairs: Count = 3000, temperature: Temperature = 0.9) -> None:
        self.pairs = pairs
        self.temperature = temperature

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        context.require_labels()
        images, labels = context.images("test", self.pairs)
        generator = context.generator("style")
        others = choose_others(labels, context.data.test.labels.unique(), generator)
        results = torch.cat(list(self._transfer(context, images, labels, others, generator)))
        confusion = count_predictions(context.judge, results.split(BATCH), others, "reading transferred styles")
        real, _ = weighted_accuracy(count_real(context))
        values = {"style_accuracy": self.value("style_accuracy", *weighted_accuracy(confusion), reference=real)}
        if is_typeset(context.model) and len(images) > 2:
            norm = Norm(traits(context.images("test")[0]), context.images("test")[1].numpy())
            kept = correlations(norm(traits(images), labels.numpy()), norm(traits(results), others.numpy()))
            errors = (1 - kept**2) / np.sqrt(len(images) - 1)  # of a correlation of normal variables
            drawn = _drawn_by_one_hand(labels.numpy(), others.numpy(), norm) if _is_strokes(context.model) else {}
            for trait, value, error in zip(TRAITS, kept, errors, strict=True):
                name = f"style_{trait}"
                values[name] = self.value(name, float(value), float(error), reference=drawn.get(trait))
        return Result(f"{len(images):,} test images, each as another class, temperature {self.temperature:g}", values)

    @torch.no_grad()
    def _transfer(
        self, context: EvaluationContext, images: Tensor, labels: Tensor, others: Tensor, generator: torch.Generator
    ) -> Iterator[Tensor]:
        space = StyleSpace(context.model)
        targets = iter(others.to(context.device).split(BATCH))
        for x, c in batches(context.model, images, labels, "styles"):
            other = next(targets)
            styles, _ = space.styles(context.model.encode(x, c, generator), c)
            yield context.model.decode(space.latents(styles, other, self.temperature), other).cpu()
