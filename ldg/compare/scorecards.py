"""The sections of scorecards and of class accuracy."""

from collections.abc import Sequence
from typing import Any

from ldg.compare.markup import escape, make_table, section, select, spoken
from ldg.compare.scores import Difference, Scores
from ldg.evaluation.scorecard import finite_or_none

MAX_CLASSES = 130  # whose confusion is shown
MAX_CONFUSIONS = 30  # runs whose confusion is shown


def score_section(labels: Sequence[str], scores: Scores) -> str:
    """The values of all scorecards, with their differences.

    Args:
        labels: of the runs
        scores: of the same runs
    """
    rows = scores.rows()
    if not rows:
        return ""
    lines = []
    for row in rows:
        cells = [
            f'<td class="value{" changed" if i in row.best else ""}">{escape(text) or "–"}'
            f"{spoken('the best') if i in row.best else ''}{_delta(difference)}</td>"
            for i, (text, difference) in enumerate(zip(row.texts, row.differences, strict=True))
        ]
        title = f'<th scope="row">{escape(row.title)}</th><td>{row.better or ""}</td>'
        lines.append(f'<tr>{title}{"".join(cells)}<td class="value">{row.reference or "–"}</td></tr>')
    baseline = escape(labels[scores.baseline])
    note = (
        f"Below a value stands its difference to {baseline}, in brackets the same in standard errors. Green is better "
        "and red is worse, by two standard errors or more. ∥&nbsp;means paired: the difference is taken image by "
        "image. The errors come from the test images. They do not include how much another seed would change."
    )
    others = ", ".join(escape(labels[i]) for i in scores.others)
    warning = (
        f"Evaluated on other or unknown test images than {baseline}: {others}. They have no difference to it, and no "
        "best is marked."
    )
    return section(
        "Scorecards",
        note if any(any(row.differences) for row in rows) else "",
        f'<p class="warning">{warning}</p>' if others else "",
        make_table("scores", "scorecards", ["", "better", *labels, "real images"], lines, is_sorted=False),
    )


def _delta(difference: Difference | None) -> str:
    if difference is None:
        return ""
    kind = {True: " better", False: " worse", None: ""}[difference.is_better]
    text = f"{difference.value:+.3g}"
    if difference.significance is not None:
        text += f" ({difference.significance:+.1f}){' ∥' if difference.is_paired else ''}"
    return f'<span class="delta{kind}">{escape(text)}{spoken(kind)}</span>'


def read_classes(scores: Scores) -> dict[str, Any] | None:
    """Accuracy by class of every run, and the confusions of some; None where no run has any."""
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


def class_section(labels: Sequence[str], classes: dict[str, Any]) -> str:
    """The plots of class accuracy and confusion, which a script draws.

    Args:
        labels: of the runs
        classes: from :func:`read_classes`
    """
    base = classes["baseline"]
    others = {str(i): labels[i] for i, counts in enumerate(classes["confusion"]) if counts is not None and i != base}
    parts = [_plot("classes", "class accuracy of each run")]
    if others and classes["confusion"][base] is not None:
        parts += [
            f"<h3>Confusion beside {escape(labels[base])}</h3>",
            f'<div class="controls">{select("confused", "run", others)}</div>',
            '<p class="note" id="confusion-note" role="status"></p>',
            _plot("confusion", "difference of the confusions"),
        ]
    return section("Classes", "How often a judge reads a generated image as the class that was asked for.", *parts)


def _plot(id: str, label: str) -> str:
    """A place for a plot, which scrolls on a narrow screen."""
    plot = f'<div id="{id}" role="figure" aria-label="{label}"></div>'
    return f'<div class="chart heat" role="region" tabindex="0" aria-label="{label}">{plot}</div>'
