"""Tiny runs, in this process, by the same path as a command line."""

import csv
from pathlib import Path
from unittest import mock

from ldg.checkpoint import read
from ldg.config.check import check_config
from ldg.config.compose import HOME, compose_config, resolve_config
from ldg.config.run_config import RunConfig
from ldg.training.resume import resume_config
from ldg.training.run import run

# 186 training images of 62 characters: 6 batches an epoch
STROKES = [
    "data.dataset.per_class=4",
    "data.dataset.test_per_class=2",
    "data.dataset.marks=false",
    "data.batch_size=32",
]
DENSE = ["model=vanilla_cvae", "model.latent_dim=4", "model.network.hidden=[16]"]
CONV = ["model.latent_dim=4", "model.network.channels=[4,4]", "model.network.hidden=16"]
BARE = ["trainer=cpu", "logger=csv", "callbacks.gallery=null"]
TINY = [*STROKES, *DENSE, *BARE]

MEASURES = sorted(file.stem for file in (HOME / "configs" / "measure").glob("*.yaml"))
# settings by which all of them take seconds
FEW = ["marginal.samples=2", "marginal.images=20", "class_accuracy.per_class=1", "distance.rounds=2"]
FEW += ["latent.probe=60", "speed.repeats=1", "cas.epochs=1"]


def configured(*overrides):
    config = resolve_config(compose_config(list(overrides)))
    check_config(config)
    return RunConfig.from_dict(config)


def train(*overrides):
    """Run what the overrides say; its folder and its summary."""
    return carry_out(configured(*overrides))


def resume(path, *overrides):
    line = [f"ckpt_path={path}", *overrides]
    return carry_out(resume_config(RunConfig.from_dict(resolve_config(compose_config(line))), line))


def carry_out(config):
    """Run what a config says, but for its loss curves; the folder and the summary."""
    with mock.patch("ldg.training.run.draw_curves"):  # half of a tiny run's time
        summary = run(config)
    return Path(config.folder), summary


def rows(folder):
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights(folder, name="last"):
    return read(folder / "checkpoints" / f"{name}.ckpt")["state_dict"]


def content(folder):
    """Every file below a folder with what is in it."""
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
