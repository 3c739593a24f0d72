"""README's commands and code, as written; long ones are shortened by what comes after them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import evaluate
import ldg
from ldg.sweeps import plan as plans
from ldg.sweeps.ledger import Ledger
from ldg.training.config import accept, check, composed, resolved
from tests.conftest import HOME
from tests.data import made
from tests.processes import call

README = (HOME / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
COMMANDS = [
    shlex.split(line, comments=True) for kind, block in BLOCKS if kind == "bash" for line in block.splitlines() if line
]
TRAIN = [command[3:] for command in COMMANDS if command[:3] == ["uv", "run", "train.py"]]
EVALUATE = [command[3:] for command in COMMANDS if command[:3] == ["uv", "run", "evaluate.py"]]
GENERATE = [command[3:] for command in COMMANDS if command[:3] == ["uv", "run", "generate.py"]]
REPORT = [command[4:] for command in COMMANDS if command[:4] == ["uv", "run", "python", "-m"]]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HOME)}
SHORT = [
    "logger=csv",
    "callbacks.gallery=null",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with tiny data sets, a finished run on strokes and one on Fashion-MNIST."""
    base = tmp_path_factory.mktemp("readme")
    made.emnist(base / "data", "byclass", 124)
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
        made.idx_pair(base / "data/FashionMNIST/raw", part, images, np.arange(40) % 10)
    before = os.environ.get("LDG_DATA")
    os.environ["LDG_DATA"] = str(base / "data")
    try:
        for data in ("fashion_mnist", "strokes"):
            run([f"data={data}", f"folder={base}/outputs/{data}/1"])
        yield base
    finally:
        os.environ.pop("LDG_DATA") if before is None else os.environ.update(LDG_DATA=before)


def run(overrides):
    from ldg.training.run import run

    small = ["data.dataset.per_class=4", "data.dataset.test_per_class=2"] if uses_strokes(overrides) else []
    config = resolved(composed([*overrides, *SHORT, *small], HOME))
    check(config)
    return run(config)


def uses_strokes(overrides):
    return not any(o.startswith(("data=", "experiment=")) and o != "data=strokes" for o in overrides)


def test_there_is_something_to_test():
    assert len(TRAIN) >= 10 and len(GENERATE) >= 6 and len(EVALUATE) >= 4 and len(REPORT) == 1
    assert ["data=fashion_mnist", "model=vanilla_cvae", "conditioning=decoder", "likelihood=gaussian"] in TRAIN


@pytest.mark.parametrize("command", TRAIN, ids=" ".join)
def test_train_command(command, folder, tmp_path):
    overrides = [o for o in command if not o.startswith("-")]
    accept([*(["-m"] if "-m" in command else []), *overrides], HOME)
    if "-m" in command:
        fixed, _ = plans.split(overrides)
        overrides = plans.examples(plans.make(composed(fixed, HOME), overrides))[0]
    if any(o.startswith("ckpt_path") for o in command):
        return  # tests/test_train.py resumes runs
    summary = run([*overrides, f"outputs={tmp_path}"])
    assert summary["epochs"] == 1
    assert np.isfinite(summary["metrics"]["test/elbo"])
    assert len(list(tmp_path.glob("*/*/checkpoints/best.ckpt"))) == 1


@pytest.mark.parametrize("command", REPORT, ids=" ".join)
def test_report_command(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ledger.open(plans.make(composed(["sweep=latent_beta"], HOME), ["sweep=latent_beta"]), "", HOME)
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "outputs/sweeps/latent_beta/report.html" in done.stdout


@pytest.mark.parametrize("command", EVALUATE, ids=" ".join)
def test_evaluate_command(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names = {"outputs/NAME/ID": "outputs/strokes/1", "outputs/NAME2/ID2": "outputs/fashion_mnist/1"}
    line = [names.get(argument, argument) for argument in command]
    short = ["marginal.samples=4", "latent.probe=60", "reads.per_class=2", "cas.epochs=1", "distance.rounds=1"]
    assert evaluate.main([*line, *short]) == 0, capsys.readouterr().err
    assert "ELBO" in capsys.readouterr().out
    written = {name for name in names.values() if (folder / name / "scorecard.png").exists()}
    assert written >= {argument for argument in line if argument.startswith("outputs/")}


@pytest.mark.parametrize("command", GENERATE, ids=" ".join)
def test_generate_command(command, folder):
    before = set(folder.glob("*.*"))
    arguments = [argument.replace("outputs/NAME/ID", "outputs/strokes/1") for argument in command]
    if any("Sneaker" in argument for argument in arguments):
        arguments += ["--checkpoint", "outputs/fashion_mnist/1"]
    status, out, err = call(folder, *arguments, script="generate.py")
    assert status == 0, err
    (new,) = set(folder.glob("*.*")) - before
    assert new.name in out


def test_the_python_that_writes(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (code,) = [block for kind, block in BLOCKS if kind == "python" and "ldg.load" in block]
    names: dict = {}
    exec(code.replace("outputs/NAME/ID", "outputs/strokes/1"), names)
    assert names["picture"].ndim == 2 and 0 <= names["picture"].min() < names["picture"].max() <= 1
    np.testing.assert_array_equal(names["picture"], ldg.write("Hello", "outputs/strokes/1", style="varied"))


def test_the_data_set_that_is_added(tmp_path):
    (code,) = [block for kind, block in BLOCKS if kind == "python" and "KMNIST" in block]
    names: dict = {"__name__": "kmnist"}
    exec(code, names)
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    (tmp_path / "data" / "kmnist").mkdir(parents=True)
    for split in ("train", "test"):
        np.savez(tmp_path / "data" / "kmnist" / f"kmnist-{split}.npz", images=images, labels=np.arange(20) % 10)
    arrays = names["KMNIST"]().load("train", str(tmp_path / "data"), str(tmp_path / "cache"))
    np.testing.assert_array_equal(arrays.images[:, 0], images)
    assert arrays.labels.tolist() == list(range(10)) * 2


def test_every_picture_is_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (HOME / picture).is_file(), picture
    for page in re.findall(r"\]\((?!docs/)([\w./]+\.md)\)", README):
        assert Path(HOME / page).is_file(), page
