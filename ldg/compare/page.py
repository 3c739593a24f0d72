"""The page: one HTML file that needs nothing else. Styles, scripts, numbers and pictures are in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from ldg.compare.changes import config_section, source_section, versions_section
from ldg.compare.curves import curve_section, read_curves
from ldg.compare.differences import Table, compare_sources, compare_versions, group_tasks
from ldg.compare.gallery import Layout, picture_section
from ldg.compare.listing import Column, Entry, list_runs
from ldg.compare.markup import escape
from ldg.compare.pictures import Album
from ldg.compare.scorecards import class_section, read_classes, score_section
from ldg.compare.scores import Scores
from ldg.runs.formats import encodable

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        path: of the file
        title: of the page
        state: a line below it
        entries: the runs, in the order in which they are shown
        columns: of the table of runs
        head: HTML above the table
        notes: of the table
        sections: of its own, as HTML
        curve: the metric that is shown first
        layout: of the pictures; None: side by side
    """

    path: Path
    title: str
    state: str
    entries: Sequence[Entry]
    columns: Sequence[Column]
    head: str = ""
    notes: Sequence[str] = ()
    sections: Sequence[str] = ()
    curve: str = "val/elbo"
    layout: Layout | None = None


def render(page: Page, configs: Table, scores: Scores, album: Album | None = None) -> str:
    """A page as HTML.

    Args:
        page: what it shows
        configs: what differs in them
        scores: the scorecards
        album: the pictures; None: those of the runs' galleries

    Returns:
        A whole file.
    """
    runs, labels = [entry.run for entry in page.entries], [entry.label for entry in page.entries]
    album = album or Album(runs)
    curves, classes = read_curves(runs), read_classes(scores)
    groups = [entry.group for entry in page.entries]
    data = {
        "labels": labels,
        "groups": groups,
        "groupLabels": [entry.group_label for entry in page.entries],
        "tasks": group_tasks(runs),
        "curves": curves,
        "classes": classes,
        "pictures": {"kinds": album.kinds, "shown": album.shown, "images": album.images},
    }
    curve_plot = curve_section(curves, page.curve, len(set(groups)) < len(groups))
    class_plot = class_section(labels, classes) if classes else ""
    sections = [
        *page.sections,
        curve_plot,
        config_section(labels, configs),
        source_section(labels, compare_sources(runs)),
        versions_section(labels, compare_versions(runs)),
        score_section(labels, scores),
        class_plot,
        picture_section(page.entries, album, page.layout) if album.kinds else "",
    ]
    text = Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{page.title}: {page.state}"),
        css=(FOLDER / "page.css").read_text(encoding="utf-8"),
        head=f'<h1>{escape(page.title)}</h1>\n<p class="state">{escape(page.state)}</p>\n{page.head}',
        table=list_runs(page.path, page.entries, page.columns, page.notes),
        sections="\n".join(filter(None, sections)),
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        plotly=f"<script>{_plotly()}</script>" if curve_plot or class_plot else "",
        script=(FOLDER / "page.js").read_text(encoding="utf-8"),
    )
    return encodable(text)


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # takes longer than the rest

    return str(get_plotlyjs())
