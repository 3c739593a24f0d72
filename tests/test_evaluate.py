"""The evaluating script as a user runs it, and the scorecard at the end of training."""

import json
import shutil

import pytest
import torch

from ldg.commands.cli import exit_status
from ldg.commands.evaluate import main
from ldg.commands.export import export
from ldg.commands.train import train_and_evaluate
from ldg.errors import Interrupted
from ldg.evaluation.scorecard import Scorecard
from tests.processes import call
from tests.runs import BARE, CONV, STROKES, TINY, configured, train
from tests.training.test_wandb import inspect

QUICK = ["--only", "elbo,latent,reconstruction", "latent.probe=60"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a dense, a convolutional and an unconditional run."""
    base = tmp_path_factory.mktemp("evaluate")
    lines = {"dense": TINY, "conv": [*STROKES, *CONV, *BARE], "plain": [*TINY, "conditioning=none"]}
    for name, line in lines.items():
        train(*line, "trainer.max_epochs=1", f"folder={base}/outputs/{name}/1", f"name={name}")
    return base


@pytest.fixture
def evaluated(runs, monkeypatch, capsys):
    """Evaluate in this process: exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.chdir(runs)
        status = exit_status(lambda: main(list(arguments)))
        return status, *capsys.readouterr()

    return call


def test_several_runs_give_one_table_and_a_scorecard_each(runs):
    line = ["outputs/dense/1", *QUICK, "outputs/conv/1/checkpoints/best.ckpt"]
    status, out, err = call(runs, *line, script="evaluate.py")
    assert status == 0, err
    header, *lines = [line for line in out.splitlines() if line]
    assert header.split() == ["better", "dense", "conv", "real", "images"]
    elbos = []
    for name in ("dense", "conv"):
        content = json.loads((runs / f"outputs/{name}/1/scorecard.json").read_text())
        assert sorted(content["results"]) == ["elbo", "latent", "reconstruction"]
        elbos.append(content["results"]["elbo"]["values"]["elbo"]["value"])
        files = {file.name for file in (runs / f"outputs/{name}/1").glob("scorecard.*")}
        assert files == {f"scorecard.{kind}" for kind in ("json", "md", "npz", "png")}
    row = next(line for line in lines if line.startswith("ELBO"))
    assert row.count("*") == 1
    best = f"{max(elbos):,.2f}"[:4]
    assert best in row.split("*")[0].split("±")[elbos.index(max(elbos))]
    assert "Traceback" not in err and "Warning" not in err


def test_the_same_seed_gives_the_same_scorecard(runs, evaluated):
    results = []
    for _ in range(2):
        assert evaluated("outputs/dense/1", "--only", "elbo,latent", "latent.probe=60", "--seed", "3")[0] == 0
        results.append(json.loads((runs / "outputs/dense/1/scorecard.json").read_text())["results"])
    assert results[0] == results[1]


def test_what_was_measured_of_the_same_weights_stays(runs, evaluated):
    folder = runs / "outputs/dense/1"
    kept = {}
    for arguments in (["elbo", "--seed", "4"], ["reconstruction", "--seed", "4"], ["elbo", "--seed", "5"]):
        assert evaluated("outputs/dense/1", "--only", *arguments)[0] == 0
        kept[" ".join(arguments)] = list(json.loads((folder / "scorecard.json").read_text())["results"])
    assert list(kept.values()) == [["elbo"], ["elbo", "reconstruction"], ["elbo"]]
    (folder / "checkpoints/best.ckpt").touch()  # trained on
    assert evaluated("outputs/dense/1", "--only", "reconstruction", "--seed", "5")[0] == 0
    assert list(json.loads((folder / "scorecard.json").read_text())["results"]) == ["reconstruction"]


def test_what_an_unconditional_model_skips_is_reported(evaluated):
    status, out, _ = evaluated("outputs/plain/1", "--only", "class_accuracy,cas,elbo")
    assert status == 0
    for name in ("class_accuracy", "cas"):
        assert f"plain: {name} skipped, the model was trained without labels (conditioning=none)" in out
    assert "ELBO" in out
    status, out, err = evaluated("outputs/plain/1", "--only", "class_accuracy")
    assert (status, out) == (2, "") and "nothing of outputs/plain/1/checkpoints/best.ckpt could be measured" in err


@pytest.mark.parametrize(("arguments", "judge"), [([], None), (["--judge", "train"], "train")])
def test_a_judge_of_this_machine_is_chosen_by_a_word(arguments, judge, evaluated, monkeypatch):
    taken = []
    nothing = (Scorecard("", "", 0, {}), None)
    monkeypatch.setattr("ldg.evaluation.scorecard.evaluate_checkpoint", lambda *line: taken.append(line[3]) or nothing)
    status, _, err = evaluated("outputs/dense/1", "--only", "elbo,cas", *arguments)
    assert (status, taken) == (2, [judge]) and err.splitlines()[0] == "measures: elbo, cas"


def test_exported_weights_get_their_scorecard_in_outputs(runs, evaluated):
    export(runs / "outputs/dense/1", runs / "package.safetensors")
    assert evaluated("package.safetensors", "--only", "elbo")[0] == 0
    assert (runs / "outputs/package/scorecard.json").exists() and not (runs / "scorecard.json").exists()


def test_a_run_with_weights_that_are_nan_is_named_and_the_others_are_measured(runs, evaluated):
    broken = runs / "outputs/broken/1"
    shutil.copytree(runs / "outputs/dense/1", broken)
    content = torch.load(broken / "checkpoints/best.ckpt", weights_only=True)
    next(iter(content["state_dict"].values())).fill_(float("nan"))
    torch.save(content, broken / "checkpoints/best.ckpt")
    status, out, err = evaluated("outputs/broken/1", "outputs/conv/1", "--only", "elbo")
    assert status == 2
    assert "error: outputs/broken/1/checkpoints/best.ckpt has weights that are" in err
    assert "conv" in out and "ELBO" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: RUN"),
        (["outputs/nothing"], "no checkpoint at outputs/nothing"),
        (
            ["outputs/dense/1", "--only", "elbow"],
            "there is no measure 'elbow', did you mean elbo?; choose from elbo, marginal",
        ),
        (["outputs/dense/1", "--only", "reads"], "the measure reads is called class_accuracy now"),
        (["outputs/dense/1", "--without", "cas,reads"], "the measure reads is called class_accuracy now"),
        (["outputs/dense/1", "reads.per_class=5"], "reads.per_class is now class_accuracy.per_class"),
        (["outputs/nothing", "reads.per_class=5"], "reads.per_class is now class_accuracy.per_class"),
        (["outputs/dense/1", "elb.samples=3"], "there is no measure 'elb', did you mean elbo?; choose from elbo"),
        (["outputs/dense/1", "+elb.samples=3"], "there is no measure 'elb', did you mean elbo?"),
        (["outputs/dense/1", "--only", "rec"], "there is no measure 'rec'"),
        (["outputs/dense/1", "--seed", "x"], "argument --seed: must be a whole number from 0 to"),
        (["outputs/dense/1", "--device", "gpu"], "--device gpu: should be auto, cpu, cuda"),
        (["outputs/dense/1", "--seed", "-1"], "argument --seed: must be a whole number from 0 to"),
        (["outputs/dense/1", "--seed", "1" + "0" * 20], "argument --seed: must be a whole number from 0 to"),
        (["n" * 300], "is too long"),
        (["é.x=" + "n" * 300], "is too long"),
        (["outputs/dense/1", "--judge", "n" * 300], "is too long"),
        (["outputs/dense/1", "elbo.samples=1000001"], "elbo.samples=1000001: should be less than or equal to 1000000"),
        (["outputs/dense/1", "distance.temperature=1e308"], "should be less than or equal to 10"),
        (["outputs/dense/1", "marginal.binarize_seed=4294967296"], "should be less than 4294967296"),
        (["outputs/dense/1", "speed.text=a\nb"], "needs quotes"),
        (["marginal.samples=5"], "no run to measure"),
        (["outputs/dense/1", "marginal.sample=5"], "marginal.sample: no such key, did you mean marginal.samples?"),
        (["outputs/dense/1", "marginal.samples=0"], "marginal.samples=0: should be greater than 0"),
        (["outputs/dense/1", "--only", "elbo", "--without", "elbo"], "no measure is left"),
        (["outputs/dense/1", "--only", "elbo,cas", "--without", "elbo", "--without", "cas"], "no measure is left"),
        (["outputs/dense/1", "--only", "elbo", "--only", "rec"], "there is no measure 'rec'"),
        (["outputs/dense/1", "--only", "reco", "--only", "elbo"], "there is no measure 'reco'"),
        (["outputs/dense/1", "--only", "elbo", "cas"], "commas join measures: --only elbo,cas"),
        (["outputs/dense/1", "--only", "elbo", "cas", "latent"], "cas is a measure, and no run; commas join"),
        (["outputs/dense/1", "--only", "elbo", "cas", "latent"], "measures: --only elbo,cas,latent"),
        (["outputs/dense/1", "cas"], "cas is a measure, and no run; commas join measures: --only cas"),
        (["outputs/dense/1", "--without", "elbo", "cas"], "commas join measures: --without elbo,cas"),
        (["outputs/dense/1", "--only", "ELBO"], "there is no measure 'ELBO', did you mean elbo?"),
        (["outputs/dense/1", "--judge", "outputs/dense/1"], "generates images; a judge classifies them"),
    ],
)
def test_bad_input_is_an_error_of_one_line(runs, evaluated, arguments, message):
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    status, out, err = evaluated(*arguments)
    assert status == 2 and out == ""
    assert err.startswith("error: ") and message in err and err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


@pytest.mark.slow
def test_training_can_end_with_a_scorecard_in_the_dashboard(tmp_path):
    line = [*TINY[:-3], "trainer.max_epochs=1", "trainer=cpu", "callbacks.gallery=null", "evaluate=true"]
    status, _, err = call(tmp_path, *line, "logger=wandb")
    assert status == 0, err
    (folder,) = (tmp_path / "outputs").glob("strokes-*/*")
    results = json.loads((folder / "scorecard.json").read_text())["results"]
    (log,) = tmp_path.glob("outputs/wandb/offline-run-*/run-*.wandb")
    summary = json.loads(inspect(log, "--summary"))["summary"]
    assert summary["test/class_accuracy"] == pytest.approx(
        results["class_accuracy"]["values"]["class_accuracy"]["value"]
    )
    assert summary["scorecard"]["_type"] == "table-file" and summary["scorecard_picture"]["_type"] == "images/separated"


@pytest.mark.parametrize(
    ("trainer", "device"),
    [(["auto"], "cuda"), (["gpu", "trainer.devices=[1]"], "cuda:1"), (["cpu"], "cpu"), (["ddp"], "cuda")],
)
def test_a_scorecard_after_training_is_made_on_the_device_of_the_training(trainer, device, monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("ldg.evaluation.report.find", lambda folder: folder)
    monkeypatch.setattr("ldg.evaluation.report.publish_scorecard", lambda *_: None)
    monkeypatch.setattr(
        "ldg.evaluation.report.evaluate_checkpoint", lambda *_, device, **options: (used.append(device), None)
    )
    # no measure is imported while this stands in for what it imports
    monkeypatch.setattr("ldg.evaluation.scorecard.build_measures", lambda config: {})
    monkeypatch.setattr("ldg.training.run.run", lambda config, afterwards, **options: afterwards(config.folder, []))
    train_and_evaluate(configured(*STROKES, f"trainer={trainer[0]}", *trainer[1:], "evaluate=true"))
    assert used == [device]


def test_an_interrupt_while_a_judge_is_trained_is_one_line(evaluated, monkeypatch):
    def stop(*_):
        raise Interrupted(15, None)

    monkeypatch.setattr("ldg.evaluation.scorecard.evaluate_checkpoint", stop)
    status, out, err = evaluated("outputs/dense/1", *QUICK)
    assert (status, out) == (128 + 15, "") and len(err.splitlines()) == 3
    assert err.splitlines()[2].startswith("stopped; the same command resumes")
