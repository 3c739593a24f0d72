"""The folder of a sweep: what it is (``sweep.yaml``), and a line for each of its runs (``runs.csv``)."""

import csv
import datetime
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ldg.errors import UserError
from ldg.sweeps.plan import Plan

SCHEMA = "ldg.sweep/1"
ENDED = ("finished", "pruned", "failed")
FIRST, LAST = ("run", "state"), ("epochs", "seconds", "parameters", "wandb", "error")


class Ledger:
    """A sweep's folder, which any number of processes may read and write at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def facts(self) -> dict[str, Any]:
        """What ``sweep.yaml`` says.

        Raises:
            UserError: if the folder holds no sweep.
        """
        path = self.folder / "sweep.yaml"
        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError):
            raise UserError(f"{self.folder} holds no sweep (there is no readable sweep.yaml in it)") from None
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise UserError(f"{path} is not of the format {SCHEMA}")
        return content

    @classmethod
    def open(cls, plan: Plan, command: str, home: Path) -> "Ledger":
        """The ledger of a plan, made or gone on with.

        Raises:
            UserError: if the folder holds another sweep, or cannot be written to.
        """
        ledger = cls(plan.folder)
        with ledger._writing():
            if (plan.folder / "sweep.yaml").exists():
                facts = ledger.facts
                if difference := _difference(facts["identity"], plan.identity):
                    raise UserError(f"{plan.folder} holds another sweep ({difference}); name this one: sweep_name=...")
                if facts["runs"] != len(plan.runs):
                    ledger._save(facts | {"runs": len(plan.runs)})
                return ledger
            if plan.folder.exists() and any(file.name != "lock" for file in plan.folder.iterdir()):
                raise UserError(f"{plan.folder} is not empty and holds no sweep; name this one: sweep_name=...")
            ledger._save(
                {
                    "schema": SCHEMA,
                    "name": plan.name,
                    "id": secrets.token_hex(6),
                    "command": command,
                    "kind": "grid" if plan.study is None else "optuna",
                    "parameters": plan.parameters,
                    "objectives": plan.objectives,
                    "study": plan.study,
                    "storage": plan.study and plan.study.get("storage"),
                    "runs": len(plan.runs),
                    "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                    "commit": _commit(home),
                    "versions": {name: version(name) for name in ("ldg", "torch", "pytorch-lightning", "hydra-core")},
                    "identity": plan.identity,
                }
            )
        return ledger

    def rows(self) -> list[dict[str, str]]:
        """The lines of ``runs.csv``; none before the first run has begun."""
        try:
            with (self.folder / "runs.csv").open(newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []

    def row(self, run: str) -> dict[str, str]:
        """A run's line, empty if it has none."""
        return next((row for row in self.rows() if row["run"] == run), {})

    def record(self, run: str, state: str, **cells: Any) -> None:
        """Put a run's line in its place; what is not given stays as it was, unless the run begins."""
        with self._writing():
            lines = {row["run"]: row for row in self.rows()}
            line = (
                (lines.get(run, {}) if state != "running" else {})
                | {"run": run, "state": state}
                | {k: _cell(v) for k, v in cells.items()}
            )
            lines[run] = line
            parameters = list(self.facts["parameters"])
            metrics = sorted({key for row in lines.values() for key in row if "/" in key} - set(parameters))
            partial = self.folder / "runs.part"
            with partial.open("w", newline="") as file:
                writer = csv.DictWriter(file, [*FIRST, *parameters, *metrics, *LAST], restval="", extrasaction="ignore")
                writer.writeheader()
                writer.writerows(lines[name] for name in sorted(lines))
            partial.replace(self.folder / "runs.csv")

    def lock(self, run: str) -> FileLock:
        """Who holds it carries the run out; the operating system lets go of it when the process dies."""
        (self.folder / "locks").mkdir(exist_ok=True)
        return FileLock(self.folder / "locks" / f"{run}.lock")

    def settle(self) -> None:
        """Call the runs interrupted that no process is at work on any more."""
        for row in self.rows():
            if row["state"] == "running":
                try:
                    with self.lock(row["run"]).acquire(timeout=0):
                        self.record(row["run"], "interrupted")
                except Timeout:
                    continue  # another process is at it

    def _save(self, facts: dict[str, Any]) -> None:
        partial = self.folder / "sweep.part"
        partial.write_text(yaml.safe_dump(facts, sort_keys=False))
        partial.replace(self.folder / "sweep.yaml")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock"):
                yield
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written to: {error.strerror or error}") from None


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first thing in which two sweeps differ, in words; nothing if they are the same."""
    for part in ("parameters", "fixed", "objectives", "study"):
        if old[part] == new[part]:
            continue
        if isinstance(old[part], dict) and isinstance(new[part], dict):
            keys = sorted(k for k in {*old[part], *new[part]} if old[part].get(k) != new[part].get(k))
            was, now = old[part].get(keys[0], "nothing"), new[part].get(keys[0], "nothing")
            return f"{keys[0]} was {was}, now it is {now}" if keys else f"the order of its {part} was another"
        only = sorted({*old[part]} ^ {*new[part]})
        return f"one of them has {only[0]}"
    return "" if list(old["parameters"]) == list(new["parameters"]) else "its parameters were in another order"


def _commit(home: Path) -> str | None:
    """The commit of the code, with + if it was changed since; None outside of a repository."""
    git = ["git", "-C", os.fspath(home)]
    try:
        said = [
            subprocess.run([*git, *line], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
            for line in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "-uno"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ("+" if said[1] else "")
