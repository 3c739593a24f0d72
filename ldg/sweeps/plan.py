"""The runs that a sweep's command line describes, and their folder. Nothing heavy is imported."""

import hashlib
import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.types import Glob, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf
from pydantic import PositiveInt

from ldg.config.check import check_calls
from ldg.config.compose import list_choices
from ldg.config.overrides import parse_overrides
from ldg.config.secrets import check_secrets, keep_references, reveal, without_password
from ldg.errors import UserError

# what may change from one start of a sweep to the next: where and how its runs are carried out, not what they are
CIRCUMSTANCES = ("launcher", "hydra", "outputs", "sweep_name", "logger", "callbacks", "data.root", "data.cache")
MAX_RUNS = 10_000
MAX_STEPS = 100_000  # of a range that Optuna draws from
MAX_CHECKED = 20  # values of one parameter that are checked before a sweep starts


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep.

    Attributes:
        fixed: overrides that all runs share
        parameters: what differs, by key: the values of a grid, or one string that describes Optuna's distribution
        objectives: ``maximize`` or ``minimize`` by the name of a metric
        study: the settings of Optuna's study; None for a grid
        base: the folder of all sweeps
        label: the beginning of the sweep's name, unless it is given
        given_name: the sweep's name, if the user gives one
    """

    fixed: list[str]
    parameters: dict[str, list[str] | str]
    objectives: dict[str, Literal["maximize", "minimize"]]
    study: dict[str, Any] | None
    base: Path
    label: str
    given_name: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What distinguishes a sweep from another. The number of trials is not part of it, so that it may grow."""
        fixed = sorted(o for o in self.fixed if not _is_circumstance(o))
        study = {k: v for k, v in (self.study or {}).items() if k not in ("trials", "max_failures")}
        if study.get("storage"):
            study["storage"] = without_password(reveal(study["storage"]))
        return {"fixed": fixed, "parameters": self.parameters, "objectives": self.objectives, "study": study}

    @property
    def name(self) -> str:
        """The given name; otherwise the label, followed by a hash of the identity unless a named sweep is unchanged."""
        if self.given_name:
            return self.given_name
        is_named = any(o.startswith("sweep=") for o in self.fixed)
        if is_named and all(o.startswith("sweep=") for o in self.identity["fixed"]):
            return self.label
        return f"{self.label}-{hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:6]}"

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.base / self.name

    @cached_property
    def runs(self) -> list[list[str]]:
        """The overrides of each run; those that Optuna chooses are not known before a trial begins."""
        if self.study is not None:
            return [[*self.fixed] for _ in range(self.study["trials"])]
        values = [[f"{key}={value}" for value in grid] for key, grid in self.parameters.items()]
        return [[*self.fixed, *choice] for choice in itertools.product(*values)]

    def run_name(self, index: int) -> str:
        """The folder of a run: its number, and its values where they are known.

        Args:
            index: of the run, from 0

        Returns:
            A name of at most 80 letters, digits and ``-_.+``.
        """
        if self.study is not None:
            return f"trial-{index:03d}"
        values = (o.partition("=")[::2] for o in self.runs[index][len(self.fixed) :])
        words = [value if value[:1].isalpha() else f"{re.split('[./]', key)[-1]}{value}" for key, value in values]
        return "-".join([f"{index:03d}", *(re.sub(r"[^\w.+]+", "_", word).strip("_") for word in words)])[:80]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _is_circumstance(override: str) -> bool:
    key = _key(override)
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in CIRCUMSTANCES)


def split_overrides(overrides: Sequence[str]) -> tuple[list[str], list[Override]]:
    """Separate what is fixed from what varies.

    Args:
        overrides: of a command line

    Returns:
        The overrides with one value as they were given, and those with several values.

    Raises:
        UserError: for the first one that is no override.
    """
    parsed = parse_overrides(overrides)
    varied = [o for o in parsed if o.is_sweep_override()]
    return [str(o.input_line) for o in parsed if o not in varied], varied


def make_plan(config: DictConfig, overrides: Sequence[str]) -> Plan:
    """Plan the runs of a sweep.

    Args:
        config: composed from the fixed overrides, Hydra's part included
        overrides: of the command line, fixed and varied

    Returns:
        The plan.

    Raises:
        UserError: for a parameter without values or of a kind that the sweeper cannot vary, for a wrong setting of the
            sweeper, and for more than 10,000 runs.
    """
    fixed, varied = split_overrides(overrides)
    unresolved = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    sweeper = keep_references(OmegaConf.to_container(config.hydra.sweeper, resolve=True), unresolved)
    check_secrets(sweeper, "hydra.sweeper")
    _check_settings(sweeper)
    for key in ("launcher.n_jobs", "hydra.launcher.n_jobs"):
        n_jobs = OmegaConf.select(config, key, default=1)
        if not isinstance(n_jobs, int) or n_jobs < -1 or n_jobs == 0:
            raise UserError(f"{key}={n_jobs}: should be a number of runs at once, or -1 for one on each core")
    on_command_line = {o.get_key_element() for o in varied} | {override.partition("=")[0] for override in fixed}
    params = [f"{key}={_join(value)}" for key, value in sweeper["params"].items() if key not in on_command_line]
    constant, named = split_overrides(params)
    if wrong := [o for o in (*named, *varied) if str(o.key_or_group).startswith("hydra")]:
        raise UserError(f"{wrong[0].input_line}: Hydra's own settings cannot be swept")
    study = sweeper.get("study")
    if study:
        study = study_settings(**study)
    describe = _check_distribution if study else _grid_values
    parameters = {o.get_key_element(): describe(o, config.hydra) for o in (*named, *varied)}
    if study and not parameters:
        raise UserError("nothing to tune: give a range, as in model.latent_dim=range(8,65,8)")
    objectives = sweeper["objectives"]
    if study and len(objectives) > 1:
        study = study | {"pruner": None}
    choice = config.hydra.runtime.choices.get("sweep")
    label = choice or "-".join(re.sub(r"\W+", "_", key.rpartition(".")[2]) for key in parameters) or "single"
    # the sweeper's settings are those of the sweep, not of its runs
    fixed = [override for override in fixed if not _key(override).startswith("hydra.sweeper.")]
    given_name = None if config.sweep_name is None else str(config.sweep_name)
    base = Path(str(config.outputs)) / "sweeps"
    plan = Plan([*fixed, *constant], parameters, objectives, study, base, label, given_name)
    number = study["trials"] if study else math.prod(map(len, parameters.values()))
    if number > MAX_RUNS:
        raise UserError(f"this sweep has {number:,} runs; {MAX_RUNS:,} are the most")
    return plan


def study_settings(
    trials: PositiveInt,
    max_failures: PositiveInt = 5,
    storage: str | None = None,
    sampler: dict[str, Any] | None = None,
    pruner: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What ``hydra.sweeper.study`` says.

    Args:
        trials: their number
        max_failures: no further trials begin after so many have failed
        storage: URL of a database; None: ``study.db`` in the sweep's folder
        sampler: constructor call of an Optuna sampler; None: TPE
        pruner: of an Optuna pruner; None: no trial is ended early
    """
    return {"trials": trials, "max_failures": max_failures, "storage": storage, "sampler": sampler, "pruner": pruner}


def _check_settings(sweeper: dict[str, Any]) -> None:
    """Raise UserError for a setting of the sweeper that no sweep can have."""
    if not str(sweeper["_target_"]).startswith("hydra_plugins.ldg_"):
        raise UserError("hydra/sweeper is grid or optuna")
    for flag in ("dry_run", "retry"):
        if not isinstance(sweeper.get(flag, False), bool):
            raise UserError(f"hydra.sweeper.{flag}={sweeper[flag]}: should be true or false")
    for key in ("params", "objectives"):
        if not isinstance(sweeper[key], dict):
            raise UserError(f"hydra.sweeper.{key}={sweeper[key]}: should be KEY: VALUE pairs")
    for metric, direction in sweeper["objectives"].items():
        if direction not in ("maximize", "minimize"):
            raise UserError(f"hydra.sweeper.objectives: {metric} is to be maximize or minimize, not {direction!r}")
    if not sweeper["objectives"]:
        raise UserError("hydra.sweeper.objectives: name what to compare runs by, {val/elbo: maximize}")
    study = sweeper.get("study")
    if study is None:
        return
    if not isinstance(study, dict):
        raise UserError(f"hydra.sweeper.study={study}: should be the settings of a study; choose hydra/sweeper=optuna")
    check_calls({"_target_": f"{__name__}.study_settings", **study}, "hydra.sweeper.study.")
    for key in ("sampler", "pruner"):
        if (call := study.get(key)) is not None and "_target_" not in call:
            raise UserError(f"hydra.sweeper.study.{key}={call}: should be a constructor call, or null")


def _join(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _grid_values(override: Override, hydra: DictConfig) -> list[str]:
    """The values of a grid's parameter."""
    line, value = override.input_line, override.value()
    if isinstance(value, Glob):
        values = value.filter(list_choices(str(override.key_or_group), hydra))
        if not values:
            raise UserError(f"{line}: no choice of {override.key_or_group} matches")
        return values
    if not override.is_discrete_sweep():
        raise UserError(f"{line}: a grid needs single values; give some, or tune with hydra/sweeper=optuna")
    if isinstance(value, RangeSweep) and (number := _count(override)) > MAX_RUNS:
        raise UserError(f"this sweep has {number:,} runs; {MAX_RUNS:,} are the most")
    values = list_values(override)
    most, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise UserError(f"{line}: {most} is given twice")
    return values


def list_values(override: Override) -> list[str]:
    """The values of a discrete sweep, in an order that is the same at every start.

    Args:
        override: with several values, no interval
    """
    value: Any = override.value()
    is_shuffled, value.shuffle = value.shuffle, False
    values = list(override.sweep_string_iterator())
    if is_shuffled:
        random.Random(override.input_line).shuffle(values)
    return values


def _count(override: Override) -> int:
    """The number of values of a range, which has some."""
    value: Any = override.value()
    ends = (value.start, value.stop, value.step)
    if not all(map(math.isfinite, ends)) or value.step == 0:
        raise UserError(f"{override.input_line}: a range needs finite ends, and a step that is not 0")
    number = math.ceil((value.stop - value.start) / value.step)
    if number < 1:
        raise UserError(f"{override.input_line}: the range is empty")
    return number


def _check_distribution(override: Override, hydra: DictConfig) -> str:
    """A trial's parameter as the text that :func:`ldg.sweeps.study.parse_distribution` understands."""
    value: Any = override.value()
    text = str(override.input_line).partition("=")[2]
    is_log = "log" in getattr(value, "tags", ())
    if is_log and not override.is_interval_sweep():
        raise UserError(f"{override.input_line}: a log scale needs an interval, as in tag(log,interval(1e-4,1e-2))")
    if override.is_interval_sweep():
        if not (value.start < value.end and math.isfinite(value.end - value.start)):
            raise UserError(f"{override.input_line}: the interval is empty; give the smaller end first")
        if is_log and value.start <= 0:
            raise UserError(f"{override.input_line}: a log scale begins above 0")
    elif override.is_range_sweep():
        if (number := _count(override)) > MAX_STEPS:
            raise UserError(f"{override.input_line}: has {number:,} values; give an interval")
        if value.step < 0:  # Optuna counts upwards
            first, step = value.start + (number - 1) * value.step, -value.step
            return f"range({first},{value.start + (1 if isinstance(value.start, int) else step / 2)},{step})"
    else:
        is_listed = not isinstance(value, Glob) and not value.shuffle
        values = _grid_values(override, hydra)
        return text if is_listed else ",".join(values)
    return text


def example_overrides(plan: Plan) -> list[list[str]]:
    """Overrides in which every value of every parameter occurs, for a check before the sweep starts.

    Args:
        plan: of the sweep

    Returns:
        The overrides of a few runs; of an interval its ends are tried, of a long list the first and last ten values.
    """
    values = {key: grid if isinstance(grid, list) else _ends(key, grid) for key, grid in plan.parameters.items()}
    half = MAX_CHECKED // 2
    values = {key: v if len(v) <= MAX_CHECKED else [*v[:half], *v[-half:]] for key, v in values.items()}
    first = {key: v[0] for key, v in values.items()}
    trials = [first, *(first | {key: value} for key, v in values.items() for value in v[1:])]
    return [[*plan.fixed, *(f"{key}={value}" for key, value in trial.items())] for trial in trials]


def _ends(key: str, text: str) -> list[str]:
    """The values of a discrete distribution, or the ends of an interval."""
    (override,) = parse_overrides([f"{key}={text}"])
    if override.is_interval_sweep():
        interval: Any = override.value()
        return [repr(interval.start), repr(interval.end)]
    return list_values(override)
