"""The training script as a user runs it, in a folder of its own: what it says, what it leaves, how it stops."""

import itertools
import json
import re
import shlex
import signal
import time

import pytest
import yaml

from ldg.checkpoint import SHIPPED, read
from ldg.commands.train import _trained_on
from tests.conftest import HOME
from tests.data import made
from tests.processes import call, start
from tests.runs import TINY, rows

SMALL = [*TINY[:-3], "trainer.max_epochs=2", "trainer=cpu"]
ONE_PICTURE = "callbacks.gallery.pictures=[reconstructions_val]"  # drawn fast


def refusal(err):
    """The one line that says what is wrong, after the one that says what is begun, if it came so far."""
    *begun, line = err.splitlines()
    assert [text.endswith("; loading PyTorch") for text in begun] in ([], [True]) and line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder in which the default command, shortened, has been run; and what it said."""
    folder = tmp_path_factory.mktemp("workplace")
    # started from a notebook, whose backend is not installed: pictures go to files all the same
    process = start(folder, *SMALL, ONE_PICTURE, MPLBACKEND="module://of_a.notebook")
    out, err = process.communicate(timeout=300)
    return folder, (process.returncode, out, err)


def test_the_console_shows_progress_a_table_and_what_to_type_next(workplace):
    folder, (status, out, err) = workplace
    assert status == 0
    first, *others = err.splitlines()
    run = "strokes-vanilla_cvae-both-bernoulli"
    assert first == f"training {run}: images of 1x28x28, 62 classes, 2 epochs; loading PyTorch"
    shown = [line.split("  ")[0] for line in others]
    assert shown == ["epoch 1/2 begins: 6 batches", "epoch 1/2", "epoch 2/2"]  # and not a warning
    (run,) = folder.glob(f"outputs/{run}/*")
    run = run.relative_to(folder)
    metrics = json.loads((folder / run / "summary.json").read_text())["metrics"]
    (sync,) = folder.glob("outputs/wandb/offline-run-*")
    lines = out.splitlines()
    assert lines[1].startswith("strokes-vanilla_cvae-both-bernoulli: 2 epochs in ")
    assert lines[2].split() == ["nats", "per", "image", "train", "val", "test"]
    for line, name in zip(lines[3:7], ("elbo", "log_likelihood", "kl", "active_units"), strict=True):
        expected = [metrics[f"{s}/{name}"] for s in ("train", "val", "test") if f"{s}/{name}" in metrics]
        assert line.split() == [name, *(f"{value:.2f}" for value in expected)]
    assert lines[8] == "only 12 steps of training, from which a model learns little: trainer.max_epochs=34 makes 200"
    assert [line.split(":", 1)[1].strip() for line in lines[10:]] == [
        str(run),
        f'python {HOME}/generate.py "Hello World" --checkpoint {run}',
        f"python {HOME}/train.py ckpt_path={run} trainer.max_epochs=4",
        f"wandb sync {sync.relative_to(folder)}",
    ]
    assert len(lines) == 14
    assert sorted(path.name for path in folder.iterdir()) == ["outputs"]


def test_what_is_begun_is_said_before_torch_is_imported(tmp_path):
    process = start(tmp_path, *SMALL, PYTHONPROFILEIMPORTTIME="1")
    imported = list(itertools.takewhile(lambda line: not line.startswith("training "), process.stderr))
    process.kill()
    process.communicate()
    assert imported and not any(re.search(r"\| *(torch|pytorch_lightning)\b", line) for line in imported)


def test_the_commands_it_names_work(workplace):
    folder, (_, out, _) = workplace
    commands = [shlex.split(line.split(":", 1)[1]) for line in out.splitlines() if ": " in line and " python " in line]
    write, further = (command[1:] for command in commands)
    status, out, err = call(folder, *write[1:], script="generate.py")
    (run,) = folder.glob("outputs/strokes-vanilla_cvae-both-bernoulli/*")
    assert (status, out, err) == (0, "hello-world.png\n", f"with {run.relative_to(folder)}\n")
    status, out, err = call(folder, "Hello", "-s", "newest", script="generate.py")  # finds the run by itself
    assert (status, out, err) == (0, "newest.png\n", f"with {run.relative_to(folder)}\n")
    status, out, err = call(folder, *further[1:], "logger=csv")
    assert status == 0, err
    assert [line.split("  ")[0] for line in err.splitlines()] == [
        f"resuming {run.relative_to(folder)}; loading PyTorch",
        "epoch 3/4 begins: 6 batches",
        "epoch 3/4",
        "epoch 4/4",
    ]
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4"]
    assert "trainer.max_epochs=8" in out

    status, out, err = call(folder, f"ckpt_path={run}")
    assert (status, out) == (2, "")
    assert refusal(err).endswith("4 epochs are done; resume with trainer.max_epochs=8")


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(signum, status, tmp_path):
    def in_the_middle():
        return any(len(rows(file.parent)) >= 3 for file in tmp_path.glob("outputs/strokes-*/*/metrics.csv"))

    line = [*SMALL, "trainer.max_epochs=100000", "callbacks.gallery=null", "scheduler=none"]
    returned, out, err = call(tmp_path, *line, stop_when=in_the_middle, signum=signum)
    assert returned == status
    assert "Traceback" not in err and out == ""
    (run,) = tmp_path.glob("outputs/strokes-*/*")
    lines = [line for line in err.splitlines()[1:] if line and not line.startswith("epoch ")]
    assert lines[0] == "stopping after this step or epoch; once more to stop at once"
    assert "wandb sync outputs/wandb/offline-run-" in lines[1]
    checkpoint = run.relative_to(tmp_path) / "checkpoints" / "last.ckpt"
    assert lines[2:] == [f"stopped and saved; resume with:  python {HOME}/train.py ckpt_path={checkpoint}"]
    trained = read(run)["epoch"] + 1
    assert not (run / "error.txt").exists() and not (run / "summary.json").exists()

    if signum == signal.SIGTERM:
        return  # the command is the same
    command = shlex.split(lines[2].split("with:")[1])
    returned, out, err = call(tmp_path, *command[2:], f"trainer.max_epochs={trained + 2}", "logger=csv")
    assert returned == 0, err
    logged = rows(run)
    assert [row["epoch"] for row in logged] == [str(i + 1) for i in range(trained + 2)]
    assert (run / "summary.json").exists()


def test_a_signal_before_training_leaves_nothing(tmp_path):
    """It is still importing, or drawing images."""
    process = start(tmp_path, *SMALL, "data.dataset.per_class=3000", LDG_CACHE=str(tmp_path / "cache"))
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[1:] in (["stopped before there was anything to save"], [])
    assert not (tmp_path / "outputs").exists()


MISSING = ["data.download=false", *TINY[3:]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=emnist", *MISSING], "EMNIST"),
        (["data=fashion_mnist", *MISSING], "FashionMNIST"),
        (["data=stanford_dogs", *MISSING], "stanford_dogs"),
        ([*SMALL, "outputs=file"], "outputs=file: file is not a folder; choose another"),
        (["ckpt_path=nothing"], "no checkpoint at nothing; name a run folder, or a .ckpt, .safetensors or .onnx file"),
        ([f"ckpt_path={SHIPPED}"], "exported weights cannot be resumed"),
        (["ckpt_path=file"], "file is damaged or no checkpoint"),
        ([*SMALL, "model=conv_cvae", "model.network.channels=[4,4,4,4,4,4,4]"], ""),
    ],
    ids=["emnist", "fashion_mnist", "dogs", "outputs", "missing", "exported", "nonsense", "network"],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, message, tmp_path):
    (tmp_path / "file").write_text("not a folder, nor a checkpoint")
    status, out, err = call(tmp_path, *arguments, LDG_DATA=str(tmp_path / "data"))
    assert (status, out) == (2, "")
    assert message in refusal(err)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_truncated_file_is_named(tmp_path):
    made.emnist(tmp_path / "data", "digits")
    broken = tmp_path / "data/EMNIST/raw/emnist-digits-train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:1000])
    arguments = ["data=emnist", "data.dataset.split=digits", *MISSING]
    status, out, err = call(tmp_path, *arguments, LDG_DATA=str(tmp_path / "data"))
    assert (status, out) == (2, "")
    assert broken.name in refusal(err)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_sweep_makes_a_folder_for_each_run(tmp_path):
    line = [*SMALL, "logger=csv", "callbacks.gallery=null", "trainer.max_epochs=1"]
    status, out, err = call(tmp_path, "-m", *line, "model.latent_dim=2,3")
    assert status == 0, err
    folders = sorted(tmp_path.glob("outputs/sweeps/*/00*"))
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in folders]
    assert sorted(config["model"]["latent_dim"] for config in configs) == [2, 3]
    assert all((folder / "summary.json").exists() for folder in folders)
    assert "2 finished" in out


def test_a_sweep_uses_a_folder_of_choices_and_any_name(tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "seven.yaml").write_text("# @package _global_\nseed: 7\n", encoding="utf-8")
    line = [*SMALL, "logger=csv", "callbacks.gallery=null", "trainer.max_epochs=1", "conditioning=both"]
    status, out, err = call(tmp_path, *line, "-m", "--config-dir=mine", "experiment=seven", "sweep_name=bob's [1] #2")
    assert status == 0, err
    (config,) = tmp_path.glob("outputs/sweeps/bob's [[]1] #2/000/config.yaml")
    assert yaml.safe_load(config.read_text(encoding="utf-8"))["seed"] == 7
    assert "bob's [1] #2: 1 finished" in out


def test_cfg_job_prints_the_config_and_does_nothing(tmp_path):
    status, out, err = call(tmp_path, "--cfg", "job", "data=fashion_mnist", "model.latent_dim=7")
    assert (status, err) == (0, "")
    config = yaml.safe_load(out)
    assert (config["model"]["latent_dim"], config["data"]["num_classes"]) == (7, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_processes_train_one_run(tmp_path):
    status, out, err = call(tmp_path, *SMALL, ONE_PICTURE, "trainer.devices=2")  # as trainer=ddp
    assert status == 0, err
    (run,) = tmp_path.glob("outputs/strokes-*/*")
    assert len(list(tmp_path.glob("outputs/wandb/offline-run-*"))) == 1
    logged = rows(run)
    # half of the 6 batches each
    assert [(row["epoch"], row["step"]) for row in logged] == [("1", "3"), ("2", "6")]
    for row in logged:
        assert float(row["train/elbo"]) == pytest.approx(float(row["train/log_likelihood"]) - float(row["train/kl"]))
        assert -1000 < float(row["train/elbo"]) < -100 and 0 <= float(row["val/active_units"]) <= 4
    assert float(logged[1]["train/elbo"]) > float(logged[0]["train/elbo"])
    assert out.count("nats per image") == 1
    assert sorted(file.name for file in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (run / "gallery" / "reconstructions_val.png").exists()


@pytest.mark.parametrize(
    ("devices", "device"),
    [
        ("1,", "cuda:1"),
        ("2, 3", "cuda:2"),
        ([1], "cuda:1"),
        (2, "cuda"),
        ("2", "cuda"),
        ("auto", "cuda"),
        (",", "cuda"),
    ],
)
def test_a_scorecard_is_computed_where_the_run_was(devices, device, monkeypatch):
    monkeypatch.setattr("ldg.commands.train.choose_device", lambda _: "cuda")
    assert _trained_on({"accelerator": "gpu", "devices": devices}) == device
    assert _trained_on({"accelerator": "cpu", "devices": 1}) == "cpu"
