r"""Write a text with a trained model.

ldg write "Hello, World!"                          hello-world.png, by the newest finished run
ldg write "Hello\nthere" -s note --seed 3          two lines, note.png, another handwriting style
ldg write Hello --rows 5 --columns 3               a sheet of 15 renderings
ldg write Hello -s hello.svg --height 10mm         outlines, capitals 10 mm tall
ldg write --file letter.txt --page A4 -s letter.pdf    a text file, on sheets of paper
ldg write Hello --to World                         hello-to-world.gif, a morph
ldg write --interpolate 3 14                       between two test images of the model's data set
ldg write "Sneaker, Bag+Pullover" --mix 0.3        where classes are words; + blends two, by label and by code
ldg write "Chihuahua+pug" --steps 7 --judge        from one class to the other, and what a judge recognises
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.commands.cli import Parser, number
from ldg.commands.hand import add_hand, check_hand, choose_cut, read_style
from ldg.commands.model import add_model, add_style, choose_temperature, loaded
from ldg.config.home import command
from ldg.errors import UserError, describe_os_error
from ldg.files import look
from ldg.generation import paper, picture

if TYPE_CHECKING:
    import numpy as np

    from ldg.generation.writer import Options
    from ldg.models.vae import VAE

ACCURACY = 0.5  # of the width of a text that is not drawn yet: characters differ
DEFAULTS = {"style": "shared", "layout": "baseline", "seed": 0}
# options that mean something only beside another
NEEDS = {"frames": "to", "judge": "steps"}
SETTINGS = (*paper.RANGES, "align", "ruled", "ink", "paper")
VECTORS = ("height", "page", "strokes")
# what is not of a text has no use for them
WRITING = ("style", "style_from", "layout", "threshold", "width", *SETTINGS, *VECTORS)
ENCODES = "an .onnx file has only the decoder: name a run, .ckpt or .safetensors"
EXCLUDES = {
    "file": ("text",),
    "interpolate": ("text", "file", "to", "rows", "columns", "judge", "mix", "seed", "temperature", *WRITING),
    "to": ("rows", "columns", "steps", "along", "ruled"),
    "steps": ("rows", "columns", "mix", *SETTINGS),
    "along": ("rows", "columns"),
    "page": ("width", "scale"),
    "height": ("scale",),
}
MAX_FILE = 1 << 20  # bytes
BLENDS = ("along", "mix", "steps")  # of classes that are words: in a text of characters + is a mark
RASTER = ("to", "interpolate", "steps", "along", "mix", "rows", "columns", "show")  # what no vector graphics are of


def _make_parser() -> Parser:
    parser = Parser("write", __doc__)
    add = parser.add_argument
    add("text", nargs="?", metavar="TEXT", help=r"what to write; \n starts a line; or class names: 'Sneaker, Bag'")
    add("--file", metavar="PATH", help="text file to write, UTF-8; -: standard input")
    add_model(parser, "has classes for the text")
    add(
        "-s",
        "--save",
        metavar="NAME",
        help="file to write, .png (a morph: .gif) by default; .svg and .pdf hold outlines (default: from the text, "
        "numbered if it exists)",
    )
    add("--force", action="store_true", help="replace an existing file")
    add("--show", action="store_true", help="open the picture in a viewer")

    group = parser.add_argument_group("handwriting style")
    group.add_argument(
        "--style",
        choices=("shared", "word", "varied"),
        help="one style per text, per word or per glyph (default: shared)",
    )
    add_style(group, "; of samples and blends 1")
    add_hand(parser)
    add = parser.add_argument_group("page").add_argument
    add(
        "--layout",
        choices=("baseline", "tiles"),
        help="set as type (baseline, the default), or whole images side by side (tiles)",
    )
    add("-t", "--threshold", type=number(float, 0, 1), metavar="T", help="black or white only; lower is bolder")
    add("--scale", type=number(int, 1, 50), help="enlargement; capitals are 20 times as many pixels tall (default: 5)")
    add("--width", type=number(int, 0), help="characters (60) or pictures (8) in a line; 0: no wrapping")
    add("--rows", type=number(int, 1, 100), help="a sheet of this many rows ...")
    add("--columns", type=number(int, 1, 100), help="... and columns, each in a style of its own")

    _add_settings(parser)

    add = parser.add_argument_group("interpolation").add_argument
    add("--to", metavar="TEXT2", help="morph into this text: a GIF, or one picture of all frames if NAME ends in .png")
    add("--frames", type=number(int, 2, 500), help="pictures of the morph (default: 24)")
    add(
        "--interpolate",
        nargs=2,
        type=number(int, 0),
        metavar=("I", "J"),
        help="between two test images, as a row with percentages; NAME/: each frame as well; NAME.gif: animated",
    )
    add("--steps", type=number(int, 2, 500), help="pictures of the interpolation (default: 10) or from a to b of 'a+b'")

    add = parser.add_argument_group("blends").add_argument
    add("--mix", type=number(float, 0, 1), help="share of b in 'a+b' (default: 0.5)")
    add(
        "--along",
        choices=("both", "label", "code"),
        help="what a blend interpolates (default: both; with --steps and one pair, each of the three)",
    )
    add(
        "--judge",
        nargs="?",
        const="",
        metavar="train|PATH",
        help="plot a judge's probabilities of a and b in each step: that of a scorecard, or another",
    )
    return parser


def _add_settings(parser: Parser) -> None:
    """How a page of written characters looks, and what vector graphics have."""
    helps = {
        "margins": "paper around the text, in heights of a capital (default: 0.2, on --page 4)",
        "line_height": "multiplies the distance of the lines",
        "letter_spacing": "multiplies the space between letters",
        "word_spacing": "multiplies the space between words",
        "slant": "degrees by which the writing leans further to the right, or to the left if negative",
        "pen": "multiplies the width of the strokes",
        "ragged": "how far letters leave the baseline: 1 as a hand does",
    }
    group = parser.add_argument_group("look of written characters")
    for name, (low, high) in paper.RANGES.items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=number(float, low, high),
            metavar="X",
            help=f"{helps[name]}; {low:g} to {high:g}",
        )
    group.add_argument("--align", choices=tuple(paper.ALIGNMENTS), help="where lines stand (default: left)")
    group.add_argument("--ruled", action="store_true", default=None, help="each line of text stands on a ruled line")
    for name in ("ink", "paper"):
        group.add_argument(f"--{name}", type=_as_type(paper.parse_colour), metavar="COLOUR", help="a name or #rrggbb")
    group = parser.add_argument_group("vector graphics, .svg and .pdf")
    group.add_argument(
        "--height",
        type=_as_type(paper.parse_height),
        help=f"of a capital, in {', '.join(paper.POINTS)}, as 10mm (default: as of a .png with 96 pixels an inch; with "
        "--page 5mm)",
    )
    papers = {name.lower(): name for name in paper.PAPERS}
    group.add_argument(
        "--page",
        type=lambda name: papers.get(name.lower(), name),
        choices=tuple(paper.PAPERS),
        help="a .pdf on sheets of this paper, its lines wrapped",
    )
    group.add_argument("--strokes", action="store_true", default=None, help="centre lines with a pen, for plotters")


def _as_type(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """An argparse type that only checks."""

    def check(text: str) -> str:
        try:
            parse(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return check


def _read_text(path: str) -> str:
    """The text of a file, or of standard input."""
    if path != "-" and look(path) != "file":
        raise UserError(f"cannot read {path}: there is no such file")
    try:
        if path == "-":
            content = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MAX_FILE + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {describe_os_error(error)}") from None
    except UnicodeDecodeError:
        text = None
    if len(content) > MAX_FILE:
        raise UserError(f"{path} is too long: --file takes a text of at most {MAX_FILE >> 20} MiB")
    if text is None or re.search(r"[\0-\x08\x0e-\x1f]", text):
        raise UserError(f"{path} is no text: --file takes a UTF-8 text file")
    if not text.strip():
        raise UserError(f"{path} is empty: give a character to write")
    return "\n".join(line.expandtabs(4).rstrip() for line in text.splitlines()).strip("\n")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line, as far as that is possible without a model.

    Args:
        arguments: Without the program's name.

    Raises:
        UserError: For the first thing that is wrong.
    """
    args = _make_parser().parse_args(arguments)
    for option, other in NEEDS.items():
        if getattr(args, option) is not None and getattr(args, other) is None:
            raise UserError(f"--{option} goes with --{other}")
    for option, others in EXCLUDES.items():
        wrong = [other for other in others if getattr(args, other) is not None]
        if getattr(args, option) is not None and wrong:
            raise UserError(f"{_spell(option)} does not go with {_spell(wrong[0])}")
    if args.page and not (args.save or "").lower().endswith(".pdf"):
        raise UserError("--page goes with -s with .pdf, which has pages")
    is_vector = Path(args.save or "").suffix.lower() in picture.VECTORS
    wrong = [option for option in (RASTER if is_vector else VECTORS) if getattr(args, option)]
    if wrong:
        needed = "a picture of pixels, as .png" if is_vector else f"-s with {' or '.join(picture.VECTORS)}"
        raise UserError(f"{_spell(wrong[0])} goes with {needed}")
    for name in ("text", "to"):
        if getattr(args, name) is not None:
            setattr(args, name, getattr(args, name).replace("\\n", "\n"))  # no alphabet has a backslash
    if args.file is not None:
        args.text = _read_text(args.file)
    if "+" not in f"{args.text or ''}{args.to or ''}" and (of_blend := _blend_option(args)):
        raise UserError(f"--{of_blend} goes with {'--interpolate, or with ' * (of_blend == 'steps')}a blend: 'a+b'")
    if args.text is None and args.interpolate is None and args.rows is None and args.columns is None:
        raise UserError(f'nothing to write: give a text, as in: {command("write")} "Hello World"')
    check_hand(args)
    unused = [option for option in WRITING if getattr(args, option) is not None]
    if args.text is None and unused:
        raise UserError(f"{_spell(unused[0])} goes with a text")
    for option, default in DEFAULTS.items():
        if getattr(args, option) is None:
            setattr(args, option, default)
    for name, what in (("text", "text"), ("to", "text after --to")):
        value = getattr(args, name)
        if value is not None and not value.strip():
            raise UserError(f"the {what} is empty: give a character to write")
    return args


def _spell(option: str) -> str:
    return "a text" if option == "text" else f"--{option.replace('_', '-')}"


def _choose_path(args: argparse.Namespace) -> Path:
    """Where the picture goes."""
    if args.interpolate:
        name = "interpolate-{}-{}.png".format(*args.interpolate)
    elif args.to is not None:
        name = f"{picture.slug(args.text or '')}-to-{picture.slug(args.to)}.gif"
    else:
        named = Path(args.file).stem if args.file not in (None, "-") else args.text
        name = f"{picture.slug(named or 'samples')}.png"
    vectors = args.text is not None and args.to is None and args.steps is None
    formats = (*picture.FORMATS, *picture.VECTORS) if vectors else picture.FORMATS
    path = picture.destination(args.save, name, force=args.force, folder=bool(args.interpolate), formats=formats)
    if args.steps is not None and not args.interpolate and path.suffix.lower() == ".gif":
        raise UserError("--steps draws all steps into one picture: give a .png; a GIF is made by --to")
    return path


def _blend_option(args: argparse.Namespace) -> str | None:
    """An option that is given and means something only of a blend."""
    return next((each for each in BLENDS if getattr(args, each) is not None and args.interpolate is None), None)


def _misplaced_blend(args: argparse.Namespace, classes: Sequence[str]) -> str | None:
    """That an option is of a blend, and a model with some classes has none; None if all is well."""
    from ldg.generation.alphabet import is_written

    option = _blend_option(args)
    if option is None or not is_written(classes):
        return None
    return f"--{option} goes with a blend 'a+b' of classes that are words, and those of the model are characters"


def _explain_refusal(args: argparse.Namespace, about: Mapping[str, Any]) -> str | None:
    """Why a run cannot draw what a command line says, by the run's summary; None if it can."""
    from ldg.generation.alphabet import explain_refusal

    if (classes := about.get("classes")) and (reason := _misplaced_blend(args, classes)):
        return reason
    return next(filter(None, (explain_refusal(text, about) for text in (args.text, args.to) if text)), None)


def _make_options(args: argparse.Namespace, model: VAE) -> Options:
    from ldg.generation.writer import Options

    temperature = choose_temperature(args, args.hand)
    if args.temperature is None and _is_blend(args, model):
        temperature = 1.0  # a blend's parents as they are
    mix = 0.5 if args.mix is None else args.mix
    settings = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    return Options(
        args.style, temperature, args.layout, args.threshold, args.scale, args.width, mix, hand=args.hand, **settings
    )


def _is_blend(args: argparse.Namespace, model: VAE) -> bool:
    from ldg.generation.alphabet import is_written

    return "+" in (args.text or "") and not is_written(model.classes)


def _write_text(args: argparse.Namespace, model: VAE, path: Path) -> np.ndarray:
    """A text, a sheet of it, or a sheet of random samples."""
    from ldg.generation import writer

    rows, columns = args.rows or 1, args.columns or 1
    if args.text is None:
        temperature = 1.0 if args.temperature is None else args.temperature
        picture.require_format(writer.samples_size(model, rows, columns, args.scale), path)
        return writer.samples(model, rows, columns, seed=args.seed, temperature=temperature, scale=args.scale)
    options = _make_options(args, model)
    picture.require_format(writer.text_size(model, args.text, rows, columns, options), path, ACCURACY)
    return writer.write_sheet(model, args.text, rows, columns, seed=args.seed, options=options)


def _write_vectors(args: argparse.Namespace, model: VAE, path: Path) -> list[np.ndarray]:
    """A file of outlines; returns the ink of each glyph."""
    from ldg.generation import writer

    content, inks = writer.write_vectors(
        model,
        args.text,
        path.suffix.lower(),
        seed=args.seed,
        options=_make_options(args, model),
        height=paper.parse_height(args.height) if args.height else None,
        page=args.page,
        strokes=bool(args.strokes),
    )
    picture.save_content(content, path)
    return inks


def _blend(args: argparse.Namespace, model: VAE, path: Path) -> np.ndarray:
    """A sheet of classes and blends, or with ``--steps`` interpolations between two classes."""
    from ldg import checkpoint
    from ldg.generation import blend, writer
    from ldg.generation.alphabet import parse
    from ldg.generation.onnx import OnnxDecoder

    if isinstance(model, OnnxDecoder):
        raise UserError(f"a blend encodes images; {ENCODES}")
    options = _make_options(args, model)
    page = parse(args.text, model.classes, options.width, options.mix)  # by code, an unconditional model can blend too
    size = (
        writer.page_size(model, page, options)
        if args.steps is None
        else blend.interpolations_size(model, 1, args.steps, args.scale)
    )
    picture.require_format(size, path, ACCURACY)
    try:
        data = checkpoint.load_data(model)
        data.prepare_data()
    except UserError as error:
        raise UserError(f"a blend mixes the codes of images: {error}") from None
    codes = blend.encode_classes(model, data, [index for cell in writer.inked(page) for index, _ in cell.mixture])
    if args.steps is None:
        return blend.draw_sheet(model, codes, page, options, args.seed, args.along or "both")
    from ldg.figures.blend import draw_interpolations

    judge = None
    if args.judge is not None:
        from ldg.evaluation.judge import find_judge, load_judge

        choice = args.judge or None
        choice = choice if choice in (None, "train") else load_judge(choice)
        judge = find_judge(model, data, choice).to(model.device)
    results = blend.interpolations(
        model, codes, page, args.steps, args.seed, options.temperature, args.scale, args.along, judge
    )
    return draw_interpolations(model, results, options)


def _morph(args: argparse.Namespace, model: VAE, path: Path) -> list[np.ndarray]:
    """An animation, or one picture of its frames; returns the frames."""
    from ldg.generation import morph, sheets

    frames, options, is_animated = args.frames or 24, _make_options(args, model), path.suffix.lower() == ".gif"

    def columns(height: int, width: int) -> int:
        return 1 if width > height else frames

    size = morph.size(model, args.text, args.to, options)
    if not is_animated:
        size = sheets.sheet_size(size, frames, columns(*size))
    picture.require_format(size, path, ACCURACY)
    pictures = morph.morph(model, args.text, args.to, frames=frames, seed=args.seed, options=options)
    if is_animated:
        picture.save_animation(pictures, path)
    else:
        picture.save(sheets.sheet(pictures, columns(*pictures[0].shape[:2])), path)
    return pictures


def _interpolate(args: argparse.Namespace, model: VAE, path: Path) -> list[np.ndarray]:
    """A summary picture, an animation, or a folder with the summary and every frame; returns the frames."""
    from ldg.generation import interpolate, sheets, writer
    from ldg.generation.onnx import OnnxDecoder

    if isinstance(model, OnnxDecoder):
        raise UserError(f"--interpolate encodes images; {ENCODES}")
    steps, scale, suffix = args.steps or 10, writer.tile_scale(model, args.scale), path.suffix.lower()
    single, summary_size = writer.tile_size(model, scale), interpolate.summary_size(model, steps, scale)
    picture.require_format(single if suffix == ".gif" else summary_size, path, ACCURACY)
    sheets.require_paper(summary_size, writer.channels(model))
    originals, labels = interpolate.read_test_images(model, args.interpolate)
    frames = interpolate.between_images(model, originals, labels, steps).cpu().numpy()
    singles = [sheets.grid(frame[None], 1, padding=0, scale=scale) for frame in frames]
    if suffix == ".gif":
        picture.save_animation(singles, path)
        return singles
    summary = interpolate.draw_summary(originals.cpu().numpy(), frames, scale)
    if suffix in picture.FORMATS:
        picture.save(summary, path)
    else:
        names = [f"frame-{index:02d}.png" for index in range(steps)]
        picture.save_folder(dict(zip([*names, "summary.png"], [*singles, summary], strict=True)), path)
    return singles


def _show(path: Path) -> None:
    from PIL import Image, ImageShow

    Image.MAX_IMAGE_PIXELS = None  # the picture is one's own, however large
    file = path / "summary.png" if path.is_dir() else path
    if not ImageShow.show(Image.open(file)):
        print("no picture viewer was found", file=sys.stderr)


def main(arguments: list[str]) -> None:
    """Write the picture of a command line, and print its path.

    Args:
        arguments: Without the program's name.

    Raises:
        UserError: For the first thing that is wrong.
    """
    args = parse_arguments(arguments)
    path = _choose_path(args)
    choose_cut(args, path)
    encodes = bool(args.interpolate or args.style_from)
    with loaded(args, lambda about: _explain_refusal(args, about), encodes=encodes) as (loaded_model, _):
        model: Any = loaded_model
        if reason := _misplaced_blend(args, model.classes):
            raise UserError(reason)
        args.hand = read_style(args, model)
        if args.to is not None:
            drawn = _morph(args, model, path)
        elif args.interpolate:
            drawn = _interpolate(args, model, path)
        elif path.suffix.lower() in picture.VECTORS:
            drawn = _write_vectors(args, model, path)
        else:
            is_sheet = args.rows is not None or args.columns is not None
            drawn = [(_write_text if is_sheet or not _is_blend(args, model) else _blend)(args, model, path)]
            picture.save(drawn[0], path)
        if all(frame.min() == frame.max() for frame in drawn):
            hint = "" if args.threshold is None else f" at --threshold {args.threshold:g}: try one closer to 0.5"
            print(f"warning: the picture is blank{hint}", file=sys.stderr)
    print(path)
    if args.show:
        _show(path)
