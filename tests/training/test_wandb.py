"""Weights & Biases: what an offline run's log holds, read back by W&B's own tool."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ldg.training.loggers import WandbRun
from tests.conftest import HOME
from tests.runs import DENSE, STROKES, rows, train

LINE = [*STROKES, *DENSE, "trainer=cpu", "model.latent_dim=2", "trainer.max_epochs=2", "tags=[first,mine]"]
KINDS = {"reconstructions_train", "reconstructions_val", "strings", "interpolations", "interpolations_labels"}
KINDS |= {"latent_map", "manifold"}


def inspect(log, *options):
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", *options, "--json", str(log)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def log_of(summary):
    """The log of a run, found by the command that sends it."""
    (log,) = Path(summary["sync"].split("wandb sync ")[1]).glob("run-*.wandb")
    return log


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with the same outputs folder, the first with its gallery."""
    outputs = tmp_path_factory.mktemp("outputs")
    line = [*LINE, f"outputs={outputs}"]
    more_than_100_steps = ["data.batch_size=1", "trainer.max_epochs=1"]  # W&B takes every 100th gradient
    second = [*line, "callbacks.gallery=null", "logger.wandb.gradients=true", *more_than_100_steps]
    return outputs, train(*line), train(*second)


@pytest.fixture(scope="module")
def summary(runs):
    return json.loads(inspect(log_of(runs[1][1]), "--summary"))


@pytest.fixture(scope="module")
def history(runs):
    lines = inspect(log_of(runs[1][1])).splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def test_all_runs_share_a_folder(runs):
    outputs, (_, first), (_, second) = runs
    named = {log_of(summary).parent.resolve() for summary in (first, second)}
    assert named == set(outputs.resolve().glob("wandb/offline-run-*")) and len(named) == 2


def test_the_log_has_who_and_what(runs, summary):
    _, (folder, _), _ = runs
    assert (summary["project"], summary["name"]) == ("ldg", "strokes-vanilla_cvae-both-bernoulli")
    assert (summary["tags"], summary["state"], summary["exit_code"]) == (["first", "mine"], "finished", 0)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for key in ("model", "likelihood", "optimizer", "trainer", "callbacks", "seed", "folder"):
        assert without_none(summary["config"][key]) == without_none(config[key])


def without_none(node):
    """W&B leaves some of them out."""
    if isinstance(node, dict):
        return {key: without_none(value) for key, value in node.items() if value is not None}
    return node


def test_the_log_has_the_metrics_of_metrics_csv(runs, history):
    _, (folder, _), _ = runs
    logged = [item for item in history if "train/elbo" in item]
    assert len(logged) == 2
    for item, row in zip(logged, rows(folder), strict=True):
        assert item["trainer/global_step"] == int(row["step"])
        for name, value in row.items():
            if "/" in name and not name.startswith("test/"):
                assert item[name] == pytest.approx(float(value))
        assert {"beta", "lr", "epoch"} <= item.keys()


def test_the_dashboard_shows_the_best_elbo(runs, summary):
    _, (folder, _), _ = runs
    values = [float(row["val/elbo"]) for row in rows(folder)]
    assert summary["summary"]["val/elbo"] == {"max": pytest.approx(max(values)), "last": pytest.approx(values[-1])}
    assert summary["summary"]["test/elbo"] == pytest.approx(float(rows(folder)[-1]["test/elbo"]))


def test_the_log_has_each_kind_of_picture_of_each_epoch(runs, history):
    _, (folder, first), _ = runs
    files = log_of(first).parent / "files"
    for kind in KINDS:
        items = [item for item in history if f"gallery/{kind}.filenames" in item]
        assert len(items) == 2, kind
        for epoch, item in enumerate(items, start=1):
            (name,), (caption,) = item[f"gallery/{kind}.filenames"], item[f"gallery/{kind}.captions"]
            drawn = folder / "gallery" / f"epoch_{epoch:04d}" / f"{kind}.png"
            assert (files / name).read_bytes() == drawn.read_bytes()
            assert caption.endswith(f", step {6 * epoch}")
            assert item["trainer/global_step"] == 6 * epoch
    (moving,) = files.glob("media/videos/gallery/strings_moving*.gif")
    assert moving.read_bytes() == (folder / "gallery" / "strings.gif").read_bytes()


def test_gradients_are_there_if_asked_for(runs):
    _, _, (_, second) = runs
    assert '"gradients/network.encoder' in inspect(log_of(second))


def test_a_broken_run_is_marked_as_failed(tmp_path, monkeypatch, capsys):
    from ldg.training.module import VAEModule

    def broken(*args):
        raise RuntimeError("no")

    monkeypatch.setattr(VAEModule, "training_step", broken)
    with pytest.raises(RuntimeError):
        train(*LINE, f"outputs={tmp_path}", "callbacks.gallery=null")
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert json.loads(inspect(log, "--summary"))["exit_code"] == 1
    assert f"wandb sync {os.path.relpath(log.parent)}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("credentials", "reachable", "wandb_mode", "mode"),
    [
        (False, True, None, "offline"),
        (True, False, None, "offline"),
        (True, True, None, "online"),
        (True, True, "offline", "offline"),
        (True, True, "disabled", "disabled"),
    ],
)
def test_online_only_with_credentials_and_network(credentials, reachable, wandb_mode, mode, tmp_path, monkeypatch):
    monkeypatch.setattr("ldg.training.loggers.has_credentials", lambda: credentials)
    monkeypatch.setattr("ldg.training.loggers.reachable", lambda: reachable)
    monkeypatch.delenv("WANDB_MODE")
    if wandb_mode:
        monkeypatch.setenv("WANDB_MODE", wandb_mode)
    assert WandbRun(save_dir=str(tmp_path)).mode == mode


def test_without_credentials_and_network_it_runs_offline_and_asks_nothing(tmp_path):
    """As a user of a new machine: nothing in the environment, an empty home, nobody to answer a question."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    line = [*LINE, "debug=fast", "logger=wandb", "callbacks.gallery=null", "trainer.max_epochs=1"]
    done = subprocess.run(
        [sys.executable, str(HOME / "train.py"), *line],
        cwd=tmp_path,
        env=keep | {"HOME": str(tmp_path / "home"), "WANDB_BASE_URL": "http://127.0.0.1:9"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("outputs/wandb/offline-run-*")
    assert done.stdout.rstrip().endswith(f"wandb sync {folder.relative_to(tmp_path)}")
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if line.startswith("epoch 1/1")]
