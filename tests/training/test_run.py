"""A run from its config to its folder: what lies there, that it repeats to the last bit, and that it survives."""

import json
import math
import os
import resource
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import ldg
from ldg.callbacks.interrupt import Interrupted
from ldg.checkpoint import find, read
from ldg.errors import UserError
from ldg.training.console import report, resume_command
from ldg.training.module import VAEModule
from ldg.training.resume import resumed_file
from ldg.training.trainer import make_callbacks, make_trainer
from tests.conftest import program
from tests.data import made
from tests.processes import call
from tests.runs import BARE, CONV, DENSE, STROKES, TINY, configured, content, resume, rows, run, train, weights

PARTS = ("loss", "elbo", "log_likelihood", "kl")


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def act_at_step(monkeypatch):
    """Do something in the training step that follows so many others."""

    def arrange(step, action):
        original = VAEModule.training_step

        def training_step(self, batch, batch_idx):
            if self.trainer.global_step == step:
                action()
            return original(self, batch, batch_idx)

        monkeypatch.setattr(VAEModule, "training_step", training_step)
        return lambda: monkeypatch.setattr(VAEModule, "training_step", original)

    return arrange


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two epochs with its gallery; its folder, summary and config."""
    outputs = tmp_path_factory.mktemp("finished")
    config = configured(
        *STROKES, *DENSE, "trainer=cpu", "logger=csv", "trainer.max_epochs=2", "model/kl=linear", f"outputs={outputs}"
    )
    summary = run(config)
    return Path(config.folder), summary, config


def test_the_folder_holds_everything(finished):
    folder, summary, config = finished
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config.to_dict()
    assert sorted(file.name for file in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    pictures = {"reconstructions_train", "reconstructions_val", "strings", "interpolations", "interpolations_labels"}
    pictures |= {"latent_map"}
    assert {file.stem for file in (folder / "gallery").glob("*.png")} == pictures | {"data", "reconstructions_test"}
    for epoch in (1, 2):
        assert {file.stem for file in (folder / f"gallery/epoch_{epoch:04d}").iterdir()} == pictures
    assert Image.open(folder / "loss.png").size == (1500, 900)
    assert {k: v for k, v in summary.items() if k not in ("sync", "show")} == json.loads(
        (folder / "summary.json").read_text()
    )
    assert not (folder / "error.txt").exists()
    assert not list(folder.rglob("*.part"))


def test_a_run_needs_no_logger(tmp_path):
    folder, summary = train(*TINY, "logger.csv=null", "trainer.max_epochs=1", f"outputs={tmp_path}")
    assert summary["steps"] == 6 and not (folder / "metrics.csv").exists()


def test_metrics_have_a_row_an_epoch(finished):
    folder, _, _ = finished
    logged = rows(folder)
    assert [(row["step"], row["epoch"]) for row in logged] == [("6", "1"), ("12", "2")]
    for row in logged:
        for split in ("train", "val"):
            loss, elbo, log_likelihood, kl = (float(row[f"{split}/{name}"]) for name in PARTS)
            assert all(map(math.isfinite, (loss, elbo, log_likelihood, kl)))
            assert elbo == pytest.approx(log_likelihood - kl)
            assert kl > 0 > log_likelihood
        assert 0 <= float(row["val/active_units"]) <= 4
        # the loss of an epoch's val is log-likelihood and KL weighed by beta at its end
        weighed = float(row["beta"]) * float(row["val/kl"]) - float(row["val/log_likelihood"])
        assert float(row["val/loss"]) == pytest.approx(weighed, rel=1e-5)
    assert [float(row["beta"]) for row in logged] == [0.5, 1.0]  # a linear warm-up of two epochs
    assert float(logged[-1]["lr"]) == 0.0  # the end of the cosine
    assert float(logged[-1]["train/elbo"]) > float(logged[0]["train/elbo"])


def test_the_summary_is_of_the_best_checkpoint(finished):
    folder, summary, config = finished
    best = max(float(row["val/elbo"]) for row in rows(folder))
    assert summary["metrics"]["val/elbo"] == pytest.approx(best, rel=1e-6)
    assert (summary["epochs"], summary["steps"], summary["name"]) == (2, 12, config.name)
    model = ldg.load(folder)
    assert summary["parameters"] == sum(p.numel() for p in model.parameters())
    assert summary["metrics"]["test/elbo"] == float(rows(folder)[-1]["test/elbo"])


def test_the_test_images_take_no_part_in_the_choice(tmp_path):
    """Another test split, the same training: every number but the test's stays the same, to the last bit."""
    line = [*TINY, "trainer.max_epochs=2", f"outputs={tmp_path}"]
    (first, one), (second, two) = train(*line), train(*line, "data.dataset.test_per_class=3")
    for a, b in zip(rows(first), rows(second), strict=True):
        assert {k: v for k, v in a.items() if "test/" not in k} == {k: v for k, v in b.items() if "test/" not in k}
    assert same(weights(first, "best"), weights(second, "best"))
    assert one["metrics"]["test/elbo"] != two["metrics"]["test/elbo"]


LAYER = "model.network.decoder.0.weight"


def test_averaged_weights_are_what_is_judged_kept_and_drawn(tmp_path):
    """Six steps whose average takes in the sixth, and what it is made of: the weights after five, and after six."""
    line = [*STROKES, *DENSE, *BARE[:2], "callbacks=default", "callbacks.gallery.pictures=[reconstructions_val]"]
    line += [f"outputs={tmp_path}", "trainer.max_epochs=1", "scheduler=none"]
    averaged, summary = train(*line, "callbacks.averaging.every_n_steps=5")
    five, _ = train(*line, "callbacks.averaging.every_n_steps=6", "trainer.limit_train_batches=5")
    six, _ = train(*line, "callbacks.averaging=null")
    average, start, end = (weights(folder) for folder in (averaged, five, six))
    last = read(averaged / "checkpoints/last.ckpt")["current_model_state"]
    for name, value in average.items():
        assert torch.equal(last[name], end[name])
        torch.testing.assert_close(value, start[name] + (end[name] - start[name]) * 9 / 11)
    assert (end[LAYER] - start[LAYER]).abs().max() > 1e-3

    row, other = rows(averaged)[0], rows(six)[0]
    assert row["train/elbo"] == other["train/elbo"] and row["val/elbo"] != other["val/elbo"]
    assert summary["metrics"]["test/elbo"] == pytest.approx(float(row["val/elbo"]), rel=0.05)
    drawn = [
        np.asarray(Image.open(folder / "gallery/epoch_0001/reconstructions_val.png")) for folder in (averaged, six)
    ]
    assert (drawn[0][30:] != drawn[1][30:]).any()


@pytest.mark.parametrize("network", [DENSE, CONV], ids=["dense", "conv"])
def test_the_same_command_gives_the_same_numbers(network, tmp_path):
    line = [*STROKES, *network, *BARE, "trainer.max_epochs=1", f"outputs={tmp_path}"]
    (first, _), (second, _), (other, _) = train(*line), train(*line), train(*line, "seed=1")
    assert first != second
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    assert same(weights(first), weights(second))
    assert rows(first)[0]["train/elbo"] != rows(other)[0]["train/elbo"]
    assert not same(weights(first), weights(other))


LONG = [*TINY, "model/kl=linear", "model.kl.warmup_epochs=3", "trainer.max_epochs=3"]
VARIANTS = {
    "cosine": [],
    "plateau": ["scheduler=plateau", "scheduler.patience=0", "optimizer=sgd", "optimizer.lr=1e-5"],
    "limited": ["trainer.limit_train_batches=4"],
    "averaged": ["callbacks=default", "callbacks.averaging.every_n_steps=2", "model/prior=flow"],
    "balanced": ["data.balance=1"],
    "adam": ["optimizer=adam"],
    "bytes": [
        "likelihood.binarize=dynamic",
        "data.val_fraction=0.3",
        "data.balance=1",
        "trainer.gradient_clip_val=1.0",
    ],
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    made = {}

    def get(variant):
        if variant not in made:
            made[variant], _ = train(*LONG, *VARIANTS[variant], f"outputs={tmp_path_factory.mktemp('whole')}")
        return made[variant]

    return get


# with 6 steps an epoch (4 where limited): in the middle of the first, at its last step, at the first of the next, ...
@pytest.mark.parametrize(
    ("variant", "step"),
    [
        ("cosine", 0),
        ("cosine", 2),
        ("cosine", 5),
        ("cosine", 6),
        ("cosine", 10),
        ("cosine", 17),
        ("plateau", 8),
        ("plateau", 11),
        ("limited", 3),
        ("limited", 5),
        ("averaged", 7),
        ("averaged", 11),
        ("balanced", 8),
        ("adam", 8),
        ("bytes", 9),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_numbers(variant, step, uninterrupted, act_at_step, tmp_path):
    undo = act_at_step(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as stopped:
        train(*LONG, *VARIANTS[variant], f"outputs={tmp_path}")
    undo()
    assert stopped.value.signum == signal.SIGTERM
    (folder,) = tmp_path.glob("*/*")
    assert stopped.value.checkpoint == folder / "checkpoints" / "last.ckpt"
    assert not (folder / "summary.json").exists() and not (folder / "error.txt").exists()

    again, summary = resume(stopped.value.checkpoint)
    assert again == folder
    whole = uninterrupted(variant)
    assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    for name in ("best", "last"):
        assert same(weights(folder, name), weights(whole, name))
    assert summary["metrics"] == json.loads((whole / "summary.json").read_text())["metrics"]


def test_a_run_goes_on_after_a_crash_wherever_its_folder_lies(uninterrupted, act_at_step, tmp_path):
    """What was saved at the end of the last whole epoch stays, with the error beside it, and moves with the folder."""

    def crash():
        raise RuntimeError("the disk is on fire")

    undo = act_at_step(14, crash)
    with pytest.raises(RuntimeError, match="on fire"):
        train(*LONG, f"outputs={tmp_path}/here")
    undo()
    (folder,) = tmp_path.glob("here/*/*")
    error = (folder / "error.txt").read_text()
    assert error.startswith("Traceback") and "the disk is on fire" in error and "training_step" in error
    assert len(rows(folder)) == 2
    assert read(folder / "checkpoints" / "last.ckpt")["epoch"] == 1
    assert ldg.load(folder).classes[10] == "A"

    moved = tmp_path / "there" / "run"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    again, summary = resume(moved)
    assert again == moved
    assert not (moved / "error.txt").exists() and not folder.exists()
    whole = uninterrupted("cosine")
    assert (moved / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert same(weights(moved, "best"), weights(whole, "best"))
    assert summary["checkpoint"] == "checkpoints/best.ckpt"


def test_last_is_the_last_epoch_even_if_it_was_not_the_best(tmp_path):
    """With a few images the networks soon know them by heart, and the val images less and less."""
    line = [*TINY, "model.network.hidden=[64]", "trainer.limit_train_batches=1", "data.shuffle=false"]
    line += ["callbacks.averaging=null"]
    line += ["optimizer=adam", "optimizer.lr=0.01", "scheduler=none", "trainer.max_epochs=60"]
    folder, _ = train(*line, f"outputs={tmp_path}")
    values = [float(row["val/elbo"]) for row in rows(folder)]
    assert values[-1] < max(values)
    assert read(folder / "checkpoints" / "last.ckpt")["epoch"] == len(values) - 1
    assert read(folder / "checkpoints" / "best.ckpt")["epoch"] == values.index(max(values))


def test_a_finished_run_trains_on(tmp_path):
    line = [*TINY, "scheduler=plateau", "test=false"]
    whole, _ = train(*line, "trainer.max_epochs=2", f"outputs={tmp_path}/whole")
    folder, first = train(*line, "trainer.max_epochs=1", f"outputs={tmp_path}/part")
    last = folder / "checkpoints" / "last.ckpt"
    saved = read(last)
    spent = saved["callbacks"]["Timer"]["time_elapsed"]
    assert spent["train"] == pytest.approx(first["seconds"], abs=1)
    spent["train"] = 1000.0
    torch.save(saved, last)
    again, summary = resume(folder, "trainer.max_epochs=2")
    assert again == folder and summary["epochs"] == 2 and 1000 <= summary["seconds"] < 1100
    assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert same(weights(folder), weights(whole))
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (None, "2 epochs are done; resume with trainer.max_epochs=4"),
        ("model=vanilla_cvae", "model=vanilla_cvae: a resumed run keeps its own model"),
        ("data=emnist", "data=emnist: a resumed run keeps its own data"),
        ("model/kl=linear", "a resumed run keeps its own model/kl"),
        ("model.latent_dim=8", "a resumed run keeps its own model.latent_dim"),
        ("optimizer.lr=0.1", "a resumed run keeps its own optimizer.lr"),
        ("seed=3", "a resumed run keeps its own seed"),
        ("debug=fast", "a resumed run keeps its own debug"),
        ("trainer.max_epochs=-5", "trainer.max_epochs=-5: should be greater than 0 or -1"),
        ("trainer.max_epochs=1", "2 epochs are done; resume with trainer.max_epochs=4"),
    ],
)
def test_what_cannot_be_resumed_changes_nothing(finished, override, message):
    folder, _, _ = finished
    before = content(folder)
    with pytest.raises(UserError) as error:
        resume(folder, *([override] if override else []))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert content(folder) == before


@pytest.mark.parametrize("override", ["model.latent_dim=8", "seed=3"])
def test_what_a_resumed_run_keeps_is_said_before_pytorch_loads(finished, override, tmp_path):
    status, _, err = call(tmp_path, f"ckpt_path={finished[0]}", override)
    assert status == 2 and err.startswith(f"error: {override}: a resumed run keeps its own")


def test_the_only_run_of_a_folder_is_resumed(tmp_path):
    (tmp_path / "notes").mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").touch()
        if name == "a":
            assert resumed_file(tmp_path) == tmp_path / "a" / "checkpoints" / "best.ckpt"
            assert find(tmp_path) == resumed_file(tmp_path)
            (tmp_path / name / "checkpoints" / "last.ckpt").touch()
            assert (find(tmp_path).name, resumed_file(tmp_path).name) == ("best.ckpt", "last.ckpt")
    for search in (find, resumed_file):
        with pytest.raises(UserError) as error:
            search(tmp_path)
        assert str(error.value) == f"{tmp_path} holds 2 runs, name one of them: a, b"


def test_a_report_names_what_a_run_has_kept(finished, tmp_path):
    folder, summary = train(*STROKES, *DENSE, "trainer=cpu", "logger=csv", "callbacks=none", f"outputs={tmp_path}")
    assert f"folder:                         {folder}" in report(summary, folder).splitlines()
    folder, summary, _ = finished
    assert f"pictures, curves, checkpoints:  {folder}" in report(summary, folder).splitlines()


def test_what_a_resumed_run_takes_from_the_command_line(finished, tmp_path):
    from ldg.config.compose import compose_config, resolve_config
    from ldg.config.run_config import RunConfig
    from ldg.training.resume import resume_config

    folder, _, config = finished
    line = [
        f"ckpt_path={folder}",
        "trainer=ddp",
        "trainer.max_epochs=7",
        "trainer.gradient_clip_val=5e-1",
        "logger=wandb",
        "data.root=/elsewhere",
        "~callbacks.early_stopping",
    ]
    result = resume_config(RunConfig.from_dict(resolve_config(compose_config(["data=emnist", *line]))), line)
    assert result.model == config.model
    assert result.data == config.data | {"root": "/elsewhere"}
    changed = {"strategy": "ddp", "devices": 2, "accelerator": "auto", "max_epochs": 7, "gradient_clip_val": 0.5}
    assert result.trainer == config.trainer | changed
    assert result.logger["csv"]["path"] == f"{folder}/metrics.csv"
    wandb = result.logger["wandb"]
    assert (wandb["name"], wandb["group"], wandb["tags"]) == (config.name, "strokes", config.tags)
    assert wandb["save_dir"] == config.outputs
    assert result.callbacks == {k: v for k, v in config.callbacks.items() if k != "early_stopping"}
    assert (result.folder, result.ckpt_path) == (str(folder), f"{folder}/checkpoints/last.ckpt")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "ldg.training.run.run",
        "torch.optim.adam.sys.exit",
        "ldg.data.download.FileLock",
    ],
)
def test_a_hostile_config_is_not_carried_out_by_going_on(finished, target, tmp_path):
    folder, _, _ = finished
    whole = read(folder / "checkpoints" / "last.ckpt")
    whole["ldg"]["config"]["callbacks"]["gallery"] = {"_target_": target, "command": f"touch {tmp_path}/taken"}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(whole, tmp_path / "run" / "checkpoints" / "last.ckpt")
    with pytest.raises(UserError, match=f"names '{target}' as a target"):
        resume(tmp_path / "run", "trainer.max_epochs=9")
    assert not (tmp_path / "taken").exists()


def test_a_second_signal_stops_at_once(act_at_step, tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on after the second")

    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    act_at_step(8, twice)
    with pytest.raises(Interrupted) as stopped:
        train(*LONG, f"outputs={tmp_path}")
    assert stopped.value.signum == signal.SIGINT
    (folder,) = tmp_path.glob("*/*")
    assert read(stopped.value.checkpoint)["global_step"] == 6  # the end of the first epoch
    assert not (folder / "error.txt").exists()
    assert {s: signal.getsignal(s) for s in before} == before


def test_a_run_stopped_at_once_before_it_has_anything_leaves_nothing(act_at_step, tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    act_at_step(0, twice)
    with pytest.raises(Interrupted) as stopped:
        train(*LONG, f"outputs={tmp_path}")
    assert stopped.value.checkpoint is None
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize("moment", ["validation_step", "test_step"])
def test_ctrl_c_outside_of_a_training_step(moment, monkeypatch, uninterrupted, tmp_path):
    """In validation: after the epoch. In the test: at once, and resuming does the test alone."""
    original = getattr(VAEModule, moment)
    sent = []

    def step(self, batch, batch_idx):
        if not sent and (self.trainer.current_epoch == 2 or moment == "test_step"):
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(VAEModule, moment, step)
        with pytest.raises(Interrupted):
            train(*LONG, f"outputs={tmp_path}")
    (folder,) = tmp_path.glob("*/*")
    assert len(rows(folder)) == 3
    assert not (folder / "summary.json").exists() and not (folder / "error.txt").exists()
    before = weights(folder)
    _, summary = resume(folder)
    assert same(before, weights(folder)) and len(rows(folder)) == 3
    assert summary["epochs"] == 3
    assert {"train/elbo", "val/elbo", "test/elbo"} <= summary["metrics"].keys()
    expected = json.loads((uninterrupted("cosine") / "summary.json").read_text())["metrics"]
    assert {key: summary["metrics"][key] for key in expected} == pytest.approx(expected, rel=1e-6)


def test_early_stopping_stops(tmp_path):
    line = [*TINY, "trainer.max_epochs=50", "optimizer.lr=1e-12", "callbacks.early_stopping.patience=2"]
    folder, summary = train(*line, "+callbacks.early_stopping.min_delta=1.0", f"outputs={tmp_path}")
    assert summary["epochs"] == len(rows(folder)) == 3  # one, and two that are no better


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped(tmp_path, precision):
    """Plain SGD moves the weights by lr * gradient: with a clipped norm, by no more than lr * that."""
    line = [*TINY, "optimizer=sgd", "+optimizer.fused=true", "optimizer.momentum=0", "optimizer.lr=1.0"]
    line += ["scheduler=none", f"outputs={tmp_path}", "callbacks.averaging=null"]
    line += ["trainer.max_epochs=2", "trainer.limit_train_batches=1", "+callbacks.last_checkpoint.save_top_k=-1"]
    line += ["callbacks.last_checkpoint.filename='e{epoch}'", "test=false", "trainer.limit_val_batches=1"]
    folder, _ = train(*line, "trainer.gradient_clip_val=0.25", f"trainer.precision={precision}")
    first, second = (read(file)["state_dict"] for file in sorted((folder / "checkpoints").glob("e*.ckpt")))
    moved = torch.stack([(second[name] - first[name]).square().sum() for name in first]).sum().sqrt()
    assert moved == pytest.approx(0.25, rel=1e-3)


def test_half_precision_gives_finite_numbers_near_the_full_ones(tmp_path):
    line = [*STROKES, *CONV, *BARE, "trainer.max_epochs=1", f"outputs={tmp_path}"]
    (half, _), (full, _) = train(*line, "trainer.precision=bf16-mixed"), train(*line)
    for name in PARTS:
        assert float(rows(half)[0][f"val/{name}"]) == pytest.approx(float(rows(full)[0][f"val/{name}"]), rel=0.05)
    assert rows(half)[0]["train/elbo"] != rows(full)[0]["train/elbo"]
    assert {value.dtype for value in weights(half).values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.slow
def test_a_compiled_run_loads_uncompiled(tmp_path, monkeypatch):
    program("g++")  # torch.compile's compiler on the CPU
    line = [*TINY, "trainer.max_epochs=1", "data.batch_size=62", f"outputs={tmp_path}"]  # no smaller last batch
    compiled = []
    original = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, *a: (compiled.append(self), original(self, *a)))
    (fast, _), (plain, _) = train(*line, "compile=true"), train(*line)
    assert len(compiled) == 2  # encoder and decoder
    assert weights(fast).keys() == weights(plain).keys()
    labels = torch.arange(62)
    a, b = (ldg.load(folder).sample(labels, generator=torch.Generator().manual_seed(0)) for folder in (fast, plain))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    assert a.std() > 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["+trainer.val_check_interval=1000"], "trainer: `val_check_interval` (1000) must be less than or equal to"),
        (["trainer.limit_train_batches=0.01"], "trainer: You requested to check 0.01 of the `train_dataloader`"),
        (["+trainer.enable_checkpointing=false"], "trainer: Trainer was configured with `enable_checkpointing=False`"),
        (["trainer.devices=[0]"], "trainer: `devices` selected with `CPUAccelerator` should be an int > 0"),
        (["scheduler=plateau", "scheduler.monitor=val/elbow"], "scheduler.monitor=val/elbow: a VAE reports train/loss"),
        (
            ["optimizer=adam", "+optimizer.foreach=true", "optimizer.fused=true"],
            "`fused` and `foreach` cannot be `True` together",
        ),
    ],
)
def test_what_lightning_and_torch_refuse_is_a_line_and_leaves_nothing(line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        train(*TINY, *line)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_is_in_the_counts_that_are_printed(tmp_path, capsys):
    train(*TINY, "data.limit=130", "trainer.max_epochs=1", f"outputs={tmp_path}")
    # of each of 62 characters: two or three, and one of them for validation; of the 124 of the test split all
    assert capsys.readouterr().err.splitlines()[0] == "data.limit=130: 68 train, 62 val and 124 test images"


@pytest.mark.parametrize("name", ["it's", "$HOME", 'a "b"', "`c`", "d\\"])
def test_the_example_is_an_argument_of_a_shell(name, tmp_path):
    made.folder(tmp_path / "photos", [name, "owl"], per_class=4)
    line = ["data=folder", f"data.path={tmp_path}/photos", *DENSE, *BARE, "trainer.max_epochs=1", "test=false"]
    _, summary = train(*line, f"outputs={tmp_path}")
    example = subprocess.run(["sh", "-c", f"printf %s {summary['example']}"], capture_output=True, encoding="utf-8")
    assert example.stdout == ", ".join(sorted([name, "owl"]))


def test_lightnings_variables_do_not_change_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_TRAINER_MAX_STEPS", "3")
    line = (
        r"^PL_TRAINER_MAX_STEPS is set: a run follows its config alone; unset it, and give trainer\.max_steps=\.\.\.$"
    )
    with pytest.raises(UserError, match=line):
        train(*TINY)
    assert list(tmp_path.iterdir()) == []


def test_what_breaks_in_making_a_trainer_is_called_what_it_is(monkeypatch):
    def broken(error):
        def call(*_, **__):
            raise error

        return call

    config = configured(*TINY)
    config.callbacks["mine"] = {"_target_": "ldg.errors.suggestion", "word": 1}
    with pytest.raises(UserError, match=r"^mine: suggestion\(\) missing 1 required positional argument"):
        make_callbacks(config, None, [])
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.Trainer.__init__", broken(MemoryError()))
        with pytest.raises(UserError, match=r"^out of memory"):
            make_trainer(config, [])
    monkeypatch.setattr("ldg.training.trainer._environment", broken(KeyError("a fault of ours")))
    with pytest.raises(KeyError, match="a fault of ours"):
        make_trainer(config, [])


@pytest.mark.parametrize(
    "line",
    [
        ["trainer.limit_val_batches=0", "scheduler=plateau"],
    ],
)
def test_epochs_without_validation_end_no_run(line, tmp_path):
    _, summary = train(*TINY, "trainer.max_epochs=1", *line, f"outputs={tmp_path}")
    assert "test/elbo" in summary["metrics"] and "val/elbo" not in summary["metrics"]


def test_slurm_variables_do_not_make_one_process_many(tmp_path, monkeypatch):
    """As in an interactive allocation of several tasks, or a batch script that calls Python without srun."""
    variables = {"JOB_ID": "7", "JOB_NAME": "train", "NTASKS": "4", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    _, summary = train(*TINY, "trainer.max_epochs=1", f"outputs={tmp_path}")
    assert summary["steps"] == 6
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(UserError, match="trainer: You set `--ntasks=4`"):
        train(*TINY, f"outputs={tmp_path}/srun")


@contextmanager
def full_disk():
    """Gives a function after which no file grows beyond a size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size=20_000: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_checkpoints_stay_whole_and_the_run_goes_on_later(act_at_step, uninterrupted, tmp_path, capsys):
    with full_disk() as fill:
        undo = act_at_step(14, fill)
        with pytest.raises(UserError, match=r"cannot write .*\.ckpt: File too large"):
            train(*LONG, f"outputs={tmp_path}")
    undo()
    (folder,) = tmp_path.glob("*/*")
    assert f"what was saved before is in {folder}; resume with:  {resume_command(folder)}" in capsys.readouterr().err
    assert sorted(file.name for file in folder.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "metrics.csv",
        "source.json",
        "times.csv",
    ]
    assert sorted(file.name for file in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert read(folder / "checkpoints/last.ckpt")["epoch"] == 1
    resume(folder)
    whole = uninterrupted("cosine")
    assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert same(weights(folder), weights(whole))


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, capsys):
    config = configured(*TINY, f"outputs={tmp_path}/outputs")
    with full_disk() as fill, pytest.raises(UserError, match=r"cannot write .*config\.yaml: File too large"):
        fill(100)
        run(config)
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_cannot_be_written_is_still_the_one_that_is_raised(act_at_step, tmp_path, capsys):
    with full_disk() as fill:

        def crash():
            fill(100)
            raise ZeroDivisionError

        act_at_step(7, crash)
        with pytest.raises(ZeroDivisionError):
            train(*LONG, f"outputs={tmp_path}")
    (folder,) = tmp_path.glob("*/*")
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"the run broke; what was saved before is in {folder}; cannot write ")
    assert last.endswith("error.txt: File too large")


def test_debug_overfit_learns_a_batch_by_heart(tmp_path):
    line = [
        "debug=overfit",
        *STROKES,
        "model=vanilla_cvae",
        "trainer=cpu",
        "callbacks.gallery=null",
        "data.batch_size=8",
    ]
    folder, summary = train(*line, "trainer.max_epochs=100", f"outputs={tmp_path}")
    losses = [float(row["train/loss"]) for row in rows(folder)]
    assert summary["steps"] == len(losses) == 100
    assert losses[-1] < losses[0] / 4
    assert configured("debug=overfit").scheduler == {}


def test_debug_fast_trains_a_few_batches_of_everything(tmp_path):
    _, summary = train("debug=fast", *TINY, f"outputs={tmp_path}")
    assert (summary["steps"], summary["epochs"]) == (6, 2)
    assert math.isfinite(summary["metrics"]["test/elbo"])


def test_debug_profile_says_where_the_time_goes(tmp_path):
    folder, _ = train("debug=profile", *TINY, f"outputs={tmp_path}")
    table = (folder / "fit-profile.txt").read_text()
    assert "run_training_batch" in table and "[Strategy]SingleDeviceStrategy.validation_step" in table
