"""The report as one HTML file that needs nothing else: styles, script and pictures are in it."""

import base64
import datetime
import html
import re
from pathlib import Path
from string import Template
from urllib.parse import quote

from ldg.sweeps.report import figures, pictures, study
from ldg.sweeps.report.results import KNOWN, Results, Run, brief, duration, number, shown

TEMPLATE = Path(__file__).with_name("page.html")
WIDTHS = ((12, 900), (30, 640))  # of pictures, by the number of runs
NARROWEST = 460
DENSITY = 1.75  # of the plots' pixels
LARGE = 1000  # pixels, from which on a plot is not made to fit a narrow screen


def render(results: Results) -> str:
    """The page."""
    choices = figures.heat_maps(results) + figures.effects(results) + figures.parallel(results)
    legend = "A point is a run, a line the mean of the runs that share a value, red the best run."
    sections = [
        ("What the choices do", legend, choices),
        (
            "Several objectives",
            "No other run equals a red one in every objective and beats it in one.",
            figures.fronts(results),
        ),
        ("Learning curves", "The best run has the thick line.", figures.curves(results)),
        ("Optuna", "", study.panels(results)),
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escaped(f"{results.facts['name']}: {results.state}"),
        head=_head(results),
        table=_table(results),
        plots="\n".join(_plots(*section) for section in sections if section[-1]),
        pictures=_pictures(results),
    )


def escaped(text: object) -> str:
    return html.escape(str(text))


def _key(name: str) -> str:
    """A long name that may go on in another line after a dot or slash."""
    return re.sub(r"([./=])", r"\1<wbr>", escaped(name))


def _link(results: Results, path: Path, text: str) -> str:
    """A link to a file or folder of the sweep, relative to the page; ``text`` is HTML."""
    relative = quote(path.relative_to(results.folder).as_posix())
    return f'<a href="./{escaped(relative)}">{text}</a>'


def _size(png: bytes) -> tuple[int, int]:
    """Width and height, from a PNG's header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _image(data: bytes, alt: str, density: float = 1.0) -> str:
    """A PNG in the page, ``density`` of its pixels on one of the page's."""
    width, height = (side / density for side in _size(data))
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{escaped(alt)}" width="{width:.0f}" height="{height:.0f}" src="{source}">'


def _choices(results: Results, run: Run) -> str:
    return " ".join(f"{key}={run.choices[key]}" for key in results.differing)


def _head(results: Results) -> str:
    facts, best = results.facts, results.best
    lines = [f"<h1>{escaped(facts['name'])}</h1>", f'<p class="state">{escaped(results.state)}</p>']
    if best is not None:
        value = f"<strong>{shown(best.numbers[results.objective])}</strong> {escaped(results.objective)}"
        named = _link(results, best.folder, escaped(best.name))
        lines.append(f'<div class="winner">{value}, the best: {named}<br>')
        lines.append(f"<code>{escaped(_choices(results, best))}</code></div>")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    times = [run.numbers["seconds"] for run in results.runs if "seconds" in run.numbers]
    said = {
        "command": f"<code>{escaped(facts['command'])}</code>",
        "objectives": escaped(", ".join(f"{key} ({direction})" for key, direction in results.objectives.items())),
        "in all runs": " ".join(f"<code>{escaped(f'{k}={v}')}</code>" for k, v in results.constant.items()),
        "started": _date(facts["started"]),
        "this page": f"{_date(now)}; {escaped(duration(sum(times)))} of training in it" if times else _date(now),
        "commit": f"<code>{escaped(facts['commit'])}</code>" if facts["commit"] else "",
        "versions": escaped(", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items())),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in said.items() if value)
    return "\n".join([*lines, f"<dl>{rows}</dl>"])


def _date(text: object) -> str:
    try:
        return f"{datetime.datetime.fromisoformat(str(text)):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return escaped(text)


def _table(results: Results) -> str:
    if not results.runs:
        return '<p class="note">No run has begun.</p>'
    metrics = results.metrics
    first = [name for name in metrics if name in results.objectives or name in KNOWN] or metrics
    more = {name for name in metrics if name not in first}
    hidden = {name: " more" if name in more else "" for name in [*metrics, "wandb"]} | {"wandb": " more"}
    is_numeric = {key: results.scale(key) != "words" for key in results.differing}
    front = set(results.front()) if len(results.objectives) > 1 else set()
    order = {"maximize": "descending", "minimize": "ascending"}[results.objectives[results.objective]]

    def header(name: str, kind: str = "", sort: str = "") -> str:
        state = f' aria-sort="{sort}"' if sort else ""
        return f'<th scope="col" class="{kind}"{state}><button type="button">{_key(name)}</button></th>'

    def cell(value: float | None, text: str, kind: str = "") -> str:
        return f'<td class="number{kind}" data-value="{"" if value is None else value}">{escaped(text)}</td>'

    def line(run: Run) -> str:
        mark = ' <span title="on the Pareto front">◆</span>' if run in front else ""
        name = _link(results, run.folder, escaped(run.name))
        error = f'<div class="error">{escaped(run.error)}</div>' if run.error else ""
        cells = [f'<th scope="row" data-value="{escaped(run.name)}">{name}{mark}{error}</th>']
        cells += [f'<td class="{escaped(run.state)}">{escaped(run.state)}</td>']
        for key in results.differing:
            choice = run.choices[key]
            text = brief(choice) or "–"
            cells.append(
                cell(number(choice), text) if is_numeric[key] else f'<td title="{escaped(choice)}">{escaped(text)}</td>'
            )
        for metric in metrics:
            value = run.newest(metric)
            is_final = metric in run.numbers or value is None
            cells.append(cell(value, shown(value), hidden[metric] + ("" if is_final else " so-far")))
        for key, write in (("epochs", shown), ("seconds", duration), ("parameters", shown)):
            cells.append(cell(run.numbers.get(key), write(run.numbers.get(key))))
        cells.append(f'<td class="more">{escaped(run.wandb) or "–"}</td>')
        return f"<tr{_best(results, run)}>{''.join(cells)}</tr>"

    head = [header("run"), header("state")]
    head += [header(key, "number" if is_numeric[key] else "") for key in results.differing]
    head += [header(key, "number" + hidden[key], order if key == results.objective else "") for key in metrics]
    head += [header(key, "number") for key in ("epochs", "time", "parameters")]
    head += [header("W&B", "more")]
    lines = "\n".join(map(line, results.runs))
    notes = ["A click on a header sorts."]
    if "so-far" in lines:
        notes.append("Numbers in italics are those of the newest epoch of a run that did not finish, or not yet.")
    if front:
        notes.append("◆ is on the Pareto front.")
    notes.append(f'<label><input type="checkbox" id="all"> all columns ({len(more) + 1} more)</label>')
    table = f"<table>\n<thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"
    return f'<p class="note">{" ".join(notes)}</p>\n<div class="wide">{table}</div>'


def _plots(title: str, legend: str, panels: list[figures.Panel]) -> str:
    lines = [f"<h2>{title}</h2>", f'<p class="note">{legend}</p>', '<div class="plots">']
    for panel in panels:
        if panel.png is not None:
            kind = ' class="large"' if _size(panel.png)[0] > LARGE else ""
            image = _image(panel.png, panel.title, DENSITY)
            lines.append(f"<figure{kind}><figcaption>{escaped(panel.title)}</figcaption>{image}</figure>")
    left_out = [panel for panel in panels if panel.png is None]
    notes = (f'<p class="note">{escaped(panel.title)}: {escaped(panel.note)}</p>' for panel in left_out)
    return "\n".join([*lines, "</div>", *notes])


def _pictures(results: Results) -> str:
    kinds = pictures.kinds(results.runs[: pictures.MOST])
    if not kinds:
        return ""
    found = pictures.layout(results)
    choices = [
        f'<label><input type="radio" name="kind" value="{kind}"{" checked" if kind == kinds[0] else ""}>'
        f"{pictures.KINDS[kind]}</label>"
        for kind in kinds
    ]
    left = len(results.runs) - pictures.MOST
    note = f'<p class="note">The best {pictures.MOST} runs; {left} others are left out.</p>' if left > 0 else ""
    return "\n".join(
        [
            f"<h2>Pictures side by side</h2>\n{note}",
            f'<fieldset aria-label="which pictures">{"".join(choices)}</fieldset>',
            *(_gallery(results, found, kind) for kind in kinds),
        ]
    )


def _gallery(results: Results, found: pictures.Layout, kind: str) -> str:
    if not found.columns:
        cells = "\n".join(_picture(results, run, kind) for [run] in found.rows[0][1])
        return f'<div class="gallery wrap" id="pictures-{kind}">{cells}</div>'
    parts = ['<div class="name column"></div>']
    parts += [f'<div class="name column">{_key(name)}</div>' for name in found.columns]
    for name, places in found.rows:
        parts.append(f'<div class="name">{_key(name)}</div>')
        for runs in places:
            shown_runs = "".join(_picture(results, run, kind) for run in runs)
            parts.append(f'<div class="cell">{shown_runs or _nothing("not begun")}</div>')
    columns = len(found.columns)
    opening = f'<div class="gallery matrix" id="pictures-{kind}" style="--columns: {columns}">'
    return "\n".join([opening, *parts, "</div>"])


def _picture(results: Results, run: Run, kind: str) -> str:
    width = next((width for most, width in WIDTHS if len(results.runs) <= most), NARROWEST)
    end = f"<b>{shown(run.newest(results.objective))}</b> {escaped(results.objective)}"
    choices = " ".join(f"{_key(key)}={escaped(brief(run.choices[key]) or '–')}" for key in results.differing)
    caption = f"{end}, {_link(results, run.folder, choices or escaped(run.name))}"
    if run.state != "finished":
        caption += f" ({escaped(run.state)})"
    found = pictures.read(run, kind, width)
    if found is None:
        return _nothing("no picture", caption)
    file, data = found
    image = _link(results, file, _image(data, f"{pictures.KINDS[kind]} of {run.name}"))
    return f"<figure{_best(results, run)}>{image}<figcaption>{caption}</figcaption></figure>"


def _best(results: Results, run: Run) -> str:
    """The attribute that marks the best run."""
    return ' class="best"' if run is results.best else ""


def _nothing(text: str, caption: str = "") -> str:
    return f'<figure><div class="none">{text}</div><figcaption>{caption}</figcaption></figure>'
