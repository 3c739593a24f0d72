"""The page: four tabs around the functions of :mod:`ldg.demo.rendering`. It asks nothing of a network."""

import html
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read as gradio is imported

import gradio as gr
import numpy as np
import torch

from ldg.demo import rendering
from ldg.demo.directions import find_directions
from ldg.demo.plane import Plane
from ldg.demo.rendering import SHARPNESS, Model, make_options, to_html
from ldg.errors import UserError
from ldg.figures.strings import writable
from ldg.generation import hand, interpolate, latents, sheets, writer
from ldg.generation.alphabet import is_written, number_characters

TEXT = "The quick brown foxes"
LETTERS = "abc ABC 123"
DIRECTIONS = 6
REACH = 3.0  # of a direction, in standard deviations of a style
STEPS = 9  # images of an interpolation
SIZE = 50  # of a capital, pixels of the page
TILE = 100  # width of an image, pixels of the page
LONGEST = 400  # characters of a text
LARGEST = "20mb"  # of an uploaded picture
CANVAS = (900, 320)
LAST_SEED = 2**31
OWN = (
    "Use only your own hand, or one whose writer has agreed. The picture is read on the machine where this page runs, "
    "and is kept no longer than the page is open."
)
STYLE = """
.block.sheet { background: white; border-radius: 8px; padding: 12px; min-height: 48px; overflow-x: auto }
.sheet img { max-width: 100%; height: auto }
.sheet p { color: #555; margin: 0 0 8px }
.note { color: var(--body-text-color-subdued) }
.block.note:not(:has([role=status])) { display: none }
.directions .form { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)) }
@media (max-width: 640px) {
  .block.live { position: sticky; top: 0; z-index: 10; box-shadow: 0 2px 6px #0004 }
  .frames img { min-width: 640px }
  .tab-container button { padding: 0 8px }
}
"""


def build(models: Sequence[Model]) -> gr.Blocks:
    """Build the page.

    Args:
        models: The first is written with; all of them are compared. At least one.
    """
    model = models[0]
    with gr.Blocks(title="ldg: handwriting", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(f"## Written with {html.escape(model.name)}")
        with gr.Tab("Write"):
            _add_writing(model)
        with gr.Tab("Own hand"):
            _add_hand(model)
        with gr.Tab("Explore") as tab:
            _add_exploring(model, tab)
        with gr.Tab("Compare"):
            _add_comparing(models)
    return page


def launch(models: Sequence[Model], **options: Any) -> gr.Blocks:
    """Build the page, and serve it.

    Args:
        models: As for :func:`build`.
        options: Of gradio's ``launch``.

    Returns:
        The page.
    """
    torch.set_num_threads(1)  # images this small gain nothing from more
    page = build(models)
    fixed: dict[str, Any] = {"quiet": True, "ssr_mode": False, "footer_links": [], "max_file_size": LARGEST}
    # fonts of the system: none is fetched
    page.launch(
        css=STYLE,
        theme=gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("monospace",)),
        **fixed | options,
    )
    return page


def _connect(
    events: Any,
    function: Callable[..., tuple[Any, ...]],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
    is_live: bool = True,
) -> Any:
    """Show what a function of the inputs' values returns; of a mistake its line, in the last output, a note."""
    *_, note = outputs

    def handle(*values: Any) -> dict[gr.components.Component, Any]:
        try:
            for component, value in zip(inputs, values, strict=True):
                if value is None and isinstance(component, gr.Number | gr.Slider):
                    raise UserError(f"{component.label}: give a number")
            found = function(*values)
        except UserError as error:
            return {note: _line(str(error))}
        return {note: ""} | dict(zip(outputs, found, strict=False))

    return gr.on(
        events,
        handle,
        inputs,
        [*outputs],
        trigger_mode="always_last" if is_live else "once",
        show_progress="hidden" if is_live else "minimal",
        queue=not is_live,  # without the queue, an answer takes one request
        api_visibility="private",
    )


def _line(text: str) -> str:
    return f'<span role="status">{html.escape(text)}</span>'


def _note() -> gr.HTML:
    return gr.HTML(elem_classes="note", padding=False)


def _sheet(kind: str = "", value: str = "", **options: Any) -> gr.HTML:
    """White paper; ``live`` stays in sight on small screens, and ``frames`` are scrolled there."""
    return gr.HTML(value, elem_classes=["sheet", kind], padding=False, **options)


def _seed() -> gr.Number:
    return gr.Number(0, label="Seed", info="each number is another hand", precision=0, minimum=0, maximum=LAST_SEED)


def _legibility(temperature: float = writer.TEMPERATURE) -> gr.Slider:
    return gr.Slider(0, 1, round(1 - temperature, 2), label="Legibility", info="1 minus the temperature")


def _example(model: Model) -> str:
    classes = model.decoder.classes
    return writable(classes, TEXT) if is_written(classes) else ", ".join(classes[:4])


def _text(model: Model) -> gr.Textbox:
    what = "Text" if is_written(model.decoder.classes) else "Classes, separated by commas; a+b blends two"
    return gr.Textbox(_example(model), label=what, lines=2, max_length=LONGEST)


def _look() -> list[gr.Slider]:
    """Size, pen and slant of characters on a page."""
    return [
        gr.Slider(20, 100, SIZE, step=10, label="Size", info="of a capital, in pixels"),
        gr.Slider(0.5, 2, 1, label="Pen", info="times the hand's own"),
        gr.Slider(-30, 30, 0, step=1, label="Slant", info="degrees further to the right"),
    ]


def _draw(decoder: rendering.Decoder, text: str, options: writer.Options) -> str:
    return to_html(writer.write_sheet(decoder, text, 1, 1, options=options), text)


def _drawn_style(model: Model, seed: int) -> np.ndarray:
    return latents.draw_styles([0], model.decoder.latent_dim, int(seed))[0]


def _add_downloads(
    model: Model, save: Callable[..., Path], inputs: Sequence[gr.components.Component], note: gr.HTML, name: str
) -> None:
    """Buttons that make a file of the inputs' values and hand it out."""
    formats = rendering.FORMATS if writer.is_typeset(model.decoder) else (".png",)
    with gr.Row():
        for suffix in formats:
            label = "Font (.ttf)" if suffix == ".ttf" else suffix[1:].upper()
            button = gr.Button(label, size="sm", min_width=80)
            link = gr.DownloadButton(visible="hidden", elem_id=f"{name}{suffix.replace('.', '-')}")

            def make(*values: Any, suffix: str = suffix) -> tuple[str]:
                return (str(save(*values, suffix=suffix, folder=Path(tempfile.mkdtemp()))),)

            made = _connect(button.click, make, inputs, [link, note], is_live=False)
            # a mistake leaves the link without a file
            made.then(None, js=f"() => document.getElementById('{link.elem_id}')?.click()")


def _add_writing(model: Model) -> None:
    """A text in the style of a seed, moved along the model's main directions."""
    decoder, is_typeset = model.decoder, writer.is_typeset(model.decoder)
    directions = find_directions(decoder, min(DIRECTIONS, decoder.latent_dim))
    vectors = np.stack([direction.vector for direction in directions])
    text = _text(model)
    picture, note = _sheet("live"), _note()

    def chosen(text: str, seed: int, legibility: float, *values: float) -> tuple[str, writer.Options]:
        look, along = (values[:3], values[3:]) if is_typeset else ((SIZE, 1, 0), values)
        style = _drawn_style(model, seed) + np.array(along, np.float32) @ vectors
        return text, make_options(decoder, style, 1 - legibility, *look)

    def draw(*values: Any) -> tuple[str]:
        return (_draw(decoder, *chosen(*values)),)

    def save(*values: Any, **where: Any) -> Path:
        return rendering.save(decoder, *chosen(*values), family=f"Hand {int(values[1])}", **where)

    downloads = gr.Group()
    with gr.Row():
        seed = _seed()
        legibility = _legibility()
    another = gr.Button("Another hand", variant="primary")
    with gr.Row():
        look = _look() if is_typeset else []
    gr.Markdown("**The hand**, along the directions in which hands differ most, in standard deviations")
    with gr.Row(elem_classes="directions"):
        along = [
            gr.Slider(-REACH, REACH, 0, step=0.1, label=direction.name.capitalize(), min_width=200)
            for direction in directions
        ]
    inputs: list[Any] = [text, seed, legibility, *look, *along]
    with downloads:
        _add_downloads(model, save, inputs, note, "written")
    picture.value = draw(*(component.value for component in inputs))[0]
    _connect([component.change for component in inputs], draw, inputs, [picture, note])
    another.click(lambda seed: (int(seed or 0) + 1) % LAST_SEED, seed, seed, queue=False, api_visibility="private")


def _add_hand(model: Model) -> None:
    """A hand that is read from a picture or a drawing, and writes."""
    gr.Markdown(OWN)
    letters = gr.Textbox(LETTERS, label="The letters that are written there, in reading order", max_length=LONGEST)
    with gr.Tab("A picture"):
        upload = gr.Image(
            type="filepath", sources=["upload", "clipboard"], height=280, label="Dark ink on light paper", buttons=[]
        )
        read_upload = gr.Button("Read the picture", variant="primary")
    with gr.Tab("A drawing"):
        brush = gr.Brush(default_size=5, colors=["#000000"], default_color="#000000", color_mode="fixed")
        canvas = gr.Sketchpad(
            np.full((CANVAS[1], CANVAS[0], 3), 255, np.uint8),  # without paper, the pen has to be chosen first
            type="filepath",
            label="Write the letters with gaps between them",
            canvas_size=CANVAS,
            height=CANVAS[1] + 100,
            fixed_canvas=True,
            brush=brush,
            layers=False,
            transforms=(),
            format="png",
            buttons=[],
        )
        read_canvas = gr.Button("Read the drawing", variant="primary")
    found = _note()
    cut = _sheet(visible=False)
    style = gr.State()
    with gr.Column(visible=False) as writing:
        text = _text(model)
        picture, note = _sheet("live"), _note()
        downloads = gr.Group()
        with gr.Row():
            legibility = _legibility(writer.HAND_TEMPERATURE)
            look = _look()
    inputs: list[Any] = [text, style, legibility, *look]

    def chosen(text: str, style: np.ndarray, legibility: float, *look: Any) -> tuple[str, writer.Options]:
        return text, make_options(model.decoder, style, 1 - legibility, *look)

    def read(path: Any, letters: str, *settings: Any) -> tuple[Any, ...]:
        path = path["composite"] if isinstance(path, dict) else path
        shown, read_style, message = _read(model, path, letters)
        box = gr.update(value=to_html(shown, "how the picture was cut"), visible=True)
        if read_style is None:
            return box, gr.skip(), gr.skip(), gr.skip(), _line(message)
        drawn = _draw(model.decoder, *chosen(settings[0], read_style, *settings[1:]))
        return box, read_style, gr.update(visible=True), drawn, _line(message)

    def draw(*values: Any) -> tuple[str]:
        return (_draw(model.decoder, *chosen(*values)),)

    def save(*values: Any, **where: Any) -> Path:
        return rendering.save(model.decoder, *chosen(*values), family="Own hand", **where)

    with downloads:
        _add_downloads(model, save, inputs, note, "own")
    settings: list[Any] = [text, legibility, *look]
    for button, source in ((read_upload, upload), (read_canvas, canvas)):
        _connect(button.click, read, [source, letters, *settings], [cut, style, writing, picture, found], is_live=False)
    _connect([component.change for component in settings], draw, inputs, [picture, note])


def _read(model: Model, path: str | None, text: str) -> tuple[np.ndarray, np.ndarray | None, str]:
    """How a picture was cut, the style if it was read, and what is to be said of it."""
    vae = model.encoder
    if not writer.is_typeset(vae):
        raise UserError("a hand needs a model of written characters, and this one draws pictures")
    wanted = "".join(text.split())
    if not wanted:
        raise UserError("say which letters are written there, as in abc ABC 123")
    if unknown := sorted(set(wanted) - number_characters(vae.classes).keys()):
        raise UserError(f"the model has no class for {', '.join(unknown)}: leave it out of the letters")
    if not path:
        raise UserError("there is no picture yet: give one, or draw the letters")
    try:
        letters, page = hand.cut_letters(vae, path, text)
    except UserError as error:
        raise UserError(str(error).replace(path, "the file")) from None
    if len(letters) != len(wanted):
        message = f"{len(letters)} letters were found, and {len(wanted)} are named: letters must not touch"
        return hand.draw_cut(letters, page), None, message
    try:
        letters, style = hand.read_style(vae, letters, text)
    except UserError as error:
        return hand.draw_cut(letters, page), None, str(error)
    faults = [f"{letter.character} ({letter.fault})" for letter in letters if letter.fault]
    message = f"{len(wanted) - len(faults)} of {len(wanted)} letters are used"
    return hand.draw_cut(letters, page), style, message + (f"; not {', '.join(faults)}" if faults else "")


def _add_exploring(model: Model, tab: gr.Tab) -> None:
    """The latent map, test images, and classes between classes."""
    lock = threading.Lock()
    load = cache(Plane)

    def plane() -> Plane:
        with lock:
            return load(model.encoder)

    classes = list(model.decoder.classes)
    enlargement = max(1, round(SHARPNESS * TILE / model.decoder.image_shape[2]))
    nearest = "of the nearest point"
    gr.Markdown("### The latent space\nClick on the map, and the model draws what lies there.")
    with gr.Row():
        with gr.Column(scale=2):
            drawn = gr.Image(
                label="Latent map", show_label=False, interactive=False, buttons=[], format="png", elem_id="map"
            )
            caption = _note()
        with gr.Column(scale=1):
            which = gr.Dropdown([nearest, *classes], value=nearest, label="Class")
            there = _sheet()

    def show() -> tuple[Any, str]:
        return plane().picture, _line(plane().caption)

    def decode(which: str, event: gr.SelectData) -> dict[Any, str]:
        column, row, *_ = map(int, event.index)
        image, label = plane().decode(column, row, None if which == nearest else classes.index(which))
        tile = writer.tiles(model.decoder, image[None], writer.Options(scale=2 * enlargement))
        return {there: f"<p>{html.escape(classes[label])}</p>{to_html(tile[0], classes[label])}"}

    _connect(tab.select, show, [], [drawn, caption], is_live=False)
    drawn.select(decode, which, [there], show_progress="hidden", queue=False, api_visibility="private")

    gr.Markdown("### Between two test images")
    with gr.Row():
        first, second = (
            gr.Number(number, label=label, precision=0, minimum=0)
            for number, label in ((3, "First, by its number"), (14, "Second"))
        )
        button = gr.Button("Interpolate")
    row, said = _sheet("frames"), _note()

    def between(*numbers: int) -> tuple[str]:
        vae = model.encoder
        originals, labels = interpolate.read_test_images(vae, list(map(int, numbers)))
        frames = interpolate.between_images(vae, originals, labels, STEPS).cpu().numpy()
        summary = interpolate.draw_summary(originals.cpu().numpy(), frames, enlargement)
        return (to_html(summary, f"from test image {numbers[0]} to {numbers[1]}"),)

    _connect(button.click, between, [first, second], [row, said], is_live=False)

    gr.Markdown("### Between two classes")
    with gr.Row():
        a = gr.Dropdown(classes, value=classes[-1], label="First class")
        b = gr.Dropdown(classes, value=classes[0], label="Second class")
        seed, legibility = _seed(), _legibility()

    def blend(a: str, b: str, seed: int, legibility: float) -> tuple[str]:
        images = rendering.blend(model.decoder, classes.index(a), classes.index(b), int(seed), 1 - legibility, STEPS)
        tiles = writer.tiles(model.decoder, images, writer.Options(scale=enlargement))
        drawn = sheets.captioned(tiles, sheets.percentages(STEPS), columns=STEPS)
        return (to_html(drawn, f"from {a} to {b}"),)

    inputs: list[Any] = [a, b, seed, legibility]
    blended, noted = _sheet("frames", blend(*(component.value for component in inputs))[0]), _note()
    _connect([component.change for component in inputs], blend, inputs, [blended, noted])


def _add_comparing(models: Sequence[Model]) -> None:
    """One text, as each model writes it."""
    if len(models) == 1:
        gr.Markdown("Here several runs write the same text: `ldg demo RUN RUN ...` names them.")
    text = _text(models[0])
    with gr.Row():
        seed, legibility = _seed(), _legibility()
    inputs: list[Any] = [text, seed, legibility]

    def draw(model: Model, text: str, seed: int, legibility: float) -> tuple[str]:
        options = make_options(model.decoder, _drawn_style(model, seed), 1 - legibility, SIZE, 1, 0)
        return (_draw(model.decoder, text, options),)

    start = [component.value for component in inputs]
    for model in models:
        gr.Markdown(f"**{html.escape(model.name)}**")
        picture, note = _sheet(), _note()
        try:
            picture.value = draw(model, *start)[0]
        except UserError as error:
            note.value = _line(str(error))
        _connect([component.change for component in inputs], partial(draw, model), inputs, [picture, note])
