"""Make a TrueType font of a hand that a model writes.

ldg font myhand.ttf                                by the newest finished run; myhand.png shows the font
ldg font --seed 3 --name "My Hand" myhand.ttf      another handwriting style
ldg font --checkpoint outputs/NAME/ID myhand.ttf   by another model

Programs that know OpenType's contextual alternates, as browsers and most typesetting programs do, draw a letter
differently each time.
"""

from functools import partial
from pathlib import Path
from string import ascii_letters

from ldg.commands.cli import Parser, number
from ldg.commands.hand import add_hand, check_hand, choose_cut, read_style
from ldg.commands.model import add_model, add_style, choose_temperature, loaded
from ldg.errors import UserError
from ldg.files import whole
from ldg.generation import picture


def _make_parser() -> Parser:
    parser = Parser("font", __doc__)
    add = parser.add_argument
    add("file", metavar="FILE.ttf", help="the file to write; FILE.png beside it shows the font")
    add_model(parser, "writes letters")
    add("--name", help="the font's name in menus (default: that of the file)")
    add("--force", action="store_true", help="replace existing files")
    group = parser.add_argument_group("handwriting style")
    add_style(group)
    add = group.add_argument
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
    if Path(file).suffix.lower() != ".ttf":
        raise UserError(f"{file}: give a name that ends in .ttf")
    path = picture.destination(file, "font.ttf", force=force, formats=(".ttf",), how="as FILE.ttf")
    specimen = picture.destination(str(path.with_suffix(".png")), "font.png", force=force, how="as FILE.ttf")
    return path, specimen


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
    path, specimen = _choose_paths(args.file, force=args.force)
    check_hand(args)
    choose_cut(args, path, specimen)
    name = _choose_name(args.name, path)
    from ldg.generation.alphabet import explain_refusal

    refuse = partial(explain_refusal, ascii_letters)
    with loaded(args, refuse, encodes=args.style_from is not None) as (model, source):
        from ldg.generation import font, writer
        from ldg.generation.specimen import draw_specimen

        hand, seed = read_style(args, model), args.seed or 0
        characters, images = writer.draw_alternates(
            model,
            args.alternates,
            seed=seed,
            temperature=choose_temperature(args, hand),
            variation=writer.VARIATION if args.variation is None else args.variation,
            hand=hand,
        )
        made = font.build(characters, images, name, f"Handwriting by {Path(source).name}, seed {seed}.")
        with whole(path) as temporary:
            made.file.save(temporary)
        picture.save(draw_specimen(made, name), specimen)
    print(path)
