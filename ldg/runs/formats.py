"""Numbers, times, sizes and tables as text."""

import math
import re
from collections.abc import Sequence
from typing import Any


def parse_number(text: str | None) -> float | None:
    """A finite number from its text; None for everything else."""
    try:
        value = float(text or "nan")
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def as_number(value: Any) -> int | float | None:
    """A finite number as it is; None for everything else, truth values among it."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer that no float is as large as
        return None


def format_number(value: float) -> str:
    """Four figures, and at most four decimals."""
    size = abs(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:z.{4 if size < 1 else 3 if size < 10 else 2}f}"  # z: no minus before a zero


def format_cell(value: float | None) -> str:
    """A number as scorecards show it; a dash where there is none, or none that is finite."""
    return "–" if value is None or not math.isfinite(value) else format_number(value)


def format_duration(seconds: float | None) -> str:
    """A time in at most two units; a dash where there is none."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_age(seconds: float) -> str:
    """A span of time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def format_size(size: float) -> str:
    """Bytes in their largest unit."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size:.0f} B"


def shorten(text: str) -> str:
    """A parameter's value, a long number with four figures, of a very long text the beginning."""
    value = parse_number(text)
    return f"{value:.4g}" if value is not None and len(text) > 7 else text if len(text) <= 200 else f"{text[:200]}..."


def encodable(text: str) -> str:
    """A text for a file in UTF-8: what JSON and names of files may hold that is no character becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def number_names(names: Sequence[str]) -> list[str]:
    """Names, numbered where several are the same."""
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def escape_markdown(text: object) -> str:
    """A text on one line, whose special characters Markdown shows as they are."""
    return re.sub(r"([\\|<`*\[\]])", r"\\\1", " ".join(str(text).split()))


def markdown_table(lines: Sequence[Sequence[str]], words: int = 10**6) -> list[str]:
    """The lines of a table in Markdown.

    Args:
        lines: cells in Markdown, the head first
        words: so many of the first columns are of words, the others of numbers
    """
    head, *body = lines
    rule = ["---" if i < words else "---:" for i in range(len(head))]
    return [f"| {' | '.join(line)} |" for line in (head, rule, *body)]


def align(lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Lines of cells in columns; control characters are shown as ``?``.

    Args:
        lines: of equal length, the first one the head
        right: the columns that are aligned to the right
    """
    cells = [["".join(c if c.isprintable() else "?" for c in cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def pad(cell: str, column: int) -> str:
        return f"{cell:>{widths[column]}}" if column in right else f"{cell:<{widths[column]}}"

    return "\n".join("  ".join(pad(cell, i) for i, cell in enumerate(line)).rstrip() for line in cells)
