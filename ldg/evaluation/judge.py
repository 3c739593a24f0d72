"""The judge: a classifier of real images, one that comes with ldg or one trained once on this machine."""

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from omegaconf import OmegaConf, open_dict

from ldg.checkpoint import SHIPPED, data_config, find, load_any
from ldg.config.compose import compose_config, replace_folder, resolve_config
from ldg.config.home import HOME
from ldg.config.run_config import RunConfig
from ldg.data.dataset import cache_folder
from ldg.data.splits import ImageSplits
from ldg.errors import UserError, describe_os_error
from ldg.models.classifier import Classifier
from ldg.models.vae import VAE

# what of a data config decides which images there are
IMAGES = ("dataset", "image_shape", "num_classes", "limit")
PLACES = ("root", "cache", "download")
DIGITS = 12  # of the hash by which a scorecard names its judge


def find_judge(model: VAE, data: ImageSplits, choice: Classifier | Literal["train"] | None = None) -> Classifier:
    """The judge of a model's images: one that was chosen, the one that comes with ldg, or one trained on this machine.

    Args:
        model: whose data set it is, and on whose device a judge is trained
        data: the data set's images
        choice: a judge; ``train``: the one of this machine, whatever comes with ldg; None: that, or else as ``train``

    Returns:
        The judge in eval mode, on the CPU.

    Raises:
        UserError: as :func:`train_judge`, or if the chosen one has other classes or images than the model.
    """
    if isinstance(choice, Classifier):
        return require_fitting(choice, model)
    config = data_config(model)
    shipped = None if choice else find_shipped_judge(data, config)
    return shipped or train_judge(data, config, device=model.device)


def find_shipped_judge(data: ImageSplits, config: dict[str, Any]) -> Classifier | None:
    """The judge of a data set that comes with ldg.

    Args:
        data: the data set's images
        config: the run's ``data`` config

    Returns:
        The judge in eval mode, on the CPU; None if there is none of this kind of data set with these classes, in this
        order, and images of this size.
    """
    file = SHIPPED.with_name(f"judge_{_name(config)}.safetensors")
    if not file.exists():
        return None
    judge = load_judge(file)
    of_judge = data_config(judge)["dataset"]["_target_"], judge.classes, judge.image_shape
    wanted = config["dataset"]["_target_"], tuple(data.classes), tuple(data.image_shape)
    return judge if of_judge == wanted else None


def _name(data: dict[str, Any]) -> str:
    """The data set's file, which names experiment and weights of its judge."""
    return data["dataset"]["_target_"].split(".")[-2]


def compose_judge_config(
    data: dict[str, Any], epochs: int | None = None, device: torch.device | None = None
) -> dict[str, Any]:
    """The resolved config of a judge's training.

    It is ``experiment=judge_NAME``, NAME being the data set's file, or ``experiment=judge`` where there is none. Split
    and batches are the experiment's, not the run's.

    Args:
        data: a run's ``data`` config
        epochs: of the training; None: the experiment's
        device: of the training; None: an accelerator if there is one

    Returns:
        The config as plain Python.
    """
    name = _name(data)
    experiment = HOME / "experiments" / "experiment" / f"judge_{name}.yaml"
    config = compose_config([f"experiment={experiment.stem if experiment.exists() else 'judge'}", "logger=csv"])
    with open_dict(config):
        for key in (*IMAGES, *PLACES):
            if key in data:
                OmegaConf.update(config, f"data.{key}", data[key], merge=False)
        config.name = f"judge_{name}"
        if epochs is not None:
            config.trainer.max_epochs = epochs
        if device is not None:
            config.trainer.accelerator = "gpu" if device.type == "cuda" else device.type
            config.trainer.devices = [device.index or 0] if device.type == "cuda" else 1
    return resolve_config(config)


def train_judge(
    data: ImageSplits, config: dict[str, Any], epochs: int | None = None, device: torch.device | None = None
) -> Classifier:
    """The judge of a data set from the cache folder, where it is trained first if it is missing.

    It is cached under its data set's fingerprint and its recipe, whatever the device.

    Args:
        data: the data set's images
        config: the run's ``data`` config
        epochs: of the judge's training; None: the experiment's number
        device: of the judge's training; None: an accelerator if there is one

    Returns:
        The judge in eval mode, on the CPU.

    Raises:
        UserError: if the cache cannot be written, or what it holds is damaged.
    """
    recipe = compose_judge_config(config, epochs, device)
    decisive = {key: recipe[key] for key in ("model", "optimizer", "scheduler", "seed")}
    decisive["epochs"] = recipe["trainer"]["max_epochs"]
    text = json.dumps([decisive, data.fingerprint, recipe["data"]["batch_size"]], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache_folder(config.get("cache")) / "judges" / f"{recipe['name']}-{key}"
    if not folder.exists():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{describe_os_error(error)}; set LDG_CACHE to one you may write to"
            raise UserError(f"data.cache: cannot write {folder.parent}: {reason}") from error
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.exists():  # another process trained it while this one waited
                _train_judge(recipe, folder)
    try:
        return load_judge(folder)
    except UserError as error:
        raise UserError(f"the cached judge is unusable, remove {folder} and it is trained again: {error}") from error


def _train_judge(config: dict[str, Any], folder: Path) -> None:
    from ldg.training.run import run  # takes seconds, which who only reads scorecards need not wait for

    part = folder.with_name(folder.name + ".part")
    last = part / "checkpoints" / "last.ckpt"
    epochs = config["trainer"]["max_epochs"]
    print(f"training {config['name']} for {epochs} epochs, once on this machine", file=sys.stderr)
    if last.exists():  # a killed process left it
        config = config | {"ckpt_path": str(last)}
    else:
        shutil.rmtree(part, ignore_errors=True)
    summary = run(RunConfig.from_dict(replace_folder(config, config["folder"], str(part))))
    print(f"its accuracy on the test images is {summary['metrics']['test/accuracy']:.1%}", file=sys.stderr)
    part.rename(folder)


def require_fitting(judge: Classifier, model: VAE) -> Classifier:
    """Refuse a judge of other images or classes than a model's.

    Args:
        judge: of a user's choice
        model: whose images it is to classify

    Returns:
        The judge.

    Raises:
        UserError: that says what differs.
    """
    if tuple(judge.classes) != tuple(model.classes):
        raise UserError(f"--judge: it has {_few(judge.classes)}, and the model {_few(model.classes)}")
    if tuple(judge.image_shape) != tuple(model.image_shape):
        raise UserError(f"--judge: its images are {list(judge.image_shape)}, and the model's {list(model.image_shape)}")
    return judge


def _few(classes: Sequence[str]) -> str:
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"


def load_judge(path: str | Path) -> Classifier:
    """The judge in a checkpoint file or run folder.

    Args:
        path: of the file or folder

    Returns:
        The judge in eval mode, on the CPU; its title is its name and the first 12 digits of its file's SHA-256.

    Raises:
        UserError: as :func:`ldg.checkpoint.read`, or if the model is not a judge.
    """
    file = find(path)
    model = load_any(file)
    if not isinstance(model, Classifier):
        raise UserError(f"{path} generates images; a judge classifies them: train one with experiment=judge")
    name = file.stem if file.suffix == ".safetensors" else model.config.get("name", type(model).__name__)
    model.title = f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS]}"
    return model
