"""ldg's sweeps in the form in which W&B hands out the runs: the content of the file that ``wandb sweep`` reads."""

import math
import re
from collections.abc import Collection
from typing import Any

from ldg.config.overrides import parse_overrides, quote
from ldg.errors import UserError
from ldg.sweeps.plan import Plan, list_values

# of the samplers of a study, those that W&B has something like
METHODS = {
    **dict.fromkeys(("TPESampler", "GPSampler"), "bayes"),
    **dict.fromkeys(("RandomSampler", "QMCSampler"), "random"),
}


def make_definition(plan: Plan, project: str, groups: Collection[str], options: Collection[str] = ()) -> dict[str, Any]:
    """Describe a sweep to W&B.

    Its runs are started one by one by ``ldg train``, with the sweep's name, what is the same for all, and their values.

    Args:
        plan: of the sweep
        project: in W&B
        groups: names of the config's groups, ``model`` or ``model/kl``
        options: of ``ldg train``

    Returns:
        The content of W&B's file.

    Raises:
        UserError: for what W&B has no form for.
    """
    if not plan.parameters:
        raise UserError("nothing varies; give several values, as in seed=1,2")
    if len(plan.objectives) > 1:
        raise UserError(f"hydra.sweeper.objectives: W&B knows one, not {', '.join(plan.objectives)}; name one")
    ((metric, goal),) = plan.objectives.items()
    study = plan.study or {}
    definition = {
        "project": project,
        "name": plan.name,
        "program": "ldg",
        "method": _method(study["sampler"]) if study else "grid",
        "metric": {"name": metric, "goal": goal},
        "parameters": {key: _parameter(key, values) for key, values in plan.parameters.items()},
        "command": [
            *("${env}", "${interpreter}", "-m", "${program}", "train"),
            *options,
            f"logger.wandb.group={quote(plan.name[:128])}",
            f"logger.wandb.name={'null' if study else _run_name(plan.parameters, groups)}",  # null: W&B numbers them
            f"tags=[{quote(plan.name[:64])}]",
            *plan.fixed,
            "${args_no_hyphens}",
        ],
    }
    if study:
        definition["run_cap"] = study["trials"]
        if study["pruner"]:
            definition["early_terminate"] = {"type": "hyperband"} | _early_termination(study["pruner"])
    return definition


def _run_name(keys: Collection[str], groups: Collection[str]) -> str:
    """The name of a run, made of its values by the config."""
    choices = "${hydra:runtime.choices.%s}"
    words = [choices % key if key in groups else f"{key.rpartition('.')[2]}-${{{key}}}" for key in keys]
    return "-".join(words)


def _method(sampler: dict[str, Any] | None) -> str:
    name = str((sampler or {"_target_": "TPESampler"})["_target_"]).rpartition(".")[2]
    if name not in METHODS:
        raise UserError(f"hydra.sweeper.study.sampler: W&B has no {name}; choose one of {', '.join(METHODS)}")
    return METHODS[name]


def _early_termination(pruner: dict[str, Any]) -> dict[str, Any]:
    """After how many epochs W&B first ends runs, and the share of them, 1 / eta, that goes on each time."""
    name = str(pruner["_target_"]).rpartition(".")[2]
    if name == "MedianPruner":  # the better half goes on
        return {"min_iter": pruner.get("n_warmup_steps", 0) + 1, "eta": 2}
    if name == "HyperbandPruner":
        return {"min_iter": pruner.get("min_resource", 1), "eta": pruner.get("reduction_factor", 3)}
    raise UserError(
        f"hydra.sweeper.study.pruner: W&B has no {name}; choose MedianPruner, HyperbandPruner or, for none, null"
    )


def _parameter(key: str, values: list[str] | str) -> dict[str, Any]:
    """The values of a parameter, or its distribution."""
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", key, re.ASCII):
        raise UserError(f"{key}: names of W&B's parameters have letters, digits and _ . - only; give it a single value")
    if isinstance(values, list):
        return {"values": [_value(key, value) for value in values]}
    (override,) = parse_overrides([f"{key}={values}"])
    if not override.is_interval_sweep():
        return {"values": [_value(key, value) for value in list_values(override)]}
    interval: Any = override.value()
    is_log, is_whole = "log" in interval.tags, isinstance(interval.start, int)
    if is_log and is_whole:
        raise UserError(f"{key}={values}: W&B has no logarithmic scale of whole numbers; give some, as in choice(8,16)")
    distribution = "log_uniform_values" if is_log else "int_uniform" if is_whole else "uniform"
    return {"distribution": distribution, "min": interval.start, "max": interval.end}


def _value(key: str, text: str) -> int | float | str:
    """A value as W&B keeps it: a finite number, or text, which lists and null are to it."""
    value: Any = parse_overrides([f"{key}={text}"])[0].value()
    return value if type(value) in (int, float) and math.isfinite(value) else text
