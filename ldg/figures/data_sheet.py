"""A sheet of training images."""

import math

from matplotlib.figure import Figure

from ldg.figures.layout import MAX_COLUMNS, WIDTH, draw_alone, enlargement
from ldg.figures.picture import Picture, Scene
from ldg.generation import sheets
from ldg.generation.alphabet import is_written
from ldg.models.vae import unit

LONGEST = 12  # characters of a name that have room below an image


class DataSheet(Picture):
    """Six rows of training images, spread over the classes; classes that are words are named below."""

    name = "data"
    title = "training images"
    rank = 0
    when = "start"
    is_compared = False

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        images, labels = scene.examples("train", 6 * MAX_COLUMNS)
        columns = min(MAX_COLUMNS, len(images))
        classes = scene.model.classes
        if len(classes) == 1 or is_written(classes):
            picture = sheets.grid(unit(images).numpy(), columns, scale=enlargement(images.shape[3]))
        else:
            scale = math.ceil(WIDTH / images.shape[3])  # no narrower than a name
            pictures = sheets.on_paper(unit(images).numpy()).repeat(scale, axis=1).repeat(scale, axis=2)
            picture = sheets.captioned(list(pictures), [_shorten(classes[c]) for c in labels], columns)
        return draw_alone(picture), f"Training images, {len(labels.unique())} of {len(classes)} classes"


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1].rstrip()}…"
