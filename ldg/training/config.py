"""From a command line to a config that is known to be right: composed, resolved, and bound to its targets."""

import difflib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from ldg.data import resolvers
from ldg.errors import UserError
from ldg.sweeps import plan
from ldg.training import signatures

# keys of train.yaml itself, and what they take
TOP_LEVEL: dict[str, Any] = {
    "name": str,
    "tags": list[str],
    "seed": Annotated[NonNegativeInt, Field(lt=2**32)],
    "compile": bool,
    "ckpt_path": str | None,
    "test": bool,
    "evaluate": bool,
    "outputs": str,
    "folder": str,
    "launcher": dict[str, Any] | None,
    "sweep_name": str | None,
    "run": str | None,
}
GROUPS = ("data", "model", "conditioning", "likelihood", "optimizer", "scheduler", "trainer", "logger", "callbacks")
# bounds that other libraries' annotations do not state
BOUNDS: dict[str, Any] = {
    "limit_train_batches": Annotated[int | float, Field(gt=0)],
    "lr": PositiveFloat,
    "weight_decay": NonNegativeFloat,
    "max_epochs": PositiveInt | Literal[-1] | None,
    "gradient_clip_val": PositiveFloat | None,
    "patience": NonNegativeInt,
}

# where the keys of a config can be seen
WHERE = {"train": "see python train.py --cfg job", "evaluate": "see configs/measure"}


def register_resolvers() -> None:
    """Make ldg's own interpolations known to OmegaConf; harmless when repeated."""
    resolvers.register()
    if not OmegaConf.has_resolver("run_id"):
        # seconds to sort by, and a random part: two runs started in the same second never share a folder.
        # The processes of a DDP run are given the first one's.
        OmegaConf.register_new_resolver(
            "run_id",
            lambda: os.environ.get("LDG_RUN_ID") or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}",
            use_cache=True,
        )


def composed(overrides: list[str], home: Path, name: str = "train") -> DictConfig:
    """The config these overrides give, Hydra's part included.

    Raises:
        UserError: for an unknown key, group or choice, with the closest match.
    """
    register_resolvers()
    os.environ["LDG_HOME"] = str(home)
    with _beside_hydra_main(), initialize_config_dir(str(home / "configs"), version_base="1.3", job_name="train"):
        try:
            return compose(name, overrides, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_explain(error, name)) from None


@contextmanager
def _beside_hydra_main() -> Iterator[None]:
    """Lets another config be composed while hydra.main is running a job."""
    running = GlobalHydra.instance()
    main, running.hydra = running.hydra, None
    try:
        yield
    finally:
        running.hydra = main


def _explain(error: Exception, name: str) -> str:
    """Hydra's complaint in one line, with the closest match."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        choices = f"{group} is one of {', '.join(error.options)}"
        return f"{group}={choice}: no such choice{_suggest(choice, error.options)}; {choices}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as an override; write key=value"
    if match := re.search(r"Could not (?:override|append|delete|find) '?([\w./@+~]+)'?", text):
        key = match[1].strip("'")
        return f"{key}: no such key{_suggest(key, _keys(compose(name, [])))}; {WHERE[name]}"
    if isinstance(error, ConfigCompositionException) and error.__cause__:
        text = str(error.__cause__)
    return " ".join(text.split())


def _suggest(word: str, choices: Any) -> str:
    """', did you mean X?' for the closest of some words, or nothing."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    for key in config:
        path = f"{prefix}{key}"
        yield path
        value = config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_interpolation():
            yield from _keys(value, f"{path}.")


def resolved(config: DictConfig) -> dict[str, Any]:
    """The run's config as plain Python, every interpolation replaced.

    Raises:
        UserError: if one cannot be, or a value is missing.
    """
    try:
        with_hydra = "hydra" in config
        if with_hydra:
            HydraConfig.instance().set_config(config)
        plain = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=False
        )
        whole = OmegaConf.create(plain)
        result = OmegaConf.to_container(whole, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", "") or ""
        raise UserError(f"{key}: {str(error).splitlines()[0]}") from None
    assert isinstance(result, dict)
    return {str(key): value for key, value in result.items()}


def check(config: dict[str, Any]) -> None:
    """Bind every constructor call of a resolved config to its target's signature, importing none of them.

    Raises:
        UserError: that names the key, what it got and what it takes.
    """
    for key, value in config.items():
        if key in TOP_LEVEL:
            _check_value(key, value, TOP_LEVEL[key])
        elif key not in GROUPS:
            known = [*TOP_LEVEL, *GROUPS]
            raise UserError(f"{key}: no such key{_suggest(key, known)}; see python train.py --cfg job")
    _check_node(config, "")
    if not config["name"].strip() or {"", "..", "."} & set(config["name"].split("/")):
        raise UserError(f"name={config['name']!r}: names a folder in outputs/, as in name=mine or name=study/mine")
    strategy = str(config["trainer"].get("strategy", ""))
    if "ddp" in strategy and config["trainer"].get("devices") == 1:
        raise UserError("trainer.devices=1: ddp is for several devices; give trainer.devices=2 or trainer=auto")


def _check_node(node: Any, path: str) -> None:
    if isinstance(node, list):
        for index, item in enumerate(node):
            _check_node(item, f"{path}{index}.")
    if not isinstance(node, dict):
        return
    for key, value in node.items():  # the innermost first: what follows from a mistake is not the mistake
        _check_node(value, f"{path}{key}.")
    if "_target_" in node:
        _check_call(node, path)


def _check_call(node: dict[str, Any], path: str) -> None:
    target = node["_target_"]
    signature = signatures.read(str(target))
    if signature is None:
        raise UserError(f"{path}_target_: there is no {target}")
    arguments = {key: value for key, value in node.items() if not key.startswith("_")}
    known = signature.parameters
    short = str(target).rpartition(".")[2]
    for key, value in arguments.items():
        if key not in known:
            if signature.open:
                continue
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UserError(f"{path}{key}: {short} has no such argument{_suggest(key, known)}; {takes}")
        if not (isinstance(value, dict) and "_target_" in value):
            annotation = known[key].annotation
            bounded = BOUNDS.get(key) if not str(target).startswith("ldg.") else None
            _check_value(f"{path}{key}", value, bounded or annotation)
    missing = [key for key, parameter in known.items() if parameter.required and key not in arguments]
    if missing and not node.get("_partial_"):
        raise UserError(f"{path}{missing[0]}: {short} needs it; give {path}{missing[0]}=...")


def _check_value(key: str, value: Any, annotation: Any) -> None:
    try:
        # JSON's strict mode takes a list for a tuple, but neither "3" nor true for a number
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        complaints = dict.fromkeys(e["msg"].removeprefix("Input should be ") for e in error.errors())
        place = "".join(f".{part}" for part in error.errors()[0]["loc"] if isinstance(part, int))
        raise UserError(f"{key}{place}={json.dumps(value)}: should be {' or '.join(complaints)}") from None
    except Exception:
        return  # an annotation pydantic has no use for (a class of torch, say) is checked when it is called


def _check_place(folder: Path) -> None:
    """Raises UserError if run folders cannot be made in a folder, before the data are made; it writes nothing."""
    there = next((f for f in (folder, *folder.absolute().parents) if f.exists()), Path("/"))
    if not there.is_dir():
        raise UserError(f"outputs={folder}: {there} is not a folder; choose another")
    if not os.access(there, os.W_OK):
        raise UserError(f"outputs={folder}: {there} may not be written to; choose another")


def accept_measures(overrides: list[str], home: Path) -> dict[str, Any]:
    """The config of evaluate.py: a constructor call for each measure.

    Raises:
        UserError: for the first thing that is wrong with ``overrides``.
    """
    config = resolved(composed(overrides, home, "evaluate"))
    _check_node(config, "")
    return config


def moved(node: Any, old: str, new: str) -> Any:
    """A nested structure with a folder's old name replaced in every path and key that begins with it."""
    if isinstance(node, dict):
        return {moved(key, old, new): moved(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [moved(item, old, new) for item in node]
    inside = isinstance(node, str) and f"{node}/".startswith(f"{old}/")
    return new + node[len(old) :] if inside else node


def accept(arguments: list[str], home: Path) -> None:
    """Check a command line of train.py; every value of a sweep is tried once.

    Raises:
        UserError: for the first thing that is wrong with it.
    """
    try:
        asked = get_args_parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has said why
        raise SystemExit(2 if stop.code else 0) from None
    os.environ["LDG_HOME"] = str(home)  # where Hydra finds experiments
    if asked.help or asked.hydra_help or asked.info or asked.shell_completion:
        return
    fixed, varied = plan.split(asked.overrides)
    if varied and not asked.multirun:
        raise UserError(f"{varied[0].input_line}: several values need a sweep; add -m")
    for override in plan.parse(asked.overrides):
        if override.key_or_group == "sweep" and override.value() is not None:
            if override in varied:
                raise UserError(f"{override.input_line}: one sweep at a time")
            if not asked.multirun:
                raise UserError(f"{override.input_line}: a sweep needs -m")
    if not asked.multirun:
        trials = [fixed]
    else:
        base = composed(fixed, home, asked.config_name or "train")
        trials = plan.examples(plan.make(base, asked.overrides))
    for trial in trials:
        config = resolved(composed(trial, home, asked.config_name or "train"))
        check(config)
        _check_place(Path(config["outputs"]))
        if asked.multirun and "ddp" in str(config["trainer"].get("strategy", "")):
            raise UserError("trainer=ddp: its processes would each repeat the whole sweep; start the runs one by one")
