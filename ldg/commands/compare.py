"""Compare runs of any age and origin on one page: what differs, numbers, curves, pictures.

ldg compare outputs/NAME/ID outputs/NAME2/ID2         writes outputs/compare.html, and prints a short table
ldg compare outputs/sweeps/NAME "outputs/emnist*/*"   sweeps, patterns, checkpoints and exported weights too
ldg compare --where "data=emnist and val/elbo>-130" --latest 10
ldg compare RUN RUN --title "Flow or not" --notes notes.md --output flow.html
ldg compare RUN RUN --text "Hello World 2468"         the same text by all of them, among the pictures
"""

from __future__ import annotations

from pathlib import Path

from ldg.commands.cli import Parser
from ldg.commands.runs import add_filters, require_runs
from ldg.errors import UserError
from ldg.files import look, write_text
from ldg.generation.picture import require_writable
from ldg.runs.formats import align

MAX_NOTES = 1 << 20  # bytes
OF_THE_PAGE = ("output", "title", "notes", "text", "md", "json", "csv")


def main(arguments: list[str]) -> None:
    """Compare the runs of a command line.

    Args:
        arguments: without the program's name

    Raises:
        UserError: for the first thing that is wrong with the command line.
    """
    parser = Parser("compare", __doc__)
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="runs, sweeps, checkpoints, weights or patterns (default: outputs)")
    add_filters(parser)
    add("--output", type=Path, metavar="FILE", help="of the page (default: outputs/compare.html)")
    add("--title", help="of the page")
    add("--notes", type=Path, metavar="FILE.md", help="a text in Markdown, which the page shows")
    add("--text", help="write it with every run, as far as they can")
    add("--md", type=Path, metavar="FILE", help="the tables in Markdown")
    add("--json", type=Path, metavar="FILE", help="all numbers as JSON")
    add("--csv", type=Path, metavar="FILE", help="a line for each run as CSV")
    add("--table", type=Path, metavar="FILE.yaml", help="print a table whose columns FILE describes, and no page")
    args = parser.parse_args(arguments)
    unused = [option for option in OF_THE_PAGE if getattr(args, option) is not None]
    if args.table and unused:
        raise UserError(f"--{unused[0]} does not go with --table, which prints a table and makes no page")
    args.output = args.output or Path("outputs/compare.html")
    if args.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output {args.output}: the page is HTML, name it .html; --md, --json and --csv write others")
    outputs = {"html": args.output, "md": args.md, "json": args.json, "csv": args.csv}
    places = [path.resolve() for path in outputs.values() if path is not None]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UserError(f"{twice[0].name} would be written twice: name --output, --md, --json and --csv differently")
    runs = require_runs(args)
    if args.table:
        from ldg.compare.table import format_table, read_table

        return print(format_table(runs, read_table(args.table)))
    notes = read_notes(args.notes) if args.notes else ""
    for path in filter(None, outputs.values()):
        require_writable(path)
    from ldg.compare.comparison import Comparison  # loads torch

    comparison = Comparison(runs, args.title or "", notes)
    album = None
    if args.text is not None:
        from ldg.compare.writing import add_text

        album = add_text(runs, args.text)
    texts = {
        "html": lambda: comparison.render_html(args.output, album),
        "md": comparison.render_markdown,
        "json": comparison.render_json,
        "csv": comparison.render_csv,
    }
    for kind, path in outputs.items():
        if path is not None:
            write_text(path, texts[kind]())
    print(align(comparison.rows(), right=range(2, 100)))
    print()
    for path in filter(None, outputs.values()):
        print(path)


def read_notes(path: Path) -> str:
    """The text of a file with notes.

    Raises:
        UserError: if it cannot be read, or is too long to be notes.
    """
    if look(path) != "file":
        raise UserError(f"--notes: there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_NOTES else None
    except (OSError, UnicodeError):
        raise UserError(f"--notes: {path} cannot be read as text") from None
    if text is None:
        raise UserError(f"--notes: {path} is larger than {MAX_NOTES >> 20} MiB")
    return text
