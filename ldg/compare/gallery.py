"""The section of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from ldg.compare.listing import Entry
from ldg.compare.markup import breakable, escape, section
from ldg.compare.pictures import Album

DIALOG = (
    '<dialog id="large" aria-labelledby="large-caption"><div class="bar"><span id="large-caption" role="status"></span>'
    '<button type="button" value="-1" aria-label="previous run">←</button>'
    '<button type="button" value="1" aria-label="next run">→</button>'
    '<button type="button" value="0" aria-label="close">✕</button></div>'
    '<div class="picture" role="region" tabindex="0" autofocus aria-labelledby="large-caption">'
    '<img alt="" hidden></div></dialog>'
)


@dataclass(frozen=True)
class Layout:
    """Runs in rows and columns.

    Attributes:
        columns: their names; none for a single row that wraps
        rows: a name and, for each column, the indices of the runs of this cell
    """

    columns: list[str]
    rows: list[tuple[str, list[list[int]]]]


def picture_section(entries: Sequence[Entry], album: Album, layout: Layout | None) -> str:
    """The pictures of all runs, which a script chooses by kind and epoch.

    Args:
        entries: the runs
        album: their pictures
        layout: of them; None: side by side
    """
    buttons = "".join(
        f'<label><input type="radio" name="kind" value="{escape(kind)}"{" checked" if place == 0 else ""}>'
        f"{escape(title)}</label>"
        for place, (kind, title) in enumerate(album.kinds.items())
    )
    slider = '<input type="range" id="epoch" min="0" max="0" step="1"><output id="epoch-value"></output>'
    return section(
        "Pictures",
        "The newest epoch comes first; the slider goes back. A click on a picture enlarges it; then <kbd>←</kbd> and "
        "<kbd>→</kbd> go to the other runs, <kbd>Esc</kbd> closes it.",
        f'<fieldset><legend class="spoken">kind of picture</legend>{buttons}</fieldset>',
        f'<div class="controls"><label>epoch {slider}</label></div>',
        _arrange([_figure(index, entry) for index, entry in enumerate(entries)], layout),
        DIALOG,
    )


def _arrange(figures: Sequence[str], layout: Layout | None) -> str:
    if layout is None:
        return f'<div class="gallery wrap">{"".join(figures)}</div>'
    if not layout.columns:
        chosen = (figures[i] for _, cells in layout.rows for cell in cells for i in cell)
        return f'<div class="gallery wrap">{"".join(chosen)}</div>'
    parts = ['<div class="name column"></div>']
    parts += [f'<div class="name column">{breakable(name)}</div>' for name in layout.columns]
    for name, cells in layout.rows:
        parts.append(f'<div class="name">{breakable(name)}</div>')
        for cell in cells:
            content = "".join(figures[i] for i in cell)
            parts.append(f'<div class="cell">{content or "<figure><div class=none>no picture</div></figure>"}</div>')
    return f'<div class="gallery matrix" style="--columns: {len(layout.columns)}">{"".join(parts)}</div>'


def _figure(index: int, entry: Entry) -> str:
    caption = f'{entry.caption} <span class="epoch"></span>'
    body = '<button type="button" class="picture" hidden><img alt="" hidden></button><div class="none">no picture</div>'
    return f'<figure data-run="{index}"{entry.mark}>{body}<figcaption>{caption}</figcaption></figure>'
