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
from ldg.commands.runs import add_filters, describe_none, select_runs
from ldg.config.home import command
from ldg.errors import UserError
from ldg.files import look, write_text
from ldg.generation.picture import require_writable
from ldg.runs.formats import align

MAX_NOTES = 1 << 20  # bytes


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
    add("--output", type=Path, default=Path("outputs/compare.html"), metavar="FILE", help="of the page")
    add("--title", default="", help="of the page")
    add("--notes", type=Path, metavar="FILE.md", help="a text in Markdown, which the page shows")
    add("--text", help="write it with every run, as far as they can")
    add("--md", type=Path, metavar="FILE", help="the tables in Markdown")
    add("--json", type=Path, metavar="FILE", help="all numbers as JSON")
    add("--csv", type=Path, metavar="FILE", help="a line for each run as CSV")
    add("--table", type=Path, metavar="FILE.yaml", help="print a table whose columns FILE describes, and no page")
    args = parser.parse_args(arguments)
    if args.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output {args.output}: the page is HTML, name it .html; --md, --json and --csv write others")
    runs = select_runs(args)
    if not runs:
        raise UserError(f"{describe_none(args)}; {command('runs')} lists those that are there")
    if args.table:
        from ldg.compare.table import format_table, read_table

        return print(format_table(runs, read_table(args.table)))
    notes = read_notes(args.notes) if args.notes else ""
    outputs = {"html": args.output, "md": args.md, "json": args.json, "csv": args.csv}
    for path in filter(None, outputs.values()):
        require_writable(path)
    from ldg.compare.comparison import Comparison  # loads torch

    comparison = Comparison(runs, args.title, notes)
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
