"""Whole sweeps as a user starts them: launched, killed, gone on with, failing, refused."""

import json
import random

import optuna
import pytest

from ldg.sweeps.ledger import Ledger
from tests.processes import call, start
from tests.runs import CONV, DENSE, STROKES, rows, weights

TINY = [*STROKES, *DENSE, "trainer=cpu", "callbacks.gallery=null", "logger=csv", "trainer.max_epochs=2"]


def succeed(folder, *arguments):
    status, _, err = call(folder, *arguments)
    assert status == 0, err


def sweep_folder(folder):
    (only,) = (folder / "outputs/sweeps").iterdir()
    return only


def comparable(ledger):
    return [{k: v for k, v in row.items() if k not in ("seconds", "wandb")} for row in ledger.read_rows()]


LINES = {
    "grid": ["model.latent_dim=2,4"],
    "optuna": [
        "hydra/sweeper=optuna",
        "optimizer.lr=tag(log,interval(1e-4,1e-2))",
        "hydra.sweeper.study.trials=3",
        "hydra.sweeper.study.pruner.n_startup_trials=2",
        "hydra.sweeper.study.pruner.n_warmup_steps=0",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "wanted"), [("grid", 3), ("optuna", 1)])
def test_killed_at_random_moments_it_ends_as_if_never_stopped(kind, wanted, tmp_path):
    draw = random.Random(0)
    line = ["-m", *TINY, *LINES[kind]]
    succeed(tmp_path, *line, "sweep_name=whole")
    whole = Ledger(tmp_path / "outputs/sweeps/whole")
    kills, number = 0, 0
    while kills < wanted:
        number += 1
        name, status = f"killed{number}", None
        done: dict = {}
        while status != 0:
            moment = draw.uniform(0.1, 2) if kills < wanted else None
            status, _, err = call(tmp_path, *line, f"sweep_name={name}", kill_after=moment)
            assert status in (0, -9), err
            kills += status == -9
            summaries = (tmp_path / f"outputs/sweeps/{name}").glob("*/summary.json")
            now = {path: path.stat().st_mtime_ns for path in summaries}
            assert done.items() <= now.items()  # a finished run is not touched again
            done = now
        killed = Ledger(tmp_path / f"outputs/sweeps/{name}")
        assert comparable(killed) == comparable(whole)
        for row in whole.read_rows():
            one, other = (ledger.folder / row["run"] for ledger in (killed, whole))
            assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
            assert all((a == b).all() for a, b in zip(*(weights(f).values() for f in (one, other)), strict=True))
        assert (killed.folder / "report.html").exists()
        if kind == "optuna":
            studies = [
                optuna.load_study(study_name=ledger.folder.name, storage=f"sqlite:///{ledger.folder}/study.db")
                for ledger in (killed, whole)
            ]
            trials = [[(t.params, t.values, t.state) for t in study.trials if t.user_attrs] for study in studies]
            assert trials[0] == trials[1]


@pytest.mark.slow
def test_after_ctrl_c_it_goes_on_in_the_middle_of_a_run(tmp_path):
    line = ["-m", *TINY, "seed=1,2", "trainer.max_epochs=8"]
    succeed(tmp_path, *line, "sweep_name=whole")
    ledger = Ledger(tmp_path / "outputs/sweeps/stopped")

    def in_the_middle():
        (metrics,) = list(ledger.folder.glob("000-*/metrics.csv")) or [None]
        return metrics is not None and len(metrics.read_text().splitlines()) > 3

    status, _, err = call(tmp_path, *line, "sweep_name=stopped", stop_when=in_the_middle)
    assert status == 130 and "the same command resumes the sweep" in err
    assert "interrupted" in [row["state"] for row in ledger.read_rows()]
    succeed(tmp_path, *line, "sweep_name=stopped")
    assert comparable(ledger) == comparable(Ledger(tmp_path / "outputs/sweeps/whole"))


@pytest.mark.slow
def test_a_failing_run_stops_no_other_and_is_tried_again_on_request(tmp_path):
    line = ["-m", *TINY, "trainer.max_epochs=1", "optimizer.lr=1e-3,1e38"]
    # a rate whose first step overflows ends training with an error where anomalies are looked for
    line.append("+trainer.detect_anomaly=true")
    assert call(tmp_path, *line)[0] == 1
    ledger = Ledger(sweep_folder(tmp_path))
    good, bad = ledger.read_rows()
    assert (good["state"], bad["state"]) == ("finished", "failed") and bad["error"].startswith("RuntimeError")
    before = (ledger.folder / "runs.csv").read_text()
    assert call(tmp_path, *line)[0] == 1 and (ledger.folder / "runs.csv").read_text() == before
    stamp = (ledger.folder / bad["run"] / "error.txt").stat().st_mtime_ns
    assert call(tmp_path, *line, "--retry")[0] == 1
    assert (ledger.folder / bad["run"] / "error.txt").stat().st_mtime_ns > stamp
    assert ledger.read_row(good["run"]) == good


@pytest.mark.slow
def test_processes_give_what_one_after_the_other_gives(tmp_path):
    """Those of slurm_local; tests/kills.py compares those of joblib."""
    line = ["-m", *TINY, "trainer.max_epochs=1", "seed=1,2", "sweep_name=one"]
    succeed(tmp_path, *line, f"outputs={tmp_path}/here")
    process = start(tmp_path, *line, "launcher=slurm_local", f"outputs={tmp_path}/there")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    here, there = (Ledger(tmp_path / place / "sweeps/one") for place in ("here", "there"))
    assert comparable(here) == comparable(there)
    assert [row["state"] for row in there.read_rows()] == ["finished"] * 2
    assert "one: 2 finished" in out and err.count("finished  val/elbo") == 2 and "Traceback" not in err


@pytest.mark.slow
def test_optuna_with_several_at_once(tmp_path):
    line = [*LINES["optuna"], "launcher=joblib", "launcher.n_jobs=2", "sweep_name=one"]
    succeed(tmp_path, "-m", *TINY, "trainer.max_epochs=1", *line)
    folder = tmp_path / "outputs/sweeps/one"
    study = optuna.load_study(study_name="one", storage=f"sqlite:///{folder}/study.db")
    trials = {f"trial-{int(t.user_attrs['owner'].split('/')[1]):03d}": t for t in study.trials}
    lines = {row["run"]: row for row in Ledger(folder).read_rows()}
    assert trials.keys() == lines.keys() and len(trials) == 3
    for name, trial in trials.items():
        assert float(lines[name]["optimizer.lr"]) == trial.params["optimizer.lr"]
        assert lines[name]["state"] == ("pruned" if trial.state.name == "PRUNED" else "finished")
        if trial.state.name == "COMPLETE":
            assert float(lines[name]["val/elbo"]) == trial.value


@pytest.mark.slow
def test_the_dashboard_has_the_sweep_as_a_group(tmp_path):
    from tests.training.test_wandb import inspect

    tiny = [x for x in TINY if x != "logger=csv"]
    succeed(tmp_path, "-m", *tiny, "trainer.max_epochs=1", "seed=1,2", "sweep_name=one")
    logs = sorted(tmp_path.glob("outputs/wandb/offline-run-*/run-*.wandb"))
    assert len(logs) == 2
    ids = {row["wandb"] for row in Ledger(tmp_path / "outputs/sweeps/one").read_rows()}
    assert {log.stem.removeprefix("run-") for log in logs} == ids
    for log in logs:
        records = [json.loads(line) for line in inspect(log).splitlines()]
        (run,) = [record["run"] for record in records if record["type"] == "run"]
        assert run["run_group"] == "one" and "one" in run["tags"] and run["display_name"].startswith("00")


@pytest.mark.parametrize("option", ["--dry-run", "hydra.sweeper.dry_run=true"])
def test_a_dry_run_makes_nothing(option, tmp_path):
    status, out, err = call(tmp_path, "-m", "sweep=architectures", "data=emnist", option)
    assert status == 0, err
    assert out.splitlines()[0] == (
        "000-vanilla_cvae-both  sweep=architectures data=emnist model=vanilla_cvae conditioning=both"
    )
    assert len(out.splitlines()) == 10 and not (tmp_path / "outputs").exists()


def test_bad_input_is_answered_in_one_line_and_changes_nothing(tmp_path):
    line = ["-m", *TINY, "trainer.max_epochs=1"]
    succeed(tmp_path, *line, "seed=1", "sweep_name=one")
    folder = tmp_path / "outputs/sweeps/one"
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.name != "lock"}
    optuna_line = ["hydra/sweeper=optuna", "optimizer.lr=interval(0.001,0.01)", "sweep_name=two"]
    for wrong, message in [
        (["seed=2", "sweep_name=one"], "holds another sweep"),
        (["seed=1,2", "--dry"], "unknown option '--dry', did you mean --dry-run?"),
        ([*optuna_line, f"hydra.sweeper.study.storage=sqlite:///{tmp_path}/nowhere/study.db"], "cannot be used"),
    ]:
        status, _, err = call(tmp_path, *line, *wrong)
        assert status == 2 and message in err
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.slow
def test_conv_models_share_a_sweep_too(tmp_path):
    line = ["-m", *STROKES, "trainer=cpu", "callbacks.gallery=null", "logger=csv", "trainer.max_epochs=1"]
    succeed(tmp_path, *line, *CONV, "conditioning=both,none")
    assert [row["conditioning"] for row in Ledger(sweep_folder(tmp_path)).read_rows()] == ["both", "none"]
    assert rows(next(sweep_folder(tmp_path).glob("000-*")))
