"""Make a TrueType font of a hand that a model writes.

ldg font myhand.ttf                                by the newest finished run; myhand.png shows the font
ldg font --seed 3 --name "My Hand" myhand.ttf      another handwriting style
ldg font --checkpoint outputs/NAME/ID myhand.ttf   by another model

Programs that know OpenType's contextual alternates, as browsers and most typesetting programs do, draw a letter
differently each time.
"""

import sys
from pathlib import Path

from ldg.commands.cli import Parser, number
from ldg.commands.device import add_device, choose_device
from ldg.commands.hand import add_hand, check_hand, read_style
from ldg.errors import UserError
from ldg.files import look, whole
from ldg.generation import picture


def _make_parser() -> Parser:
    parser = Parser("font", __doc__)
    add = parser.add_argument
    add("file", metavar="FILE.ttf", help="the file to write; FILE.png beside it shows the font")
    add(
        "--checkpoint",
        metavar="PATH",
        help=".ckpt or .safetensors file, or run folder (default: the newest finished run in outputs/ that writes "
        "letters legibly; else the weights of ldg)",
    )
    add_device(parser)
    add("--name", help="the font's name in menus (default: that of the file)")
    add("--force", action="store_true", help="replace existing files")
    add = parser.add_argument_group("handwriting style").add_argument
    add("--seed", type=number(int, 0, 2**63 - 2), default=0, help="each number is another style (default: 0)")
    add(
        "--temperature",
        type=number(float, 0, 10),
        metavar="T",
        help="0 to 10; the lower, the more usual the characters (default: 0.5)",
    )
    add("--alternates", type=number(int, 2, 10), default=5, help="drawings of each character, 2 to 10 (default: 5)")
    add(
        "--variation",
        type=number(float, 0, 1),
        metavar="V",
        help="how much they differ, from 0 to 1, which is as much as hands do (default: 0.4)",
    )
    add_hand(parser)
    return parser


def _choose_paths(file: str, *, force: bool) -> tuple[Path, Path]:
    """The font and its specimen."""
    path = Path(file)
    if path.suffix.lower() != ".ttf":
        raise UserError(f"{file}: give a name that ends in .ttf")
    paths = path, path.with_suffix(".png")
    for each in paths:
        there = look(each)
        if there == "folder":
            raise UserError(f"{each} is a folder: give another name")
        if there and not force:
            raise UserError(f"{each} exists: use --force to write over it, or another name")
    picture.require_writable(path)
    return paths


def _choose_name(name: str | None, path: Path) -> str:
    """The font's name: a line of a menu."""
    chosen = path.stem if name is None else name.strip()
    if not chosen or not chosen.isprintable() or len(chosen) > 31:
        raise UserError(f"{chosen!r} cannot be a font's name: give 1 to 31 printable characters with --name")
    return chosen


def main(arguments: list[str]) -> None:
    """Make the font of a command line, and print its path.

    Args:
        arguments: Without the program's name.

    Raises:
        UserError: For the first thing that is wrong.
    """
    args = _make_parser().parse_args(arguments)
    check_hand(args)
    path, specimen = _choose_paths(args.file, force=args.force)
    name = _choose_name(args.name, path)
    from string import ascii_letters

    from ldg import checkpoint
    from ldg.generation import decoder
    from ldg.generation.alphabet import explain_refusal

    source = args.checkpoint
    if source is None:
        source = checkpoint.newest_run(
            refuse=lambda about: explain_refusal(ascii_letters, about),
            note=lambda line: print(line, file=sys.stderr),
        )
    if args.checkpoint is None and args.device == "auto" and not args.style_from:
        source = decoder.lightest(source)
    file = checkpoint.find(source)  # an error before torch is imported
    model = decoder.load(file, choose_device(args.device, file))
    from ldg.generation import font, writer
    from ldg.generation.specimen import draw_specimen

    hand = read_style(args, model)
    usual = writer.TEMPERATURE if hand is None else writer.HAND_TEMPERATURE
    characters, images = writer.draw_alternates(
        model,
        args.alternates,
        seed=args.seed,
        temperature=usual if args.temperature is None else args.temperature,
        variation=writer.VARIATION if args.variation is None else args.variation,
        hand=hand,
    )
    made = font.build(characters, images, name, f"Handwriting by {Path(source).name}, seed {args.seed}.")
    with whole(path) as temporary:
        made.file.save(temporary)
    picture.save(draw_specimen(made, name), specimen)
    print(f"with {source}", file=sys.stderr)
    print(path)
