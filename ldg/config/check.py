"""Bind a resolved config to the signatures of its targets, and say in one line what does not fit."""

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from ldg.config import renamed
from ldg.config.home import command, show_folder
from ldg.config.run_config import RunConfig
from ldg.config.secrets import check_secrets
from ldg.config.signatures import Constructed, read_signature
from ldg.errors import UserError, suggestion
from ldg.files import shorten

_HUGE = "Unable to parse input string as an integer, exceeded maximum size"  # pydantic's message
_FRACTION = Annotated[float, Field(gt=0, le=1)]
_LIMIT = Annotated[PositiveInt | _FRACTION, "a number of batches, or a fraction of them up to 1.0"]
_LIMIT_OR_0 = Annotated[
    NonNegativeInt | Annotated[float, Field(ge=0, le=1)], "a number of batches, or a fraction of them up to 1.0"
]
_DURATION = Annotated[str, Field(pattern=r"^\d+:\d\d:\d\d:\d\d$")]
_PARTS = dict[Literal["weeks", "days", "hours", "minutes", "seconds"], NonNegativeFloat]

# what other libraries take, as far as their annotations do not say it: by argument, or by class and argument. A string
# is the sentence that says what would be right
BOUNDS: dict[str, Any] = {
    "lr": PositiveFloat,
    "weight_decay": NonNegativeFloat,
    "patience": NonNegativeInt,
    "mode": Literal["min", "max"],
    "Trainer.accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps"],
    "Trainer.devices": Annotated[
        PositiveInt
        | Annotated[str, Field(pattern=r"^([1-9]\d*|\d+(,\d+)+|\d+,)$")]
        | Literal["auto", -1, "-1"]
        | Annotated[list[NonNegativeInt], Field(min_length=1)],
        "a number of devices from 1, their numbers as in [0,1], auto, or -1 for all",
    ],
    "Trainer.num_nodes": PositiveInt,
    "Trainer.strategy": Literal["auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"],
    # pure half and double precision would need images and noise of that type
    "Trainer.precision": Annotated[
        Literal["auto", "32-true", "16-mixed", "bf16-mixed", "32", "16", "bf16", 32, 16] | None,
        "auto, 32-true, bf16-mixed or 16-mixed",
    ],
    "Trainer.max_epochs": PositiveInt | Literal[-1] | None,
    "Trainer.min_epochs": NonNegativeInt | None,
    "Trainer.max_steps": PositiveInt | Literal[-1],
    "Trainer.min_steps": NonNegativeInt | None,
    "Trainer.max_time": Annotated[_DURATION | _PARTS | None, "DD:HH:MM:SS, as in 00:00:45:00, or null"],
    "Trainer.limit_train_batches": _LIMIT,
    "Trainer.limit_val_batches": _LIMIT_OR_0,
    "Trainer.limit_test_batches": _LIMIT_OR_0,
    "Trainer.limit_predict_batches": _LIMIT_OR_0,
    "Trainer.overfit_batches": _LIMIT_OR_0,
    "Trainer.fast_dev_run": bool | NonNegativeInt,
    "Trainer.val_check_interval": Annotated[
        PositiveInt | _FRACTION | _DURATION | _PARTS | None,
        "a number of batches, a fraction of an epoch up to 1.0, or DD:HH:MM:SS",
    ],
    "Trainer.check_val_every_n_epoch": PositiveInt | None,
    "Trainer.num_sanity_val_steps": NonNegativeInt | Literal[-1] | None,
    "Trainer.log_every_n_steps": NonNegativeInt | None,
    "Trainer.accumulate_grad_batches": PositiveInt,
    "Trainer.gradient_clip_val": PositiveFloat | None,
    "Trainer.gradient_clip_algorithm": Literal["norm", "value"] | None,
    "Trainer.reload_dataloaders_every_n_epochs": NonNegativeInt,
    "Trainer.profiler": Literal["simple", "advanced", "pytorch"] | None,
    "ModelCheckpoint.every_n_epochs": PositiveInt | None,
    "ModelCheckpoint.every_n_train_steps": PositiveInt | None,
    "ModelCheckpoint.save_top_k": Annotated[int, Field(ge=-1)],
    "EarlyStopping.min_delta": NonNegativeFloat,
    "EarlyStopping.check_finite": bool,
}
LARGEST = 3.4e38  # that torch's tensors hold, in 32 bits
MOST_DEVICES = 16  # of a machine that has fewer cores
# settings of launchers, which are no arguments of a constructor
LAUNCHER: dict[str, Any] = {
    "n_jobs": PositiveInt | Literal[-1],
    "runs_per_machine": PositiveInt | Literal[-1] | None,
    "minutes": PositiveInt,
    "requeues": NonNegativeInt,
    "cpus": PositiveInt,
    "gpus": NonNegativeInt | None,
    "memory_gb": PositiveInt,
    "partition": str | int | None,
    "account": str | int | None,
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
            raise UserError(f"{key}: no such key{suggestion(key, known)}; see {command('train')} --cfg job")
    for field in fields(RunConfig):
        if field.name in config:
            _check_value(field.name, config[field.name], known[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"{field.name}: a run needs it; see {command('train')} --cfg job")
    check_secrets(config)
    _check_data_keys(config["data"])
    # the model has a copy of the likelihood: its key is the one that users know
    check_calls({"likelihood": config["likelihood"], **config})
    if config["data"].get("num_classes") == 1 and config["conditioning"] != "none":
        raise UserError(
            f"conditioning={config['conditioning']}: the data have one class, so that labels say nothing; "
            "set conditioning=none"
        )
    for group in ("data", "model", "likelihood", "optimizer", "trainer"):
        if "_target_" not in config[group]:
            raise UserError(f"{group}: should be a constructor call, with _target_; see {show_folder(group)}")
    for key in ("image_shape", "num_classes"):
        wanted, given = config["data"].get(key), config["model"].get(key)
        if None not in (wanted, given) and wanted != given:
            raise UserError(f"model.{key}={json.dumps(given)}: the data have {json.dumps(wanted)}; leave it out")
    for key, value in (config.get("launcher") or {}).items():
        _check_value(f"launcher.{key}", value, LAUNCHER.get(key, Any))
    for group in ("logger", "callbacks"):
        for key, value in config[group].items():
            if not isinstance(value, dict | None):
                raise UserError(f"{group}.{key}={value}: should be a constructor call, or null to leave it out")
    trainer = config["trainer"]
    most = max(MOST_DEVICES, os.cpu_count() or 1)
    if (_count_devices(trainer.get("devices")) or 1) > most:
        devices = shorten(json.dumps(trainer["devices"]))
        raise UserError(f"trainer.devices={devices}: a process for each; this machine should have at most {most}")
    if trainer.get("strategy", "auto") != "auto" and not ask_for_processes(trainer | {"strategy": "auto"}):
        devices = json.dumps(trainer.get("devices"))
        raise UserError(
            f"trainer.devices={devices}: ddp is for several devices; give trainer.devices=2 or trainer=auto"
        )


def _check_data_keys(data: dict[str, Any]) -> None:
    """Check the keys of a data set's file that its arguments refer to, under the names that users know."""
    signature, dataset = read_signature(str(data.get("_target_"))), data.get("dataset")
    if signature is None or not signature.open or not isinstance(dataset, dict):
        return
    calls = [dataset, *(value for value in dataset.values() if isinstance(value, dict))]
    signatures = [read_signature(str(call.get("_target_"))) for call in calls]
    arguments = {name: each for called in signatures if called for name, each in called.parameters.items()}
    for key, value in data.items():
        if not key.startswith("_") and key not in signature.parameters:
            if key not in arguments:
                raise UserError(f"data.{key}: no such key{suggestion(key, [*signature.parameters, *arguments])}")
            _check_value(f"data.{key}", value, arguments[key].annotation)


def ask_for_processes(trainer: dict[str, Any]) -> str | None:
    """What in a Trainer's config asks for more than one process, which is DDP.

    Args:
        trainer: its constructor call

    Returns:
        Key and value, ``trainer.devices=2``; None for one process. All devices may be several where they are not CPUs.
    """
    devices, nodes, strategy = (trainer.get(key) for key in ("devices", "num_nodes", "strategy"))
    if strategy not in (None, "auto"):
        return f"trainer.strategy={strategy}"
    if nodes not in (None, 1):
        return f"trainer.num_nodes={nodes}"
    count = _count_devices(devices)
    is_one = trainer.get("accelerator") == "cpu" if count is None else count == 1
    return None if is_one else f"trainer.devices={json.dumps(devices)}"


def _count_devices(devices: Any) -> int | None:
    """How many devices ``trainer.devices`` names; None for all that there are."""
    if devices in (None, "auto", -1, "-1"):
        return None
    numbers = devices.strip(",").split(",") if isinstance(devices, str) and "," in devices else devices
    return len(numbers) if isinstance(numbers, list) else int(numbers)


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
            _check_value(f"{path}{key}", value, bound(str(target), key, known[key].annotation))
    missing = [key for key, parameter in known.items() if parameter.required and key not in arguments]
    if missing and not node.get("_partial_"):
        raise UserError(f"{path}{missing[0]}: {short} needs it; give {path}{missing[0]}=...")


def bound(target: str, key: str, annotation: Any) -> Any:
    """What an argument takes, where a library's annotation does not say it.

    Args:
        target: the dotted path of the class
        key: of the argument
        annotation: of the argument
    """
    if target.startswith("ldg."):
        return annotation
    return BOUNDS.get(f"{target.rpartition('.')[2]}.{key}") or BOUNDS.get(key) or annotation


def _check_value(key: str, value: Any, annotation: Any) -> None:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    if _takes_a_call(kinds, value):
        shown = value if isinstance(value, str) else shorten(json.dumps(value))
        raise UserError(f"{key}={shown}: should be a constructor call; a choice has a slash, as in model/kl=linear")
    try:
        # JSON's strict mode takes a list for a tuple, but neither "3" nor true for a number
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        errors = [e for e in error.errors() if e["type"] != "missing"]
        first, place, shown = (errors or error.errors())[0], "", value
        for part in first["loc"]:
            if isinstance(part, int) and isinstance(shown, list) and part < len(shown):
                place, shown = f"{place}.{part}", shown[part]
        of_first = [e for e in errors if _index(e) == _index(first)]
        complaints = dict.fromkeys(_wanted(e["msg"], _example(annotation, shown)) for e in of_first)
        if not errors:  # an item is missing
            complaints, place, shown = {"a longer list": None}, "", value
        if sentence := next((part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, str)), None):
            complaints, place, shown = {sentence: None}, "", value
        raise UserError(
            f"{key}{place}={shorten(json.dumps(shown, ensure_ascii=False))}: should be {' or '.join(complaints)}"
        ) from None
    except Exception:
        pass  # an annotation pydantic has no use for (a class of torch, say) is checked when it is called
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(number, float) and LARGEST < abs(number) < math.inf for number in numbers):
        raise UserError(f"{key}={shorten(json.dumps(value))}: should be a smaller number, of at most {LARGEST:.1e}")


def _takes_a_call(kinds: tuple[Any, ...], value: Any) -> bool:
    """Whether an argument of these kinds takes an object that only a constructor call makes, and not this value."""
    plain = [kind for kind in kinds if not (kind is Constructed or get_origin(kind) is Callable)]
    if len(plain) == len(kinds):
        return False
    return not plain if value is None else isinstance(value, str) or plain in ([], [NoneType])


def _index(error: Any) -> list[int]:
    """Which item of a list an error of pydantic is about, and which of a list in it."""
    return [part for part in error["loc"] if isinstance(part, int)]


def _example(annotation: Any, value: Any) -> str:
    """A list that an argument takes, of the one value that was given if possible."""
    try:
        TypeAdapter(annotation).validate_json(json.dumps([value]), strict=True)
    except ValidationError:
        return "[16,32]"
    return f"[{value}]"


def _wanted(message: str, example: str) -> str:
    """What pydantic wants, in the words of a command line.

    Args:
        message: of pydantic
        example: of a list
    """
    if forbidden := re.search(r"match pattern '\^\[\^(.+)\]\*\$'", message):
        return "text without any of " + " ".join(forbidden[1].replace("\\\\", "\\"))
    wanted = message.replace("String should have ", "text of ").removeprefix("Input should be ")
    return {
        "a valid array": f"a list, as in {example}",
        "List should have at least 1 item after validation, not 0": "a list that is not empty",
        _HUGE: "a smaller number",
        "an object": "a dictionary, as in {a: 1}",
    }.get(wanted, wanted)
