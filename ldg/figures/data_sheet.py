"""A sheet of training images."""

from matplotlib.figure import Figure

from ldg.figures.layout import MAX_COLUMNS, draw_alone, enlargement
from ldg.figures.picture import Picture, Scene
from ldg.generation import sheets
from ldg.models.vae import unit


class DataSheet(Picture):
    """Six rows of training images, spread over the classes."""

    name = "data"
    title = "training images"
    rank = 0
    when = "start"
    is_compared = False

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        images, labels = scene.examples("train", 6 * MAX_COLUMNS)
        columns = min(MAX_COLUMNS, len(images))
        picture = sheets.grid(unit(images).numpy(), columns, scale=enlargement(images.shape[3]))
        return draw_alone(picture), f"Training images, {len(labels.unique())} of {scene.model.num_classes} classes"
