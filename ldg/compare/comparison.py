"""A comparison of any runs, and the forms it is given out in: a page, a table, JSON and CSV."""

import csv
import io
import json
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ldg.compare.differences import Table, compare_configs, group_seeds, group_tasks
from ldg.compare.listing import Column, Entry
from ldg.compare.markup import breakable, definitions, escape, link
from ldg.compare.page import Page, render
from ldg.compare.pictures import Album
from ldg.compare.scores import Scores
from ldg.evaluation.measure import main_metrics
from ldg.evaluation.scorecard import finite_or_none
from ldg.runs.formats import (
    encodable,
    escape_markdown,
    format_age,
    format_cell,
    format_duration,
    format_number,
    format_size,
    markdown_table,
    parse_number,
    shorten,
)
from ldg.runs.run import STATES, Run
from ldg.runs.select import label_runs, value

MAX_KEYS = 6  # of the config that have a column in the table of runs


class Comparison:
    """Runs of any age and origin.

    Args:
        runs: in the order in which they are shown; differences are to the first
        title: of the page
        notes: Markdown below it
    """

    def __init__(self, runs: Sequence[Run], title: str = "", notes: str = "") -> None:
        self.runs = list(runs)
        self.title = title or f"{len(self.runs)} run{'' if len(self.runs) == 1 else 's'}"
        self.notes = notes
        self.labels = label_runs(self.runs)

    @cached_property
    def configs(self) -> Table:
        """What differs in the configs."""
        return compare_configs(self.runs)

    @cached_property
    def scores(self) -> Scores:
        """The scorecards."""
        return Scores(self.runs)

    @cached_property
    def keys(self) -> list[str]:
        """The keys in the table of runs: choices that differ, or else keys of the config."""
        choices = dict.fromkeys(key for run in self.runs for key in run.choices)
        differing = [key for key in choices if len({text for run in self.runs if (text := self.value(run, key))}) > 1]
        rows = self.configs.rows.items()
        given = [key for key, texts in rows if len({text for text in texts if text}) > 1]  # not only known of some
        named = [key for key in given if not key.endswith("_") and not key.startswith("callbacks.")]
        return [*differing, *(key for key in named if key.rpartition(".")[2] not in choices)][:MAX_KEYS]

    def value(self, run: Run, key: str) -> str:
        """A choice of a run, or a value of its config, as text; empty if it is not known."""
        return run.choices.get(key) or str(value(run, key) or "")

    @property
    def metrics(self) -> list[str]:
        """The metrics that some run reports, the main ones first."""
        reported = {key for run in self.runs for key in run.metrics}
        main = [key for key in main_metrics() if key in reported]
        return [*main, *sorted(reported - set(main))]

    @property
    def state(self) -> str:
        """How many runs are in which state."""
        counts = {state: sum(run.state == state for run in self.runs) for state in STATES}
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count)

    @cached_property
    def best(self) -> int | None:
        """Index of the run with the best ELBO of validation images, where all are of the same data and likelihood."""
        known = [i for i, run in enumerate(self.runs) if run.best is not None]
        tasks = group_tasks(self.runs)
        if len(known) < 2 or len({tasks[i] for i in known}) > 1:
            return None
        return max(known, key=lambda i: self.runs[i].best or 0.0)

    def render_html(self, path: Path, album: Album | None = None) -> str:
        """The page.

        Args:
            path: of its file
            album: its pictures; None: those of the galleries
        """
        groups = group_seeds(self.runs)
        entries = [
            Entry(
                run,
                label,
                caption=link(path, run.place, breakable(label)),
                group=group,
                group_label=self.labels[groups.index(group)],
                error=self._error(run),
                is_best=index == self.best,
            )
            for index, (run, label, group) in enumerate(zip(self.runs, self.labels, groups, strict=True))
        ]
        notes = f'<div class="notes">{markdown_to_html(self.notes)}</div>' if self.notes.strip() else ""
        head = notes + definitions({"commands": self._commands()})
        page = Page(path, self.title, self.state, entries, self._columns(), head, self._notes())
        return render(page, self.configs, self.scores, album)

    def _named(self) -> list[tuple[Run, str]]:
        return list(zip(self.runs, self.labels, strict=True))

    def _commands(self) -> str:
        """The commands of each run, the first one first."""
        lines = (
            f"{escape(label)}: {', then '.join(f'<code>{escape(command)}</code>' for command in commands)}"
            for run, label in self._named()
            if (commands := [session["command"] for session in run.sessions if "command" in session])
        )
        text = "<br>".join(lines)
        return f"<details><summary>of each run</summary>{text}</details>" if text else ""

    def _notes(self) -> list[str]:
        """Where the numbers of a test are from, if a scorecard has taken the place of the training's."""
        if not any(run.logged.keys() & run.measured.keys() for run in self.runs):
            return []
        return [
            "Where a run has a scorecard, its test/… values are from there. The test at the end of training drew other "
            "noise, so its values differ a little."
        ]

    def _error(self, run: Run) -> str:
        if run.state == "broken":
            return "there is no config that can be read"
        text = (run.read("error.txt", 1 << 20) or "") if run.state == "failed" else ""
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:300]

    def _columns(self) -> list[Column]:
        runs, metrics = self.runs, self.metrics
        first = [name for name in metrics if name in main_metrics()] or metrics[:4]
        columns = [
            Column("state", [run.state for run in runs], kinds=[run.state for run in runs]),
            Column("age", *_cells([time.time() - run.started for run in runs], format_age)),
        ]
        for key in self.keys:
            texts = [self.value(run, key) for run in runs]
            numbers = [parse_number(text) for text in texts]
            is_numeric = all(number is not None or not text for number, text in zip(numbers, texts, strict=True))
            columns.append(Column(key, [shorten(text) for text in texts], numbers if is_numeric else None))
        columns.append(Column("best val/elbo", *_cells([run.best for run in runs], format_number)))
        for name in metrics:
            cells = _cells([run.metrics.get(name) for run in runs], format_number)
            columns.append(Column(name, *cells, is_more=name not in first or name == "val/elbo"))
        for title, key, form in (
            ("epochs", "epochs", format_number),
            ("time", "seconds", format_duration),
            ("parameters", "parameters", format_number),
        ):
            columns.append(Column(title, *_cells([run.costs.get(key) for run in runs], form)))
        return [*columns, Column("size", *_cells([run.size for run in runs], format_size), is_more=True)]

    def rows(self) -> list[list[str]]:
        """The short table: a head, and a line for each run."""
        scored = [key for key in main_metrics() if key.startswith("test/")]
        metrics = [key for key in scored if any(key in run.metrics for run in self.runs)]
        head = ["run", "state", *self.keys, "best val/elbo", *metrics, "epochs", "time"]
        lines = [head]
        for run, label in self._named():
            numbers = [run.best, *(run.metrics.get(name) for name in metrics), run.costs.get("epochs")]
            texts = [format_cell(number) for number in numbers]
            choices = [shorten(self.value(run, key)) or "–" for key in self.keys]
            lines.append([label, run.state, *choices, *texts, format_duration(run.costs.get("seconds"))])
        return lines

    def render_markdown(self) -> str:
        """The short table and what differs in the configs, in Markdown."""
        lines = [f"# {escape_markdown(self.title)}", "", *([self.notes.strip(), ""] if self.notes.strip() else [])]
        lines += _table(self.rows(), 2 + len(self.keys))
        if self.configs.rows:
            lines += ["", "## Config", ""]
            lines += _table([["key", *self.labels], *([k, *texts] for k, texts in self.configs.rows.items())])
        rows = [[row.title, *(text or "–" for text in row.texts)] for row in self.scores.rows()]
        if rows:
            lines += ["", "## Scorecards", "", *_table([["", *self.labels], *rows], 1)]
        return encodable("\n".join(lines) + "\n")

    def render_json(self) -> str:
        """All that is compared, as JSON: of each run its state, what differs in its config, metrics and scores."""
        differences = {row.name: row.differences for row in self.scores.rows()}
        runs = []
        for i, (run, label) in enumerate(self._named()):
            runs.append(
                {
                    "name": label,
                    "folder": str(run.place),
                    "state": run.state,
                    "config": {key: texts[i] for key, texts in self.configs.rows.items()},
                    "commit": run.session.get("commit"),
                    "metrics": run.metrics,
                    "best": run.best,
                    "scores": {name: {"value": value, "error": error} for name, (value, error) in run.scores.items()},
                    "differences": {
                        name: {"value": mine.value, "error": mine.error, "paired": mine.is_paired}
                        for name, of_runs in differences.items()
                        if (mine := of_runs[i]) is not None
                    },
                }
            )
        content = {"schema": "ldg.comparison/1", "title": self.title, "runs": runs}
        return json.dumps(finite_or_none(content), indent=1) + "\n"

    def render_csv(self) -> str:
        """A line for each run: its state, what differs in its config, and all metrics with all their digits."""
        metrics = self.metrics
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["run", "folder", "state", *self.configs.rows, *metrics, "epochs", "seconds", "parameters"])
        for i, (run, label) in enumerate(self._named()):
            config = [texts[i] for texts in self.configs.rows.values()]
            ends = [run.costs.get(key, "") for key in ("epochs", "seconds", "parameters")]
            numbers = [run.metrics.get(name, "") for name in metrics]
            writer.writerow([label, run.place, run.state, *config, *numbers, *ends])
        return encodable(buffer.getvalue())


def markdown_to_html(text: str) -> str:
    """Markdown as HTML; HTML in it is shown as text, and links to scripts are not made."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("js-default", {"html": False}).disable("image").render(text))


def _table(lines: Sequence[Sequence[str]], words: int = 10**6) -> list[str]:
    return markdown_table([[escape_markdown(cell) for cell in line] for line in lines], words)


def _cells(values: Sequence[float | None], form: Any) -> tuple[list[str], Sequence[float | None]]:
    return ["" if value is None else form(value) for value in values], values
