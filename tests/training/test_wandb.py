"""Weights & Biases: what an offline run's log holds, read back by W&B's own tool."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ldg.training.loggers import WandbRun
from tests.runs import DENSE, STROKES, rows, train

# callbacks.gallery is on: each kind of picture should be there
LINE = [*STROKES, *DENSE, "trainer=cpu", "model.latent_dim=2", "trainer.max_epochs=2", "tags=[first,mine]"]
KINDS = {"reconstructions_train", "reconstructions_val", "strings", "interpolations", "interpolations_labels"}
KINDS |= {"latent_map", "manifold"}


def inspect(log, *options):
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", *options, "--json", str(log)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def records(log):
    return [json.loads(line) for line in inspect(log).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Two runs that share one folder for W&B's files."""
    outputs = tmp_path_factory.mktemp("outputs")
    found = [train(*LINE, f"outputs={outputs}") for _ in range(1)]
    found.append(train(*LINE, f"outputs={outputs}", "callbacks.gallery=null", "seed=1"))
    return outputs, found


@pytest.fixture(scope="module")
def log(outputs):
    """The log of the first run, by the command that sends it."""
    _, ((_, summary), _) = outputs
    (log,) = Path(summary["sync"].split("wandb sync ")[1]).glob("run-*.wandb")
    return log


def test_all_runs_share_a_folder(outputs):
    base, found = outputs
    folders = sorted(base.glob("wandb/offline-run-*"))
    named = {Path(summary["sync"].split("wandb sync ")[1]).resolve() for _, summary in found}
    assert named == set(map(Path.resolve, folders)) and len(named) == 2


def test_the_log_has_config_and_metrics(outputs, log):
    _, ((folder, _), _) = outputs
    summary = json.loads(inspect(log, "--summary"))
    text = json.dumps(summary)
    print(text[:3000])
    import yaml

    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert summary["config"]["model"] == config["model"]
    assert (folder / "metrics.csv").exists() and rows(folder)
