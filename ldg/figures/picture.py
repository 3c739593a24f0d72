"""The interface of a picture in the gallery, and the list of all of them."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import ClassVar, Literal

from matplotlib.figure import Figure
from torch import Tensor

import ldg.figures
from ldg.models.vae import VAE


class Scene:
    """What pictures show: a model, its data, and the settings of the gallery.

    Args:
        model: in eval mode
        examples: takes a split and a number; returns uint8 images (N, C, H, W) and labels (N,), always the same ones
        text: what is written; None: a text that the classes can write
        images: examples in a row
    """

    def __init__(
        self,
        model: VAE,
        examples: Callable[[str, int], tuple[Tensor, Tensor]],
        text: str | None = None,
        images: int = 12,
    ) -> None:
        self.model = model
        self.examples = examples
        self.text = text
        self.images = images


class Picture(ABC):
    """A picture of the gallery. A subclass in a file of ``ldg/figures`` is all that a new one needs.

    Attributes:
        name: of its file in the gallery, and of its panel in W&B (there after ``gallery/``)
        title: what people read
        rank: place in lists; those of equal rank are sorted by name
        when: ``start``: before training; ``epoch``: while the model is trained; ``test``: after the test
        is_compared: whether pages that compare runs show it
        is_animated: whether its epochs also become a GIF
    """

    name: ClassVar[str]
    title: ClassVar[str]
    rank: ClassVar[int] = 100
    when: ClassVar[Literal["start", "epoch", "test"]] = "epoch"
    is_compared: ClassVar[bool] = True
    is_animated: ClassVar[bool] = False

    def applies_to(self, model: VAE) -> bool:
        """Whether the picture can be drawn of a model."""
        return True

    @abstractmethod
    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """Draw the picture.

        Args:
            scene: the model and what to show of it

        Returns:
            The figure, without a title, and its caption.
        """


@cache
def list_pictures() -> dict[str, Picture]:
    """All pictures of the gallery by name, in the order of their ranks: the subclasses of Picture in this package."""
    pictures: list[Picture] = []
    for module in pkgutil.iter_modules(ldg.figures.__path__, "ldg.figures."):
        for member in vars(importlib.import_module(module.name)).values():
            if not (isinstance(member, type) and issubclass(member, Picture) and member.__module__ == module.name):
                continue
            if hasattr(member, "name"):  # a base class of several has none
                pictures.append(member())
    return {picture.name: picture for picture in sorted(pictures, key=lambda picture: (picture.rank, picture.name))}
