"""Going on with a run: its checkpoint brings the config; only what may change without a break may be overridden."""

import copy
from pathlib import Path
from typing import Any

import yaml

from ldg.checkpoint import find, read
from ldg.errors import UserError
from ldg.training.config import check

# groups that say where and how a run is carried out, not what is trained
REPLACEABLE = ("trainer", "logger", "callbacks", "debug")
OWN = ("ckpt_path",)


def resumed(config: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The config of the run that ``config["ckpt_path"]`` (a checkpoint or run folder) belongs to.

    Overrides of single values are applied to it; a trainer, logger or callbacks group named on the command line takes
    the place of the run's own. It goes on in the run's folder.

    Raises:
        UserError: for an unusable checkpoint, an override that would change the model or the data, or a run that has
            reached its last epoch.
    """
    path = Path(config["ckpt_path"])
    if path.is_dir() and (path / "checkpoints" / "last.ckpt").is_file():
        path = path / "checkpoints" / "last.ckpt"
    path = find(path)
    content = read(path)
    result = copy.deepcopy(content["ldg"]["config"])
    moved = path.parent.parent
    old, result["folder"] = result["folder"], str(moved if path.parent.name == "checkpoints" else config["folder"])
    result = _replace(result, old, result["folder"])
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if key in OWN:
            continue
        if key in REPLACEABLE:
            if key != "debug":
                result[key] = _replace(config[key], config["folder"], result["folder"])
        elif key.split("/")[0] in ("data", "model", "conditioning", "likelihood", "optimizer", "scheduler", "experiment") and (
            "." not in key
        ):
            raise UserError(f"{override}: a resumed run keeps its own {key}; leave it out, or start a new run")
        else:
            _assign(result, key, yaml.safe_load(value))
    result["ckpt_path"] = str(path)
    check(result)
    epochs = result["trainer"].get("max_epochs") or -1
    if 0 <= epochs <= _finished_epochs(content):
        raise UserError(f"{path} has trained its {epochs} epochs; go on with trainer.max_epochs={2 * epochs}")
    return result


def _finished_epochs(content: dict[str, Any]) -> int:
    return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def _replace(node: Any, old: str, new: str) -> Any:
    """Every string of a nested config with the folder's old name replaced."""
    if isinstance(node, dict):
        return {key: _replace(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_replace(item, old, new) for item in node]
    return node.replace(old, new) if isinstance(node, str) else node


def _assign(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value
