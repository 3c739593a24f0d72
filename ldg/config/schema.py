"""A JSON schema of the YAML files, made of the signatures that configs are checked with.

A file holds keys of the whole config, or the choice of a group. The schema does not know which, nor of which group, so
that a file is right if it could be one of them. A part of a config that is no constructor call by itself, since another
file names the class, may have the arguments of every class that some file has in this place.
"""

from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter

from ldg.config.check import LAUNCHER, bound
from ldg.config.run_config import RunConfig
from ldg.config.signatures import Constructed, Signature, read_signature
from ldg.errors import UserError

Schema = dict[str, Any]

_INTERPOLATION: Schema = {"type": "string", "pattern": r"\$\{"}
_NULL: Schema = {"type": "null"}
_CALL: Schema = {"type": "object", "required": ["_target_"]}
_SWEEPER = "hydra.sweeper"
_DEFAULTS: Schema = {
    "type": "array",
    "items": {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]},
}


def make_schema(folders: list[Path]) -> Schema:
    """Make the schema.

    Args:
        folders: with the files of the groups

    Returns:
        A schema of one file, whichever it is.

    Raises:
        UserError: for a file that is no YAML, or a Python file that it names and that is no Python.
    """
    targets: dict[str, set[str]] = {}
    tops = _collect_files(folders, targets)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a YAML file of ldg",
        "anyOf": [{"$ref": "#/$defs/run"}, *({"$ref": f"#/$defs/{top}"} for top in tops)],
        "$defs": {
            "run": _describe_run(targets),
            **{place: _describe_calls(place, targets) for place in targets},
            **{top: _describe_names(top, targets) for top in tops if top not in targets},
            _SWEEPER: _describe_sweeper(targets),
        },
    }


def _collect_files(folders: list[Path], targets: dict[str, set[str]]) -> list[str]:
    """Collect the classes that files name, by their place in a run's config; returns the places of whole files."""
    tops = set()
    files = [(file, file.parent.relative_to(folder).parts) for folder in folders for file in folder.rglob("*.yaml")]
    for file, group in sorted(files):
        if group[:1] == ("base",):  # files that others include
            continue
        content, is_global = _read(file)
        place = "" if is_global or not group else ".".join(group)
        tops |= {place} - {""}
        _collect(content, place, targets)
        for entry in content.get("defaults") or []:
            if isinstance(entry, str) and entry.endswith("@_here_"):
                choice = entry.removesuffix("@_here_")
                name = choice[1:] if choice.startswith("/") else "/".join([*group, choice])  # of the file's own group
                for included in [f"{folder / name}.yaml" for folder in folders if (folder / f"{name}.yaml").exists()]:
                    _collect(_read(Path(included))[0], place, targets)
    return sorted(tops)


def _read(file: Path) -> tuple[dict[str, Any], bool]:
    """The content of a file, and whether it has keys of the whole config."""
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: it should hold keys with values, as in  batch_size: 64")
    return content, "@package _global_" in text.partition("\n")[0]


def _collect(node: Any, place: str, targets: dict[str, set[str]]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            targets.setdefault(place, set()).add(node["_target_"])
        for key, value in node.items():
            _collect(value, f"{place}.{key}".lstrip("."), targets)


def _describe_run(targets: dict[str, set[str]]) -> Schema:
    """The keys of a run's config."""
    known = get_type_hints(RunConfig, include_extras=True)
    model = {key: value.annotation for target in targets["model"] for key, value in _parameters(target).items()}
    groups = {place.split(".")[0] for place in targets} & known.keys()
    properties = {
        # the model says what a key takes that it has, too
        **{key: _describe_value(model.get(key, annotation), key, {}) for key, annotation in known.items()},
        **{group: _or_interpolation({"$ref": f"#/$defs/{group}"}) for group in groups},
        "launcher": {"type": "object", "properties": {k: _describe_value(v, k, {}) for k, v in LAUNCHER.items()}},
        "defaults": _DEFAULTS,
        "hydra": {"type": "object", "properties": {"sweeper": {"$ref": f"#/$defs/{_SWEEPER}"}}},
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _describe_sweeper(targets: dict[str, set[str]]) -> Schema:
    """The settings of a sweep, which Hydra hands to ldg's sweeper."""
    study = _describe_arguments(f"{_SWEEPER}.study", ["ldg.sweeps.plan.study_settings"], targets)
    properties: dict[str, Schema] = {
        "_target_": {"enum": sorted(targets[_SWEEPER])},
        "params": {"type": "object"},
        "objectives": {"type": "object", "additionalProperties": {"enum": ["maximize", "minimize"]}},
        "study": {"anyOf": [{"type": "object", **study}, _NULL]},
        **{key: {"type": "boolean"} for key in ("dry_run", "retry")},
        "index": _NULL,
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _describe_names(place: str, targets: dict[str, set[str]]) -> Schema:
    """A group whose files give constructor calls by names of their own, as loggers and callbacks."""
    names = [other for other in targets if other.rpartition(".")[0] == place]
    known = {name.rpartition(".")[2]: {"anyOf": [{"$ref": f"#/$defs/{name}"}, _NULL]} for name in names}
    further = f"{place}.*"
    calls = _describe_calls(further, targets | {further: set().union(*(targets[name] for name in names))})
    return {
        "type": "object",
        "properties": {**known, "defaults": _DEFAULTS},
        "additionalProperties": {"anyOf": [{**calls, "required": ["_target_"]}, _NULL]},
    }


def _describe_calls(place: str, targets: dict[str, set[str]]) -> Schema:
    """A constructor call of a class that files name in a place, of one of the user's, or without its class."""
    here = sorted(targets[place])
    known = sorted(set().union(*targets.values()))
    foreign = {"type": "string", "not": {"anyOf": [{"enum": known}, {"pattern": r"^ldg\."}]}}
    calls = [
        {
            "if": {"properties": {"_target_": {"const": target}}, "required": ["_target_"]},
            "then": _describe_arguments(place, [target], targets),
        }
        for target in here
    ]
    unnamed = {"if": {"not": {"required": ["_target_"]}}, "then": _describe_arguments(place, here, targets)}
    return {
        "type": "object",
        "properties": {"_target_": {"anyOf": [{"enum": here}, foreign]}},
        "allOf": [*calls, unnamed],
    }


def _describe_arguments(place: str, classes: list[str], targets: dict[str, set[str]]) -> Schema:
    """The arguments of several classes, each with what one of them takes."""
    choices: dict[str, list[Schema]] = {"_target_": [], "_partial_": [{"type": "boolean"}], "defaults": [_DEFAULTS]}
    is_open = False
    # the file of a data set has keys that the arguments of its calls refer to
    inner = [each for other, calls in targets.items() if other.startswith(f"{place}.dataset") for each in calls]
    for target in [*classes, *sorted(inner)]:
        is_open |= _signature(target).open and len(classes) == 1 and not inner
        for key, parameter in _parameters(target).items():
            choice = _describe_value(bound(target, key, parameter.annotation), f"{place}.{key}", targets)
            if choice not in choices.setdefault(key, []):
                choices[key].append(choice)
    properties = {key: {"anyOf": given} if len(given) > 1 else (given or [{}])[0] for key, given in choices.items()}
    return {"properties": properties, "additionalProperties": is_open}


def _signature(target: str) -> Signature:
    return read_signature(target) or Signature({}, open=True)


def _parameters(target: str) -> dict[str, Any]:
    return _signature(target).parameters


def _describe_value(annotation: Any, place: str, targets: dict[str, set[str]]) -> Schema:
    """What an argument in a place takes."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    choices: list[Schema] = [{"$ref": f"#/$defs/{place}"}] if place in targets else []
    for kind in kinds:
        if kind is Constructed or get_origin(kind) is Callable:
            choices += [] if choices else [_CALL]
        elif kind in (None, NoneType):
            choices.append(_NULL)
        else:
            try:
                choice = _loosen(TypeAdapter(kind).json_schema())
            except Exception:  # what pydantic has no use for is checked when it is called
                return {}
            if place not in targets or choice.get("type") != "object":  # a dict is a call there
                choices.append(choice)
    return _or_interpolation(*choices) if {} not in choices else {}


def _loosen(schema: Any) -> Any:
    """A schema whose items may be interpolations."""
    loose = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(loose.get(key), dict):
            loose[key] = _or_interpolation(_loosen(loose[key]))
    if "prefixItems" in loose:
        loose["prefixItems"] = [_or_interpolation(_loosen(item)) for item in loose["prefixItems"]]
    return loose


def _or_interpolation(*choices: Schema) -> Schema:
    return {"anyOf": [*choices, _INTERPOLATION]}
