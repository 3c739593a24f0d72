"""Whole sweeps as a user starts them: launched, killed, gone on with, failing, refused."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import optuna
import pytest

from ldg.sweeps.ledger import Ledger
from tests.conftest import HOME
from tests.runs import CONV, DENSE, STROKES, rows, weights
from tests.test_train import call

TINY = [*STROKES, *DENSE, "trainer=cpu", "callbacks.gallery=null", "logger=csv", "trainer.max_epochs=2"]

# every start in a child of a process that has loaded torch and Lightning already, so that there is time to kill many
NURSERY = """
    import os, sys, torch, pytorch_lightning, optuna, matplotlib.figure
    sys.path.insert(0, {home!r})
    import train, ldg.training.run, ldg.sweeps.job, ldg.sweeps.report
    for line in sys.stdin:
        folder, *arguments = line.split()
        child = os.fork()
        if not child:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open("errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            status = 0
            try:
                sys.argv = ["train.py", *arguments]
                train.main(sys.argv[1:])
            except SystemExit as stop:
                status = stop.code or 0
            except BaseException:
                import traceback
                traceback.print_exc()
                status = 70
            os._exit(status)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Starts sweeps in ``folder``."""

    def __init__(self):
        code = textwrap.dedent(NURSERY.format(home=str(HOME)))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
        self.folder = Path.cwd()

    def start(self, *arguments, kill_after=None, stop_when=None):
        """The exit status; -9 if the process was killed ``kill_after`` so many seconds; Ctrl-C as soon as ``stop_when``."""
        self.process.stdin.write(f"{self.folder} {' '.join(arguments)}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        if stop_when is not None:
            deadline = time.monotonic() + 120
            while not stop_when():
                assert time.monotonic() < deadline, self.said()
                time.sleep(0.005)
            os.kill(child, signal.SIGINT)
        return int(self.process.stdout.readline())

    def said(self):
        return (self.folder / "errors").read_text()


@pytest.fixture(scope="module")
def one_nursery():
    nursery = Nursery()
    yield nursery
    nursery.process.stdin.close()
    nursery.process.wait(timeout=30)


@pytest.fixture
def nursery(one_nursery, tmp_path):
    one_nursery.folder = tmp_path
    return one_nursery


def sweep_folder(folder):
    (found,) = (folder / "outputs/sweeps").iterdir()
    return found


def comparable(ledger):
    return [{k: v for k, v in row.items() if k not in ("seconds", "wandb")} for row in ledger.rows()]


LINES = {
    "grid": ["model.latent_dim=2,4", "seed=1,2"],
    "optuna": [
        "hydra/sweeper=optuna",
        "optimizer.lr=tag(log,interval(1e-4,1e-2))",
        "hydra.sweeper.study.trials=4",
        "hydra.sweeper.study.pruner.n_startup_trials=2",
        "hydra.sweeper.study.pruner.n_warmup_steps=0",
    ],
}


@pytest.mark.parametrize("kind", LINES)
def test_killed_at_random_moments_it_ends_as_if_never_stopped(kind, tmp_path, nursery):
    draw = random.Random(0)
    line = ["-m", *TINY, *LINES[kind]]
    assert nursery.start(*line, "sweep_name=whole") == 0, nursery.said()
    whole = Ledger(tmp_path / "outputs/sweeps/whole")
    kills, number = 0, 0
    while kills < 10:
        number += 1
        name, status = f"killed{number}", None
        done: dict = {}
        while status != 0:
            status = nursery.start(*line, f"sweep_name={name}", kill_after=draw.uniform(0.2, 3) if kills < 10 else None)
            assert status in (0, -9), nursery.said()
            kills += status == -9
            summaries = (tmp_path / f"outputs/sweeps/{name}").glob("*/summary.json")
            now = {path: path.stat().st_mtime_ns for path in summaries}
            assert done.items() <= now.items()  # a finished run is not touched again
            done = now
        killed = Ledger(tmp_path / f"outputs/sweeps/{name}")
        assert comparable(killed) == comparable(whole)
        for row in whole.rows():
            one, other = (ledger.folder / row["run"] for ledger in (killed, whole))
            assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
            assert all((a == b).all() for a, b in zip(*(weights(f).values() for f in (one, other)), strict=True))
        assert (killed.folder / "report.html").exists()
        if kind == "optuna":
            studies = [
                optuna.load_study(study_name=ledger.folder.name, storage=f"sqlite:///{ledger.folder}/study.db")
                for ledger in (killed, whole)
            ]
            told = [[(t.params, t.values, t.state) for t in study.trials if t.user_attrs] for study in studies]
            assert told[0] == told[1]


def test_after_ctrl_c_it_goes_on_in_the_middle_of_a_run(tmp_path, nursery):
    line = ["-m", *TINY, "seed=1,2", "trainer.max_epochs=12"]
    assert nursery.start(*line, "sweep_name=whole") == 0, nursery.said()
    ledger = Ledger(tmp_path / "outputs/sweeps/stopped")

    def in_the_middle():
        (metrics,) = list(ledger.folder.glob("000-*/metrics.csv")) or [None]
        return metrics is not None and len(metrics.read_text().splitlines()) > 3

    status = nursery.start(*line, "sweep_name=stopped", stop_when=in_the_middle)
    assert status == 130 and "the same command goes on with the sweep" in nursery.said()
    assert "interrupted" in [row["state"] for row in ledger.rows()]
    assert nursery.start(*line, "sweep_name=stopped") == 0, nursery.said()
    assert comparable(ledger) == comparable(Ledger(tmp_path / "outputs/sweeps/whole"))


def test_a_failing_run_stops_no_other_and_is_tried_again_on_request(tmp_path, nursery):
    line = ["-m", *TINY, "trainer.max_epochs=1", "optimizer.lr=1e-3,1e300"]
    # a rate whose first step overflows ends training with an error where anomalies are looked for
    line.append("+trainer.detect_anomaly=true")
    assert nursery.start(*line) == 1
    ledger = Ledger(sweep_folder(tmp_path))
    good, bad = ledger.rows()
    assert (good["state"], bad["state"]) == ("finished", "failed") and bad["error"].startswith("RuntimeError")
    before = (ledger.folder / "runs.csv").read_text()
    assert nursery.start(*line) == 1 and (ledger.folder / "runs.csv").read_text() == before
    stamp = (ledger.folder / bad["run"] / "error.txt").stat().st_mtime_ns
    assert nursery.start(*line, "--retry") == 1
    assert (ledger.folder / bad["run"] / "error.txt").stat().st_mtime_ns > stamp
    assert ledger.row(good["run"]) == good


@pytest.mark.parametrize("launcher", [["joblib", "launcher.n_jobs=2"], ["slurm_local"]], ids=lambda line: line[0])
def test_launchers_give_what_one_after_the_other_gives(launcher, tmp_path, nursery):
    line = ["-m", *TINY, "trainer.max_epochs=1", "seed=1,2,3", "sweep_name=one"]
    assert nursery.start(*line, f"outputs={tmp_path}/here") == 0, nursery.said()
    status, out, err = call(tmp_path, *line, f"launcher={launcher[0]}", *launcher[1:], f"outputs={tmp_path}/there")
    assert status == 0, err
    here, there = (Ledger(tmp_path / place / "sweeps/one") for place in ("here", "there"))
    assert comparable(here) == comparable(there)
    assert [row["state"] for row in there.rows()] == ["finished"] * 3
    assert "one: 3 finished" in out and err.count("finished  val/elbo") == 3 and "Traceback" not in err


def test_optuna_with_several_at_once(tmp_path):
    line = [*LINES["optuna"], "launcher=joblib", "launcher.n_jobs=2", "sweep_name=one"]
    status, _, err = call(tmp_path, "-m", *TINY, "trainer.max_epochs=1", *line)
    assert status == 0, err
    folder = tmp_path / "outputs/sweeps/one"
    study = optuna.load_study(study_name="one", storage=f"sqlite:///{folder}/study.db")
    told = {f"trial-{int(t.user_attrs['owner'].split('/')[1]):03d}": t for t in study.trials}
    found = {row["run"]: row for row in Ledger(folder).rows()}
    assert told.keys() == found.keys() and len(told) == 4
    for name, trial in told.items():
        assert float(found[name]["optimizer.lr"]) == trial.params["optimizer.lr"]
        assert found[name]["state"] == ("pruned" if trial.state.name == "PRUNED" else "finished")
        if trial.state.name == "COMPLETE":
            assert float(found[name]["val/elbo"]) == trial.value


def test_the_dashboard_has_the_sweep_as_a_group(tmp_path, nursery):
    from tests.training.test_wandb import inspect

    tiny = [x for x in TINY if x != "logger=csv"]
    assert nursery.start("-m", *tiny, "trainer.max_epochs=1", "seed=1,2", "sweep_name=one") == 0, nursery.said()
    logs = sorted(tmp_path.glob("outputs/wandb/offline-run-*/run-*.wandb"))
    assert len(logs) == 2
    found = {row["wandb"] for row in Ledger(tmp_path / "outputs/sweeps/one").rows()}
    assert {log.stem.removeprefix("run-") for log in logs} == found
    for log in logs:
        records = [json.loads(line) for line in inspect(log).splitlines()]
        (run,) = [record["run"] for record in records if record["type"] == "run"]
        assert run["run_group"] == "one" and "one" in run["tags"] and run["display_name"].startswith("00")


def test_a_dry_run_makes_nothing(tmp_path, nursery):
    assert nursery.start("-m", "sweep=architectures", "--dry-run") == 0
    assert not (tmp_path / "outputs").exists()


def test_bad_input_is_answered_in_one_line_and_changes_nothing(tmp_path, nursery):
    line = ["-m", *TINY, "trainer.max_epochs=1"]
    assert nursery.start(*line, "seed=1", "sweep_name=one") == 0, nursery.said()
    folder = tmp_path / "outputs/sweeps/one"
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.name != "lock"}
    optuna_line = ["hydra/sweeper=optuna", "optimizer.lr=interval(0.001,0.01)", "sweep_name=two"]
    for wrong, message in [
        (["seed=2", "sweep_name=one"], "holds another sweep"),
        (["seed=1,2", "--dry"], "unrecognized arguments: --dry"),
        ([*optuna_line, "hydra.sweeper.study.storage=sqlite:////nowhere/study.db"], "cannot be used"),
    ]:
        said = len(nursery.said())
        assert nursery.start(*line, *wrong) == 2
        assert message in nursery.said()[said:]
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_conv_models_share_a_sweep_too(tmp_path, nursery):
    line = ["-m", *STROKES, "trainer=cpu", "callbacks.gallery=null", "logger=csv", "trainer.max_epochs=1"]
    assert nursery.start(*line, *CONV, "conditioning=both,none") == 0, nursery.said()
    assert [row["conditioning"] for row in Ledger(sweep_folder(tmp_path)).rows()] == ["both", "none"]
    assert rows(next(sweep_folder(tmp_path).glob("000-*")))
