"""Bind a resolved config to the signatures of its targets, and say in one line what does not fit."""

import json
import os
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from ldg.config import renamed
from ldg.config.run_config import RunConfig
from ldg.config.signatures import Constructed, read_signature
from ldg.errors import UserError, suggestion

# bounds that other libraries' annotations do not state
BOUNDS: dict[str, Any] = {
    "limit_train_batches": Annotated[int | float, Field(gt=0)],
    "lr": PositiveFloat,
    "weight_decay": NonNegativeFloat,
    "max_epochs": PositiveInt | Literal[-1] | None,
    "gradient_clip_val": PositiveFloat | None,
    "patience": NonNegativeInt,
}


def check_config(config: dict[str, Any]) -> None:
    """Check the resolved config of a run, without importing any of its targets.

    Args:
        config: what :func:`ldg.config.compose.resolve_config` gives

    Raises:
        UserError: that names the key, its value and what it takes.
    """
    known = get_type_hints(RunConfig, include_extras=True)
    for key in config:
        if key not in known:
            raise UserError(f"{key}: no such key{suggestion(key, known)}; see python train.py --cfg job")
    for field in fields(RunConfig):
        if field.name in config:
            _check_value(field.name, config[field.name], known[field.name])
        elif field.default is MISSING:
            raise UserError(f"{field.name}: a run needs it; see python train.py --cfg job")
    check_calls(config)
    for group in ("logger", "callbacks"):
        for key, value in config[group].items():
            if not isinstance(value, dict | None):
                raise UserError(f"{group}.{key}={value}: should be a constructor call, or null to leave it out")
    if not config["name"].strip() or {"", "..", "."} & set(config["name"].split("/")):
        raise UserError(f"name={config['name']!r}: names a folder in outputs/, as in name=mine or name=study/mine")
    strategy = str(config["trainer"].get("strategy", ""))
    if "ddp" in strategy and config["trainer"].get("devices") == 1:
        raise UserError("trainer.devices=1: ddp is for several devices; give trainer.devices=2 or trainer=auto")


def check_calls(node: Any, path: str = "") -> None:
    """Bind every constructor call in a nested config to its target's signature.

    Args:
        node: dicts, lists and plain values
        path: the full name of ``node``, empty or ending with a dot

    Raises:
        UserError: that names the key, its value and what the target takes.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_calls(item, f"{path}{index}.")
    if not isinstance(node, dict):
        return
    for key, value in node.items():  # the innermost first: what follows from a mistake is not the mistake
        check_calls(value, f"{path}{key}.")
    if "_target_" in node:
        _check_call(node, path)


def _check_call(node: dict[str, Any], path: str) -> None:
    target = node["_target_"]
    signature = read_signature(str(target))
    if signature is None:
        raise UserError(f"{path}_target_: there is no {target}")
    arguments = {key: value for key, value in node.items() if not key.startswith("_")}
    known = signature.parameters
    short = str(target).rpartition(".")[2]
    for key, value in arguments.items():
        if key not in known:
            if signature.open:
                continue
            if f"{path}{key}" in renamed.KEYS:
                raise UserError(f"{path}{key} is now {renamed.KEYS[f'{path}{key}']}")
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UserError(f"{path}{key}: {short} has no such argument{suggestion(key, known)}; {takes}")
        if not (isinstance(value, dict) and "_target_" in value):
            annotation = known[key].annotation
            bounded = BOUNDS.get(key) if not str(target).startswith("ldg.") else None
            _check_value(f"{path}{key}", value, bounded or annotation)
    missing = [key for key, parameter in known.items() if parameter.required and key not in arguments]
    if missing and not node.get("_partial_"):
        raise UserError(f"{path}{missing[0]}: {short} needs it; give {path}{missing[0]}=...")


def _check_value(key: str, value: Any, annotation: Any) -> None:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    if isinstance(value, str) and any(kind is Constructed or get_origin(kind) is Callable for kind in kinds):
        raise UserError(f"{key}={value}: should be a constructor call; a choice has a slash, as in model/kl=linear")
    try:
        # JSON's strict mode takes a list for a tuple, but neither "3" nor true for a number
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        complaints = dict.fromkeys(e["msg"].removeprefix("Input should be ") for e in error.errors())
        place = "".join(f".{part}" for part in error.errors()[0]["loc"] if isinstance(part, int))
        raise UserError(f"{key}{place}={json.dumps(value)}: should be {' or '.join(complaints)}") from None
    except Exception:
        return  # an annotation pydantic has no use for (a class of torch, say) is checked when it is called


def check_folder(outputs: Path) -> None:
    """Check that run folders can be made in a folder; writes nothing.

    Raises:
        UserError: if it, or the closest folder above it that exists, is not a folder or is not writable.
    """
    existing = next((f for f in (outputs, *outputs.absolute().parents) if f.exists()), Path("/"))
    if not existing.is_dir():
        raise UserError(f"outputs={outputs}: {existing} is not a folder; choose another")
    if not os.access(existing, os.W_OK):
        raise UserError(f"outputs={outputs}: {existing} may not be written to; choose another")
