"""Weights & Biases: what an offline run's log holds, read back by W&B's own tool; servers that fail."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import wandb
import yaml
from PIL import Image
from wandb.util import get_core_path

import ldg
from ldg.checkpoint import find
from ldg.errors import Interrupted
from ldg.evaluation.measure import Result, Value
from ldg.evaluation.report import log_scorecard, scorecard_folder
from ldg.evaluation.scorecard import Scorecard
from ldg.training.loggers import closed, sync_command, wandb_run
from ldg.training.run import run
from ldg.training.wandb import WandbRun
from tests.conftest import HOME
from tests.processes import call
from tests.runs import DENSE, STROKES, configured, content, resume, rows, train
from tests.wandb_server import KEY, Handler, log_in, serving

LINE = [*STROKES, *DENSE, "trainer=cpu", "model.latent_dim=2", "trainer.max_epochs=2", "tags=[first,mine]"]
KINDS = {"reconstructions_train", "reconstructions_val", "strings", "interpolations", "interpolations_labels"}
KINDS |= {"latent_map", "manifold"}


def inspect(log, *options):
    """What ``wandb leet inspect --json`` prints, without the second that W&B's command takes to start."""
    log = Path(log).resolve()
    command = [get_core_path(), "leet", "inspect", "--no-observability", *options, "--json", "--run-file", str(log)]
    return subprocess.run([*command, str(log.parent.parent)], capture_output=True, text=True, check=True).stdout


def kept(folder):
    """What ``wandb sync`` sends of a run in a folder, once W&B's service has written the end of it."""
    (log,) = Path(folder).glob("run-*.wandb")
    deadline = time.monotonic() + 10
    while (run := json.loads(inspect(log, "--summary")))["state"] == "unknown" and time.monotonic() < deadline:
        time.sleep(0.1)
    return run


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
    return kept(log_of(runs[1][1]).parent)


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
    assert kept(log.parent)["exit_code"] == 1
    assert f"wandb sync {os.path.relpath(log.parent)}" in capsys.readouterr().err


# what the line says
REFUSED = {
    "401": "user is not logged in",
    "403": "permission denied",
    "404": "the server refuses the key or the run",
    "500": "Timed out while retrying: HTTP 500",
    "garbage": "Error initializing run: invalid character '<' looking for beginning of value",
    "redirect": "stopped after 10 redirects",
    "hang": "the server does not answer",
}


@pytest.fixture
def account(tmp_path, monkeypatch):
    """Somebody is logged in; W&B waits for a second."""
    waits = {f"{name}_TIMEOUT": "1" for name in ("INIT", "FINISH", "HTTP")}
    log_in(monkeypatch, tmp_path, "http://127.0.0.1:9", **waits)
    yield monkeypatch
    wandb.teardown()


@pytest.fixture
def server(account):
    with serving("works") as server:
        account.setenv("WANDB_BASE_URL", server.url)
        yield server


def log_a_run(folder, change=lambda logger: None, **arguments):
    """The logger of a run with a config and two values; ``change`` happens between them."""
    logger = WandbRun(save_dir=str(folder), **arguments)
    logger.log_hyperparams({"model": {"latent_dim": 2}})
    logger.log_metrics({"value": 1.0}, step=1)
    change(logger)
    logger.log_metrics({"value": 2.0}, step=2)
    logger.end(0)
    return logger


# as much as a logger looks at
DATA = SimpleNamespace(
    fingerprint="1" * 64, num_classes=2, image_shape=(1, 2, 2), train_labels=[1], test=[1], dataset=0
)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def folders(path):
    return sorted(folder for folder in (path / "wandb").glob("*run-*") if not folder.is_symlink())


@pytest.mark.parametrize("mode", REFUSED)
def test_a_run_that_the_server_does_not_take_is_offline(mode, server, tmp_path, capsys):
    server.mode = mode
    begin = time.monotonic()
    logger = log_a_run(tmp_path)
    assert time.monotonic() - begin < 20
    (folder,) = folders(tmp_path)  # nothing is left of the attempt
    assert folder.name.startswith("offline-run-") and logger.mode == "offline"
    run = kept(folder)
    assert (run["config"]["model"], run["summary"]["value"], run["state"]) == ({"latent_dim": 2}, 2, "finished")
    line = capsys.readouterr().err
    assert line.startswith("W&B: ") and line.count("\n") == 1 and REFUSED[mode] in line
    assert line.endswith(f"the run is offline, send it later:  wandb sync {os.path.relpath(folder)}\n")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "connection refused"),
        ({"WANDB_BASE_URL": "http://nobody.invalid"}, "Timed out"),
        ({"HTTP_PROXY": "http://me:secret@127.0.0.1:9", "WANDB_BASE_URL": "http://nobody.invalid"}, "proxyconnect"),
        ({"WANDB_API_KEY": "short"}, "WANDB_API_KEY invalid: API key must have 40+ characters, has 5."),
        ({"WANDB_API_KEY": "", "WANDB_MODE": "online"}, "no one is logged in (wandb login)"),
    ],
)
def test_a_server_that_is_not_there(variables, reason, account, tmp_path, capsys):
    for name, value in variables.items():
        account.setenv(name, value)
    logger = log_a_run(tmp_path)
    (folder,) = folders(tmp_path)
    assert kept(folder)["summary"]["value"] == 2 and logger.mode == "offline"
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and reason in err and "secret" not in err


@pytest.mark.parametrize(
    ("mode", "register"), [("hang", None), ("500", None), ("401", None), ("garbage", None), ("closed", "letters")]
)
def test_a_server_that_vanishes_leaves_a_whole_run(mode, register, server, tmp_path, capsys):
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")

    def vanish(logger):
        logger.use_data(DATA)
        wait_for(lambda: server.artifacts and server.artifacts[0].users)
        services.append(wandb.setup()._connection._proc._process)
        if mode == "closed":
            server.shutdown()
            server.server_close()
        server.mode = mode
        logger.log_best(str(checkpoint), {})

    services = []
    begin = time.monotonic()
    log_a_run(tmp_path, vanish, log_model="best", register=register)
    assert time.monotonic() - begin < 20
    assert mode != "hang" or services[0].poll() is not None  # no process is left that would try again
    (folder,) = folders(tmp_path)
    assert folder.name.startswith("run-") and kept(folder)["summary"]["value"] == 2
    err = capsys.readouterr().err
    assert err.startswith("W&B: ") and err.count("\n") == 1
    assert ("; the checkpoint is not in wandb-registry-model/letters; " in err) == (register is not None)
    assert err.endswith(f"send the rest of the run later:  wandb sync --include-online {os.path.relpath(folder)}\n")


class Slow(Handler):
    """Takes a model at 5 MB/s; W&B sends ahead what fits into the system's buffers."""

    def do_PUT(self):
        if not self.path.endswith("/model.ckpt"):
            return self.do_POST()
        size, parts = int(self.headers["Content-Length"]), []
        while missing := size - sum(map(len, parts)):
            parts.append(self.rfile.read(min(missing, 10**6)))
            time.sleep(0.2)
        self.reply(200, self.store(b"".join(parts)))


@pytest.mark.parametrize("size", [pytest.param(10, marks=pytest.mark.slow), 3 * 10**7])
def test_a_storage_that_hangs_costs_the_same_whatever_the_size(size, server, tmp_path, capsys):
    (tmp_path / "best.ckpt").write_bytes(os.urandom(size))
    server.held = "/storage/artifact"
    begin = time.monotonic()
    logger = log_a_run(tmp_path, lambda logger: logger.log_best(str(tmp_path / "best.ckpt"), {}), log_model="best")
    assert time.monotonic() - begin < 20
    (folder,) = folders(tmp_path)
    assert kept(folder)["summary"]["value"] == 2 and logger.mode == "online"
    assert capsys.readouterr().err.endswith(f"later:  wandb sync --include-online {os.path.relpath(folder)}\n")


def test_an_upload_may_take_as_long_as_it_moves(account, tmp_path, capsys):
    (tmp_path / "best.ckpt").write_bytes(os.urandom(2 * 10**7))
    account.setattr("ldg.training.uploads.STALLED", 2.5)
    with serving("works", Slow) as server:
        account.setenv("WANDB_BASE_URL", server.url)
        log_a_run(tmp_path, lambda logger: logger.log_best(str(tmp_path / "best.ckpt"), {}), log_model="best")
    (model,) = server.artifacts
    assert len(model.files["model.ckpt"]) == 2 * 10**7 and capsys.readouterr().err == ""


def test_a_run_that_the_server_takes_is_online(server, tmp_path, capsys):
    logger = log_a_run(tmp_path)
    assert (logger.mode, capsys.readouterr().err) == ("online", "")
    assert any(path.endswith("/file_stream") for path, _ in server.requests)


def test_artifacts_that_the_server_refuses_are_named(server, tmp_path, capsys):
    (tmp_path / "best.ckpt").write_bytes(b"weights")
    server.refused = "CreateArtifact"
    log_a_run(tmp_path, lambda logger: logger.log_best(str(tmp_path / "best.ckpt"), {}), log_model=True)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "permission denied" in err and "send the rest of the run later: " in err


def test_all_that_were_the_best_are_logged_if_asked_for(server, tmp_path):
    logger = WandbRun(save_dir=str(tmp_path), log_model="all", aliases=["mine"])
    callback = SimpleNamespace(monitor="val/elbo", best_model_path=str(tmp_path / "best.ckpt"))
    for score in (1.0, 2.0):
        (tmp_path / "best.ckpt").write_text(str(score))
        callback.best_model_score = score
        logger.after_save_checkpoint(callback)
    logger.after_save_checkpoint(SimpleNamespace(monitor=None, best_model_score=None))  # the last one
    logger.log_best(callback.best_model_path, {"val/elbo": 2.0})
    logger.end(0)
    kept = {each.metadata["val/elbo"]: (each.version, sorted(each.aliases)) for each in server.artifacts}
    assert kept == {1.0: (0, []), 2.0: (1, ["best", "latest", "mine"])}


def test_the_next_runs_of_a_process_do_not_wait_for_it_again(server, tmp_path, capsys):
    server.mode = "401"
    log_a_run(tmp_path)
    asked = len(server.requests)
    log_a_run(tmp_path)
    assert len(server.requests) == asked and len(folders(tmp_path)) == 2
    assert capsys.readouterr().err.count("W&B: ") == 1


@pytest.mark.parametrize("given", ["id", "WANDB_RUN_ID"])
def test_an_id_that_was_given_is_kept_offline(given, server, tmp_path):
    """By a resumed run, and by W&B's agent."""
    server.mode = "garbage"
    if given == "id":
        earlier = tmp_path / "wandb" / "run-20200101_000000-mine"
        earlier.mkdir(parents=True)
        log_a_run(tmp_path, id="mine")
        assert earlier.exists()
        earlier.rmdir()
    else:
        os.environ[given] = "mine"  # the fixtures put the environment back
        log_a_run(tmp_path)
        del os.environ[given]
    (folder,) = folders(tmp_path)
    assert kept(folder)["run_id"] == "mine" and folder.name.startswith("offline-run-")


@pytest.mark.parametrize("mode", [None, "offline", "dryrun", "disabled"])
def test_a_server_is_not_asked_without_need(mode, server, account, tmp_path, capsys):
    if mode:
        account.setenv("WANDB_MODE", mode)
    else:
        account.delenv("WANDB_API_KEY")
    logger = log_a_run(tmp_path)
    assert (server.requests, logger.mode) == ([], "disabled" if mode == "disabled" else "offline")
    assert capsys.readouterr().err == ""


def test_an_error_while_logging_ends_the_logging(tmp_path, capsys):
    logger = WandbRun(save_dir=str(tmp_path))
    logger.log_metrics({"value": 1.0}, step=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    logger.experiment.log = full
    logger.log_metrics({"value": 2.0}, step=2)
    logger.log_metrics({"value": 3.0}, step=3)
    (folder,) = folders(tmp_path)
    line = "W&B: [Errno 28] No space left on device; the run goes on without it; what it has:  wandb sync "
    assert capsys.readouterr().err == f"{line}{os.path.relpath(folder)}\n"
    assert wandb_run([logger]) is None and sync_command([logger]) is None


@pytest.mark.parametrize("what", ["summary", "log"])
def test_an_error_while_a_scorecard_is_logged_does_not_end_the_run(what, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    logger = WandbRun(save_dir=str(tmp_path))
    logger.log_metrics({"value": 1.0}, step=1)
    run = logger.experiment
    monkeypatch.setattr(*((type(run.summary), "update") if what == "summary" else (run, "log")), full)
    Image.new("L", (2, 2)).save(tmp_path / "scorecard.png")
    result = Result("", {"elbo": Value(-1.0, 0.5, "nats", "higher")})
    card = Scorecard("a", "a.ckpt", 0, {"data": "Strokes"}, {"elbo": result}, made={})
    log_scorecard(logger, card, tmp_path / "scorecard.png")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("W&B: [Errno 28] No space left on device; the run goes on without it")


@pytest.mark.parametrize("checkpoint", [None, Path("last.ckpt")])
def test_an_interrupted_run_is_sent_only_if_something_was_saved(checkpoint, tmp_path, capsys):
    logger = WandbRun(save_dir=str(tmp_path))
    with pytest.raises(Interrupted), closed([logger]):
        logger.log_metrics({"value": 1.0}, step=1)
        raise Interrupted(2, checkpoint)
    assert ("wandb sync" in capsys.readouterr().err) == (checkpoint is not None)


def test_the_service_of_a_process_that_has_ended_is_not_waited_for(tmp_path, monkeypatch, capsys):
    wandb.teardown()
    monkeypatch.setenv("WANDB_SERVICE", f"3-{os.getpid()}-unix-{tmp_path}/socket")
    logger = WandbRun(save_dir=str(tmp_path))
    logger.log_metrics({"value": 1.0}, step=1)
    assert logger.is_open and capsys.readouterr().err == ""
    logger.end(0)


def test_a_folder_that_cannot_be_made_does_not_end_the_run(tmp_path, capsys):
    (tmp_path / "wandb").touch()  # since the config was checked
    logger = WandbRun(save_dir=str(tmp_path))
    logger.log_hyperparams({})
    logger.log_metrics({"value": 1.0}, step=1)
    assert capsys.readouterr().err.endswith("; the run goes on without it\n")
    assert not logger.is_open


def test_a_key_that_is_refused_does_not_end_the_run_and_is_written_nowhere(server, tmp_path, capsys):
    server.mode = "401"
    folder, summary = train(*LINE, f"outputs={tmp_path}", "callbacks.gallery=null", "trainer.max_epochs=1")
    assert kept(log_of(summary).parent)["state"] == "finished" and (folder / "summary.json").exists()
    assert capsys.readouterr().err.count("W&B: user is not logged in; the run is offline") == 1
    assert [path for path, bytes in content(tmp_path).items() if KEY.encode() in bytes] == []


@pytest.mark.slow
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
    first, *others = done.stderr.splitlines()
    assert first.startswith("training ") and all(line.startswith("epoch 1/1") for line in others), done.stderr


ONLINE = [*STROKES, *DENSE, "trainer=cpu", "trainer.max_epochs=1", "logger.wandb.log_model=best"]
ONLINE += ["logger.wandb.register=letters", "logger.wandb.aliases=[staging]"]


def with_scorecard(*overrides):
    """A run and a scorecard of two values, which nothing is measured for."""
    config = configured(*overrides)
    values = {"elbo": Value(-1.5, 0.5, "nats", "higher"), "kid": Value(0.25, None, "", "lower")}
    card = Scorecard("a", "a.ckpt", 0, {"data": "Strokes"}, {"x": Result("", values)}, made={})

    def score(folder, loggers):
        Image.new("L", (2, 2)).save(folder / "scorecard.png")
        for logger in loggers:
            log_scorecard(logger, card, folder / "scorecard.png")

    with mock.patch("ldg.training.run.draw_curves"):
        summary = run(config, afterwards=score)
    return Path(config.folder).resolve(), summary


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    """A server that two runs have reached: one that was online, and one that was offline and sent by wandb sync."""
    base = tmp_path_factory.mktemp("delivered")
    with serving("works") as server:
        with pytest.MonkeyPatch.context() as patch:
            log_in(patch, base, server.url)
            patch.chdir(base)
            runs = {"online": with_scorecard(*ONLINE), "offline": with_scorecard(*ONLINE, "logger.wandb.mode=offline")}
            send(runs["offline"][1])
            wandb.teardown()
        yield server, runs


def send(summary):
    """Carry out the command that sends an offline run."""
    command = summary["sync"].split("wandb ")[1].split()
    subprocess.run([sys.executable, "-m", "wandb", *command], check=True, capture_output=True)
    return command[1:]


@pytest.fixture
def again(delivered, monkeypatch, tmp_path):
    """The same server and runs, with somebody who is logged in."""
    server, runs = delivered
    log_in(monkeypatch, tmp_path, server.url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))  # another machine's
    yield server, runs
    wandb.teardown()


@pytest.fixture(params=["online", "offline"])
def arrived(request, delivered):
    """The server, a run's folder and what has arrived of it."""
    server, runs = delivered
    folder, summary = runs[request.param]
    return server, folder, server.runs[summary["wandb"]]


def test_config_metrics_and_summary_arrive(arrived):
    _, folder, sent = arrived
    (row,) = rows(folder)
    assert sent.about["displayName"] == "strokes-vanilla_cvae-both-bernoulli" and sent.about["groupName"] == "strokes"
    assert (sent.about["project"], sent.about["tags"]) == ("ldg", ["strokes", "vanilla_cvae", "both"])
    assert sent.config["model"]["latent_dim"] == 4 and sent.config["choices"]["model"] == "vanilla_cvae"
    (logged,) = [line for line in sent.history if "train/elbo" in line]
    assert logged["val/elbo"] == pytest.approx(float(row["val/elbo"])) and logged["trainer/global_step"] == 6
    assert sent.summary["val/elbo"]["max"] == pytest.approx(float(row["val/elbo"]))
    assert sent.exit_code == 0


def test_pictures_and_scorecard_arrive(arrived):
    _, folder, sent = arrived
    shown = {key: line[key] for line in sent.history for key in line if isinstance(line[key], dict)}
    for kind in KINDS & {drawn.stem for drawn in folder.glob("gallery/epoch_0001/*.png")}:
        (name,), (caption,) = shown[f"gallery/{kind}"]["filenames"], shown[f"gallery/{kind}"]["captions"]
        assert sent.files[name] == (folder / "gallery" / "epoch_0001" / f"{kind}.png").read_bytes()
        assert caption.endswith(", step 6")
    (picture,) = shown["scorecard_picture"]["filenames"]
    assert sent.files[picture] == (folder / "scorecard.png").read_bytes()
    table = json.loads(sent.files[shown["scorecard"]["path"]])
    assert table["columns"][0] == "measure" and table["data"][0][0].startswith("ELBO")
    assert sent.summary["test/kid"] == 0.25


def test_data_and_model_are_artifacts_with_lineage(arrived):
    server, folder, _ = arrived
    id = folder.name
    (data,) = [artifact for artifact in server.artifacts if artifact.type == "dataset"]
    assert (data.collection, data.metadata["images"]) == ("strokes", {"train": 248, "test": 124}) and id in data.users
    (entry,) = data.entries.values()
    assert data.metadata["fingerprint"] in entry["ref"] and data.files.keys() == {"manifest"}  # none is uploaded
    (model,) = [artifact for artifact in server.artifacts if artifact.collection == f"model-{id}"]
    assert (model.type, model.maker, sorted(model.aliases)) == ("model", id, ["best", "latest", "staging"])
    assert model.files["model.ckpt"] == (folder / "checkpoints" / "best.ckpt").read_bytes()
    assert model.metadata["val/elbo"] == pytest.approx(float(rows(folder)[0]["val/elbo"]))


def test_an_online_run_is_linked_in_the_registry(delivered):
    server, runs = delivered
    links = {artifact.maker: artifact.links for artifact in server.artifacts if artifact.type == "model"}
    assert links[runs["online"][1]["wandb"]] == [("someones-organization/wandb-registry-model/letters", ["staging"])]
    assert links[runs["offline"][1]["wandb"]] == []


def test_a_model_is_loaded_from_an_artifact(again):
    _, runs = again
    folder, summary = runs["online"]
    reference = f"wandb://someone/ldg/model-{summary['wandb']}:staging"
    model = ldg.load(reference)
    expected = ldg.load(folder).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert scorecard_folder(find(reference)) == Path("outputs") / f"someone-ldg-model-{summary['wandb']}-v0"


def test_a_run_is_resumed_from_an_artifact(again):
    """On a machine that has nothing of it."""
    _, runs = again
    id = runs["offline"][1]["wandb"]
    folder, summary = resume(f"wandb://someone/ldg/model-{id}:v0", "trainer.max_epochs=2", "logger.wandb.mode=offline")
    assert folder.is_relative_to("outputs/strokes-vanilla_cvae-both-bernoulli")
    assert (summary["epochs"], summary["wandb"], summary["checkpoint"]) == (2, id, "checkpoints/best.ckpt")
    assert [row["step"] for row in rows(folder) if row.get("train/elbo")] == ["12"]


@pytest.mark.parametrize("how", ["online", "offline"])
def test_a_resumed_run_continues_the_same_run(how, again, monkeypatch):
    server, runs = again
    folder, summary = runs[how]
    monkeypatch.chdir(folder.parents[2])
    before, count = server.runs[summary["wandb"]].history, len(server.runs)
    _, resumed = resume(folder, "trainer.max_epochs=2")
    if how == "offline":
        assert len(send(resumed)) == 2  # folders of sessions
    sent = server.runs[resumed["wandb"]]
    assert resumed["wandb"] == summary["wandb"] and len(server.runs) == count
    assert sent.history[: len(before)] == before
    elbos = [line["val/elbo"] for line in sent.history if "train/elbo" in line]
    assert elbos == pytest.approx([float(row["val/elbo"]) for row in rows(folder)]) and len(elbos) == 2


@pytest.mark.slow
def test_the_runs_of_a_sweep_share_a_group(server, tmp_path):
    tiny = [*STROKES, *DENSE, "trainer=cpu", "debug=fast", "logger=wandb", "callbacks.gallery=null"]
    variables = ("API_KEY", "BASE_URL", "INIT_TIMEOUT")
    environment = {f"WANDB_{name}": os.environ[f"WANDB_{name}"] for name in variables} | {"WANDB_MODE": "online"}
    status, _, err = call(tmp_path, "-m", "seed=1,2", "sweep_name=seeds", *tiny, **environment)
    assert status == 0, err
    assert {run.about["groupName"] for run in server.runs.values()} == {"seeds"}
    assert sorted(run.about["displayName"] for run in server.runs.values()) == ["000-seed1", "001-seed2"]
    assert [run.exit_code for run in server.runs.values()] == [0, 0]


@pytest.mark.parametrize(("given", "seconds"), [("3.5", "4"), ("soon", "3"), ("nan", "3"), ("7", "7"), ("", "3")])
def test_a_timeout_that_is_no_whole_number_breaks_nothing(given, seconds, monkeypatch):
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", given)
    WandbRun(mode="disabled")
    assert os.environ["WANDB_HTTP_TIMEOUT"] == seconds
