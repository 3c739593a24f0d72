"""Tiny runs, in this process, by the same path as a command line."""

import csv
from pathlib import Path

from ldg.checkpoint import read
from ldg.training.config import check, composed, resolved
from ldg.training.resume import resumed
from ldg.training.run import run
from tests.conftest import HOME

# 186 training images of 62 characters: 6 batches an epoch
STROKES = ["data.dataset.per_class=4", "data.dataset.test_per_class=2", "data.batch_size=32"]
DENSE = ["model=vanilla_cvae", "model.latent_dim=4", "model.encoder.hidden=[16]"]
CONV = ["model.latent_dim=4", "model.encoder.channels=[4,4]", "model.encoder.hidden=16"]
BARE = ["trainer=cpu", "logger=csv", "callbacks.gallery=null"]
TINY = [*STROKES, *DENSE, *BARE]


def configured(*overrides):
    config = resolved(composed(list(overrides), HOME))
    check(config)
    return config


def train(*overrides):
    """Run what the overrides say; its folder and its summary."""
    config = configured(*overrides)
    summary = run(config)
    return Path(config["folder"]), summary


def resume(path, *overrides):
    line = [f"ckpt_path={path}", *overrides]
    config = resumed(resolved(composed(line, HOME)), line)
    summary = run(config)
    return Path(config["folder"]), summary


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(folder, name="last"):
    return read(folder / "checkpoints" / f"{name}.ckpt")["state_dict"]


def content(folder):
    """Every file below a folder with what is in it."""
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
