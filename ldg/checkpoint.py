"""Checkpoints: weights, the resolved config and the class names in one file, read without running anybody's code.

A run leaves ``.ckpt`` files with all that resuming needs; ``python -m ldg.export RUN FILE.safetensors`` keeps what
writing and measuring need, in half precision.
"""

from __future__ import annotations

import importlib
import json
import re
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.errors import UserError

if TYPE_CHECKING:  # a path that leads nowhere is answered before torch is there
    from ldg.models.classifier import Classifier
    from ldg.models.vae import VAE

VERSION = 1
SHIPPED = Path(__file__).parent / "weights" / "handwriting.safetensors"  # what writes before anything is trained

# what a config inside a checkpoint may name besides ldg's own classes
_TRUSTED_ROOTS = ("ldg.models.", "ldg.data.")


def build(config: Any, **arguments: Any) -> Any:
    """A constructor call written as ``{"_target_": "ldg.models.vae.VAE", ...}``, made; nested calls are made first.

    ``_partial_: true`` gives a function that still takes arguments. Unlike Hydra's instantiate it makes only objects of
    ``ldg.models`` and ``ldg.data``, so that a config from somebody else's checkpoint cannot name anything harmful.

    Raises:
        UserError: for any other target.
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
    """The checkpoint file meant by a path: itself, or the best (else the last) of a run folder."""
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
    """The folder of the run that finished last and can draw; where there is none, the weights that come with ldg."""
    finished = sorted(Path(outputs).glob("**/summary.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    return next((file.parent for file in finished if _draws(file)), SHIPPED)


def _draws(summary: Path) -> bool:
    """Whether a run's summary is whole and of a model that draws, not of a judge."""
    try:
        return json.loads(summary.read_text())["example"] is not None
    except (ValueError, KeyError):
        return False


def read(path: str | Path) -> dict[str, Any]:
    """A checkpoint's whole content: tensors and plain Python, never code (torch's ``weights_only``, or safetensors).

    Raises:
        UserError: if the file is missing, unreadable, damaged, not ldg's, or from a newer version.
    """
    file = find(path)
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange pickles; the error says it
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
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        raise UserError(f"{file} has format {version}; this ldg reads {VERSION}{', update it' if newer else ''}")
    return content


def _read_bare(file: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        facts = json.loads(opened.metadata()["ldg"])
    return {"ldg": facts, "state_dict": weights}


def load(path: str | Path, device: str = "cpu") -> VAE:
    """The VAE in a checkpoint file or run folder, in eval mode, with ``.classes`` and ``.config`` set.

    Raises:
        UserError: as :func:`read`, and if weights and config do not fit together, or it is another kind of model.
    """
    model = load_any(path, device)
    from ldg.models.vae import VAE

    if not isinstance(model, VAE):
        raise UserError(f"{find(path)} is a {type(model).__name__}, which reads images; name a run that draws them")
    return model


def load_any(path: str | Path, device: str = "cpu") -> VAE | Classifier:
    """As :func:`load`, for a judge as well."""
    content = read(path)
    try:
        facts = content["ldg"]
        model = build(facts["config"]["model"])
        prefix = "model."
        weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
        broken = [name for name, value in weights.items() if not value.isfinite().all()]
        if broken:
            raise UserError(f"{find(path)} has weights that are no numbers ({broken[0]}); its training went wrong")
        model.load_state_dict(weights)
        model.classes, model.config = tuple(facts["classes"]), facts["config"]
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{find(path)} does not fit its own config: {reason}") from None
    return model.to(device).eval()
