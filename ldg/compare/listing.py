"""The table of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldg.compare.markup import breakable, escape, link, wide
from ldg.runs.run import Run


@dataclass(frozen=True)
class Entry:
    """A run on the page.

    Attributes:
        run: itself
        label: its name there
        caption: HTML below its picture
        group: a number, the same for runs that differ in their seeds alone
        group_label: a name of these
        error: of a run that failed, in one line
        is_best: whether it is marked
    """

    run: Run
    label: str
    caption: str
    group: int
    group_label: str
    error: str = ""
    is_best: bool = False

    @property
    def mark(self) -> str:
        """The attribute that marks the best run."""
        return ' class="best"' if self.is_best else ""


@dataclass(frozen=True)
class Column:
    """A column of the table of runs.

    Attributes:
        title: of the column
        texts: a cell for each run
        numbers: by which it is sorted, None for a cell without one; None: it is sorted by the texts
        kinds: a class for each cell
        is_more: whether it is shown on request only
        order: ``ascending`` or ``descending`` if the runs are in its order
    """

    title: str
    texts: Sequence[str]
    numbers: Sequence[float | None] | None = None
    kinds: Sequence[str] | None = None
    is_more: bool = False
    order: str = ""

    def header(self) -> str:
        """The cell above the column."""
        kind = ("number" if self.numbers is not None else "") + (" more" if self.is_more else "")
        order = f' aria-sort="{self.order}"' if self.order else ""
        return f'<th scope="col" class="{kind}"{order}><button type="button">{breakable(self.title)}</button></th>'

    def cell(self, index: int) -> str:
        """The cell of a run."""
        kinds = [
            self.kinds[index] if self.kinds else "",
            "number" if self.numbers is not None else "",
            "more" if self.is_more else "",
        ]
        number = self.numbers[index] if self.numbers is not None else None
        value = f' data-value="{"" if number is None else number}"' if self.numbers is not None else ""
        return f'<td class="{escape(" ".join(filter(None, kinds)))}"{value}>{escape(self.texts[index]) or "–"}</td>'


def list_runs(path: Path, entries: Sequence[Entry], columns: Sequence[Column], notes: Sequence[str]) -> str:
    """All runs; a script sorts and filters the lines, and hides columns of the class ``more``.

    Args:
        path: of the page
        entries: of which each has a line
        columns: besides the first, which names the runs
        notes: above the table
    """
    if not entries:
        return '<p class="note">No run has begun.</p>'
    more = sum(column.is_more for column in columns)
    number = len(entries)
    controls = [
        '<label>filter <input type="search" id="filter"></label>',
        f'<output id="count">{number} of {number}</output>',
        f'<label><input type="checkbox" id="all"> all columns ({more} more)</label>' if more else "",
    ]
    notes = [
        "Click a header to sort; what the box before a run hides is neither in the curves nor in the pictures.",
        *notes,
    ]
    head = "".join(column.header() for column in columns)
    lines = "\n".join(_line(path, index, entry, columns) for index, entry in enumerate(entries))
    first = '<th scope="col"><button type="button">run</button></th>'
    table = f'<table id="runs">\n<thead><tr>{first}{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>'
    return (
        f'<p class="note">{" ".join(notes)}</p>\n<div class="controls">{"".join(controls)}</div>\n{wide("runs", table)}'
    )


def _line(path: Path, index: int, entry: Entry, columns: Sequence[Column]) -> str:
    label = escape(entry.label)
    error = f'<div class="error">{escape(entry.error)}</div>' if entry.error else ""
    box = f'<input type="checkbox" checked aria-label="show {label}"> '
    name = f'<th scope="row" data-value="{label}">{box}{link(path, entry.run.place, label)}{error}</th>'
    cells = "".join(column.cell(index) for column in columns)
    return f'<tr data-run="{index}"{entry.mark}>{name}{cells}</tr>'
