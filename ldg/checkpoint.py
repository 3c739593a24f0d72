"""Checkpoints: weights, the resolved config and the class names in one file, read without running anybody's code.

A run writes ``.ckpt`` files with all that resuming needs; ``python -m ldg.export RUN FILE.safetensors`` keeps what
writing and measuring need, in half precision.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.errors import UserError
from ldg.migration import FORMAT, migrate

if TYPE_CHECKING:  # a path that does not exist is an error before torch is imported
    from ldg.data.splits import ImageSplits
    from ldg.models.classifier import Classifier
    from ldg.models.vae import VAE

SHIPPED = Path(__file__).parent / "weights" / "handwriting.safetensors"  # writes before anything is trained

# what a config inside a checkpoint may name besides ldg's own classes
_TRUSTED_ROOTS = ("ldg.models.", "ldg.data.")


def build(config: Any, **arguments: Any) -> Any:
    """Make the object of a constructor call, nested calls first.

    Unlike Hydra's instantiate it makes only objects of ``ldg.models`` and ``ldg.data``, so that a config from somebody
    else's checkpoint cannot name anything harmful.

    Args:
        config: ``{"_target_": "ldg.models.vae.VAE", ...}``; with ``_partial_: true`` the result is a function that
            takes the remaining arguments.
        arguments: Further arguments of the constructor.

    Returns:
        The object; lists, dicts and values without ``_target_`` as they are.

    Raises:
        UserError: For any other target.
    """
    if isinstance(config, list | tuple):
        return [build(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    built = {str(key): build(value) for key, value in config.items() if key not in ("_target_", "_partial_")}
    if "_target_" not in config:
        return built
    target = _trusted(config["_target_"])
    if config.get("_partial_"):
        return partial(target, **built, **arguments)
    return target(**built, **arguments)


def _trusted(path: Any) -> type:
    module, _, name = str(path).rpartition(".")
    if not f"{module}.".startswith(_TRUSTED_ROOTS):
        raise UserError(f"the config names {path!r} as a target; only classes of ldg.models and ldg.data may be built")
    try:
        target = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(f"the config names {path!r}, which this version of ldg does not have") from None
    # only classes defined in that very module: an imported name would open the whole of Python
    if not (isinstance(target, type) and target.__module__ == module):
        raise UserError(f"the config names {path!r} as a target, which is not a class of {module}")
    return target


def find(path: str | Path) -> Path:
    """Find the checkpoint file that a path names.

    Args:
        path: A file, or a run folder.

    Returns:
        The file; of a run folder the best checkpoint, or else the last.

    Raises:
        UserError: If there is none.
    """
    path = Path(path)
    if path.is_dir():
        for name in ("best.ckpt", "last.ckpt"):
            if (path / "checkpoints" / name).is_file():
                return path / "checkpoints" / name
        raise UserError(f"{path} holds no checkpoints/best.ckpt or checkpoints/last.ckpt; name a run folder or a file")
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; name a .ckpt file or a run folder")
    return path


def newest_run(outputs: str | Path = "outputs") -> Path:
    """Find the newest finished run of a VAE.

    Args:
        outputs: The folder of all runs.

    Returns:
        The run's folder; the weights that come with ldg if there is none.
    """
    finished = sorted(Path(outputs).glob("**/summary.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    return next((file.parent for file in finished if _is_of_vae(file)), SHIPPED)


def _is_of_vae(summary: Path) -> bool:
    """Whether a run's summary is complete and of a VAE, not of a judge."""
    try:
        return json.loads(summary.read_text())["example"] is not None
    except (ValueError, KeyError):
        return False


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint's whole content: tensors and plain Python, never code.

    Args:
        path: A file, or a run folder.

    Returns:
        The content in today's format, with ``ldg`` (``version``, ``config``, ``classes``, ``metrics``) and
        ``state_dict``.

    Raises:
        UserError: If the file is missing, unreadable, damaged, not ldg's, or from a newer version.
    """
    file = find(path)
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about strange pickles, which are an error below
            is_bare = file.suffix == ".safetensors"
            content = _read_bare(file) if is_bare else torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError:
        raise UserError(f"{file} may not be read; check its permissions") from None
    except Exception as error:
        if foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UserError(f"{file} holds {foreign[1]}, which no checkpoint of ldg has; it was not opened") from None
        raise UserError(f"{file} is damaged or no checkpoint; give one that train.py has written") from None
    if not isinstance(content, dict) or not isinstance(content.get("ldg"), dict):
        raise UserError(f"{file} was not written by ldg; give a checkpoint that train.py has written")
    version = content["ldg"].get("version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        raise UserError(f"{file} has format {version}; this ldg reads 1 to {FORMAT}{', update it' if newer else ''}")
    try:
        return migrate(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} does not fit its own config: {str(error).splitlines()[0]}") from None


def _read_bare(file: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        about = json.loads(opened.metadata()["ldg"])
    return {"ldg": about, "state_dict": weights}


def load(path: str | Path, device: str = "cpu") -> VAE:
    """Load the VAE of a checkpoint file or run folder.

    Args:
        path: A file, or a run folder.
        device: Where the model goes, as torch names devices.

    Returns:
        The model in eval mode, with ``classes`` and ``config`` set.

    Raises:
        UserError: As :func:`read`, and if weights and config do not fit together, or it is another kind of model.
    """
    model = load_any(path, device)
    from ldg.models.vae import VAE

    if not isinstance(model, VAE):
        raise UserError(f"{find(path)} is a {type(model).__name__}; name a run of a VAE")
    return model


def load_any(path: str | Path, device: str = "cpu") -> VAE | Classifier:
    """Load the model of a checkpoint file or run folder, a VAE or a judge.

    Args:
        path: A file, or a run folder.
        device: Where the model goes, as torch names devices.

    Returns:
        The model in eval mode, with ``classes`` and ``config`` set.

    Raises:
        UserError: As :func:`read`, and if weights and config do not fit together.
    """
    content = read(path)
    try:
        about = content["ldg"]
        model = build(about["config"]["model"])
        prefix = "model."
        weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
        broken = [name for name, value in weights.items() if not value.isfinite().all()]
        if broken:
            raise UserError(f"{find(path)} has weights that are NaN or infinite ({broken[0]}): training diverged")
        model.load_state_dict(weights)
        model.classes, model.config = tuple(about["classes"]), about["config"]
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{find(path)} does not fit its own config: {reason}") from None
    return model.to(device).eval()


def data_config(model: VAE | Classifier) -> dict[str, Any]:
    """The ``data`` config of a trained model, for this machine and without network.

    Args:
        model: From a checkpoint.

    Returns:
        The config with LDG_DATA and LDG_CACHE in the place of the training machine's folders, where they are set.

    Raises:
        UserError: If the checkpoint names no data set.
    """
    config = dict(model.config.get("data") or {})
    if "dataset" not in config:
        raise UserError("the checkpoint names no data set")
    config["download"] = False
    for key, variable in (("root", "LDG_DATA"), ("cache", "LDG_CACHE")):
        config[key] = os.environ.get(variable) or config.get(key)
    return {key: value for key, value in config.items() if key != "root" or value is not None}


def load_data(model: VAE | Classifier) -> ImageSplits:
    """The images of the data set that a model was trained on, which are never downloaded.

    Args:
        model: From a checkpoint.

    Raises:
        UserError: If the checkpoint names no data set.
    """
    from ldg.data.splits import load_splits

    config = data_config(model)
    return load_splits(build(config["dataset"]), config)
