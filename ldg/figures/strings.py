"""Generated images: a text in several styles, or a sheet of classes."""

import numpy as np
import torch
from matplotlib.figure import Figure

from ldg.errors import UserError
from ldg.figures.layout import MAX_COLUMNS, ROWS, draw_alone, draw_noise, draw_rows, enlargement
from ldg.figures.picture import Picture, Scene
from ldg.generation import sheets, writer
from ldg.generation.alphabet import is_written, parse
from ldg.generation.decoder import as_decoder
from ldg.models.vae import VAE

TEXT = "Hello World 2468"


def writable(classes: tuple[str, ...], text: str) -> str:
    """A text that classes can write.

    Args:
        classes: characters
        text: the preferred text

    Returns:
        ``text``, or all characters, where some of it has no class.
    """
    try:
        parse(text, classes)
    except UserError:
        return "".join(classes)
    return text


class Strings(Picture):
    """The gallery's text, one style per row; a sheet of classes where these are no characters.

    A model without conditioning generates samples from the prior.
    """

    name = "strings"
    title = "samples"
    rank = 1
    is_animated = True

    def draw(self, scene: Scene) -> tuple[Figure, str]:
        """As :meth:`Picture.draw`."""
        model = scene.model
        if model.conditioning == "none":
            picture = writer.samples(model, ROWS, MAX_COLUMNS, scale=enlargement(model.image_shape[2]))
            return draw_alone(picture), "Samples from the prior"
        if not is_written(model.classes):
            return _draw_classes(model), "The same noise in each row, one class per column"
        text = scene.text or writable(model.classes, TEXT)
        options = writer.Options(scale=3, width=0)
        decoder = as_decoder(model)
        lines = [writer.write(decoder, text, seed=seed, **vars(options)) for seed in range(ROWS)]
        return draw_alone(sheets.sheet(lines, columns=1, padding=24)), f"“{text}” in {ROWS} styles"


def _draw_classes(model: VAE) -> Figure:
    chosen = np.unique(np.linspace(0, model.num_classes - 1, min(MAX_COLUMNS, model.num_classes)).astype(int))
    labels = torch.from_numpy(chosen)
    z = draw_noise(model, ROWS)
    rows = [model.decode_noise(z[i].expand(len(labels), -1), labels.to(z.device)).cpu().numpy() for i in range(ROWS)]
    return draw_rows(rows, [""] * ROWS, [model.classes[c] for c in chosen])
