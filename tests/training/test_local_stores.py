"""Trackio and MLflow: what their local stores hold of a run, read back; stores that fail."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ldg.config.compose import compose_config
from ldg.sweeps.job import _configure
from ldg.training.guarded import show_commands
from ldg.training.mlflow import MlflowRun
from ldg.training.trackio import TrackioRun
from tests.conftest import HOME
from tests.processes import call
from tests.runs import DENSE, STROKES, rows

LOGGERS = {"trackio": TrackioRun, "mlflow": MlflowRun}
TINY = [*STROKES, *DENSE, "trainer=cpu", "trainer.max_epochs=2"]
ALONE = {"TRACKIO_DIR": "", "MLFLOW_TRACKING_URI": ""}
# of somebody who is logged in to Hugging Face, without the variables by which MLflow knows tests
SCRIPT = """
import socket, sys, threading
from pathlib import Path
from hydra.utils import get_class
from ldg.evaluation.measure import Result, Value
from ldg.evaluation.report import log_scorecard
from ldg.evaluation.scorecard import Scorecard

asked = []
def refuse(*arguments, **_):
    asked.append(arguments)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse
logger = get_class(sys.argv[1])(name="card", save_dir="outputs")
logger.log_metrics({"val/elbo": -2.0}, 5)
result = Result("", {"elbo": Value(-1.0, 0.5, "nats", "higher")})
card = Scorecard("a", "a.ckpt", 0, {"data": "Strokes"}, {"elbo": result}, made={})
log_scorecard(logger, card, Path("scorecard.png"))
logger.end(0)
for thread in threading.enumerate():  # of reports that a library sends about itself
    if thread is not threading.main_thread():
        thread.join(1)
print(asked)
"""


class Kept:
    """What a store has of a run.

    Attributes:
        config: texts by full names with dots
        values: by name, (step, number) in their order
        files: pictures and videos by name, (step, path)
        tables: by name, the columns and the rows
    """

    def __init__(self):
        self.config, self.tables = {}, {}
        self.values, self.files = defaultdict(list), defaultdict(list)


def read_trackio(outputs, name):
    kept, store = Kept(), outputs / "trackio"
    with sqlite3.connect(store / "ldg.db") as database:
        ((config,),) = database.execute("SELECT config FROM configs WHERE run_name = ?", (name,))
        logged = database.execute(
            "SELECT step, metrics FROM metrics WHERE run_name = ? ORDER BY id", (name,)
        ).fetchall()
    kept.config = json.loads(config)
    kept.group = kept.config["_Group"]
    for step, values in logged:
        for key, value in json.loads(values).items():
            if not isinstance(value, dict):
                kept.values[key].append((step, value))
            elif value["_type"] == "trackio.table":
                kept.tables[key] = list(value["_value"][0]), [list(row.values()) for row in value["_value"]]
            else:
                kept.files[key].append((step, store / "media" / value["file_path"]))
    return kept


def read_mlflow(outputs, name):
    from mlflow import MlflowClient

    kept, client = Kept(), MlflowClient(f"sqlite:///{outputs}/mlflow/mlflow.db")
    (run,) = client.search_runs(["1"], f"run_name = '{name}'")
    assert run.info.status == "FINISHED"
    kept.config = {key.replace("/", "."): value for key, value in run.data.params.items()}
    kept.group = run.data.tags.get("group")
    for key in run.data.metrics:
        kept.values[key] = [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, key)]
    folder = Path(run.info.artifact_uri)
    for path in folder.glob("images/*.png"):
        key, _, step, *_ = re.split(r"[+%]", path.name)  # the latter in older versions of MLflow
        kept.files[re.sub("[~#]", "/", key)].append((int(step), path))
    for path in folder.glob("gallery/*.gif"):
        kept.files[f"gallery/{path.stem}_moving"].append((0, path))
    for path in folder.glob("*.json"):
        table = json.loads(path.read_text())
        kept.tables[path.stem] = table["columns"], table["data"]
    return kept


READERS = {"trackio": read_trackio, "mlflow": read_mlflow}


@pytest.fixture(scope="module", params=LOGGERS)
def store(request, tmp_path_factory):
    """A run with each logger: what its store has, and the run's folder."""
    pytest.importorskip(request.param)
    base = tmp_path_factory.mktemp(request.param)
    line = [*TINY, f"logger={request.param}", "name=mine", "tags=[first]", "callbacks.gallery.pictures=[data,strings]"]
    status, out, err = call(base, *line, **ALONE)
    assert status == 0 and [each.split()[0] for each in err.splitlines()] == ["training", *["epoch"] * 3], (
        err
    )  # and not a warning
    (folder,) = base.glob("outputs/mine/*")
    (show,) = [each.partition(": ")[2].strip() for each in out.splitlines() if each.startswith("show it in ")]
    return READERS[request.param](base / "outputs", "mine"), folder, show


def test_the_command_at_the_end_of_a_run_shows_its_store(store):
    _, folder, show = store
    base = folder.parents[2]
    if "trackio" in str(folder):
        assert show == "TRACKIO_DIR=outputs/trackio trackio show --project ldg"
        line = show.replace(" trackio show ", f" {Path(sys.executable).with_name('trackio')} list runs ")
        done = subprocess.run(line, shell=True, cwd=base, capture_output=True, text=True)
        assert "- mine\n" in done.stdout
    else:
        uri = "sqlite:///outputs/mlflow/mlflow.db"
        assert show.startswith(f"mlflow ui --backend-store-uri {uri}")
        assert find_spec("flask") or show.endswith(f"  # needs pip install mlflow=={version('mlflow-skinny')}")
        database = base / uri.removeprefix("sqlite:///")
        with sqlite3.connect(database) as opened:
            assert opened.execute("SELECT name FROM runs").fetchall() == [("mine",)]


@pytest.mark.parametrize(
    ("name", "environment", "command"),
    [
        ("trackio", {"UV": "x"}, "TRACKIO_DIR='a b/trackio' uv run trackio show --project 'my own'"),
        ("trackio", {"TRACKIO_DIR": "elsewhere"}, "TRACKIO_DIR=elsewhere trackio show --project 'my own'"),
        ("trackio", {"TRACKIO_SERVER_URL": "http://x"}, None),
        ("mlflow", {"UV": "x"}, " ui --backend-store-uri 'sqlite:///a b/mlflow/mlflow.db'"),
        ("mlflow", {"MLFLOW_TRACKING_URI": "http://x"}, None),
    ],
)
def test_the_command_says_where_the_store_is(name, environment, command, tmp_path, monkeypatch):
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    for variable in ("TRACKIO_DIR", "TRACKIO_SERVER_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(variable, environment.get(variable, ""))
    if "UV" in environment:
        monkeypatch.setenv("UV", environment["UV"])
    logger = LOGGERS[name](project="my own", save_dir="a b")
    assert show_commands([logger]) == []  # nothing was logged
    if name == "trackio":
        monkeypatch.setattr("trackio.init", lambda *_, **__: object())
    else:
        monkeypatch.setattr("ldg.training.mlflow.MLFlowLogger", lambda *_, **__: SimpleNamespace(experiment=None))
    assert logger.run
    line = f"show it in {logger.title}:"
    shown = show_commands([logger])
    assert shown == [] if command is None else shown[0].startswith(line) and shown[0].endswith(command)


def test_a_store_has_the_config_and_the_group(store):
    kept, *_ = store
    assert kept.group == "strokes"
    assert str(kept.config["model.latent_dim"]) == "4" and kept.config["name"] == "mine"


def test_a_store_has_the_metrics_of_metrics_csv(store):
    kept, folder, _ = store
    for name in ("train/elbo", "val/elbo", "test/elbo", "lr", "beta"):
        expected = [(int(row["step"]), float(row[name])) for row in rows(folder) if row.get(name)]
        assert kept.values[name] == [(step, pytest.approx(value)) for step, value in expected] and expected, name


def test_a_store_has_the_gallery(store):
    kept, folder, _ = store
    assert {key: sorted(step for step, _ in files) for key, files in kept.files.items()} == {
        "gallery/data": [0],
        "gallery/strings": [6, 12],
        "gallery/strings_moving": [12 if "trackio" in str(folder) else 0],
    }
    for epoch, (_, path) in enumerate(sorted(kept.files["gallery/strings"]), start=1):
        drawn = Image.open(folder / f"gallery/epoch_000{epoch}/strings.png")
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(drawn))
    ((_, path),) = kept.files["gallery/strings_moving"]
    assert path.read_bytes() == (folder / "gallery" / "strings.gif").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGGERS)
def test_a_store_has_the_scorecard_and_no_network_is_contacted(name, tmp_path):
    pytest.importorskip(name)
    Image.new("L", (3, 2), 7).save(tmp_path / "scorecard.png")
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "OMP_NUM_THREADS")}
    environment |= {"PYTHONPATH": str(HOME), "HF_TOKEN": "hf_secret", "HOME": str(tmp_path)}
    line = [sys.executable, "-c", SCRIPT, f"{LOGGERS[name].__module__}.{LOGGERS[name].__name__}"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr  # and no library prints
    assert not list(tmp_path.glob(".cache/huggingface"))
    kept = READERS[name](tmp_path / "outputs", "card")
    assert kept.values["val/elbo"] == [(5, -2.0)]
    ((_, elbo),) = kept.values["test/elbo"]
    assert elbo == -1.0
    columns, (row,) = kept.tables["scorecard"]
    assert columns[0] == "measure" and row[0] == "ELBO, nats" and "-1.00 ± 0.50" in row
    ((_, picture),) = kept.files["scorecard_picture"]
    assert Image.open(picture).size == (3, 2)


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("logger", LOGGERS.values())
def test_an_error_ends_the_logging_in_one_line(logger, monkeypatch, capsys):
    monkeypatch.setattr(logger, "start", full)
    made = logger()
    made.log_hyperparams({"a": 1})
    for step in (1, 2):
        made.log_metrics({"value": 1.0}, step)
    made.log_table("table", ["a"], [["b"]])
    made.end(1)
    assert capsys.readouterr().err == f"{made.title}: [Errno 28] No space left on device; the run goes on without it\n"


def test_an_error_in_a_thread_of_trackio_is_one_line(tmp_path, monkeypatch, capsys):
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    made = TrackioRun(save_dir=str(tmp_path))
    made.log_metrics({"value": 1.0}, 1)
    capsys.readouterr()
    made.run._warn_once("disk", "trackio.log() failed:\nno space")
    assert capsys.readouterr().err == "Trackio: log() failed: no space\n"
    made.end(0)


@pytest.mark.parametrize("name", LOGGERS)
def test_a_store_that_cannot_be_made_does_not_end_the_run(name, tmp_path):
    pytest.importorskip(name)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / name).touch()  # a file in the place of its folder
    line = [*TINY, f"logger={name}", "callbacks.gallery=null", "trainer.max_epochs=1"]
    status, _, err = call(tmp_path, *line, **ALONE)
    assert status == 0 and err.count("File exists") == 1
    assert list(tmp_path.glob("outputs/strokes-*/*/summary.json"))


def test_mlflow_says_how_a_run_ended(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for status in (0, 1, 2, 130):
        logger = MlflowRun(name=str(status), save_dir=str(tmp_path))
        logger.log_metrics({"value": 1.0}, 1)
        logger.end(status)
    runs = MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db").search_runs(["1"])
    states = {run.info.run_name: run.info.status for run in runs}
    assert states == {"0": "FINISHED", "1": "FAILED", "2": "FAILED", "130": "KILLED"}


@pytest.mark.slow
def test_processes_share_a_store_that_none_has_made(tmp_path):
    pytest.importorskip("mlflow")
    line = [*TINY, "-m", "logger=mlflow", "callbacks.gallery=null", "seed=1,2,3", "sweep_name=three", "launcher=joblib"]
    status, _, err = call(tmp_path, *line, "launcher.n_jobs=3", "trainer.max_epochs=1", **ALONE)
    assert status == 0 and "MLflow" not in err, err
    for name in ("000-seed1", "001-seed2", "002-seed3"):
        kept = read_mlflow(tmp_path / "outputs", name)
        assert kept.group == "three" and len(kept.values["val/elbo"]) == 1


@pytest.mark.parametrize("name", LOGGERS)
def test_runs_of_a_sweep_are_a_group(name, tmp_path):
    line = [f"logger={name}"]
    hydra = compose_config(line).hydra
    call = _configure(SimpleNamespace(name="swept"), tmp_path / "000", line, hydra).logger[name]
    assert (call["group"], call["name"]) == ("swept", "000")
    assert "tags" not in call or call["tags"][-1] == "swept"
    line += [f"logger.{name}.group=mine"]
    call = _configure(SimpleNamespace(name="swept"), tmp_path / "000", line, hydra).logger[name]
    assert (call["group"], call["name"]) == ("mine", "000")
