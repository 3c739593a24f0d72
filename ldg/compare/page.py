"""The page: one HTML file that needs nothing else. Styles, scripts, numbers and pictures are in it."""

import base64
import html
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from ldg.compare.differences import Source, Table
from ldg.compare.pictures import Album
from ldg.compare.scores import Difference, Scores
from ldg.evaluation.scorecard import finite_or_none
from ldg.runs.formats import encodable, parse_number
from ldg.runs.run import Run

FOLDER = Path(__file__).parent
MAX_CLASSES = 130  # whose confusion is shown
MAX_CONFUSIONS = 30  # runs whose confusion is shown
POSITIONS = ("epoch", "step", "seconds")  # columns of metrics.csv and times.csv, over which metrics are drawn
MAX_TEXT = 20_000  # characters of a text that are shown
MAX_PATCHES = 500_000  # characters of all patches that are shown
MAX_POINTS = 10_000  # epochs of all runs in the curves


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


@dataclass(frozen=True)
class Layout:
    """Runs in rows and columns.

    Attributes:
        columns: their names; none for a single row that wraps
        rows: a name and, for each column, the indices of the runs of this cell
    """

    columns: list[str]
    rows: list[tuple[str, list[list[int]]]]


@dataclass
class Page:
    """What a page shows.

    Attributes:
        path: of the file
        title: of the page
        state: a line below it
        runs: in the order in which they are shown
        labels: a name for each run
        columns: of the table of runs
        captions: HTML below a picture of each run
        groups: an id for each run, the same for those that differ in their seeds alone
        group_labels: a name for each group
        head: HTML above the table
        details: HTML by what it is about, above the table
        errors: of each run, in one line
        best: index of the run that is marked
        sections: of its own, as HTML
        curve: the metric that is shown first
        layout: of the pictures; None: side by side
        notes: of the table of runs
    """

    path: Path
    title: str
    state: str
    runs: Sequence[Run]
    labels: Sequence[str]
    columns: Sequence[Column]
    captions: Sequence[str]
    groups: Sequence[int]
    group_labels: Sequence[str]
    head: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[str] = ()
    best: int | None = None
    sections: Sequence[str] = ()
    curve: str = "val/elbo"
    layout: Layout | None = None
    notes: Sequence[str] = ()


def escape(text: object) -> str:
    """A text as HTML; of a very long one the beginning."""
    return html.escape(str(text)[:MAX_TEXT])


def breakable(name: str) -> str:
    """A long name as HTML, in which a line may end after a dot, slash or equals sign."""
    return re.sub(r"([./=_])", r"\1<wbr>", escape(name))


def link(page: Path, place: Path, text: str) -> str:
    """A link to a file or folder, relative to a page; ``text`` is HTML."""
    relative = Path(os.path.relpath(place, page.parent)).as_posix()
    relative = relative if relative.startswith("../") else f"./{relative}"
    return f'<a href="{escape(quote(os.fsencode(relative)))}">{text}</a>'


def image(png: bytes, alt: str, width: int, height: int) -> str:
    """A PNG in the page, of a size in its pixels."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<img alt="{escape(alt)}" width="{width}" height="{height}" src="{source}">'


def section(title: str, note: str, *parts: str) -> str:
    """A heading, a line below it, and HTML; nothing without any of that."""
    content = "\n".join(filter(None, parts))
    return f'<h2>{title}</h2>\n<p class="note">{note}</p>\n{content}' if content else ""


def render(page: Page, scores: Scores | None = None, album: Album | None = None, *differences: str) -> str:
    """A page as HTML.

    Args:
        page: what it shows
        scores: the scorecards; None: they are not compared
        album: the pictures; None: those of the runs' galleries
        differences: HTML of what differs

    Returns:
        A whole file.
    """
    album = album or Album(page.runs)
    curves = [_curves(run, MAX_POINTS // len(page.runs) + 1) for run in page.runs]
    classes = _classes(scores) if scores else None
    data = {
        "labels": page.labels,
        "groups": page.groups,
        "groupLabels": page.group_labels,
        "curves": curves,
        "classes": classes,
        "pictures": {"kinds": album.kinds, "shown": album.shown, "images": album.images},
    }
    metrics = sorted({metric for curve in curves for metric in curve["y"]})
    sections = [
        *page.sections,
        _curve_section(metrics, page) if metrics else "",
        *differences,
        _score_section(page, scores) if scores else "",
        _class_section(page, classes) if classes else "",
        _picture_section(page, album) if album.kinds else "",
    ]
    has_plots = bool(metrics or classes)
    text = Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{page.title}: {page.state}"),
        css=(FOLDER / "page.css").read_text(encoding="utf-8"),
        head=_head(page),
        table=_table(page),
        sections="\n".join(filter(None, sections)),
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        plotly=f"<script>{_plotly()}</script>" if has_plots else "",
        script=(FOLDER / "page.js").read_text(encoding="utf-8"),
    )
    return encodable(text)


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # takes longer than the rest

    return str(get_plotlyjs())


def _head(page: Page) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in page.details.items() if value)
    return "\n".join(
        [
            f"<h1>{escape(page.title)}</h1>",
            f'<p class="state">{escape(page.state)}</p>',
            page.head,
            f"<dl>{rows}</dl>" if rows else "",
        ]
    )


def _table(page: Page) -> str:
    """All runs; a script sorts and filters the lines, and hides columns of the class ``more``."""
    if not page.runs:
        return '<p class="note">No run has begun.</p>'
    more = sum(column.is_more for column in page.columns)
    number = len(page.runs)
    controls = [
        '<label>filter <input type="search" id="filter"></label>',
        f'<output id="count">{number} of {number}</output>',
        f'<label><input type="checkbox" id="all"> all columns ({more} more)</label>' if more else "",
    ]
    notes = [
        "Click a header to sort; what the box before a run hides is neither in the curves nor in the pictures.",
        *page.notes,
    ]
    head = "".join(map(_header, page.columns))
    lines = "\n".join(_line(page, index) for index in range(number))
    first = '<th scope="col"><button type="button">run</button></th>'
    return (
        f'<p class="note">{" ".join(notes)}</p>\n<div class="controls">{"".join(controls)}</div>\n'
        f'<div class="wide"><table id="runs">\n<thead><tr>{first}{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n'
        "</table></div>"
    )


def _header(column: Column) -> str:
    kind = ("number" if column.numbers is not None else "") + (" more" if column.is_more else "")
    order = f' aria-sort="{column.order}"' if column.order else ""
    return f'<th scope="col" class="{kind}"{order}><button type="button">{breakable(column.title)}</button></th>'


def _line(page: Page, index: int) -> str:
    run, label = page.runs[index], page.labels[index]
    place = run.place
    error = f'<div class="error">{escape(page.errors[index])}</div>' if page.errors and page.errors[index] else ""
    box = f'<input type="checkbox" checked aria-label="show {escape(label)}"> '
    cells = [f'<th scope="row" data-value="{escape(label)}">{box}{link(page.path, place, escape(label))}{error}</th>']
    for column in page.columns:
        kind = " ".join(
            filter(
                None,
                [
                    column.kinds[index] if column.kinds else "",
                    "number" if column.numbers is not None else "",
                    "more" if column.is_more else "",
                ],
            )
        )
        number = column.numbers[index] if column.numbers is not None else None
        value = f' data-value="{"" if number is None else number}"' if column.numbers is not None else ""
        cells.append(f'<td class="{escape(kind)}"{value}>{escape(column.texts[index]) or "–"}</td>')
    return f'<tr data-run="{index}"{_best(page, index)}>{"".join(cells)}</tr>'


def _best(page: Page, index: int) -> str:
    """The attribute that marks the best run."""
    return ' class="best"' if index == page.best else ""


def _curves(run: Run, most: int) -> dict[str, Any]:
    """The metrics of a run's epochs: positions and values as lists of equal length, None where there is none.

    Of more than ``most`` epochs some are left out, at equal distances and never the last one.
    """
    rows = [row for row in run.rows if row.get("epoch")]
    rows = rows[:: -max(1, math.ceil(len(rows) / most))][::-1]
    names = dict.fromkeys(name for row in rows for name in row)
    positions = {name: [parse_number(row.get(name)) for row in rows] for name in POSITIONS}
    columns = {name: [_round(row.get(name)) for row in rows] for name in names if name not in POSITIONS}
    known = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return {"x": positions, "y": known}


def _round(text: str | None) -> float | None:
    value = parse_number(text)
    return None if value is None else float(f"{value:.6g}")


def _select(id: str, label: str, options: Mapping[str, str], chosen: str = "") -> str:
    items = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options.items()
    )
    return f'<label>{label} <select id="{id}">{items}</select></label>'


def _curve_section(metrics: list[str], page: Page) -> str:
    chosen = page.curve if page.curve in metrics else next((m for m in metrics if m.startswith("val/")), metrics[0])
    has_seeds = len(set(page.groups)) < len(page.groups)
    controls = [
        _select("metric", "metric", {metric: metric for metric in metrics}, chosen),
        _select("over", "over", {"epoch": "epochs", "step": "steps", "seconds": "time"}),
        '<label><input type="checkbox" id="log"> logarithmic</label>',
        '<label>smoothing <input type="range" id="smoothing" min="0" max="0.95" step="0.05" value="0">'
        '<output id="smoothing-value">0.00</output></label>',
        f'<label{"" if has_seeds else " hidden"}><input type="checkbox" id="grouped"{" checked" if has_seeds else ""}>'
        " runs that differ in their seeds as mean and standard deviation</label>",
    ]
    return section(
        "Curves",
        "Drag to zoom, double-click to zoom out; a click on a name hides its curve.",
        f'<div class="controls">{"".join(controls)}</div>',
        '<div id="curves" class="chart" role="figure"></div><p class="note" id="curve-note" role="status"></p>',
    )


def config_section(page: Page, table: Table) -> str:
    """What differs in the configs; the rest on request.

    Args:
        page: of which it is a part
        table: from :func:`ldg.compare.differences.compare_configs`
    """
    rows = [_difference_row(key, texts) for key, texts in table.rows.items()]
    rows += [
        f'<tr class="more"><th scope="row">{breakable(key)}</th>'
        f'<td class="text" colspan="{len(page.runs)}">{escape(text)}</td></tr>'
        for key, text in table.constant.items()
    ]
    rows += [_difference_row(key, texts, is_more=True) for key, texts in table.partial.items()]
    note = "Only what differs is shown; marked is what is not as in the first run."
    toggle = f'<label><input type="checkbox" id="differing"> all {len(rows)} keys</label>'
    none = "" if table.rows else '<p class="note">No key differs.</p>'
    return section(
        "Config",
        note,
        f'<div class="controls">{toggle}</div>{none}',
        _wide("config", ["key", *page.labels], rows),
    )


def versions_section(page: Page, table: Table) -> str:
    """The libraries whose versions differ.

    Args:
        page: of which it is a part
        table: from :func:`ldg.compare.differences.compare_versions`
    """
    rows = [_difference_row(key, texts) for key, texts in table.rows.items()]
    return section(
        "Versions", "Libraries whose versions differ.", _wide("versions", ["", *page.labels], rows) if rows else ""
    )


def _difference_row(key: str, texts: Sequence[str], is_more: bool = False) -> str:
    """The texts of a key; those that are not as in the first run are marked, unless the key is shown on request."""
    cells = "".join(
        f'<td class="text{" changed" if text != texts[0] and not is_more else ""}">{escape(text) or "–"}</td>'
        for text in texts
    )
    return f'<tr{" class=more" if is_more else ""}><th scope="row">{breakable(key)}</th>{cells}</tr>'


def _wide(id: str, head: Sequence[str], rows: Sequence[str], is_sorted: bool = True) -> str:
    """A table that scrolls if it is wide; a click on a header sorts it, if there is something to sort."""
    names = [
        f'<button type="button">{breakable(name)}</button>' if is_sorted and name else breakable(name) for name in head
    ]
    cells = "".join(f'<th scope="col"{"" if is_sorted else " class=plain"}>{name}</th>' for name in names)
    table = f'<table id="{id}"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def source_section(page: Page, sources: Sequence[Source]) -> str:
    """The code that the runs were trained with.

    Args:
        page: of which it is a part
        sources: from :func:`ldg.compare.differences.compare_sources`
    """
    if not any(source.changes or source.since for source in sources):
        return ""
    parts, left = [], MAX_PATCHES
    for source in sources:
        names = ", ".join(page.labels[index] for index in source.runs[:8])
        names += f" and {len(source.runs) - 8} others" if len(source.runs) > 8 else ""
        commit = f"<code>{source.commit[:12]}</code>" if source.commit else "no commit"
        parts.append(f"<p>{commit}: {escape(names)}</p>")
        for title, text in (("since the first of these commits", source.since), ("uncommitted", source.changes)):
            if text:
                left -= len(text)
                text = text if left >= 0 else f"a patch of {len(text):,} characters, for which this page has no room"
                parts.append(f"<details><summary>{title}</summary><pre>{_colour(text)}</pre></details>")
    return section("Source", "The commit of each run, and what had not been committed when it began.", *parts)


def _colour(patch: str) -> str:
    kinds = {"+": "plus", "-": "minus", "@": "hunk"}
    return "\n".join(
        f'<span class="{kinds[line[0]]}">{escape(line)}</span>' if line[:1] in kinds else escape(line)
        for line in patch.splitlines()
    )


def _score_section(page: Page, scores: Scores) -> str:
    rows = []
    for row in scores.rows():
        cells = [
            f'<td class="value{" changed" if i in row.best else ""}">{escape(text) or "–"}'
            f"{_spoken('the best') if i in row.best else ''}{_delta(difference)}</td>"
            for i, (text, difference) in enumerate(zip(row.texts, row.differences, strict=True))
        ]
        title = f'<th scope="row">{escape(row.title)}</th><td>{row.better or ""}</td>'
        rows.append(f'<tr>{title}{"".join(cells)}<td class="value">{row.reference or "–"}</td></tr>')
    if not rows:
        return ""
    baseline = escape(page.labels[scores.baseline])
    note = (
        f"Below each value its difference to {baseline}, and in brackets how many of its standard errors that is: "
        "green is better, red worse, by two or more. Marked ∥: of the same test images, image by image. The errors are "
        "those of the test images; how much another seed of the training would change is not in them."
    )
    return section(
        "Scorecards", note, _wide("scores", ["", "better", *page.labels, "real images"], rows, is_sorted=False)
    )


def _delta(difference: Difference | None) -> str:
    if difference is None:
        return ""
    kind = {True: " better", False: " worse", None: ""}[difference.is_better]
    text = f"{difference.value:+.3g}"
    if difference.significance is not None:
        text += f" ({difference.significance:+.1f}){' ∥' if difference.is_paired else ''}"
    return f'<span class="delta{kind}">{escape(text)}{_spoken(kind)}</span>'


def _spoken(words: str) -> str:
    """What a colour says, for those who do not see it."""
    return f'<span class="spoken"> {words.strip()}</span>' if words else ""


def _classes(scores: Scores) -> dict[str, Any] | None:
    """Accuracy by class of every run, and the confusions of some; None where no two runs have the same classes."""
    details = scores.confusions()
    if not details:
        return None
    names = [str(name) for name in next(iter(details.values()))["classes"]]
    everywhere = range(len(scores.cards))
    shown = list(details)[:MAX_CONFUSIONS] if len(names) <= MAX_CLASSES else []
    return {
        "names": names,
        "baseline": scores.baseline if scores.baseline in details else next(iter(details)),
        "perClass": [finite_or_none(details[i]["per_class"]) if i in details else None for i in everywhere],
        "confusion": [finite_or_none(details[i]["confusion"]) if i in shown else None for i in everywhere],
    }


def _class_section(page: Page, classes: dict[str, Any]) -> str:
    base = classes["baseline"]
    others = {
        str(i): page.labels[i] for i, counts in enumerate(classes["confusion"]) if counts is not None and i != base
    }
    parts = ['<div id="classes" class="chart heat" role="figure" aria-label="class accuracy of each run"></div>']
    if others and classes["confusion"][base] is not None:
        parts += [
            f"<h3>Confusion beside {escape(page.labels[base])}</h3>",
            f'<div class="controls">{_select("confused", "run", others)}</div>',
            '<p class="note" id="confusion-note" role="status"></p>',
            '<div id="confusion" class="chart heat" role="figure" aria-label="difference of the confusions"></div>',
        ]
    return section("Classes", "How often a judge reads a generated image as the class that was asked for.", *parts)


def _picture_section(page: Page, album: Album) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="kind" value="{escape(kind)}"{" checked" if place == 0 else ""}>'
        f"{escape(title)}</label>"
        for place, (kind, title) in enumerate(album.kinds.items())
    )
    slider = '<input type="range" id="epoch" min="0" max="0" step="1"><output id="epoch-value"></output>'
    figures = [_figure(page, index) for index in range(len(page.runs))]
    if page.layout is None or not page.layout.columns:
        order = (
            [i for _, cells in page.layout.rows for cell in cells for i in cell] if page.layout else range(len(figures))
        )
        gallery = f'<div class="gallery wrap">{"".join(figures[i] for i in order)}</div>'
    else:
        parts = ['<div class="name column"></div>']
        parts += [f'<div class="name column">{breakable(name)}</div>' for name in page.layout.columns]
        for name, cells in page.layout.rows:
            parts.append(f'<div class="name">{breakable(name)}</div>')
            for cell in cells:
                content = "".join(figures[i] for i in cell)
                parts.append(
                    f'<div class="cell">{content or "<figure><div class=none>no picture</div></figure>"}</div>'
                )
        columns = len(page.layout.columns)
        gallery = f'<div class="gallery matrix" style="--columns: {columns}">{"".join(parts)}</div>'
    return section(
        "Pictures",
        "The newest epoch comes first; the slider goes back.",
        f'<fieldset><legend class="spoken">kind of picture</legend>{buttons}</fieldset>',
        f'<div class="controls"><label>epoch {slider}</label></div>',
        gallery,
    )


def _figure(page: Page, index: int) -> str:
    caption = f'{page.captions[index]} <span class="epoch"></span>'
    body = '<img alt="" hidden><div class="none">no picture</div>'
    return f'<figure data-run="{index}"{_best(page, index)}>{body}<figcaption>{caption}</figcaption></figure>'
