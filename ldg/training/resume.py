"""Resuming a run: its checkpoint brings the config; only what may change without a break may be overridden."""

import contextlib
import importlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from ldg.artifacts import is_reference as is_artifact
from ldg.checkpoint import find, fit, only_run, read
from ldg.config.check import check_config
from ldg.config.compose import replace_folder
from ldg.config.overrides import READ_ONLY, parse_overrides
from ldg.config.run_config import FolderName, RunConfig
from ldg.config.secrets import is_reference
from ldg.config.signatures import extends_ldg, load_class
from ldg.errors import UserError
from ldg.files import look, whole

# what a run is: another one is another run
KEPT = ("data", "model", "conditioning", "likelihood", "optimizer", "scheduler", "experiment", "debug")
IDENTITY = ("seed", "name", "outputs", "folder")
# except for where its data lie
MOVABLE = ("data.root", "data.cache", "data.download")
# groups that say where and how a run is carried out
REPLACEABLE = ("trainer", "logger", "callbacks")
# what another trainer changes
DEVICES = ("accelerator", "devices", "strategy")
# a checkpoint's config may have these made, and nothing else: loggers of Lightning's may contact others than the user
_TRUSTED_ROOTS = (
    "ldg.",
    "torch.optim.",
    *(f"pytorch_lightning.{name}." for name in ("trainer", "callbacks", "profilers", "strategies", "plugins")),
    *(f"pytorch_lightning.loggers.{name}." for name in ("csv_logs", "tensorboard")),
)
# keys that name no file or folder
LABELS = ("name", "run", "sweep_name", "tags", "ckpt_path", "folder")
# keys that name a file or folder, whatever their value looks like
_PLACE = re.compile(r"(^|_)(dir|dirpath|path|folder|file|root|cache|outputs)$")


def resume_config(config: RunConfig, overrides: list[str]) -> RunConfig:
    """The config with which a run is resumed in its folder.

    Args:
        config: composed of ``overrides``; ``config.ckpt_path`` is a checkpoint or run folder
        overrides: of the command line. Only what they name is taken from ``config``: single values, a logger or
            callbacks group in place of the run's, or the devices of another trainer

    Returns:
        The config in the checkpoint with these changes. Its files and folders lie in the run's folder, or where
        ``config`` has them.

    Raises:
        UserError: for an unusable checkpoint, an override that would change what is trained, or a run that is finished.
    """
    path = check_resumption(str(config.ckpt_path), overrides)
    content = read(path)
    saved = dict(content["ldg"]["config"])
    folder = str(path.parent.parent) if path.parent.name == "checkpoints" else _new_folder(config, saved)
    parsed = parse_overrides(overrides)
    given = replace_folder(config.to_dict(), config.folder, folder)
    for group in ("data", *REPLACEABLE):
        if not isinstance(saved.get(group), dict):
            raise UserError(f"{path} does not fit its own config: {group} is no part of it")
    for group in {override.key_or_group for override in parsed} & {"logger", "callbacks"}:  # which are replaced
        saved[group] = {k: v for k, v in saved[group].items() if k in given[group] and _has_groups(v)}
    _refuse_foreign(saved)
    try:
        result = saved | _keep_inside({k: v for k, v in saved.items() if k not in LABELS}, given, _mover(saved, folder))
        root = str(saved["data"].get("root"))
        if not os.environ.get("LDG_DATA") and Path(root).is_dir() and root != result["data"]["root"]:
            result["data"] |= {"root": root, "download": False}  # images may be read there, but nothing is written
    except (OSError, ValueError, RuntimeError) as error:  # what can be no path
        raise UserError(f"{path} does not fit its own config: {error}") from None
    for override in parsed:
        key = override.key_or_group
        if key in REPLACEABLE:
            result[key] = _fit_group(key, given.get(key) or {}, result)
        elif override.is_delete():
            _delete(result, key.split("."))
        elif key != "ckpt_path" and not key.startswith("hydra"):
            _take(result, given, key.split("."))
    result |= {"ckpt_path": str(path), "folder": folder}
    check_config(result)
    fit(content, path)  # an error now, not in the middle of the run
    spent = spent_budgets(result, content, path)
    if spent and _is_finished(content, folder):  # one stopped after its last epoch has its test to do
        raise UserError(f"{path}: {' and '.join(spent)} are done; resume with {' '.join(spent.values())}")
    return RunConfig.from_dict(result)


def check_resumption(path: str, overrides: list[str]) -> Path:
    """Check what can be told of a resumed run before its checkpoint is read, for which PyTorch takes seconds.

    Args:
        path: a checkpoint or run folder
        overrides: of the command line

    Returns:
        The checkpoint.

    Raises:
        UserError: if there is none, or it has weights alone, or an override would change what is trained.
    """
    file = resumed_file(path)
    if file.suffix == ".safetensors":
        raise UserError(f"ckpt_path={file}: exported weights cannot be resumed; name a run folder or its last.ckpt")
    for override in parse_overrides(overrides):
        key = override.key_or_group
        if re.split(r"[./@]", key)[0] in KEPT + IDENTITY and key not in MOVABLE:
            raise UserError(
                f"{override.input_line}: a resumed run keeps its own {key}; leave it out, or start a new run"
            )
    return file


def _new_folder(config: RunConfig, saved: dict[str, Any]) -> str:
    """The folder of a run whose checkpoint lies in none: of the run's name, if that can be one."""
    try:
        name = TypeAdapter(FolderName).validate_python(saved.get("name"))
    except ValidationError:  # the check of the config says so
        return config.folder
    return str(Path(config.outputs, name, Path(config.folder).name))


def go_on(config: RunConfig, checkpoint: Path) -> None:
    """Let a run whose config is composed anew go on from its last checkpoint, and in its run in W&B.

    Args:
        config: of the run, which is changed in place
        checkpoint: in the run's folder
    """
    config.ckpt_path = str(checkpoint)
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, yaml.YAMLError):  # it is written anew
        saved = yaml.safe_load((Path(config.folder) / "config.yaml").read_text(encoding="utf-8"))
        config.logger["wandb"]["id"] = saved["logger"]["wandb"]["id"]


def resumed_file(path: str | Path) -> Path:
    """Find the checkpoint that a run is resumed from: of a run folder the last, or else the best.

    Args:
        path: a file, a run folder or one that holds a single run's, or an artifact in W&B

    Raises:
        UserError: if there is none, or there are several runs.
    """
    if not is_artifact(path) and look(path) == "folder":
        last = Path(path) / "checkpoints" / "last.ckpt"
        if last.is_file():
            return last
        if run := only_run(Path(path)):
            return resumed_file(run)
    return find(path)


def spent_budgets(config: dict[str, Any], content: dict[str, Any], path: Path) -> dict[str, str]:
    """The budgets of training that a checkpoint has used up.

    Args:
        config: of the run
        content: of the checkpoint
        path: of the checkpoint, for messages

    Returns:
        For each, what is done, as in ``2 epochs``, and the override that doubles it.

    Raises:
        UserError: if the checkpoint has no state of training.
    """
    trainer, spent = config["trainer"], {}
    try:
        epochs = int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
        steps = int(content["global_step"])
        states = dict(content["callbacks"])
        seconds = float(states["Timer"]["time_elapsed"]["train"]) if "Timer" in states else 0.0
        waits = {key: int(state["wait_count"]) for key, state in states.items() if key.startswith("EarlyStopping")}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path} has weights but no state of training; give a checkpoint of a run") from None
    if 0 <= (trainer.get("max_epochs") or -1) <= epochs:
        spent[f"{epochs} epochs"] = f"trainer.max_epochs={2 * epochs}"
    if 0 <= (trainer.get("max_steps") or -1) <= steps:
        spent[f"{steps} steps"] = f"++trainer.max_steps={2 * steps}"
    if trainer.get("max_time") and _seconds(trainer["max_time"]) <= seconds:
        spent[f"{seconds:.0f} s"] = f"trainer.max_time={_days(2 * seconds)}"
    for name, callback in _early_stopping(config):
        wait = next((n for key, n in waits.items() if f"'{callback.get('monitor')}'" in key), 0)
        if wait >= max(1, callback.get("patience", 3)):
            spent[f"{wait} epochs without a better {callback['monitor']}"] = f"++callbacks.{name}.patience={2 * wait}"
    return spent


def find_longer(folder: str | Path) -> list[str] | None:
    """Find the overrides with which a run trains on.

    Args:
        folder: of the run

    Returns:
        One for each budget that is used up; None if the run has kept nothing that can be resumed.
    """
    try:
        path = resumed_file(folder)
        content = read(path)
        fit(content, path)
        return list(spent_budgets(content["ldg"]["config"], content, path).values())
    except UserError:
        return None


def _early_stopping(config: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    calls = [(name, call) for name, call in config["callbacks"].items() if call]
    return [(name, call) for name, call in calls if str(call.get("_target_")).endswith("EarlyStopping")]


def _seconds(max_time: str | dict[str, int]) -> float:
    """The length of ``trainer.max_time``, in either form that Lightning takes; endless in another."""
    try:
        if isinstance(max_time, dict):
            return timedelta(**max_time).total_seconds()
        days, hours, minutes, seconds = map(int, max_time.split(":"))
        return timedelta(days, seconds, hours=hours, minutes=minutes).total_seconds()
    except (TypeError, ValueError, OverflowError):  # Lightning says what is wrong
        return math.inf


def _days(seconds: float) -> str:
    """Seconds, rounded up, as DD:HH:MM:SS."""
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours // 24:02d}:{hours % 24:02d}:{minute:02d}:{second:02d}"


def _is_finished(content: dict[str, Any], folder: str) -> bool:
    """Whether the run's summary is of the checkpoint's last step, or of a later one."""
    try:
        summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
        return bool(summary["steps"] >= content["global_step"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def relocate(checkpoint: dict[str, Any], config: RunConfig) -> None:
    """Bring the callbacks of a checkpoint to where its run's folder is now, and to the patience that is given now.

    A checkpoint from elsewhere is the best one so far in its run's new folder: better ones are not there.

    Args:
        checkpoint: its content, which is changed in place
        config: of the resumed run
    """
    import torch

    new = os.path.realpath(config.folder)
    source, metrics = Path(str(config.ckpt_path)), checkpoint["ldg"]["metrics"]
    is_elsewhere = os.path.realpath(source.parent) != str(Path(new, "checkpoints"))
    patience = {callback.get("monitor"): callback.get("patience") for _, callback in _early_stopping(config.to_dict())}
    for key, state in checkpoint.get("callbacks", {}).items():
        old = str(state.get("dirpath") or "")
        if Path(old).name == "checkpoints":
            checkpoint["callbacks"][key] = replace_folder(state, str(Path(old).parent), new)
            if is_elsewhere and state.get("best_model_path") and state.get("monitor") in metrics:
                best = str(Path(new, "checkpoints", Path(str(state["best_model_path"])).name))
                with whole(best) as temporary:
                    shutil.copyfile(source, temporary)
                score = torch.tensor(metrics[state["monitor"]])
                found = {"best_model_path": best, "best_model_score": score, "best_k_models": {best: score}}
                checkpoint["callbacks"][key] |= found | {"kth_best_model_path": best, "kth_value": score}
        for monitor, epochs in patience.items():
            if key.startswith("EarlyStopping") and f"'{monitor}'" in key and epochs is not None:
                state["patience"] = epochs


def _refuse_foreign(node: Any, path: str = "") -> None:
    """Raises UserError for a target that is not a class of ldg, torch.optim or Lightning, and for what Hydra reads."""
    if isinstance(node, list):
        for item in node:
            _refuse_foreign(item, path)
    if isinstance(node, str) and "${" in node and not is_reference(path, node):
        raise UserError(f"the checkpoint's config has the interpolation {node!r}, which ldg does not resolve in a file")
    if not isinstance(node, dict):
        return
    if "_args_" in node:
        raise UserError(f"the checkpoint's config has _args_={node['_args_']!r}; ldg reads named arguments only")
    if "_target_" in node:
        target = str(node["_target_"])
        module, _, name = target.rpartition(".")
        is_known = target.startswith(("ldg.", "torch.optim.", "pytorch_lightning."))
        try:
            made = getattr(importlib.import_module(module), name) if is_known else None
        except (ImportError, AttributeError, ValueError):
            made = None
        is_trusted = isinstance(made, type) and f"{made.__module__}.".startswith(_TRUSTED_ROOTS)
        if extends_ldg(target):
            load_class(target)
        elif not is_trusted:
            raise UserError(
                f"the checkpoint's config names {target!r} as a target, which ldg does not make from a file; "
                "leave out a logger with logger=csv, a callback with callbacks=default"
            )
    for key, value in node.items():
        _refuse_foreign(value, f"{path}.{key}")


def _keep_inside(
    node: dict[str, Any], today: dict[str, Any], move: Callable[[str], str | None], prefix: str = ""
) -> dict[str, Any]:
    """A checkpoint's config with its files and folders in the run's folder of now, or where today's config has them.

    Args:
        node: a part of the config
        today: the same part of the config that the command line composes
        move: from a file or folder to where it is now, None if it lies outside of the run
        prefix: the full name of ``node``, empty or ending with a dot

    Raises:
        UserError: for a file or folder elsewhere that today's config does not have.
    """
    result = dict(node)
    for key, value in node.items():
        name, mine = f"{prefix}{key}", today.get(key)
        if isinstance(value, dict):
            result[key] = _keep_inside(value, mine if isinstance(mine, dict) else {}, move, f"{name}.")
        elif isinstance(value, list):
            items = [_keep_inside({key: item}, {}, move, prefix) if isinstance(item, dict) else item for item in value]
            result[key] = [item[key] if isinstance(item, dict) else item for item in items]
        elif isinstance(value, str) and _is_place(key, value) and name not in READ_ONLY:
            result[key] = mine if (moved := move(value)) is None else moved
            if moved is None and key not in today:
                raise UserError(
                    f"the checkpoint's config has {name}={value}, outside of the run's folder; give another {name}"
                )
    return result


def _is_place(key: str, value: str) -> bool:
    """Whether a value of a config names a file or folder."""
    looks_like_one = value.startswith(("/", "~")) or ".." in Path(value).parts or "://" in value
    return bool(_PLACE.search(key)) or looks_like_one


def _mover(saved: dict[str, Any], folder: str) -> Callable[[str], str | None]:
    """A function from a file or folder of a checkpoint's config to where it is now, None if it lies outside of the run.

    The run has its folder, and shares the folder of all runs if it still lies in that.
    """
    old, outputs = str(saved.get("folder")), str(saved.get("outputs"))
    home = Path(folder).resolve()
    shared = outputs if Path(outputs).resolve() in home.parents[:3] else None  # outputs/sweeps/NAME/RUN at most

    def move(place: str) -> str | None:
        moved: str = replace_folder(place, old, folder)
        return moved if moved == shared or Path(moved).resolve().is_relative_to(home) else None

    return move


def _fit_group(name: str, new: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """A group named on the command line, fitted to the run."""
    if name == "trainer":
        return {k: v for k, v in run["trainer"].items() if k not in DEVICES} | {k: new[k] for k in DEVICES if k in new}
    for key, call in new.items():
        if _has_groups(call):
            earlier = run["logger"].get(key) or {}
            group = earlier.get("group") or next(iter(run["tags"]), None)
            fitted = {"name": run["name"], "tags": run["tags"], "save_dir": run["outputs"], "group": group}
            fitted["choices"] = earlier.get("choices")
            call |= {name: value for name, value in fitted.items() if name in call}
    if "wandb" in new:
        new["wandb"]["id"] = run["logger"].get("wandb", {}).get("id") or new["wandb"].get("id")
    return new


def _has_groups(call: Any) -> bool:
    """Whether a constructor call is that of a logger which keeps runs in groups."""
    return isinstance(call, dict) and "group" in call


def _take(config: dict[str, Any], given: dict[str, Any], path: list[str]) -> None:
    """Set one value to the given one; where the config lacks what it belongs to, take that whole."""
    key, *rest = path
    if rest and isinstance(config.get(key), dict):
        _take(config[key], given[key], rest)
    else:
        config[key] = given[key]


def _delete(config: dict[str, Any], path: list[str]) -> None:
    key, *rest = path
    if rest and isinstance(config.get(key), dict):
        _delete(config[key], rest)
    elif not rest:
        config.pop(key, None)
