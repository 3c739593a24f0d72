"""Scorecards side by side: one row a value, one column a run, the best of each row marked."""

import math
from collections.abc import Sequence

from ldg.evaluation.measure import Value
from ldg.evaluation.scorecard import Scorecard

TITLES = {
    "elbo": "ELBO",
    "elbo_grey": "ELBO as of a grey Bernoulli",
    "log_likelihood": "log-likelihood of the image",
    "kl": "KL",
    "bits_per_dim": "bits per dimension",
    "marginal": "marginal log-likelihood",
    "reads": "reads as asked, classes alike",
    "reads_overall": "reads as asked, as frequent",
    "reads_merged": "reads as asked, look-alikes merged",
    "fid": "FID",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "cas": "classification accuracy score",
    "active_units": "active units",
    "aggregate_kl": "aggregate posterior, KL of marginals",
    "moments_kl": "aggregate posterior, KL of moments",
    "label_information": "label information in the code",
    "mse": "squared error of reconstructions",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "parameters": "parameters",
    "images_per_second": "images per second",
    "latency": "writing a line",
}


def number(value: float) -> str:
    """Four figures, and no more decimals than four."""
    size = abs(value)
    if value != value or size == float("inf"):
        return "no number"
    if size >= 1000 or (value == int(value) and size >= 1):
        return f"{value:,.0f}"
    return f"{value:.{4 if size < 1 else 3 if size < 10 else 2}f}"


def cell(value: Value) -> str:
    """The number with its standard error, to the error's second figure."""
    if not value.error or not value.is_number:
        return number(value.value)
    decimals = max(0, 1 - math.floor(math.log10(value.error)))
    return f"{value.value:,.{decimals}f} ± {value.error:,.{decimals}f}"


def best(cards: Sequence[Scorecard], name: str) -> set[int]:
    """The columns that hold the best of a row: none where there is no other, or where it was not measured alike."""
    found = {i: card.values[name] for i, card in enumerate(cards) if name in card.values}
    numbers = {i: value.value for i, value in found.items() if value.is_number}
    directions = {value.better for value in found.values()}
    alike = len({(card.setting(name), card.model["data"]) for card in (cards[i] for i in found)}) == 1
    if len(numbers) < 2 or len(directions) > 1 or None in directions or not alike:
        return set()
    right = max(numbers.values()) if directions == {"higher"} else min(numbers.values())
    return {i for i, value in numbers.items() if value == right}


def rows(cards: Sequence[Scorecard], mark: str = "{} *") -> list[list[str]]:
    """A header and a row for each value that some run has: title, unit, a cell a run, what real images reach."""
    names = [name for name in TITLES if any(name in card.values for card in cards)]
    names += sorted({name for card in cards for name in card.values} - set(TITLES))
    lines = [["", "better", *labels(cards), "real images"]]
    for name in names:
        first = next(card.values[name] for card in cards if name in card.values)
        marked = best(cards, name)
        cells = [cell(card.values[name]) if name in card.values else "–" for card in cards]
        cells = [mark.format(text) if i in marked else text for i, text in enumerate(cells)]
        units = {card.values[name].unit for card in cards if name in card.values}
        title = TITLES.get(name, name) + (f", {first.unit}" if first.unit and len(units) == 1 else "")
        reference = number(first.reference) if first.reference is not None else ""
        lines.append([title, first.better or "", *cells, reference])
    return lines


def labels(cards: Sequence[Scorecard]) -> list[str]:
    """The runs' names, numbered where they are not different."""
    names = [card.name for card in cards]
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def console(cards: Sequence[Scorecard]) -> str:
    """The table in columns of text, and what was skipped."""
    lines = rows(cards)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            f"{line[0]:<{widths[0]}}" if i == 0 else f"{c:>{w}}"
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([*text, *(f"\n{line}" for line in notes(cards))])


def markdown_rows(cards: Sequence[Scorecard]) -> str:
    """The table in Markdown."""
    head, *body = rows(cards, "**{}**")
    return "\n".join(_line(line) for line in [head, ["---", *["---:"] * (len(head) - 1)], *body])


def markdown(cards: Sequence[Scorecard]) -> str:
    """A page in Markdown: the table, and below it how each measure was made and what was left out."""
    lines = [f"# {', '.join(labels(cards))}", "", markdown_rows(cards), ""]
    return "\n".join([*lines, *(f"- {line}" for line in (*settings(cards), *notes(cards)))]) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def settings(cards: Sequence[Scorecard]) -> list[str]:
    """How each measure was made, once where all runs agree."""
    names = dict.fromkeys(name for card in cards for name in card.results)
    lines = []
    for name in names:
        said = dict.fromkeys(card.results[name].setting for card in cards if name in card.results)
        lines.append(f"`{name}`: {'; or '.join(said)}")
    made = cards[0].made
    return [*lines, f"seed {cards[0].seed}, {made['date'][:10]}, {made['machine']}, torch {made['torch']}"]


def notes(cards: Sequence[Scorecard]) -> list[str]:
    """What was skipped and what is no number, by run."""
    lines = []
    for label, card in zip(labels(cards), cards, strict=True):
        lines += [f"{label}: {name} skipped, {reason}" for name, reason in card.skipped.items()]
        lines += [f"{label}: {name} is no number" for name in card.problems]
    return lines
