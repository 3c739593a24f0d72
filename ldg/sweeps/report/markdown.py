"""The report in Markdown: the best run and the table."""

import re
from urllib.parse import quote

from ldg.runs.formats import escape_markdown as escape
from ldg.runs.formats import format_cell, format_duration, markdown_table, shorten
from ldg.sweeps.report.results import Results, SweepRun


def render_markdown(results: Results) -> str:
    """The report as text.

    Args:
        results: of the sweep

    Returns:
        Best run, table, errors and the sweep's definition, in Markdown.
    """
    sweep, best = results.sweep, results.best
    lines = [f"# {escape(sweep.name)}", "", f"{escape(results.status)}. [Plots and pictures](report.html)", ""]
    if best is not None:
        choices = ", ".join(f"{key}={best.choices[key]}" for key in results.differing)
        value = format_cell(best.numbers[results.objective])
        lines += [f"Best {escape(results.objective)}: **{value}**, {_link(best)} {escape(choices)}".rstrip(), ""]
    if len(results.objectives) > 1:
        lines += ["Pareto front: " + (", ".join(map(_link, results.pareto_front())) or "–"), ""]
    metrics = [name for name in results.metrics if not name.startswith("train/")]
    head = ["run", "state", *results.differing, *metrics, "epochs", "time", "parameters"]
    table = [[escape(cell) for cell in head]]
    for run in results.runs:
        numbers = [format_cell(run.numbers.get(name)) for name in metrics]
        if run is best:
            numbers[0] = f"**{numbers[0]}**"
        cells = [escape(shorten(run.choices[key])) or "–" for key in results.differing]
        ends = [
            format_cell(run.numbers.get("epochs")),
            format_duration(run.numbers.get("seconds")),
            format_cell(run.numbers.get("parameters")),
        ]
        table.append([_link(run), escape(run.state), *cells, *numbers, *ends])
    lines += markdown_table(table, 2 + len(results.differing))
    lines += ["", *(f"- {_link(run)} {escape(run.state)}: {escape(run.error)}" for run in results.runs if run.error)]
    details = {
        "command": sweep.command,
        "started": sweep.started,
        "commit": sweep.commit,
        "versions": ", ".join(f"{name} {version}" for name, version in sweep.versions.items()),
        "in all runs": ", ".join(f"{key}={value}" for key, value in results.constant.items()),
    }
    lines += ["", *(f"- {name}: {escape(text)}" for name, text in details.items() if text)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _link(run: SweepRun) -> str:
    return f"[{escape(run.name)}](./{quote(run.name)}/)"
