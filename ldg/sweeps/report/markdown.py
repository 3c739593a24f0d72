"""The report in Markdown: the best run and the table."""

import re
from urllib.parse import quote

from ldg.sweeps.report.results import Results, Run, brief, duration, shown


def render(results: Results) -> str:
    """A page in Markdown."""
    facts, best = results.facts, results.best
    lines = [f"# {plain(facts['name'])}", "", f"{plain(results.state)}. [Plots and pictures](report.html)", ""]
    if best is not None:
        choices = ", ".join(f"{key}={best.choices[key]}" for key in results.differing)
        value = shown(best.numbers[results.objective])
        lines += [f"Best {plain(results.objective)}: **{value}**, {_link(best)} {plain(choices)}".rstrip(), ""]
    if len(results.objectives) > 1:
        lines += ["Pareto front: " + (", ".join(map(_link, results.front())) or "–"), ""]
    metrics = [name for name in results.metrics if not name.startswith("train/")]
    head = ["run", "state", *results.differing, *metrics, "epochs", "time", "parameters"]
    right = ["---"] * (2 + len(results.differing)) + ["---:"] * (len(metrics) + 3)
    lines += [_line([plain(cell) for cell in head]), _line(right)]
    for run in results.runs:
        numbers = [shown(run.numbers.get(name)) for name in metrics]
        if run is best:
            numbers[0] = f"**{numbers[0]}**"
        cells = [plain(brief(run.choices[key])) or "–" for key in results.differing]
        ends = [
            shown(run.numbers.get("epochs")),
            duration(run.numbers.get("seconds")),
            shown(run.numbers.get("parameters")),
        ]
        lines.append(_line([_link(run), plain(run.state), *cells, *numbers, *ends]))
    lines += ["", *(f"- {_link(run)} {plain(run.state)}: {plain(run.error)}" for run in results.runs if run.error)]
    versions = ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items())
    said = {"command": facts["command"], "started": facts["started"], "commit": facts["commit"], "versions": versions}
    same = ", ".join(f"{key}={value}" for key, value in results.constant.items())
    lines += ["", *(f"- {name}: {plain(text)}" for name, text in (said | {"in all runs": same}).items() if text)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def plain(text: object) -> str:
    """A text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\|<`*\[\]])", r"\\\1", " ".join(str(text).split()))


def _link(run: Run) -> str:
    return f"[{plain(run.name)}](./{quote(run.name)}/)"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
