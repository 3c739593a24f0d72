"""Which runs are meant: folders, sweeps, checkpoints and patterns, and conditions on what the runs say."""

from __future__ import annotations

import glob
import itertools
import json
import operator
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from ldg.errors import UserError, suggestion
from ldg.files import look, shorten
from ldg.migration import migrate_config
from ldg.runs.formats import number_names, parse_number
from ldg.runs.run import STATES, Run, is_shallow

STORES = ("wandb", "trackio", "mlflow")  # folders of loggers in outputs
DEPTH = 4  # of a run's folder below that of all runs: outputs/sweeps/NAME/RUN, outputs/study/NAME/ID
MAX_HEADER = 1 << 22  # bytes of the header of exported weights
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"\s*([^\s=<>!]+)\s*(<=|>=|!=|==?|<|>)\s*([^\s=<>!].*?)\s*", re.DOTALL)
UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "kB": 1e3, "MB": 1e6, "GB": 1e9}
WORDS = "name, state, age, size, epochs, seconds, parameters, best, choices (data, model), config keys and metrics"


class ExportedRun(Run):
    """Weights without their run's folder, which have a config and, where they were measured, a scorecard.

    Args:
        file: ``.safetensors``, whose scorecard is in ``outputs/NAME``, or ``.ckpt``, whose scorecard is beside it
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file.parent if file.suffix == ".ckpt" else Path("outputs") / file.stem)
        self.file = file

    @property
    def place(self) -> Path:
        """The file."""
        return self.file

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the file says: ``config``, ``classes``, ``metrics``; empty if it is none of ldg's."""
        if self.file.suffix == ".ckpt":
            from ldg.checkpoint import read  # loads torch

            with suppress(UserError):
                return dict(read(self.file)["ldg"])
            return {}
        try:
            with self.file.open("rb") as opened:
                (size,) = struct.unpack("<Q", opened.read(8))
                header = json.loads(opened.read(min(size, MAX_HEADER)))
            about = json.loads(header["__metadata__"]["ldg"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError, struct.error):
            return {}
        return about if isinstance(about, dict) and is_shallow(about) else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config in the header, in today's words."""
        config = self.about.get("config")
        return migrate_config(config, self.about.get("version")) if isinstance(config, dict) else {}

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The metrics of the run that was exported."""
        return {"metrics": self.about.get("metrics")}

    @cached_property
    def scorecard(self) -> dict[str, Any]:
        """As :attr:`Run.scorecard`; other weights of the same name may have written it, whose it is then."""
        card = super().scorecard
        is_mine = os.path.abspath(str(card.get("checkpoint"))) == os.path.abspath(self.file)  # noqa: PTH100  (of any text)
        return card if is_mine else {}

    @property
    def name(self) -> str:
        """The file's name."""
        return self.file.stem

    @cached_property
    def state(self) -> str:
        """``exported`` or ``broken``."""
        return "exported" if self.config else "broken"

    @cached_property
    def started(self) -> float:
        """When the file was written, in seconds since 1970."""
        return self.file.stat().st_mtime

    @cached_property
    def size(self) -> int:
        """Bytes of the file."""
        return self.file.stat().st_size


def find_runs(paths: Sequence[str]) -> list[Run]:
    """Find the runs that a command line names, each once.

    Args:
        paths: run folders, sweep folders and others with runs below them, checkpoints, exported weights, or patterns
            of these with ``*``

    Returns:
        The runs in the order of the paths; those of one path by the time they began.

    Raises:
        UserError: for a path with no run.
    """
    runs: dict[str, Run] = {}
    for path in paths:
        places = [path]
        if glob.has_magic(path) and not look(path):
            matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  (absolute ones too)
            places = [place for place in matches if os.path.isfile(place) or os.path.isdir(place)]  # noqa: PTH112, PTH113
        found = [run for place in places for run in _runs_at(Path(place))]
        if not found:
            raise UserError(f"{shorten(path)}: there is no run; name run folders, or a folder that has some below it")
        for run in sorted(found, key=lambda run: run.started):
            runs.setdefault(str(run.place.resolve()), run)
    return list(runs.values())


def _runs_at(path: Path) -> list[Run]:
    there = look(path)
    if there == "file":
        if path.suffix == ".safetensors":
            return [ExportedRun(path)]
        folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
        if path.suffix == ".ckpt":
            return [Run(folder) if (folder / "config.yaml").exists() else ExportedRun(path)]
    if there == "folder":
        return [Run(folder) for folder in _folders(path, DEPTH)]
    return []


def _folders(path: Path, depth: int) -> Iterable[Path]:
    """The folders with a ``config.yaml`` at or below a path; links to folders are not followed below it."""
    try:
        if (path / "config.yaml").exists():
            yield path
        elif depth:
            for entry in sorted(path.iterdir()):
                is_ours = not entry.name.startswith(".") and entry.name not in STORES
                if is_ours and entry.is_dir() and not entry.is_symlink():
                    yield from _folders(entry, depth - 1)
    except OSError:  # may not be looked into
        return


def values(run: Run) -> dict[str, Any]:
    """What conditions may speak of: numbers and texts by name.

    Args:
        run: one of any state
    """
    # the choices that a run without them, as an export is, has in its config
    config = run.flat_config
    chosen = {"data": _data(run)} | {key: config.get(f"model.{key}") for key in ("conditioning", "latent_dim")}
    known: dict[str, Any] = {**chosen, **config, **run.choices, **run.metrics, **run.costs}
    known |= {"name": run.name, "state": run.state, "age": time.time() - run.started, "best": run.best}
    return {key: value for key, value in known.items() if value is not None}


def _data(run: Run) -> str | None:
    """The choice of a run that does not say it: files in ``configs/data`` are named like the classes."""
    data = run.config.get("data")
    dataset = data.get("dataset") if isinstance(data, dict) else None
    target = dataset.get("_target_") if isinstance(dataset, dict) else None
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(target).rpartition(".")[2]).lower() if target else None


def value(run: Run, key: str) -> Any:
    """One of the values of a run; None if it has none. Its size is only looked up if it is asked for."""
    return run.size if key == "size" else values(run).get(key)


def filter_runs(runs: Sequence[Run], where: str | None = None, name: str | None = None) -> list[Run]:
    """Choose runs.

    Args:
        runs: all of them
        where: conditions as in ``data=emnist and val/elbo>-130 or state=failed``; a text may have ``*``, an age or size
            a unit (``age<2d``, ``size>100MB``)
        name: a pattern of the name

    Returns:
        Those that fulfil the conditions, in the same order.

    Raises:
        UserError: for what is no condition, or speaks of what no run has.
    """
    if name is not None:
        runs = [run for run in runs if _matches(run.name, name)]
    if where is None:
        return list(runs)
    alternatives = _parse(where)
    known = {id(run): values(run) for run in runs}
    everything = {"size", *(key for of_run in known.values() for key in of_run)}
    for key, sign, text in itertools.chain(*alternatives):
        if runs and key not in everything:
            raise UserError(f"--where: no run has {key!r}{suggestion(key, sorted(everything))}; there are {WORDS}")
        if sign not in ("=", "!=") and _parse_quantity(text) is None:
            raise UserError(f"--where: {key}{sign}{text}: after {sign} stands a number, as in 130, 2d or 100MB")
        if sign == "=" and _parse_quantity(text) is None:
            mine = {str(of_run[key]) for of_run in known.values() if key in of_run}
            mine |= {*STATES} if key == "state" else set()
            hint = suggestion(text, sorted(mine), cutoff=0.8)
            if hint and not any(_compare(other, sign, text) for other in mine):
                raise UserError(f"--where: no run has {key}={text}{hint}")

    def fulfils(run: Run, condition: tuple[str, str, str]) -> bool:
        key, sign, text = condition
        mine = run.size if key == "size" else known[id(run)].get(key)
        return mine is not None and _compare(mine, sign, text)

    return [run for run in runs if any(all(fulfils(run, c) for c in conditions) for conditions in alternatives)]


def condition_keys(where: str | None) -> list[str]:
    """The keys that conditions speak of.

    Args:
        where: as for :func:`filter_runs`

    Raises:
        UserError: for what is no condition.
    """
    return [key for key, _, _ in itertools.chain(*_parse(where))] if where is not None else []


def _parse(where: str) -> list[list[tuple[str, str, str]]]:
    """Alternatives, of which each has conditions that hold together."""
    return [
        [_parse_condition(text) for text in re.split(r"(?i)\s+and(?:\s+|$)", part)]
        for part in re.split(r"(?i)\s+or(?:\s+|$)", where.strip())
    ]


def _parse_condition(text: str) -> tuple[str, str, str]:
    """Key, operator and value of a condition."""
    match = CONDITION.fullmatch(text)
    if not match:
        raise UserError(
            f"--where: {text!r} is no condition; write KEY=VALUE, or with !=, <, <=, > or >=, joined by 'and' or 'or'"
        )
    return match[1], match[2].replace("==", "="), match[3].strip("'\"")


def _compare(mine: Any, sign: str, text: str) -> bool:
    number, other = parse_number(str(mine)), _parse_quantity(text)
    if number is not None and other is not None:
        return OPERATORS[sign](number, other)
    if sign in ("=", "!="):
        return _matches(plain(str(mine)), plain(text)) == (sign == "=")
    return False


def _matches(text: str, pattern: str) -> bool:
    """Whether a text is the pattern, which may be a list in brackets, or fits it."""
    return text == pattern or fnmatchcase(text, pattern)


def plain(text: str) -> str:
    """A name without what class names and choices differ in: ``FashionMNIST`` and ``fashion_mnist``."""
    return re.sub(r"[_\s-]", "", text).lower()


def _parse_quantity(text: str) -> float | None:
    match = re.fullmatch(r"(.*?)\s*(s|min|m|h|d|kB|MB|GB)", text)
    factor = UNITS[match[2]] if match else 1
    number = parse_number(match[1] if match else text)
    return None if number is None else number * factor


def sort_runs(runs: Sequence[Run], key: str) -> list[Run]:
    """Sort runs by one of their values, numbers before texts; those without one stand last.

    Args:
        runs: in any order
        key: as in conditions

    Raises:
        UserError: if no run has it.
    """
    known = {id(run): value(run, key) for run in runs}
    if runs and all(mine is None for mine in known.values()):
        everything = sorted({"size", *(name for run in runs for name in values(run))})
        raise UserError(f"--sort: no run has {key!r}{suggestion(key, everything)}; there are {WORDS}")

    def rank(run: Run) -> tuple[int, float, str]:
        mine = known[id(run)]
        number = parse_number(str(mine))
        return (2 if mine is None else 1 if number is None else 0, number or 0.0, str(mine))

    return sorted(runs, key=rank)


def label_runs(runs: Sequence[Run]) -> list[str]:
    """A name for each run that no other one of them has: its own, or ``SWEEP/RUN`` where several share that."""
    names = [run.name for run in runs]
    longer = ["/".join(run.place.absolute().parts[-2:]) for run in runs]
    return number_names([name if names.count(name) == 1 else more for name, more in zip(names, longer, strict=True)])
