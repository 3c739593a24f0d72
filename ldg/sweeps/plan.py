"""The runs that a sweep's command line describes, and their folder. Nothing heavy is imported."""

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from ldg.errors import UserError

# what may change from one start of a sweep to the next: where and how its runs are carried out, not what they are
CIRCUMSTANCES = ("launcher", "hydra", "outputs", "sweep_name", "logger", "callbacks", "data.root", "data.cache")
MAX_RUNS = 10_000
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


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides as Hydra does.

    Args:
        overrides: of a command line

    Returns:
        Hydra's objects, one for each override.

    Raises:
        UserError: for the first one that is no override.
    """
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise UserError(f"{error.override}: cannot be read as an override; write key=value") from None


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
    sweeper = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    assert isinstance(sweeper, dict)
    for flag in ("dry_run", "retry"):
        if not isinstance(sweeper.get(flag, False), bool):
            raise UserError(f"hydra.sweeper.{flag}={sweeper[flag]}: should be true or false")
    on_command_line = {o.get_key_element() for o in varied} | {override.partition("=")[0] for override in fixed}
    params = [f"{key}={_join(value)}" for key, value in sweeper["params"].items() if key not in on_command_line]
    constant, named = split_overrides(params)
    if wrong := [o for o in (*named, *varied) if str(o.key_or_group).startswith("hydra")]:
        raise UserError(f"{wrong[0].input_line}: Hydra's own settings cannot be swept")
    study = sweeper.get("study")
    describe = _check_distribution if study else _grid_values
    parameters = {o.get_key_element(): describe(o) for o in (*named, *varied)}
    if study and not parameters:
        raise UserError("nothing to tune: give a range, as in model.latent_dim=range(8,65,8)")
    objectives = _check_objectives(sweeper.get("objectives") or {})
    if study and len(objectives) > 1:
        study = study | {"pruner": None}
    choice = config.hydra.runtime.choices.get("sweep")
    label = choice or "-".join(re.sub(r"\W+", "_", key.rpartition(".")[2]) for key in parameters) or "single"
    # the sweeper's settings are those of the sweep, not of its runs
    fixed = [override for override in fixed if not _key(override).startswith("hydra.sweeper.")]
    plan = Plan(
        [*fixed, *constant], parameters, objectives, study, Path(config.outputs) / "sweeps", label, config.sweep_name
    )
    number = study["trials"] if study else math.prod(map(len, parameters.values()))
    if number > MAX_RUNS:
        raise UserError(f"this sweep has {number:,} runs; {MAX_RUNS:,} are the most")
    return plan


def _check_objectives(objectives: dict[str, Any]) -> dict[str, Any]:
    for metric, direction in objectives.items():
        if direction not in ("maximize", "minimize"):
            raise UserError(f"hydra.sweeper.objectives: {metric} is to be maximize or minimize, not {direction!r}")
    if not objectives:
        raise UserError("hydra.sweeper.objectives: name what to compare runs by, {val/elbo: maximize}")
    return objectives


def _join(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _grid_values(override: Override) -> list[str]:
    """The values of a grid's parameter."""
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a grid needs single values; give some, or tune with hydra/sweeper=optuna"
        )
    values = list(override.sweep_string_iterator())
    if not values:
        raise UserError(f"{override.input_line}: the range is empty")
    value, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise UserError(f"{override.input_line}: {value} is given twice")
    return values


def _check_distribution(override: Override) -> str:
    """A trial's parameter as the text that :func:`ldg.sweeps.study.parse_distribution` understands."""
    if override.is_interval_sweep():
        interval: Any = override.value()
        if not interval.start < interval.end:
            raise UserError(f"{override.input_line}: the interval is empty; give the smaller end first")
        if "log" in interval.tags and interval.start <= 0:
            raise UserError(f"{override.input_line}: a log scale begins above 0")
    else:
        _grid_values(override)
    return str(override.input_line).partition("=")[2]


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
    return list(override.sweep_string_iterator())
