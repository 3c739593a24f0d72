"""Scorecards side by side: one row per value, one column per run, the best of each row marked."""

import math
from collections.abc import Sequence

from ldg.evaluation.measure import Value, list_quantities
from ldg.evaluation.scorecard import Scorecard
from ldg.runs.formats import align, escape_markdown, format_number, markdown_table, number_names


def format_value(value: Value) -> str:
    """The number with its standard error, up to the error's second figure."""
    if not value.error or not math.isfinite(value.error) or not value.is_finite:
        return format_number(value.value)
    decimals = max(0, 1 - math.floor(math.log10(value.error)))
    return f"{value.value:,.{decimals}f} ± {value.error:,.{decimals}f}"


def best_columns(cards: Sequence[Scorecard], name: str) -> set[int]:
    """Which runs have the best value.

    Args:
        cards: of the runs
        name: of the value

    Returns:
        Indices into ``cards``; empty where fewer than two runs have the value, where it has no direction, or where the
        runs were measured on other data or with other settings.
    """
    values = {i: card.values[name] for i, card in enumerate(cards) if name in card.values}
    numbers = {i: value.value for i, value in values.items() if value.is_finite}
    directions = {value.better for value in values.values()}
    conditions = {cards[i].conditions(name) for i in values}
    if len(numbers) < 2 or len(directions) > 1 or None in directions or len(conditions) > 1:
        return set()
    best = max(numbers.values()) if directions == {"higher"} else min(numbers.values())
    return {i for i, value in numbers.items() if value == best}


def table_rows(cards: Sequence[Scorecard], mark: str = "{} *") -> list[list[str]]:
    """The cells of the table.

    Args:
        cards: of the runs
        mark: format of the best value of a row

    Returns:
        A header, and a row for each value that some run has: title and unit, direction, one cell per run, and what
        real images reach.
    """
    lines = [["", "better", *column_names(cards), "real images"]]
    for name, title in list_titles(cards).items():
        first = next(card.values[name] for card in cards if name in card.values)
        best = best_columns(cards, name)
        cells = [format_value(card.values[name]) if name in card.values else "–" for card in cards]
        cells = [mark.format(text) if i in best else text for i, text in enumerate(cells)]
        reference = format_number(first.reference) if first.reference is not None else ""
        lines.append([title, first.better or "", *cells, reference])
    return lines


def list_titles(cards: Sequence[Scorecard]) -> dict[str, str]:
    """The values that some run has, in the order of the measures: what people read, with the unit, by name."""
    quantities = list_quantities()
    there = {name for card in cards for name in card.values}
    titles = {}
    for name in [*(name for name in quantities if name in there), *sorted(there - set(quantities))]:
        units = {card.values[name].unit for card in cards if name in card.values}
        unit = f", {unit}" if len(units) == 1 and (unit := units.pop()) else ""
        titles[name] = (quantities[name].title if name in quantities else name) + unit
    return titles


def column_names(cards: Sequence[Scorecard]) -> list[str]:
    """The runs' names, numbered where several are the same."""
    return number_names([card.name for card in cards])


def format_text(cards: Sequence[Scorecard]) -> str:
    """The table in columns of text, and notes."""
    lines = table_rows(cards)
    return "\n".join([align(lines, range(1, len(lines[0]))), *(f"\n{line}" for line in list_notes(cards))])


def format_markdown_table(cards: Sequence[Scorecard]) -> str:
    """The table in Markdown."""
    head, *body = table_rows(cards, "**{}**")
    lines = [[escape_markdown(cell) for cell in head], *([escape_markdown(title), *cells] for title, *cells in body)]
    return "\n".join(markdown_table(lines, 1))


def format_markdown(cards: Sequence[Scorecard]) -> str:
    """A page in Markdown: the table, and below it the settings of each measure and notes."""
    lines = [f"# {', '.join(column_names(cards))}", "", format_markdown_table(cards), ""]
    return "\n".join([*lines, *(f"- {line}" for line in (*list_settings(cards), *list_notes(cards)))]) + "\n"


def list_settings(cards: Sequence[Scorecard]) -> list[str]:
    """How each measure was computed, a line each; once where all runs agree."""
    names = dict.fromkeys(name for card in cards for name in card.results)
    lines = []
    for name in names:
        settings = dict.fromkeys(card.results[name].setting for card in cards if name in card.results)
        lines.append(f"`{name}`: {'; or '.join(settings)}")
    made = cards[0].made
    return [*lines, f"seed {cards[0].seed}, {made['date'][:10]}, {made['machine']}, torch {made['torch']}"]


def list_notes(cards: Sequence[Scorecard]) -> list[str]:
    """Skipped measures and values that are NaN or infinite, by run."""
    lines = []
    for label, card in zip(column_names(cards), cards, strict=True):
        lines += [f"{label}: {name} skipped, {reason}" for name, reason in card.skipped.items()]
        lines += [f"{label}: {name} is NaN or infinite" for name in card.problems]
    return lines
