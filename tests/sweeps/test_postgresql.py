"""A study in a real PostgreSQL: several workers share it, it goes away and comes back, and it has a password."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import optuna
import psycopg
import pytest

from ldg.config.compose import compose_config
from ldg.errors import UserError
from ldg.files import write_text
from ldg.sweeps.job import run_job
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.plan import make_plan
from ldg.sweeps.study import Study, open_storage
from tests.conftest import program
from tests.processes import call
from tests.runs import DENSE, STROKES
from tests.sweeps.test_study import summary, sweep

PASSWORD = "swordfish-1"
names = itertools.count()


class Server:
    """PostgreSQL on a port of its own, as a user that may start it."""

    def __init__(self, folder):
        # Debian keeps the server's programs out of the PATH
        path = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
        os.environ["PATH"], before = path, os.environ["PATH"]
        self.initdb, self.control = program("initdb"), program("pg_ctl")
        os.environ["PATH"] = before
        self.folder = folder / "data"
        (folder / "password").write_text(PASSWORD)
        self.prefix = []
        if os.getuid() == 0:  # the server refuses root
            self.prefix = [program("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(folder, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ["-U", "ldg", f"--pwfile={folder}/password", "-A", "scram-sha-256", "--no-sync", "--locale=C"]
        self.do(self.initdb, "-D", self.folder, *options)

    def do(self, *command):
        subprocess.run([*self.prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self):
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self.do(self.control, "-D", self.folder, "-w", "-l", f"{self.folder}/log", "-o", settings, "start")

    def stop(self):
        self.do(self.control, "-D", self.folder, "-w", "-m", "fast", "stop")

    def url(self, password=PASSWORD, database="postgres"):
        return f"postgresql://ldg:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def server():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        server = Server(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def database(server):
    """The URL of a new database."""
    name = f"study{next(names)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return server.url(database=name)


def values(trial):
    return tuple(trial.params.items())


@pytest.mark.slow
def test_two_workers_with_folders_of_their_own_draw_different_values(database, tmp_path):
    workers = [(replace(sweep(storage=database), id=name), tmp_path / name) for name in ("a", "b")]
    drawn = []
    for index in range(4):
        for worker, folder in workers:
            trial = Study(worker, folder, index).begin_trial()
            drawn.append(values(trial.trial))
            trial.end(summary(float(index)))
    assert len(set(drawn)) == 8
    # what one worker draws does not depend on where the study is
    alone = [Study(sweep(), tmp_path, index).begin_trial() for index in range(2)]
    assert [values(trial.trial) for trial in alone] == drawn[:2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"password": "carp"}, 'password authentication failed for user "ldg"'),
        ({"database": "missing"}, 'database "missing" does not exist'),
    ],
)
def test_a_server_that_refuses_is_quoted_at_once(server, tmp_path, wrong, message):
    with pytest.raises(UserError) as error:
        Study(sweep(storage=server.url(**wrong)), tmp_path)
    text = str(error.value)
    assert message in text and "\n" not in text and "carp" not in text and PASSWORD not in text


class Trainer:
    """What a callback sees of Lightning's."""

    should_stop, current_epoch, callback_metrics = False, 0, {"val/elbo": 1.0}


class Sweeping:
    """A sweep of one trial, with a stand-in for training."""

    def __init__(self, folder, url):
        fixed = ["hydra/sweeper=optuna", "sweep_name=one", f"outputs={folder}", f"hydra.sweeper.study.storage={url}"]
        plan = make_plan(compose_config(fixed), [*fixed, "optimizer.lr=tag(log,interval(1e-4,1e-2))"])
        self.ledger = Ledger.open(plan, "")
        self.job = compose_config([*fixed, "run=trial-000", "hydra.sweeper.index=0"])

    def run(self, train):
        run_job(self.job, self.job.hydra, train)

    @property
    def row(self):
        (row,) = self.ledger.read_rows()
        return row


RESULT = {"metrics": {"val/elbo": -1.5}, "epochs": 1, "seconds": 1, "parameters": 10, "wandb": None}


@pytest.fixture
def sweeping(database, tmp_path, monkeypatch):
    monkeypatch.setenv("LDG_TEST_SECRET", PASSWORD)
    return Sweeping(tmp_path, database.replace(PASSWORD, "${oc.env:LDG_TEST_SECRET}"))


@pytest.mark.slow
def test_a_server_that_goes_away_during_a_run_is_waited_for(server, database, sweeping):
    starting = threading.Timer(1.0, server.start)

    def train(config, callbacks, progress):
        server.stop()
        (prune,) = callbacks
        prune.on_train_epoch_end(Trainer(), None)  # training goes on
        starting.start()
        return RESULT

    sweeping.run(train)
    starting.join()
    (trial,) = optuna.load_study(study_name="one", storage=open_storage(database)).trials
    assert (trial.state.name, trial.value, sweeping.row["state"]) == ("COMPLETE", -1.5, "finished")
    assert trial.params["optimizer.lr"] == float(sweeping.row["optimizer.lr"])


@pytest.mark.slow
def test_a_server_that_stays_away_ends_the_sweep_with_a_true_ledger(server, sweeping, monkeypatch):
    monkeypatch.setattr(Study.call, "__defaults__", (1.0,))

    def train(config, callbacks, progress):
        server.stop()
        write_text(Path(config.folder) / "summary.json", json.dumps(RESULT))
        return RESULT

    with pytest.raises(UserError, match=r"cannot be used: .*Connection refused"):
        sweeping.run(train)
    assert sweeping.row["state"] == "interrupted"
    server.start()
    sweeping.run(None)  # without training again
    assert sweeping.row["state"] == "finished"


@pytest.mark.slow
def test_a_password_on_the_command_line_reaches_no_file_and_no_screen(database, tmp_path):
    line = ["hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(1e-4,1e-2))", "hydra.sweeper.study.trials=2"]
    line += ["trainer=cpu", "callbacks.gallery=null", "trainer.max_epochs=1", "sweep_name=one"]
    storage = f"hydra.sweeper.study.storage={database}"
    status, out, err = call(tmp_path, "-m", *STROKES, *DENSE, *line, storage)
    assert status == 0, err
    folder = tmp_path / "outputs/sweeps/one"
    assert (folder / "report.html").exists() and not (folder / "study.db").exists()
    assert [file for file in tmp_path.rglob("*") if file.is_file() and PASSWORD.encode() in file.read_bytes()] == []
    assert PASSWORD not in out + err
    # the same study, kept by reference
    reference = storage.replace(PASSWORD, "${oc.env:LDG_TEST_SECRET}")
    status, out, err = call(tmp_path, "-m", *STROKES, *DENSE, *line, reference, LDG_TEST_SECRET=PASSWORD)
    assert status == 0 and "2 of 2 runs are done" in err
    status, out, err = call(tmp_path, "-m", *STROKES, *DENSE, *line, storage.replace(PASSWORD, "carp"))
    assert status == 2 and "password authentication failed" in err and "carp" not in out + err
