"""Checkpoints: weights, the resolved config and the class names in one file, read without running anybody's code.

A run writes ``.ckpt`` files with all that resuming needs; ``ldg export RUN FILE.safetensors`` keeps what
writing and measuring need, in half precision.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg import hub
from ldg.artifacts import fetch, is_reference
from ldg.config.secrets import reveal, without_references
from ldg.errors import UserError, one_line
from ldg.files import look, shorten
from ldg.migration import FORMAT, migrate

if TYPE_CHECKING:  # a path that does not exist is an error before torch is imported
    from ldg.data.splits import ImageSplits
    from ldg.models.classifier import Classifier
    from ldg.models.vae import VAE

LEGIBLE = 0.75  # of what a judge recognises of real images: the least that is written with unasked
SHIPPED = Path(__file__).parent / "weights" / "handwriting.safetensors"  # writes before anything is trained

# far more than any config has; what a pickle makes may be endless
_MAX_VALUES, _MAX_DEPTH = 100_000, 50
_MAX_INFLATED = 2**28  # bytes that a small file may hold
_MAX_PIXELS = 2**24  # of an image: a network may draw any size with few weights


def build(config: Any, **arguments: Any) -> Any:
    """Make the object of a constructor call, nested calls first.

    Unlike Hydra's instantiate it makes only objects of ``ldg.models`` and ``ldg.data``, and of classes of the user's
    that derive from one of theirs, so that a config from somebody else's checkpoint cannot name anything harmful.

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
        return reveal(config) if isinstance(config, str) else config
    built = {str(key): build(value) for key, value in config.items() if key not in ("_target_", "_partial_")}
    if "_target_" not in config:
        return built
    from ldg.config.signatures import load_class  # loads pydantic, which --help does not wait for

    target = load_class(config["_target_"])
    if config.get("_partial_"):
        return partial(target, **built, **arguments)
    return target(**built, **arguments)


def find(path: str | Path) -> Path:
    """Find the checkpoint file that a path names.

    Args:
        path: A file, a run folder, the folder above its only run, an artifact in W&B,
            ``wandb://ENTITY/PROJECT/ARTIFACT:ALIAS``, or a model on the Hugging Face Hub, ``hf://OWNER/NAME`` or
            ``hf://OWNER/NAME@REVISION``.

    Returns:
        The file; of a run the best checkpoint, or else the last; of an artifact or a model the downloaded one.

    Raises:
        UserError: If there is none, or there are several runs.
    """
    if is_reference(path):
        return fetch(path)
    if hub.is_reference(path):
        return hub.fetch(path)
    path = Path(path)
    there = look(path)
    if there == "folder":
        for name in ("best.ckpt", "last.ckpt"):
            if look(path / "checkpoints" / name) == "file":
                return path / "checkpoints" / name
        if run := only_run(path):
            return find(run)
        raise UserError(f"{path} holds no checkpoints/best.ckpt or checkpoints/last.ckpt; name a run folder or a file")
    if there is None:
        raise UserError(f"no checkpoint at {shorten(path)}; name a run folder, or a .ckpt, .safetensors or .onnx file")
    return path


def only_run(folder: Path) -> Path | None:
    """Find the run whose folder lies in another, as all of one name do.

    Args:
        folder: That may hold run folders with checkpoints.

    Returns:
        The run's folder; None if there is none.

    Raises:
        UserError: If there are several.
    """
    runs = sorted({file.parent.parent for file in folder.glob("*/checkpoints/*.ckpt")})
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs[:10]) + ", ..." * (len(runs) > 10)
        raise UserError(f"{folder} holds {len(runs)} runs, name one of them: {names}")
    return runs[0] if runs else None


def newest_run(
    outputs: str | Path = "outputs",
    refuse: Callable[[dict[str, Any]], str | None] = lambda about: None,
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """Find the newest finished run of a VAE that has kept a checkpoint, writes legibly, and is of use.

    A run is passed over if a judge recognises less than 75 % as many of its characters as of real ones.

    Args:
        outputs: The folder of all runs.
        refuse: Called with a run's summary, as far as it is known of the weights that come with ldg; why the run is of
            no use, or None.
        note: Called with a line that names the newest run if it is passed over, and why.

    Returns:
        The run's folder, or the weights that come with ldg; if all are refused, the newest that writes legibly.
    """
    finished = sorted(Path(outputs).glob("**/summary.json"), key=_age)
    runs = [(file.parent, about) for file in finished if (about := _about(file)) is not None]
    runs.append((SHIPPED, _read_metadata(SHIPPED)))
    legible = [(run, about) for run, about in runs if _illegible(about) is None]
    chosen, _ = next((each for each in legible if refuse(each[1]) is None), legible[0])
    newest, about = runs[0]
    if chosen != newest:
        reason = _illegible(about) or refuse(about)
        note(f"passed over {newest}, unless --checkpoint names it: {reason}")
    return chosen


def _illegible(about: dict[str, Any]) -> str | None:
    """Why a run is said not to write; None if it does, or nothing is known of it."""
    shares = about.get("legibility")
    if shares is None or shares["generated"] >= LEGIBLE * shares["real"]:
        return None
    generated, real = (f"{shares[key]:.0%}" for key in ("generated", "real"))
    return f"a judge recognises {generated} of its characters, and {real} of real ones"


def _read_metadata(file: Path) -> dict[str, Any]:
    """What exported weights say of themselves, without loading them."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        about: dict[str, Any] = json.loads(opened.metadata()["ldg"])
    return about


def _age(file: Path) -> float:
    try:
        return -file.stat().st_mtime
    except OSError:  # a dangling link, or just removed
        return float("inf")


def _about(summary: Path) -> dict[str, Any] | None:
    """A summary, if it is a run's of a VAE, not a judge's nor another program's, and its checkpoint is still there."""
    try:
        about: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
        _illegible(about)
        if not all(isinstance(name, str) for name in about.get("classes", ())):
            return None
        return about if about["example"] is not None and find(summary.parent).is_file() else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, UserError):
        return None


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint's whole content: tensors and plain Python, never code.

    Args:
        path: As for :func:`find`.

    Returns:
        The content in today's format, with ``ldg`` (``version``, ``config``, ``classes``, ``metrics``) and
        ``state_dict``.

    Raises:
        UserError: If the file is missing, unreadable, damaged, not ldg's, or from a newer version.
    """
    file = find(path)
    if file.suffix == ".onnx":
        raise UserError(f"{file} has only the decoder, which writes; name a run, .ckpt or .safetensors")
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about strange pickles, which are an error below
            if file.suffix == ".safetensors":
                content = _read_bare(file)
            else:
                _refuse_inflated(file)
                content = torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError:
        raise UserError(f"{file} may not be read; check its permissions") from None
    except Exception as error:
        if foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UserError(f"{file} holds {foreign[1]}, which no checkpoint of ldg has; it was not opened") from None
        raise UserError(f"{file} is damaged or no checkpoint; give one that ldg has written") from None
    if not isinstance(content, dict) or not isinstance(content.get("ldg"), dict):
        raise UserError(f"{file} was not written by ldg; give one of its checkpoints")
    version = content["ldg"].get("version")
    if type(version) is not int or not 1 <= version <= FORMAT:
        newer = type(version) is int and version > FORMAT
        raise UserError(
            f"{file} has format {str(version)[:20]}; this ldg reads 1 to {FORMAT}{', update it' if newer else ''}"
        )
    try:
        if not _is_plain(content["ldg"]["config"]):
            raise TypeError("the config is not made of plain values")
        return migrate(content)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise _misfit(file, error) from None


def _misfit(file: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{file} does not fit its own config: {reason[:200]}")


def _refuse_inflated(file: Path) -> None:
    """Raises ValueError for an archive that is far larger than its file; weights can hardly be compressed."""
    if not zipfile.is_zipfile(file):  # torch's older format
        return
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > max(_MAX_INFLATED, 4 * file.stat().st_size):
        raise ValueError(f"{size} bytes in a file of {file.stat().st_size}")


def _is_plain(config: Any) -> bool:
    """Whether a config is made of numbers, text, dicts and lists, not too many and not too deep."""
    todo, count = [(config, 0)], 0
    while todo:
        node, depth = todo.pop()
        if isinstance(node, dict | list | tuple):
            count += len(node)
            if count > _MAX_VALUES or depth > _MAX_DEPTH:
                return False
            todo += [(child, depth + 1) for child in node]
            todo += [(child, depth + 1) for child in node.values()] if isinstance(node, dict) else []
        elif not isinstance(node, str | int | float | None):
            return False
    return True


def _read_bare(file: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        about = json.loads(opened.metadata()["ldg"])
    return {"ldg": about, "state_dict": weights}


def load(path: str | Path, device: str = "cpu") -> VAE:
    """Load the VAE of a checkpoint file, run folder or artifact.

    Args:
        path: As for :func:`find`.
        device: Where the model goes, as torch names devices.

    Returns:
        The model in eval mode, with ``classes`` and ``config`` set.

    Raises:
        UserError: As :func:`read`, and if weights and config do not fit together, or it is another kind of model.
    """
    file = find(path)
    model = load_any(file, device)
    from ldg.models.vae import VAE

    if not isinstance(model, VAE):
        raise UserError(f"{file} is a {type(model).__name__}; name a run of a VAE")
    return model


def load_any(path: str | Path, device: str = "cpu") -> VAE | Classifier:
    """Load the model of a checkpoint file, run folder or artifact, a VAE or a judge.

    Args:
        path: As for :func:`find`.
        device: Where the model goes, as torch names devices.

    Returns:
        The model in eval mode, with ``classes`` and ``config`` set.

    Raises:
        UserError: As :func:`read`, and if weights and config do not fit together.
    """
    file = find(path)
    return fit(read(file), file).to(device).eval()


def fit(content: dict[str, Any], file: Path) -> VAE | Classifier:
    """Build the model of a checkpoint and give it its weights.

    Args:
        content: As :func:`read` returns it.
        file: That it was read from, for messages.

    Returns:
        The model, with ``classes`` and ``config`` set.

    Raises:
        UserError: If weights and config do not fit together.
    """
    try:
        about = content["ldg"]
        prefix = "model."
        weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
        sizes = {name: value.numel() for name, value in weights.items()}
        # a view may claim to be larger than what it shows
        if any(sizes[name] * value.itemsize > value.untyped_storage().nbytes() for name, value in weights.items()):
            raise ValueError("weights that are larger than what is stored of them")
        broken = [name for name, value in weights.items() if not value.isfinite().all()]
        if broken:
            raise UserError(f"{file} has weights that are NaN or infinite ({broken[0]}): training diverged")
        model = _build_within(about["config"]["model"], sum(sizes.values()))
        model.load_state_dict(weights)
        if not isinstance(about["classes"], list | tuple) or not all(
            isinstance(name, str) for name in about["classes"]
        ):
            raise TypeError("its classes have no names")
        model.classes, model.config = tuple(about["classes"]), about["config"]
        if len(model.classes) != model.num_classes:
            raise ValueError(f"it has {model.num_classes} classes, and names for {len(model.classes)}")
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
        raise _misfit(file, error) from None
    return model


def _build_within(config: Any, size: int) -> Any:
    """Build a model that is about as large as its weights.

    Raises:
        ValueError: As soon as it is several times larger, before the memory is used.
    """
    if isinstance(config, dict) and math.prod(config.get("image_shape", [])) > _MAX_PIXELS:
        raise ValueError(f"image_shape {config['image_shape']} is too large")

    def check(built: int) -> None:
        if built > 4 * size:  # a layer may be replaced by another while a model is built
            raise ValueError(f"its model is larger than its {size} weights")

    with count_parameters(check):
        return build(config)


@contextmanager
def count_parameters(check: Callable[[int], None]) -> Iterator[None]:
    """Count the parameters of the models that are built within this context, before their memory is used.

    Args:
        check: Called with the number so far, for each tensor of them; what it raises ends the building.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    built = 0

    def count(module: Any, name: str, parameter: Any) -> None:
        nonlocal built
        built += parameter.numel()
        check(built)

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def data_config(model: VAE | Classifier) -> dict[str, Any]:
    """The ``data`` config of a trained model, for this machine and without network.

    Args:
        model: From a checkpoint.

    Returns:
        The config with LDG_DATA and LDG_CACHE in the place of the training machine's folders, where they are set.

    Raises:
        UserError: If the checkpoint names no data set, or what Hydra would resolve.
    """
    config = model.config.get("data")
    if not isinstance(config, dict) or not isinstance(config.get("dataset"), dict):
        raise UserError("the checkpoint names no data set")
    # a reference to a variable is revealed when the data set is built; Hydra would resolve, and so call, anything
    if "${" in without_references(json.dumps(config)):
        raise UserError("the checkpoint's data config has an interpolation, which ldg does not resolve in a file")
    config = dict(config)
    config["download"] = False
    for key, variable in (("root", "LDG_DATA"), ("cache", "LDG_CACHE")):
        config[key] = os.environ.get(variable) or config.get(key)
    return {key: value for key, value in config.items() if key != "root" or value is not None}


def load_data(model: VAE | Classifier) -> ImageSplits:
    """The images of the data set that a model was trained on, which are never downloaded.

    Args:
        model: From a checkpoint.

    Raises:
        UserError: If the checkpoint names no data set, or one that is not the model's.
    """
    from ldg.data.splits import load_splits

    config = data_config(model)
    try:
        data = load_splits(build(config["dataset"]), config)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"the checkpoint's data set cannot be made: {one_line(error)}") from None
    if (len(data.classes), tuple(data.image_shape)) != (model.num_classes, tuple(model.image_shape)):
        raise UserError("the checkpoint's data set has other classes or images than its model")
    return data
