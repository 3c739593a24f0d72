"""A run as its folder tells of it, which may be half-written, broken, or a stranger's."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from ldg.files import is_inside, read_inside
from ldg.migration import migrate_config
from ldg.runs.formats import as_number, parse_number
from ldg.runs.provenance import FILE

# what a folder may hold; ldg's own runs have a tenth of that
LIMITS = {"config.yaml": 1 << 20, "summary.json": 1 << 20, FILE: 1 << 25}  # bytes
LIMITS |= {"metrics.csv": 1 << 23, "times.csv": 1 << 22}
MAX_SCORECARD = 1 << 25
MAX_DEPTH = 30  # of YAML and JSON
MAX_KEYS = 2000  # of a config
MAX_COLUMNS = 300  # of a table, and metrics in all
MAX_ROWS = 100_000  # of a table
STATES = ("finished", "exported", "running", "stopped", "failed", "broken")
MAX_NAME = 255  # characters; more than a folder's name has
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Run:
    """A run's folder. Nothing outside of it is read; what cannot be read is as if it were not there.

    Args:
        folder: of the run
        home: the folder that all that is read lies in, links resolved; None: the run's
    """

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        self.folder = folder
        self.home = home or folder

    @property
    def place(self) -> Path:
        """What a command takes to name the run."""
        return self.folder

    def files(self, pattern: str) -> list[Path]:
        """The files in the folder by a pattern, the last name first, without links to what is outside."""
        try:
            files = sorted(self.folder.glob(pattern), reverse=True)
        except OSError:
            return []
        return [file for file in files if file.is_file() and is_inside(file, self.home)]

    def read(self, name: str, limit: int) -> str | None:
        """The text of a file in the folder; None if there is none, or it is larger than ``limit`` bytes."""
        try:
            return read_inside(self.folder / name, self.home, limit)
        except (OSError, ValueError):
            return None

    def _json(self, name: str, limit: int) -> Any:
        try:
            content = json.loads(self.read(name, limit) or "null")
        except (ValueError, RecursionError):
            return None
        return content if is_shallow(content) else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of ``config.yaml`` in today's words; empty if it is missing or broken."""
        text = self.read("config.yaml", LIMITS["config.yaml"])
        try:
            content = load_yaml(text) if text else None
        except ValueError:
            content = None
        return migrate_config({str(key): value for key, value in content.items()}) if isinstance(content, dict) else {}

    @cached_property
    def flat_config(self) -> dict[str, str]:
        """The config's values as text by their full names."""
        return {key: _write(value) for key, value in islice(flatten(self.config), MAX_KEYS)}

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of ``summary.json``; empty before the run is finished."""
        content = self._json("summary.json", LIMITS["summary.json"])
        return content if isinstance(content, dict) else {}

    @cached_property
    def sessions(self) -> list[dict[str, Any]]:
        """The content of ``source.json``: the trainings that made the run, the first one first."""
        content = self._json(FILE, LIMITS[FILE])
        return [item for item in content if isinstance(item, dict)] if isinstance(content, list) else []

    @cached_property
    def session(self) -> dict[str, Any]:
        """The last of the sessions; empty for a run of before there were any."""
        return self.sessions[-1] if self.sessions else {}

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The rows of ``metrics.csv``, with the ``seconds`` of ``times.csv``, as text by column."""
        times = {row.get("step"): row.get("seconds", "") for row in self._csv("times.csv")}
        return [{"seconds": times.get(row.get("step"), "")} | row for row in self._csv("metrics.csv")]

    def _csv(self, name: str) -> list[dict[str, str]]:
        lines = csv.reader(io.StringIO(self.read(name, LIMITS[name]) or "", newline=""))
        try:
            head = next(lines, [])[:MAX_COLUMNS]
            return [
                {key: cell for key, cell in zip(head, line, strict=False) if cell} for line in islice(lines, MAX_ROWS)
            ]
        except (ValueError, csv.Error):
            return []

    @cached_property
    def scorecard(self) -> dict[str, Any]:
        """The content of ``scorecard.json``, as it is; empty without one, or if the run was trained on since."""
        content = self._json("scorecard.json", MAX_SCORECARD)
        made = content.get("made") if isinstance(content, dict) else None
        date = _parse_date(made.get("date")) if isinstance(made, dict) else None
        began = _parse_date(self.session.get("started")) if len(self.sessions) > 1 else None
        is_older = date is not None and began is not None and date < began
        return content if isinstance(content, dict) and not is_older else {}

    @property
    def name(self) -> str:
        """The run's name, in a sweep the one that it has there; others may have it too."""
        names = (self.config.get("run"), self.config.get("name"))
        name = next((name for name in names if isinstance(name, str) and name.strip()), self.folder.name)
        return name[:MAX_NAME]

    @cached_property
    def state(self) -> str:
        """One of :data:`STATES`; ``broken``: there is no config that can be read."""
        if not self.config:
            return "broken"
        if self.summary and not self._goes_on:
            return "finished"
        if (self.folder / "error.txt").is_file():
            return "failed"
        return "running" if _is_alive(self.session) else "stopped"

    @property
    def _goes_on(self) -> bool:
        """Whether the run was finished once, and is trained on since."""
        began = _parse_date(self.session.get("started")) if len(self.sessions) > 1 else None
        return began is not None and _modified(self.folder / "summary.json") < began

    @cached_property
    def started(self) -> float:
        """When the run began, in seconds since 1970."""
        first = _parse_date(self.sessions[0].get("started")) if self.sessions else None
        return _modified(self.folder / "config.yaml") if first is None else first

    @cached_property
    def size(self) -> int:
        """Bytes of all files in the folder."""
        return _size(self.folder)

    def curve(self, metric: str, over: str = "epoch") -> tuple[list[float], list[float]]:
        """A metric over the course of training.

        Args:
            metric: its name
            over: ``epoch``, ``step`` or ``seconds``

        Returns:
            Positions and values, where both are finite.
        """
        points = [(parse_number(row.get(over)), parse_number(row.get(metric))) for row in self.rows]
        known = [(x, y) for x, y in points if x is not None and y is not None]
        return [x for x, _ in known], [y for _, y in known]

    @cached_property
    def logged(self) -> dict[str, float]:
        """What training reports: the metrics of the best epoch and its test, before it is finished the newest ones."""
        numbers: dict[str, float] = {}
        for row in self.rows:
            numbers |= _numbers({key: parse_number(text) for key, text in row.items() if "/" in key})
        summary = self.summary.get("metrics")
        numbers |= _numbers(summary) if isinstance(summary, dict) else {}
        return numbers

    @cached_property
    def measured(self) -> dict[str, float]:
        """The values of the scorecard as ``test/NAME``."""
        return {f"test/{name}": value for name, (value, _) in self.scores.items()}

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers of training; where there is a scorecard, its own in place of those of the training's test."""
        return dict(islice((self.logged | self.measured).items(), MAX_COLUMNS))

    @cached_property
    def costs(self) -> dict[str, int | float]:
        """``epochs``, ``seconds`` and ``parameters`` of a finished run, as far as its summary has them."""
        known = {key: as_number(self.summary.get(key)) for key in ("epochs", "seconds", "parameters")}
        return {key: value for key, value in known.items() if value is not None}

    @cached_property
    def scores(self) -> dict[str, tuple[float, float | None]]:
        """The values of the scorecard by name, each with its standard error or None."""
        results = self.scorecard.get("results")
        scores = {}
        for result in results.values() if isinstance(results, dict) else ():
            values = result.get("values") if isinstance(result, dict) else None
            for name, value in values.items() if isinstance(values, dict) else ():
                number = as_number(value.get("value")) if isinstance(value, dict) else None
                if number is not None:
                    scores[str(name)] = number, as_number(value.get("error"))
        return scores

    @cached_property
    def best(self) -> float | None:
        """The best ELBO of validation images so far, in nats."""
        values = self.curve("val/elbo")[1] or [v for k, v in self.metrics.items() if k == "val/elbo"]
        return max(values, default=None)

    @cached_property
    def choices(self) -> dict[str, str]:
        """What was chosen, by group: ``data``, ``model``, ``likelihood``, ...; what is not known is left out."""
        logger = self.config.get("logger")
        wandb = logger.get("wandb") if isinstance(logger, dict) else None
        kept = self.config.get("choices") or (wandb.get("choices") if isinstance(wandb, dict) else None)
        return {str(key): _write(value) for key, value in kept.items()} if isinstance(kept, dict) else {}


def load_yaml(text: str, depth: int = MAX_DEPTH) -> Any:
    """The content of a YAML file that may be anybody's.

    Args:
        text: of the file
        depth: the largest one

    Raises:
        ValueError: if it is no YAML, or has aliases, which can stand for any number of copies, or a depth that takes
            minutes.
    """
    level = 0
    try:
        for event in yaml.parse(text, LOADER):
            level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if level > depth or isinstance(event, yaml.AliasEvent):
                raise ValueError("too deep, or with aliases")
        content = yaml.load(text, LOADER)
        str(content)  # a ValueError if there is a number of more digits than Python writes
    except Exception as error:  # whatever PyYAML raises for a value that its tag does not allow
        raise ValueError(str(error)) from None
    return content


def _parse_date(text: Any) -> float | None:
    """Seconds since 1970 of a date in ISO 8601; None for everything else."""
    try:
        return datetime.datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _modified(path: Path) -> float:
    """When a file was written, in seconds since 1970; 0 without one."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def is_shallow(node: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether dicts and lists lie at most so deep in each other."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return depth >= 0 and all(is_shallow(child, depth - 1) for child in children if isinstance(child, dict | list))


def flatten(node: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested config with their full names; a list is one value."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _write(value: Any) -> str:
    """A value as an override would give it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError):  # a date
        return str(value)


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    numbers = {str(key): as_number(value) for key, value in values.items()}
    return {key: float(value) for key, value in numbers.items() if value is not None}


def _is_alive(session: dict[str, Any]) -> bool:
    """Whether the process of a session is still there, as far as this machine can say."""
    pid = session.get("pid")
    if session.get("host") != socket.gethostname() or type(pid) is not int or not 0 < pid < 2**31:
        return False
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return _began(pid) < (_parse_date(session.get("started")) or 0) + 60  # one that began later is another


def _began(pid: int) -> float:
    """When a process began, in seconds since 1970; 0 where the system has no ``/proc`` as Linux."""
    try:
        ticks = (
            Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
        uptime = Path("/proc/uptime").read_text(encoding="utf-8").split()[0]
        return time.time() - float(uptime) + int(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _size(folder: Path) -> int:
    total, folders = 0, [os.fspath(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # removed meanwhile
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total
