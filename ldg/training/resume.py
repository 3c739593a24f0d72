"""Resuming a run: its checkpoint brings the config; only what may change without a break may be overridden."""

import copy
import importlib
import os
import re
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from ldg.checkpoint import find, read
from ldg.config.check import check_config
from ldg.config.compose import replace_folder
from ldg.config.run_config import RunConfig
from ldg.errors import UserError

# what a run is: another one is another run
KEPT = ("data", "model", "conditioning", "likelihood", "optimizer", "scheduler", "experiment", "debug")
IDENTITY = ("seed", "name", "outputs", "folder")
# except for where its data lie
MOVABLE = ("data.root", "data.cache", "data.download")
# groups that say where and how a run is carried out
REPLACEABLE = ("trainer", "logger", "callbacks")
# what another trainer changes
DEVICES = ("accelerator", "devices", "strategy")
# a checkpoint's config may have these made, and nothing else
_TRUSTED_ROOTS = ("ldg.", "torch.optim.", "pytorch_lightning.")


def resume_config(config: RunConfig, overrides: list[str]) -> RunConfig:
    """The config with which a run is resumed in its folder.

    Args:
        config: composed of ``overrides``; ``config.ckpt_path`` is a checkpoint or run folder
        overrides: of the command line. Only what they name is taken from ``config``: single values, a logger or
            callbacks group in place of the run's, or the devices of another trainer

    Returns:
        The config in the checkpoint with these changes.

    Raises:
        UserError: for an unusable checkpoint, an override that would change what is trained, or a run that is finished.
    """
    path = Path(str(config.ckpt_path))
    if path.is_dir() and (path / "checkpoints" / "last.ckpt").is_file():
        path = path / "checkpoints" / "last.ckpt"
    path = find(path)
    content = read(path)
    if path.suffix == ".safetensors":
        raise UserError(f"ckpt_path={path}: exported weights cannot be resumed; name a run folder or its last.ckpt")
    saved = copy.deepcopy(content["ldg"]["config"])
    _refuse_foreign(saved)
    home = path.parent.parent
    folder = str(home if path.parent.name == "checkpoints" else config.folder)
    result = replace_folder(saved, saved["folder"], folder)
    given = replace_folder(config.to_dict(), config.folder, folder)
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if re.split(r"[./@]", key)[0] in KEPT + IDENTITY and key not in MOVABLE:
            raise UserError(
                f"{override.input_line}: a resumed run keeps its own {key}; leave it out, or start a new run"
            )
        if key in REPLACEABLE:
            result[key] = _fit_group(key, given.get(key) or {}, result)
        elif override.is_delete():
            _delete(result, key.split("."))
        elif key != "ckpt_path" and not key.startswith("hydra"):
            _take(result, given, key.split("."))
    result["ckpt_path"] = str(path)
    check_config(result)
    epochs = result["trainer"].get("max_epochs") or -1
    is_finished = (Path(folder) / "summary.json").exists()  # one stopped after its last epoch has its test to do
    if is_finished and 0 <= epochs <= (done := _finished_epochs(content, path)):
        raise UserError(f"{path}: {done} epochs are done; resume with trainer.max_epochs={2 * done}")
    return RunConfig.from_dict(result)


def _finished_epochs(content: dict[str, Any], path: Path) -> int:
    try:
        return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} has weights but no state of training; give a checkpoint of a run") from None


def relocate(checkpoint: dict[str, Any], folder: str) -> None:
    """Let the callbacks of a checkpoint find their files after the run's folder was moved or renamed.

    Args:
        checkpoint: its content, which is changed in place
        folder: where the run's folder is now
    """
    new = os.path.realpath(folder)
    for key, state in checkpoint.get("callbacks", {}).items():
        old = str(state.get("dirpath") or "")
        if Path(old).name == "checkpoints":
            checkpoint["callbacks"][key] = replace_folder(state, str(Path(old).parent), new)


def _refuse_foreign(node: Any) -> None:
    """Raises UserError for a target that is not a class of ldg, torch.optim or Lightning."""
    if isinstance(node, list):
        for item in node:
            _refuse_foreign(item)
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        target = str(node["_target_"])
        module, _, name = target.rpartition(".")
        try:
            made = getattr(importlib.import_module(module), name) if target.startswith(_TRUSTED_ROOTS) else None
        except (ImportError, AttributeError):
            made = None
        if not (isinstance(made, type) and f"{made.__module__}.".startswith(_TRUSTED_ROOTS)):
            raise UserError(
                f"the checkpoint's config names {target!r} as a target, which ldg does not make from a file"
            )
    for value in node.values():
        _refuse_foreign(value)


def _fit_group(name: str, new: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """A group named on the command line, fitted to the run."""
    if name == "trainer":
        return {k: v for k, v in run["trainer"].items() if k not in DEVICES} | {k: new[k] for k in DEVICES if k in new}
    if "wandb" in new:
        new["wandb"] |= {"name": run["name"], "tags": run["tags"], "save_dir": run["outputs"]}
        earlier = run["logger"].get("wandb", {})
        new["wandb"] |= {"group": earlier.get("group") or run["tags"][0], "choices": earlier.get("choices")}
    return new


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
