"""Write a text with a trained model.

python generate.py "Hello World 2468"                       hello-world-2468.png, with the newest run there is
python generate.py "Hello\\nthere" -s note --seed 3           two lines, note.png, another hand
python generate.py Hello --style varied --rows 5 --columns 3 a sheet of 15 renderings
python generate.py Hello --to World                         hello-to-world.gif, a morph
python generate.py --interpolate 3 14                       between two test images of the model's data set
python generate.py "Sneaker, Bag+Pullover" --mix 0.3        where classes are words; + blends two, by label and by code
python generate.py "Chihuahua+pug" --steps 7 --judge        the way from one to the other, and what a judge sees in it
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ldg.errors import UserError
from ldg.generation import picture

if TYPE_CHECKING:
    import numpy as np

    from ldg.generation.writer import Options
    from ldg.models.vae import VAE

# options that mean something only beside another
NEEDS = {"frames": "to", "judge": "steps"}
EXCLUDES = {
    "interpolate": ("text", "to", "rows", "columns", "judge", "mix"),
    "to": ("rows", "columns", "steps", "along"),
    "steps": ("rows", "columns", "mix"),
    "along": ("rows", "columns"),
}


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line, and knows what was nearly typed."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")

    def known(self) -> list[str]:
        return [option for option in self._option_string_actions if option.startswith("--")]


def number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Callable[[str], float]:
    """An argparse type: a number in [low, high]."""
    what = "whole number" if kind is int else "number"
    limits = f"from {low} to {high}" if high < float("inf") else f"of at least {low}"

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(low) - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a {what} {limits}, got {text!r}")
        return value

    return convert


def parser() -> Parser:
    new = Parser(
        prog="generate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = new.add_argument
    add("text", nargs="?", metavar="TEXT", help=r"what to write; \n starts a line; or class names: 'Sneaker, Bag'")
    add(
        "--checkpoint",
        metavar="PATH",
        help=".ckpt file or run folder (default: the newest finished run in outputs/, else the weights of ldg)",
    )
    add(
        "-s",
        "--save",
        metavar="NAME",
        help="file to write, .png (a morph: .gif) unless it says so (default: from the text, numbered if taken)",
    )
    add("--force", action="store_true", help="write over an existing file")
    add("--show", action="store_true", help="open the picture in a viewer")

    hand = new.add_argument_group("hand")
    add = hand.add_argument
    add("--style", choices=("shared", "word", "varied"), default="shared", help="one latent a text, a word or a glyph")
    add("--seed", type=number(int, 0, 2**63 - 2), default=0, help="another number, another hand (default: 0)")
    add(
        "--temperature",
        type=number(float, 0, 10),
        metavar="T",
        help="spread of the latents, 0 to 10 (default: 0.6; of samples and blends 1)",
    )
    add("--mix", type=number(float, 0, 1), help="share of b in 'a+b' (default: 0.5)")

    page = new.add_argument_group("page")
    add = page.add_argument
    add("--layout", choices=("baseline", "tiles"), default="baseline", help="set as type, or whole images side by side")
    add("-t", "--threshold", type=number(float, 0, 1), metavar="T", help="black or white only; lower is bolder")
    add("--scale", type=number(int, 1, 50), help="enlargement; capitals are 20 times as many px tall (default: 5)")
    add("--width", type=number(int, 0), help="characters (60) or pictures (8) to a line; 0: no wrapping")
    add("--rows", type=number(int, 1, 100), help="a sheet of this many rows ...")
    add("--columns", type=number(int, 1, 100), help="... and columns, each with its own latents")

    between = new.add_argument_group("between")
    add = between.add_argument
    add("--to", metavar="TEXT2", help="morph into this text: a GIF, or one picture of all frames if NAME ends in .png")
    add("--frames", type=number(int, 2, 500), help="pictures of the morph (default: 24)")
    add(
        "--interpolate",
        nargs=2,
        type=number(int, 0),
        metavar=("I", "J"),
        help="between two test images, as a row with percentages; NAME/: each frame as well; NAME.gif: moving",
    )
    add("--steps", type=number(int, 2, 500), help="pictures of the interpolation (default: 10) or from a to b of 'a+b'")
    add("--along", choices=("both", "label", "code"), help="what of 'a+b' is mixed (default: both)")
    add(
        "--judge",
        nargs="?",
        const="",
        metavar="PATH",
        help="plot what a judge sees in the steps from a to b: evaluate.py's, or one of your own",
    )
    return new


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments, checked as far as they can be without a model; raises UserError."""
    known = parser()
    args, unknown = known.parse_known_args(arguments)
    if unknown:
        close = difflib.get_close_matches(unknown[0], known.known(), n=1)
        hint = f"did you mean {close[0]}?" if close else "a text with spaces needs quotes; see --help"
        raise UserError(f"unknown argument {unknown[0]!r}: {hint}")
    for option, other in NEEDS.items():
        if getattr(args, option) is not None and getattr(args, other) is None:
            raise UserError(f"--{option} goes with --{other}")
    for option, others in EXCLUDES.items():
        wrong = [other for other in others if getattr(args, other) is not None]
        if getattr(args, option) is not None and wrong:
            raise UserError(f"--{option} does not go with {'a text' if wrong[0] == 'text' else '--' + wrong[0]}")
    is_sheet = args.rows is not None or args.columns is not None
    if "+" not in f"{args.text or ''}{args.to or ''}":
        for option in ("along", "mix"):
            if getattr(args, option) is not None:
                raise UserError(f"--{option} goes with a blend: 'a+b'")
        if args.steps is not None and args.interpolate is None:
            raise UserError("--steps goes with --interpolate, or with a blend: 'a+b'")
    if args.text is None and args.interpolate is None and not is_sheet:
        raise UserError('nothing to write: give a text, as in: python generate.py "Hello World"')
    for name in ("text", "to"):
        value = getattr(args, name)
        if value is not None:
            if not value.strip():
                raise UserError(
                    f"the {name if name == 'text' else 'text after --to'} is empty: give a character to write"
                )
            setattr(args, name, value.replace("\\n", "\n"))  # no alphabet has a backslash
    return args


def destination(args: argparse.Namespace) -> Path:
    """Where the picture goes; raises UserError if it cannot."""
    if args.interpolate:
        name = "interpolate-{}-{}.png".format(*args.interpolate)
    elif args.to is not None:
        name = f"{picture.slug(args.text or '')}-to-{picture.slug(args.to)}.gif"
    else:
        name = f"{picture.slug(args.text or 'samples')}.png"
    path = picture.destination(args.save, name, force=args.force, folder=bool(args.interpolate))
    if args.steps is not None and not args.interpolate and path.suffix.lower() == ".gif":
        raise UserError("--steps draws all steps into one picture: give a .png; a GIF is made by --to")
    return path


def options(args: argparse.Namespace) -> Options:
    from ldg.generation.writer import TEMPERATURE, Options

    default = 1.0 if "+" in (args.text or "") else TEMPERATURE  # a blend's parents as they are
    temperature = default if args.temperature is None else args.temperature
    mix = 0.5 if args.mix is None else args.mix
    return Options(args.style, temperature, args.layout, args.threshold, args.scale, args.width, mix)


def draw(args: argparse.Namespace, model: VAE) -> np.ndarray:
    """One text, a sheet of it, or a sheet of random samples."""
    from ldg.generation import writer

    rows, columns = args.rows or 1, args.columns or 1
    if args.text is None:
        temperature = 1.0 if args.temperature is None else args.temperature
        return writer.samples(model, rows, columns, seed=args.seed, temperature=temperature, scale=args.scale)
    return writer.write_sheet(model, args.text, rows, columns, seed=args.seed, options=options(args))


def blend(args: argparse.Namespace, model: VAE) -> np.ndarray:
    """A page of classes and blends, or with ``--steps`` the ways between them, by what their images are encoded as."""
    from ldg.evaluation import judge as judges
    from ldg.evaluation.subject import data_config, data_of
    from ldg.generation import crossbreed, writer

    page = crossbreed.read(model, args.text, options(args))
    try:
        data = data_of(model)
        data.prepare_data()
    except UserError as error:
        raise UserError(f"a blend mixes what training images are encoded as: {error}") from None
    codes = crossbreed.class_codes(model, data, [index for cell in writer.inked(page) for index, _ in cell.mixture])
    if args.steps is None:
        return crossbreed.write(model, codes, page, options(args), args.seed, args.along or "both")
    judge = None
    if args.judge is not None:
        judge = judges.load_judge(args.judge) if args.judge else judges.find(data, data_config(model)).eval()
    found = crossbreed.ways(model, codes, page, args.steps, args.seed, options(args).temperature, args.along, judge)
    return crossbreed.picture(model, found, options(args))


def is_blend(args: argparse.Namespace, model: VAE) -> bool:
    from ldg.generation.alphabet import is_written

    return "+" in (args.text or "") and not is_written(model.classes) and args.rows is None and args.columns is None


def morph(args: argparse.Namespace, model: VAE, path: Path) -> None:
    from ldg.generation import morph, sheets

    frames = morph.morph(model, args.text, args.to, frames=args.frames or 24, seed=args.seed, options=options(args))
    if path.suffix.lower() == ".gif":
        picture.save_animation(frames, path)
    else:
        height, width = frames[0].shape[:2]
        picture.save(sheets.sheet(frames, columns=1 if width > height else len(frames)), path)


def interpolate(args: argparse.Namespace, model: VAE, path: Path) -> None:
    """A summary picture, an animation, or a folder with the summary and every frame."""
    from ldg.generation import interpolate, sheets, writer

    originals, labels = interpolate.test_images(model, args.interpolate)
    frames = interpolate.between_images(model, originals, labels, args.steps or 10)
    scale = writer.tile_scale(model, args.scale)
    singles = [sheets.grid(frame[None].numpy(), 1, padding=0, scale=scale) for frame in frames]
    suffix = path.suffix.lower()
    if suffix == ".gif":
        picture.save_animation(singles, path)
        return
    summary = interpolate.summary(originals.numpy(), frames.numpy(), scale)
    if suffix in picture.FORMATS:
        picture.save(summary, path)
        return
    for number, frame in enumerate(singles):
        picture.save(frame, path / f"frame-{number:02d}.png")
    picture.save(summary, path / "summary.png")


def show(path: Path) -> None:
    from PIL import Image, ImageShow

    file = path / "summary.png" if path.is_dir() else path
    if not ImageShow.show(Image.open(file)):
        print("no picture viewer was found", file=sys.stderr)


def main(arguments: list[str]) -> int:
    found = None
    try:
        args = parse(arguments)
        path = destination(args)
        from ldg import checkpoint

        if not args.checkpoint:
            found = checkpoint.newest_run()
        source = args.checkpoint or found
        model = checkpoint.load(source)
        if args.to is not None:
            morph(args, model, path)
        elif args.interpolate:
            interpolate(args, model, path)
        elif is_blend(args, model):
            picture.save(blend(args, model), path)
        else:
            picture.save(draw(args, model), path)
    except UserError as error:
        hint = f" (the model was {found}; --checkpoint names another)" if found else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        return 2
    print(f"with {source}", file=sys.stderr)
    print(path)
    if args.show:
        show(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
