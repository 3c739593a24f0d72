"""Pieces of HTML."""

import base64
import html
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

MAX_TEXT = 20_000  # characters of a text that are shown


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
    line = f'<p class="note">{note}</p>\n' if note else ""
    return f"<h2>{title}</h2>\n{line}{content}" if content else ""


def definitions(items: Mapping[str, str]) -> str:
    """A list of HTML by what it is about, without what is empty."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in items.items() if value)
    return f"<dl>{rows}</dl>" if rows else ""


def select(id: str, label: str, options: Mapping[str, str], chosen: str = "") -> str:
    """A box to choose from texts by value."""
    items = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options.items()
    )
    return f'<label>{label} <select id="{id}">{items}</select></label>'


def spoken(words: str) -> str:
    """What a colour says, for those who do not see it."""
    return f'<span class="spoken"> {words.strip()}</span>' if words else ""


def wide(label: str, table: str) -> str:
    """A table that scrolls if it is wide, with the keyboard too."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{label}">{table}</div>'


def make_table(id: str, label: str, head: Sequence[str], rows: Sequence[str], is_sorted: bool = True) -> str:
    """A wide table; a click on a header sorts it, if there is something to sort.

    Args:
        id: of its element
        label: what it is, for those who do not see it
        head: names of the columns
        rows: HTML
        is_sorted: whether it can be
    """
    names = [
        f'<button type="button">{breakable(name)}</button>' if is_sorted and name else breakable(name) for name in head
    ]
    cells = "".join(f'<th scope="col"{"" if is_sorted else " class=plain"}>{name}</th>' for name in names)
    return wide(label, f'<table id="{id}"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>')
