"""The report as a page: that of a comparison, with the sweep's own sections before it."""

import datetime
from pathlib import Path

from ldg.compare.differences import compare_configs, group_seeds
from ldg.compare.listing import Column, Entry
from ldg.compare.markup import breakable, definitions, escape, image, link, section
from ldg.compare.page import Page, render
from ldg.compare.scores import Scores
from ldg.evaluation.measure import main_metrics
from ldg.runs.formats import format_cell, format_duration, parse_number, shorten
from ldg.sweeps.report import figures
from ldg.sweeps.report.pictures import arrange_runs
from ldg.sweeps.report.results import Results, SweepRun
from ldg.sweeps.report.study import draw_study

DENSITY = 1.75  # of the plots' pixels
LARGE = 1000  # pixels, from which on a plot is not made to fit a narrow screen


def render_page(results: Results, is_online: bool = False) -> str:
    """The report as a page.

    Args:
        results: of the sweep
        is_online: whether a database that the sweep's file names may be contacted

    Returns:
        A whole HTML file.
    """
    runs, path = results.runs, results.folder / "report.html"
    entries = [
        Entry(
            run,
            run.name,
            caption=_caption(results, path, run),
            group=group,
            group_label=_group_label(results, run),
            error=run.error,
            is_best=run is results.best,
        )
        for run, group in zip(runs, group_seeds(runs), strict=True)
    ]
    page = Page(
        path=path,
        title=results.sweep.name,
        state=results.status,
        entries=entries,
        columns=_columns(results),
        head=_winner(results, path) + definitions(_details(results)),
        notes=_notes(results),
        sections=_sections(results, is_online),
        curve=results.objective,
        layout=arrange_runs(results),
    )
    return render(page, compare_configs(runs), Scores(runs))


def _group_label(results: Results, run: SweepRun) -> str:
    """The choices of a run without its seed, or its name."""
    keys = results.hyperparameters
    return ", ".join(f"{key}={shorten(run.choices[key]) or '–'}" for key in keys) or run.name


def _sections(results: Results, is_online: bool) -> list[str]:
    choices = figures.draw_heat_maps(results) + figures.draw_effects(results) + figures.draw_parallel(results)
    legend = "Each point is a run, each line the mean of the runs with the same value; the best run is red."
    front = "No other run equals a red one in every objective and beats it in one."
    sections = [
        ("Effect of the choices", legend, choices),
        ("Several objectives", front, figures.draw_fronts(results)),
        ("Optuna", "", draw_study(results, is_online)),
    ]
    return [_plots(*parts) for parts in sections if parts[-1]]


def _plots(title: str, legend: str, panels: list[figures.Panel]) -> str:
    lines = []
    for panel in panels:
        if panel.png is not None:
            width, height = int.from_bytes(panel.png[16:20], "big"), int.from_bytes(panel.png[20:24], "big")
            kind = ' class="large"' if width > LARGE else ""
            plot = image(panel.png, panel.title, round(width / DENSITY), round(height / DENSITY))
            lines.append(f"<figure{kind}><figcaption>{escape(panel.title)}</figcaption>{plot}</figure>")
    missing = [panel for panel in panels if panel.png is None]
    notes = (f'<p class="note">{escape(panel.title)}: {escape(panel.note)}</p>' for panel in missing)
    return section(title, legend, f'<div class="plots">{"".join(lines)}</div>', *notes)


def _winner(results: Results, path: Path) -> str:
    """The best run with its choices."""
    best = results.best
    if best is None:
        return ""
    value = f"<strong>{format_cell(best.numbers[results.objective])}</strong> {escape(results.objective)}"
    choices = " ".join(f"{key}={best.choices[key]}" for key in results.differing)
    name = link(path, best.folder, escape(best.name))
    return f'<div class="winner">{value}, the best: {name}<br>\n<code>{escape(choices)}</code></div>'


def _details(results: Results) -> dict[str, str]:
    """What the sweep is, as HTML by what it is about."""
    sweep = results.sweep
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    times = [run.numbers["seconds"] for run in results.runs if "seconds" in run.numbers]
    training = f"; {escape(format_duration(sum(times)))} of training in all" if times else ""
    objectives = ", ".join(f"{key} ({direction})" for key, direction in results.objectives.items())
    return {
        "command": f"<code>{escape(sweep.command)}</code>",
        "objectives": escape(objectives),
        "in all runs": " ".join(f"<code>{escape(f'{k}={v}')}</code>" for k, v in results.constant.items()),
        "started": _date(sweep.started),
        "this page": _date(now) + training,
        "commit": f"<code>{escape(sweep.commit)}</code>" if sweep.commit else "",
        "versions": escape(", ".join(f"{name} {version}" for name, version in sweep.versions.items())),
    }


def _date(text: object) -> str:
    try:
        return f"{datetime.datetime.fromisoformat(str(text)):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return escape(text)


def _notes(results: Results) -> list[str]:
    notes = []
    if any(metric not in run.numbers for run in results.runs for metric in results.metrics if run.latest(metric)):
        notes.append("Numbers in italics are those of the newest epoch of a run that did not finish, or not yet.")
    if len(results.objectives) > 1:
        notes.append("◆ is on the Pareto front.")
    return notes


def _columns(results: Results) -> list[Column]:
    """The columns of the table: state, choices, metrics and costs."""
    runs = results.runs
    front = set(results.pareto_front()) if len(results.objectives) > 1 else set()
    order = {"maximize": "descending", "minimize": "ascending"}[results.objectives[results.objective]]
    columns = [Column("state", [run.state for run in runs], kinds=[run.state for run in runs])]
    if front:
        columns.append(Column("◆", ["◆" if run in front else "" for run in runs]))
    for key in results.differing:
        texts = [run.choices[key] for run in runs]
        numbers = None if results.scale(key) == "words" else [parse_number(text) for text in texts]
        columns.append(Column(key, [shorten(text) for text in texts], numbers))
    first = [name for name in results.metrics if name in results.objectives or name in main_metrics()]
    for name in results.metrics:
        values = [run.latest(name) for run in runs]
        kinds = ["so-far" if name not in run.numbers and run.latest(name) is not None else "" for run in runs]
        is_more = bool(first) and name not in first
        columns.append(
            Column(name, [format_cell(v) for v in values], values, kinds, is_more, order * (name == results.objective))
        )
    for title, key, form in (
        ("epochs", "epochs", format_cell),
        ("time", "seconds", format_duration),
        ("parameters", "parameters", format_cell),
    ):
        values = [run.numbers.get(key) for run in runs]
        columns.append(Column(title, [form(value) for value in values], values))
    return [*columns, Column("W&B", [run.wandb for run in runs], is_more=True)]


def _caption(results: Results, path: Path, run: SweepRun) -> str:
    """A run's objective and choices."""
    end = f"<b>{format_cell(run.latest(results.objective))}</b> {escape(results.objective)}"
    choices = " ".join(f"{breakable(key)}={escape(shorten(run.choices[key]) or '–')}" for key in results.differing)
    state = "" if run.state == "finished" else f" ({escape(run.state)})"
    return f"{end}, {link(path, run.folder, choices or escape(run.name))}{state}"
