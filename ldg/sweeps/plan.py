"""What a sweep's command line asks for: which runs, in which folder. Nothing heavy is imported."""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from ldg.errors import UserError

# what may change from one start of a sweep to the next: where and how its runs are carried out, not what they are
CIRCUMSTANCES = ("launcher", "hydra", "outputs", "sweep_name", "logger", "callbacks", "data.root", "data.cache")
LARGEST = 10_000  # runs


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep.

    Attributes:
        fixed: overrides that all runs share
        parameters: what differs, by key: the values of a grid, or one string that describes Optuna's distribution
        objectives: ``maximize`` or ``minimize`` by the name of a metric
        study: the settings of Optuna's study; None for a grid
        base: the folder of all sweeps
    """

    fixed: list[str]
    parameters: dict[str, list[str] | str]
    objectives: dict[str, str]
    study: dict[str, Any] | None
    base: Path
    label: str
    given_name: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What a sweep is: another one is another sweep. The number of trials may grow."""
        fixed = sorted(o for o in self.fixed if not _is_circumstance(o))
        study = {k: v for k, v in (self.study or {}).items() if k not in ("trials", "max_failures")}
        return {"fixed": fixed, "parameters": self.parameters, "objectives": self.objectives, "study": study}

    @property
    def name(self) -> str:
        """The one given; otherwise the label, and a hash of what was changed by hand."""
        by_hand = [o for o in self.identity["fixed"] if not o.startswith("sweep=")]
        if self.given_name:
            return self.given_name
        if not by_hand and "sweep" in self._chosen:
            return self.label
        return f"{self.label}-{hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:6]}"

    @property
    def _chosen(self) -> set[str]:
        return {o.partition("=")[0] for o in self.fixed}

    @property
    def folder(self) -> Path:
        return self.base / self.name

    @cached_property
    def runs(self) -> list[list[str]]:
        """The overrides of each run; a trial's own values are not known before it begins."""
        if self.study is not None:
            return [[*self.fixed] for _ in range(self.study["trials"])]
        values = [[f"{key}={value}" for value in found] for key, found in self.parameters.items()]
        return [[*self.fixed, *choice] for choice in itertools.product(*values)]

    def run_name(self, index: int) -> str:
        """The folder of a run: its number, and its values where they are known."""
        if self.study is not None:
            return f"trial-{index:03d}"
        values = (o.partition("=")[::2] for o in self.runs[index][len(self.fixed) :])
        words = [value if value[:1].isalpha() else f"{re.split('[./]', key)[-1]}{value}" for key, value in values]
        return "-".join([f"{index:03d}", *(re.sub(r"[^\w.+]+", "_", word).strip("_") for word in words)])[:80]


def _is_circumstance(override: str) -> bool:
    key = override.partition("=")[0].lstrip("+~")
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in CIRCUMSTANCES)


def parse(overrides: Sequence[str]) -> list[Override]:
    """Hydra's reading of a command line; UserError for one that has none."""
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise UserError(f"{error.override}: cannot be read as an override; write key=value") from None


def split(overrides: Sequence[str]) -> tuple[list[str], list[Override]]:
    """The overrides with one value, as they were given, and those that a sweep varies."""
    parsed = parse(overrides)
    varied = [o for o in parsed if o.is_sweep_override()]
    return [str(o.input_line) for o in parsed if o not in varied], varied


def make(config: DictConfig, overrides: Sequence[str]) -> Plan:
    """The plan of a composed config (Hydra's part included) and the command line it came from.

    Raises:
        UserError: for a parameter that has no values or of a kind the sweeper cannot vary.
    """
    fixed, varied = split(overrides)
    sweeper = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    assert isinstance(sweeper, dict)
    by_hand = {o.get_key_element() for o in varied} | {override.partition("=")[0] for override in fixed}
    params = [f"{key}={_text(value)}" for key, value in sweeper["params"].items() if key not in by_hand]
    constant, named = split(params)
    if wrong := [o for o in (*named, *varied) if str(o.key_or_group).startswith("hydra")]:
        raise UserError(f"{wrong[0].input_line}: Hydra's own settings cannot be swept")
    study = sweeper.get("study")
    describe = _distribution if study else _values
    parameters = {o.get_key_element(): describe(o) for o in (*named, *varied)}
    objectives = sweeper.get("objectives") or {}
    for metric, direction in objectives.items():
        if direction not in ("maximize", "minimize"):
            raise UserError(f"hydra.sweeper.objectives: {metric} is to be maximize or minimize, not {direction!r}")
    if not objectives:
        raise UserError("hydra.sweeper.objectives: name what to compare runs by, {val/elbo: maximize}")
    if study and not parameters:
        raise UserError("nothing to tune: give a range, as in model.latent_dim=range(8,65,8)")
    if study and len(objectives) > 1:
        study = study | {"pruner": None}
    choice = config.hydra.runtime.choices.get("sweep")
    label = choice or "-".join(re.sub(r"\W+", "_", key.rpartition(".")[2]) for key in parameters) or "single"
    plan = Plan(
        [*fixed, *constant], parameters, objectives, study, Path(config.outputs) / "sweeps", label, config.sweep_name
    )
    number = len(plan.runs) if study else _product(parameters)
    if number > LARGEST:
        raise UserError(f"this sweep has {number:,} runs; {LARGEST:,} are the most")
    return plan


def _product(parameters: dict[str, Any]) -> int:
    number = 1
    for values in parameters.values():
        number *= len(values)
    return number


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _values(override: Override) -> list[str]:
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


def _distribution(override: Override) -> str:
    """A trial's parameter as the text that :func:`ldg.sweeps.study.distribution` understands."""
    text = str(override.input_line).partition("=")[2]
    if override.is_interval_sweep():
        interval: Any = override.value()
        if not interval.start < interval.end:
            raise UserError(f"{override.input_line}: the interval is empty; give the smaller end first")
        if "log" in interval.tags and interval.start <= 0:
            raise UserError(f"{override.input_line}: a log scale begins above 0")
        return text
    _values(override)
    return text


def examples(plan: Plan) -> list[list[str]]:
    """Overrides in which every value of every parameter occurs: what a check has to try; of a long range, its ends."""
    values = {key: found if isinstance(found, list) else _ends(key, found) for key, found in plan.parameters.items()}
    values = {key: found if len(found) <= 20 else [*found[:10], *found[-10:]] for key, found in values.items()}
    first = {key: found[0] for key, found in values.items()}
    trials = [first, *(first | {key: value} for key, found in values.items() for value in found[1:])]
    return [[*plan.fixed, *(f"{key}={value}" for key, value in trial.items())] for trial in trials]


def _ends(key: str, text: str) -> list[str]:
    """The values of a discrete distribution, or the ends of an interval."""
    (override,) = parse([f"{key}={text}"])
    if override.is_interval_sweep():
        interval: Any = override.value()
        return [repr(interval.start), repr(interval.end)]
    return list(override.sweep_string_iterator())
