"""Images of each split above their reconstructions."""

from typing import ClassVar

from matplotlib.figure import Figure

from ldg.figures.layout import draw_rows
from ldg.figures.picture import Picture, Scene
from ldg.generation.latents import fixed_generator
from ldg.models.vae import unit


class Reconstructions(Picture):
    """Images of a split above their reconstructions from posterior means."""

    split: ClassVar[str]

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        images, labels = scene.examples(self.split, scene.images)
        model = scene.model
        x = unit(images).to(model.device)
        back = model.reconstruct(x, labels.to(model.device), fixed_generator())
        names = [model.classes[label] for label in labels.tolist()] if model.num_classes > 1 else None
        figure = draw_rows([x.cpu().numpy(), back.cpu().numpy()], ["original", "posterior\nmean"], names)
        return figure, f"Reconstructions, {self.split} images"


class ValReconstructions(Reconstructions):
    """Those of the val split, by which epochs and runs compare."""

    name = "reconstructions_val"
    title = "reconstructions, val images"
    rank = 2
    split = "val"


class TrainReconstructions(Reconstructions):
    """Those of the train split."""

    name = "reconstructions_train"
    title = "reconstructions, train images"
    rank = 3
    is_compared = False
    split = "train"


class TestReconstructions(Reconstructions):
    """Those of the test split, by the best weights."""

    name = "reconstructions_test"
    title = "reconstructions, test images"
    rank = 4
    when = "test"
    is_compared = False
    split = "test"
