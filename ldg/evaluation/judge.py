"""The judge: a classifier of real images, trained once for each data set and machine by the framework itself."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import OmegaConf, open_dict

from ldg.checkpoint import load_any
from ldg.data.dataset import cache_folder
from ldg.data.module import ImageDataModule
from ldg.errors import UserError
from ldg.models.classifier import Classifier
from ldg.training import config as configs
from ldg.training.run import run

HOME = Path(__file__).resolve().parents[2]
# what of a data config decides which images there are
IMAGES = ("dataset", "image_shape", "num_classes")
PLACES = ("root", "cache", "download")


def recipe(data: dict[str, Any], epochs: int | None = None) -> dict[str, Any]:
    """The resolved config of a judge's training on a data set, given a run's ``data`` config.

    It is ``experiment=judge_NAME``, NAME being the data set's file, or ``experiment=judge`` where there is none; split
    and batches are the experiment's, whatever the run's were, and so is the number of ``epochs`` if None is given.
    """
    name = data["dataset"]["_target_"].split(".")[-2]
    found = HOME / "experiments" / "experiment" / f"judge_{name}.yaml"
    composed = configs.composed([f"experiment={found.stem if found.exists() else 'judge'}", "logger=csv"], HOME)
    with open_dict(composed):
        for key in (*IMAGES, *PLACES):
            if key in data:
                OmegaConf.update(composed, f"data.{key}", data[key], merge=False)
        composed.name = f"judge_{name}"
        if epochs is not None:
            composed.trainer.max_epochs = epochs
    return configs.resolved(composed)


def find(data: ImageDataModule, config: dict[str, Any], epochs: int | None = None) -> Classifier:
    """The judge of a data set, from the cache folder, where it is trained if it is not there yet.

    ``config`` is the run's ``data`` config, ``epochs`` the length of training if not the recipe's. A judge is kept
    under its data set's fingerprint and its recipe.
    """
    wanted = recipe(config, epochs)
    decisive = {key: wanted[key] for key in ("model", "optimizer", "scheduler", "seed")}
    decisive["epochs"] = wanted["trainer"]["max_epochs"]
    facts = json.dumps([decisive, data.fingerprint, wanted["data"]["batch_size"]], sort_keys=True)
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    folder = cache_folder(config.get("cache")) / "judges" / f"{wanted['name']}-{key}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.exists():  # another process trained it while this one waited
                _train(wanted, folder)
    return load_judge(folder)


def _train(config: dict[str, Any], folder: Path) -> None:
    part = folder.with_name(folder.name + ".part")
    last = part / "checkpoints" / "last.ckpt"
    epochs = config["trainer"]["max_epochs"]
    print(f"training {config['name']} for {epochs} epochs, once on this machine", file=sys.stderr)
    if last.exists():  # a killed process left it
        config = config | {"ckpt_path": str(last)}
    else:
        shutil.rmtree(part, ignore_errors=True)
    summary = run(configs.moved(config, config["folder"], str(part)))
    print(f"it is right on {summary['metrics']['test/accuracy']:.1%} of the test images", file=sys.stderr)
    part.rename(folder)


def load_judge(path: str | Path) -> Classifier:
    """The judge in a checkpoint file or run folder, in eval mode.

    Raises:
        UserError: as :func:`ldg.checkpoint.read`, or if it is no judge.
    """
    model = load_any(path)
    if not isinstance(model, Classifier):
        raise UserError(f"{path} draws images; a judge reads them: train one with experiment=judge")
    return model
