"""The report as one HTML file that needs nothing else: styles, script and pictures are in it."""

import base64
import datetime
import html
import re
from pathlib import Path
from string import Template
from urllib.parse import quote

from ldg.sweeps.report import figures, pictures
from ldg.sweeps.report.formats import format_cell, format_duration, parse_number, shorten
from ldg.sweeps.report.results import Results, Run, main_metrics
from ldg.sweeps.report.study import draw_study

TEMPLATE = Path(__file__).with_name("page.html")
WIDTHS = ((12, 900), (30, 640))  # of pictures, by the number of runs
NARROWEST = 460
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
    choices = figures.draw_heat_maps(results) + figures.draw_effects(results) + figures.draw_parallel(results)
    legend = "Each point is a run, each line the mean of the runs with the same value; the best run is red."
    sections = [
        ("Effect of the choices", legend, choices),
        (
            "Several objectives",
            "No other run equals a red one in every objective and beats it in one.",
            figures.draw_fronts(results),
        ),
        ("Learning curves", "The best run has the thick line.", figures.draw_curves(results)),
        ("Optuna", "", draw_study(results, is_online)),
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=_escape(f"{results.sweep.name}: {results.status}"),
        head=_head(results),
        table=_table(results),
        plots="\n".join(_plots(*section) for section in sections if section[-1]),
        pictures=_pictures(results),
    )


def _escape(text: object) -> str:
    return html.escape(str(text))


def _breakable(name: str) -> str:
    """A long name as HTML, in which a line may end after a dot or slash."""
    return re.sub(r"([./=])", r"\1<wbr>", _escape(name))


def _link(results: Results, path: Path, text: str) -> str:
    """A link to a file or folder of the sweep, relative to the page; ``text`` is HTML."""
    relative = quote(path.relative_to(results.folder).as_posix())
    return f'<a href="./{_escape(relative)}">{text}</a>'


def _size(png: bytes) -> tuple[int, int]:
    """Width and height, from a PNG's header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _image(data: bytes, alt: str, density: float = 1.0) -> str:
    """A PNG in the page, with ``density`` of its pixels on one pixel of the page."""
    width, height = (side / density for side in _size(data))
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{_escape(alt)}" width="{width:.0f}" height="{height:.0f}" src="{source}">'


def _choices(results: Results, run: Run) -> str:
    return " ".join(f"{key}={run.choices[key]}" for key in results.differing)


def _head(results: Results) -> str:
    """Name and status of the sweep, its best run, and what it is."""
    sweep, best = results.sweep, results.best
    lines = [f"<h1>{_escape(sweep.name)}</h1>", f'<p class="state">{_escape(results.status)}</p>']
    if best is not None:
        value = f"<strong>{format_cell(best.numbers[results.objective])}</strong> {_escape(results.objective)}"
        link = _link(results, best.folder, _escape(best.name))
        lines.append(f'<div class="winner">{value}, the best: {link}<br>')
        lines.append(f"<code>{_escape(_choices(results, best))}</code></div>")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    times = [run.numbers["seconds"] for run in results.runs if "seconds" in run.numbers]
    training = f"; {_escape(format_duration(sum(times)))} of training in all" if times else ""
    details = {
        "command": f"<code>{_escape(sweep.command)}</code>",
        "objectives": _escape(", ".join(f"{key} ({direction})" for key, direction in results.objectives.items())),
        "in all runs": " ".join(f"<code>{_escape(f'{k}={v}')}</code>" for k, v in results.constant.items()),
        "started": _date(sweep.started),
        "this page": _date(now) + training,
        "commit": f"<code>{_escape(sweep.commit)}</code>" if sweep.commit else "",
        "versions": _escape(", ".join(f"{name} {version}" for name, version in sweep.versions.items())),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in details.items() if value)
    return "\n".join([*lines, f"<dl>{rows}</dl>"])


def _date(text: object) -> str:
    try:
        return f"{datetime.datetime.fromisoformat(str(text)):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return _escape(text)


def _table(results: Results) -> str:
    """All runs: their choices, metrics and costs. A script sorts the lines, and hides columns of the class ``more``."""
    if not results.runs:
        return '<p class="note">No run has begun.</p>'
    metrics = results.metrics
    first = [name for name in metrics if name in results.objectives or name in main_metrics()] or metrics
    classes = {name: "" if name in first else " more" for name in metrics}
    is_numeric = {key: results.scale(key) != "words" for key in results.differing}
    front = set(results.pareto_front()) if len(results.objectives) > 1 else set()
    lines = "\n".join(_row(results, run, is_numeric, classes, run in front) for run in results.runs)
    notes = ["Click a header to sort."]
    if "so-far" in lines:
        notes.append("Numbers in italics are those of the newest epoch of a run that did not finish, or not yet.")
    if front:
        notes.append("◆ is on the Pareto front.")
    more = len(metrics) - len(first) + 1  # and the one of W&B
    notes.append(f'<label><input type="checkbox" id="all"> all columns ({more} more)</label>')
    head = _table_head(results, is_numeric, classes)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"
    return f'<p class="note">{" ".join(notes)}</p>\n<div class="wide">{table}</div>'


def _table_head(results: Results, is_numeric: dict[str, bool], classes: dict[str, str]) -> str:
    """The headers of the table.

    Args:
        results: of the sweep
        is_numeric: whether the values are numbers, for each parameter that differs
        classes: a further class of the cells, empty or beginning with a space, for each metric

    Returns:
        The cells.
    """
    order = {"maximize": "descending", "minimize": "ascending"}[results.objectives[results.objective]]

    def header(name: str, kind: str = "", sort: str = "") -> str:
        state = f' aria-sort="{sort}"' if sort else ""
        return f'<th scope="col" class="{kind}"{state}><button type="button">{_breakable(name)}</button></th>'

    cells = [header("run"), header("state")]
    cells += [header(key, "number" if is_numeric[key] else "") for key in is_numeric]
    cells += [header(key, "number" + kind, order if key == results.objective else "") for key, kind in classes.items()]
    cells += [header(key, "number") for key in ("epochs", "time", "parameters")]
    return "".join([*cells, header("W&B", "more")])


def _row(results: Results, run: Run, is_numeric: dict[str, bool], classes: dict[str, str], is_on_front: bool) -> str:
    """A run's line of the table; the other arguments are those of the headers."""
    mark = ' <span title="on the Pareto front">◆</span>' if is_on_front else ""
    name = _link(results, run.folder, _escape(run.name))
    error = f'<div class="error">{_escape(run.error)}</div>' if run.error else ""
    cells = [f'<th scope="row" data-value="{_escape(run.name)}">{name}{mark}{error}</th>']
    cells += [f'<td class="{_escape(run.state)}">{_escape(run.state)}</td>']
    for key in is_numeric:
        choice = run.choices[key]
        text = shorten(choice) or "–"
        if is_numeric[key]:
            cells.append(_number_cell(parse_number(choice), text))
        else:
            cells.append(f'<td title="{_escape(choice)}">{_escape(text)}</td>')
    for metric, kind in classes.items():
        value = run.latest(metric)
        is_final = metric in run.numbers or value is None
        cells.append(_number_cell(value, format_cell(value), kind + ("" if is_final else " so-far")))
    for key, write in (("epochs", format_cell), ("seconds", format_duration), ("parameters", format_cell)):
        cells.append(_number_cell(run.numbers.get(key), write(run.numbers.get(key))))
    cells.append(f'<td class="more">{_escape(run.wandb) or "–"}</td>')
    return f"<tr{_best(results, run)}>{''.join(cells)}</tr>"


def _number_cell(value: float | None, text: str, kind: str = "") -> str:
    return f'<td class="number{kind}" data-value="{"" if value is None else value}">{_escape(text)}</td>'


def _plots(title: str, legend: str, panels: list[figures.Panel]) -> str:
    lines = [f"<h2>{title}</h2>", f'<p class="note">{legend}</p>', '<div class="plots">']
    for panel in panels:
        if panel.png is not None:
            kind = ' class="large"' if _size(panel.png)[0] > LARGE else ""
            image = _image(panel.png, panel.title, DENSITY)
            lines.append(f"<figure{kind}><figcaption>{_escape(panel.title)}</figcaption>{image}</figure>")
    missing = [panel for panel in panels if panel.png is None]
    notes = (f'<p class="note">{_escape(panel.title)}: {_escape(panel.note)}</p>' for panel in missing)
    return "\n".join([*lines, "</div>", *notes])


def _pictures(results: Results) -> str:
    """The pictures of all runs, of which a script shows one kind at a time."""
    kinds = pictures.list_kinds(results.runs[: pictures.MAX_RUNS])
    if not kinds:
        return ""
    layout = pictures.arrange_runs(results)
    choices = [
        f'<label><input type="radio" name="kind" value="{kind}"{" checked" if kind == next(iter(kinds)) else ""}>'
        f"{title}</label>"
        for kind, title in kinds.items()
    ]
    left = len(results.runs) - pictures.MAX_RUNS
    note = f'<p class="note">The best {pictures.MAX_RUNS} runs; {left} others are left out.</p>' if left > 0 else ""
    return "\n".join(
        [
            f"<h2>Pictures side by side</h2>\n{note}",
            f'<fieldset aria-label="which pictures">{"".join(choices)}</fieldset>',
            *(_gallery(results, layout, kind, title) for kind, title in kinds.items()),
        ]
    )


def _gallery(results: Results, layout: pictures.Layout, kind: str, title: str) -> str:
    """The pictures of one kind in rows and columns."""
    if not layout.columns:
        cells = "\n".join(_picture(results, run, kind, title) for [run] in layout.rows[0][1])
        return f'<div class="gallery wrap" id="pictures-{kind}">{cells}</div>'
    parts = ['<div class="name column"></div>']
    parts += [f'<div class="name column">{_breakable(name)}</div>' for name in layout.columns]
    for name, cells_of_runs in layout.rows:
        parts.append(f'<div class="name">{_breakable(name)}</div>')
        for runs in cells_of_runs:
            content = "".join(_picture(results, run, kind, title) for run in runs)
            parts.append(f'<div class="cell">{content or _placeholder("not begun")}</div>')
    columns = len(layout.columns)
    opening = f'<div class="gallery matrix" id="pictures-{kind}" style="--columns: {columns}">'
    return "\n".join([opening, *parts, "</div>"])


def _picture(results: Results, run: Run, kind: str, title: str) -> str:
    """A run's picture with its objective and choices."""
    width = next((width for most, width in WIDTHS if len(results.runs) <= most), NARROWEST)
    end = f"<b>{format_cell(run.latest(results.objective))}</b> {_escape(results.objective)}"
    choices = " ".join(f"{_breakable(key)}={_escape(shorten(run.choices[key]) or '–')}" for key in results.differing)
    caption = f"{end}, {_link(results, run.folder, choices or _escape(run.name))}"
    if run.state != "finished":
        caption += f" ({_escape(run.state)})"
    picture = pictures.read_picture(run, kind, width)
    if picture is None:
        return _placeholder("no picture", caption)
    file, data = picture
    image = _link(results, file, _image(data, f"{title} of {run.name}"))
    return f"<figure{_best(results, run)}>{image}<figcaption>{caption}</figcaption></figure>"


def _best(results: Results, run: Run) -> str:
    """The attribute that marks the best run."""
    return ' class="best"' if run is results.best else ""


def _placeholder(text: str, caption: str = "") -> str:
    return f'<figure><div class="none">{text}</div><figcaption>{caption}</figcaption></figure>'
