"""What the page shows and hands out: pictures of texts, files, and a hand that was read."""

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ldg.errors import UserError
from ldg.files import whole
from ldg.generation import decoder as decoders
from ldg.generation import latents, picture, typeset, writer
from ldg.generation.decoder import Decoder
from ldg.models.vae import VAE

SHARPNESS = 2  # pixels of a picture for one of the page, as screens have them
LINE = 1500  # pixels of a picture, at which lines of characters are broken
ALTERNATES = 5  # drawings of a character in a font
FORMATS = (".png", ".svg", ".pdf", ".ttf")


@dataclass(frozen=True)
class Model:
    """A model of the page.

    Attributes:
        name: That people read.
        decoder: Which writes.
        vae: Which encodes as well; None of an ``.onnx`` file.
    """

    name: str
    decoder: Decoder
    vae: VAE | None

    @property
    def encoder(self) -> VAE:
        """The whole model.

        Raises:
            UserError: Of an ``.onnx`` file.
        """
        if self.vae is None:
            raise UserError(f"{self.name} has only the decoder: start ldg demo with a run, .ckpt or .safetensors file")
        return self.vae


def load_model(path: str | Path, name: str) -> Model:
    """Load a model that writes texts.

    Args:
        path: As for :func:`ldg.checkpoint.find`.
        name: That people read.

    Raises:
        UserError: As :func:`ldg.generation.decoder.load`, and for an unconditional model.
    """
    loaded = decoders.load(path)
    if loaded.conditioning == "none":
        raise UserError(f"{path} was trained without labels (conditioning=none): name a run that writes a given text")
    decoder = decoders.as_decoder(loaded)
    return Model(name, decoder, None if decoder is loaded else loaded)  # type: ignore[arg-type]


def make_options(
    decoder: Decoder, hand: np.ndarray, temperature: float, size: float, pen: float, slant: float
) -> writer.Options:
    """Make options of writing.

    Args:
        decoder: Which writes; where it does not write characters, only the hand and the temperature count.
        hand: The style (D,).
        temperature: See :class:`ldg.generation.writer.Options`.
        size: Of a capital, pixels of the page.
        pen: As the temperature.
        slant: As the temperature.
    """
    if not writer.is_typeset(decoder):
        return writer.Options(hand=hand, temperature=temperature)
    scale = max(1, round(size * SHARPNESS / typeset.CAPITAL))
    width = max(1, round(LINE / (typeset.ADVANCE * typeset.CAPITAL * scale)))
    return writer.Options(hand=hand, temperature=temperature, scale=scale, width=width, pen=pen, slant=slant)


def save(decoder: Decoder, text: str, options: writer.Options, suffix: str, folder: Path, family: str) -> Path:
    """Write a text, or the font of its hand, as a file.

    Args:
        decoder: Which writes.
        text: See :func:`ldg.generation.writer.write`.
        options: Of writing; a font has the hand and the temperature.
        suffix: One of FORMATS.
        folder: Of the file.
        family: The font's name.

    Raises:
        UserError: As :func:`ldg.generation.writer.write_vectors` and :func:`ldg.generation.font.build`.
    """
    path = folder / f"{picture.slug(family if suffix == '.ttf' else text)}{suffix}"
    if suffix == ".png":
        picture.save(writer.write_sheet(decoder, text, 1, 1, options=options), path)
    elif suffix == ".ttf":
        from ldg.generation import font

        characters, images = writer.draw_alternates(
            decoder, ALTERNATES, temperature=options.temperature, hand=options.hand
        )
        made = font.build(characters, images, family, "Handwriting by ldg.")
        with whole(path) as temporary:
            made.file.save(temporary)
    else:
        content, _ = writer.write_vectors(decoder, text, suffix, options=options)
        picture.save_content(content, path)
    return path


def blend(decoder: Decoder, first: int, last: int, seed: int, temperature: float, steps: int) -> np.ndarray:
    """Decode one style from a class to another.

    Args:
        decoder: Which decodes.
        first: Index of a class.
        last: Index of the other.
        seed: Of the style.
        temperature: See :meth:`Decoder.write`.
        steps: N images, at least 2.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    each = np.eye(decoder.num_classes, dtype=np.float32)
    return decoder.write(
        latents.draw_styles([0] * steps, decoder.latent_dim, seed), (1 - t) * each[first] + t * each[last], temperature
    )


def to_html(drawn: np.ndarray, description: str) -> str:
    """A picture within HTML, which takes no second request.

    Args:
        drawn: (H, W) or (H, W, 3) in [0, 1].
        description: For those who do not see it.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.round(255 * drawn).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    content = base64.b64encode(buffer.getvalue()).decode()
    width = round(drawn.shape[1] / SHARPNESS)
    return f'<img alt="{html.escape(description)}" width="{width}" src="data:image/png;base64,{content}">'
