"""The folder of a sweep: its definition (``sweep.yaml``), and a line for each of its runs (``runs.csv``)."""

import csv
import datetime
import io
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from filelock import FileLock, Timeout
from pydantic import Field, TypeAdapter

from ldg.config.secrets import mask, without_password
from ldg.errors import UserError, describe_os_error
from ldg.files import read_inside, whole, write_text
from ldg.runs.provenance import describe_commit
from ldg.runs.run import load_yaml
from ldg.sweeps.plan import Plan

SCHEMA = "ldg.sweep/1"
ENDED = ("finished", "pruned", "failed")
RUN_NAME = re.compile(r"(?!\.+$)[\w.+-]{1,80}")  # what Plan.run_name gives
MAX_SIZE = 32 << 20  # of sweep.yaml and runs.csv: three times that of the largest sweep
MAX_COLUMNS = 1000
MAX_DEPTH = 20  # of sweep.yaml, in which a sampler may hold a sampler
FIRST, LAST = ("run", "state"), ("epochs", "seconds", "parameters", "wandb", "error")


@dataclass(frozen=True)
class Sweep:
    """The content of ``sweep.yaml``.

    Attributes:
        name: of the sweep and its folder
        id: a random one, to which Optuna's trials belong
        command: that started the sweep
        kind: whether a grid or Optuna determines the values
        parameters: what differs, by key: the values of a grid, or one string that describes Optuna's distribution
        objectives: ``maximize`` or ``minimize`` by the name of a metric
        study: the settings of Optuna's study; None for a grid
        storage: URL of the study's database; None: ``study.db`` in the folder
        runs: number of runs
        started: date and time of the first start
        commit: of the code, with + if it was changed since; None outside of a repository
        versions: of ldg and the packages that matter, by name
        identity: :attr:`ldg.sweeps.plan.Plan.identity`
    """

    name: str
    id: str
    command: str
    kind: Literal["grid", "optuna"]
    parameters: dict[str, list[str] | str]
    objectives: Annotated[dict[str, Literal["maximize", "minimize"]], Field(min_length=1)]
    study: dict[str, Any] | None
    storage: str | None
    runs: int
    started: str
    commit: str | None
    versions: dict[str, str]
    identity: dict[str, Any]

    @classmethod
    def from_plan(cls, plan: Plan, command: str) -> Self:
        """The definition of a sweep that starts now.

        Args:
            plan: of the sweep
            command: that started it
        """
        return cls(
            name=plan.name,
            id=secrets.token_hex(6),
            command=mask(command),
            kind="grid" if plan.study is None else "optuna",
            parameters=plan.parameters,
            objectives=plan.objectives,
            study=plan.study,
            storage=plan.study.get("storage") if plan.study else None,
            runs=len(plan.runs),
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            commit=describe_commit(),
            versions={name: version(name) for name in ("ldg", "torch", "pytorch-lightning", "hydra-core")},
            identity=plan.identity,
        )


class Ledger:
    """A sweep's folder, which any number of processes may read and write at once.

    Args:
        folder: of the sweep
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, plan: Plan, command: str) -> Self:
        """Make the folder of a plan, or continue in it.

        Args:
            plan: of the sweep
            command: that starts it

        Returns:
            The ledger in the plan's folder.

        Raises:
            UserError: if the folder holds another sweep or something else, or cannot be written to.
        """
        ledger = cls(plan.folder)
        with ledger._locked():
            if (plan.folder / "sweep.yaml").exists():
                sweep = ledger.read_sweep()
                if difference := _difference(_without_password(sweep.identity), plan.identity):
                    raise UserError(f"{plan.folder} holds another sweep ({difference}); name this one: sweep_name=...")
                now = Sweep.from_plan(plan, sweep.command)
                now = replace(now, id=sweep.id, started=sweep.started, commit=sweep.commit, versions=sweep.versions)
                if now != sweep:  # more trials, another password
                    ledger._write_sweep(now)
                return ledger
            # a process that was killed may leave hidden files
            if any(file.name != "lock" and not file.name.startswith(".") for file in plan.folder.iterdir()):
                raise UserError(f"{plan.folder} is not empty and holds no sweep; name this one: sweep_name=...")
            ledger._write_sweep(Sweep.from_plan(plan, command))
        return ledger

    def read_sweep(self) -> Sweep:
        """Read ``sweep.yaml``.

        Raises:
            UserError: if the folder holds no sweep.
        """
        path = self.folder / "sweep.yaml"
        try:
            content = load_yaml(read_inside(path, self.folder, MAX_SIZE), MAX_DEPTH)
        except (OSError, ValueError):
            raise UserError(f"{self.folder} holds no sweep (there is no readable sweep.yaml in it)") from None
        try:
            if content.pop("schema") != SCHEMA:
                raise ValueError
            Sweep(**content)  # has no further keys
            sweep = TypeAdapter(Sweep).validate_python(content)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UserError(f"{path} is not of the format {SCHEMA}") from None
        return replace(sweep, command=mask(sweep.command))

    def read_rows(self) -> list[dict[str, str]]:
        """Read the lines of ``runs.csv``, as text by column; none before the first run has begun.

        Raises:
            UserError: if the file is damaged, or names a run that is no folder of the sweep.
        """
        path = self.folder / "runs.csv"
        try:
            lines = csv.DictReader(io.StringIO(read_inside(path, self.folder, MAX_SIZE), newline=""))
            if len(lines.fieldnames or ()) > MAX_COLUMNS:
                raise ValueError(f"it has more than {MAX_COLUMNS} columns")
            rows = [{str(key): value or "" for key, value in row.items() if key is not None} for row in lines]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{path} is damaged: {error}") from None
        for row in rows:
            if missing := [column for column in FIRST if column not in row]:
                raise UserError(f"{path} is damaged: it has no column {missing[0]}")
            if not RUN_NAME.fullmatch(row["run"]):
                raise UserError(f"{path} is damaged: {row['run'][:80]!r} is no name of a run")
        return [row | {key: "" for key in LAST if key not in row} for row in rows]

    def read_row(self, run: str) -> dict[str, str]:
        """Read the line of one run; empty if it has none."""
        return next((row for row in self.read_rows() if row["run"] == run), {})

    def write_row(self, run: str, state: str, **cells: Any) -> None:
        """Write a run's line. Cells that are not given keep their content, unless the run begins.

        Args:
            run: its name
            state: ``running``, ``finished``, ``pruned``, ``failed`` or ``interrupted``
            cells: content by column; None for an empty cell
        """
        with self._locked():
            rows = {row["run"]: row for row in self.read_rows()}
            earlier = {} if state == "running" else rows.get(run, {})
            new = {key: _cell(value) for key, value in cells.items()}
            rows[run] = earlier | {"run": run, "state": state} | new
            parameters = list(self.read_sweep().parameters)
            metrics = sorted({key for row in rows.values() for key in row if "/" in key} - set(parameters))
            columns = [*FIRST, *parameters, *metrics, *LAST]
            with whole(self.folder / "runs.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows[name] for name in sorted(rows))

    def lock(self, run: str) -> FileLock:
        """The lock of a run, for the process that carries it out; the operating system frees it when that dies."""
        (self.folder / "locks").mkdir(exist_ok=True)
        return FileLock(self.folder / "locks" / f"{run}.lock")

    def mark_interrupted(self) -> None:
        """Mark the runs as interrupted that are begun and that no process carries out any more."""
        for row in self.read_rows():
            if row["state"] == "running":
                try:
                    with self.lock(row["run"]).acquire(timeout=0):
                        if self.read_row(row["run"])["state"] == "running":  # it may have ended since
                            self.write_row(row["run"], "interrupted")
                except Timeout:
                    continue  # another process carries it out

    def reopen(self) -> None:
        """Mark failed runs as interrupted, so that they are tried again."""
        for row in self.read_rows():
            if row["state"] == "failed":
                self.write_row(row["run"], "interrupted")

    def _write_sweep(self, sweep: Sweep) -> None:
        write_text(self.folder / "sweep.yaml", yaml.safe_dump({"schema": SCHEMA} | asdict(sweep), sort_keys=False))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock"):
                yield
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written to: {describe_os_error(error)}") from None


def _cell(value: Any) -> str:
    return "" if value is None else mask(" ".join(str(value).split()))


def _without_password(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity as it is today, of a file that may hold the password of the study's storage."""
    study = identity.get("study") or {}
    if not study.get("storage"):
        return identity
    return identity | {"study": study | {"storage": without_password(study["storage"])}}


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first difference between the identities of two sweeps, in words; empty if they are the same."""
    for part in ("parameters", "fixed", "objectives", "study"):
        if old[part] == new[part]:
            continue
        if isinstance(old[part], dict) and isinstance(new[part], dict):
            keys = sorted(k for k in {*old[part], *new[part]} if old[part].get(k) != new[part].get(k))
            was, now = old[part].get(keys[0], "nothing"), new[part].get(keys[0], "nothing")
            return f"{keys[0]} was {was}, now it is {now}"
        only = sorted({*old[part]} ^ {*new[part]})
        return f"one of them has {only[0]}"
    return "" if list(old["parameters"]) == list(new["parameters"]) else "its parameters were in another order"
