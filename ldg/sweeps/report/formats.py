"""Numbers, durations and values of parameters as text, and back."""

import math

from ldg.evaluation.table import format_number


def parse_number(text: str | None) -> float | None:
    """A finite number from its text; None for everything else."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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


def shorten(text: str) -> str:
    """A parameter's value, a long number with four figures."""
    value = parse_number(text)
    return f"{value:.4g}" if value is not None and len(text) > 7 else text
