"""Runs and their folders: what they say, how they are found, listed, sorted and filtered."""

import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
import yaml

from ldg.checkpoint import SHIPPED
from ldg.commands.cli import exit_status
from ldg.commands.runs import main
from ldg.runs import formats, provenance
from ldg.runs.run import Run
from ldg.runs.select import filter_runs, find_runs, label_runs, sort_runs, value
from tests.compare import made
from tests.conftest import HOME, program
from tests.runs import TINY, resume, train


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Four runs, the first the oldest: two of one sweep, one of EMNIST, one that failed."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs"
    made.run(folder / "sweeps", "grid", 0, model__latent_dim=4)
    made.run(folder / "sweeps", "grid", 1, model__latent_dim=16, elbos=(-90.0, -95.0))
    made.run(folder, "letters", 2, data="emnist", elbos=(-140.0, -125.0, -131.0))
    failed = made.run(folder, "broke", 3, data="emnist", summary=False, elbos=())
    (failed / "error.txt").write_text("Traceback\nValueError: no\n")
    return folder


def names(runs):
    return [f"{run.name}-{run.folder.name[-1]}" for run in runs]


def test_a_run_says_what_it_was_and_how_it_went(outputs):
    run = Run(outputs / "letters" / "run-2")
    assert (run.name, run.state, run.best) == ("letters", "finished", -125.0)
    assert run.curve("val/elbo") == ([1.0, 2.0, 3.0], [-140.0, -125.0, -131.0])
    assert run.curve("val/elbo", "seconds")[0] == [1.5, 3.0, 4.5] and run.curve("val/kl") == ([], [])
    assert run.metrics == {"train/loss": 131.0, "val/elbo": -125.0}  # the best epoch's, where the summary has it
    assert run.flat_config["model.latent_dim"] == "4" and run.flat_config["model.network.channels"] == "[8, 16]"
    assert run.costs == {"epochs": 3, "seconds": 90.0, "parameters": 28088}
    assert time.strftime("%H:%M", time.gmtime(run.started)) == "06:02"
    files = sum(file.stat().st_size for file in run.folder.rglob("*") if file.is_file())
    assert run.size == files


def now(seconds=0):
    """A time so many seconds from now."""
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.UTC).isoformat()


def test_states(tmp_path):
    here = {"host": socket.gethostname(), "pid": os.getpid(), "started": now()}
    gone = subprocess.Popen(["true"])
    gone.wait()
    others = [{"pid": gone.pid}, {"host": "elsewhere"}, {"pid": True}, {"pid": -1}]
    others.append({"started": now(-7 * 86400)})  # before this process, which has got the number of another
    sessions = [here, *(here | other for other in others)]
    runs = [made.run(tmp_path, number=i, summary=False, session=session) for i, session in enumerate(sessions)]
    assert [Run(folder).state for folder in runs] == ["running", *["stopped"] * len(others)]
    (runs[0] / "error.txt").write_text("of an earlier session, which a new one removes")
    assert Run(runs[0]).state == "failed"
    (runs[0] / "config.yaml").write_text("[half")
    assert Run(runs[0]).state == "broken"


def test_a_run_that_is_trained_on_is_not_finished_and_its_scorecard_is_of_before(tmp_path):
    folder = made.run(tmp_path)
    made.scorecard(folder, [-100.0, -104.0], date=now(-60))
    assert Run(folder).state == "finished" and Run(folder).metrics["test/elbo"] == -102.0
    here = {"host": socket.gethostname(), "pid": os.getpid(), "started": now(30)}
    (folder / "source.json").write_text(json.dumps([*Run(folder).sessions, here]))
    run = Run(folder)
    assert run.state == "running" and run.scores == {} and "test/elbo" not in run.metrics
    (folder / "source.json").write_text(json.dumps([*run.sessions[:1], here | {"started": now(-30)}]))
    assert Run(folder).state == "finished" and Run(folder).scores == {}


def test_a_value_of_the_scorecard_is_a_metric_of_the_test(outputs):
    folder = outputs / "letters" / "run-2"
    card = made.scorecard(folder, [-100.0, -104.0])
    run = Run(folder)
    assert run.metrics["test/elbo"] == -102.0 and run.scores["class_accuracy"] == (0.5, 0.1)
    assert run.scores["elbo"] == (card.values["elbo"].value, card.values["elbo"].error)
    assert filter_runs(find_runs(["outputs"]), "test/elbo > -103") and not filter_runs([run], "test/elbo > -101")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("data=emnist", "broke-3 letters-2"),
        ("data=EMNIST", "broke-3 letters-2"),
        ("data!=emnist", "grid-0 grid-1"),
        ("model = Conv-CVAE", "broke-3 grid-0 grid-1 letters-2"),
        ("state=failed", "broke-3"),
        ("val/elbo>-120", "grid-0 grid-1"),
        ("val/elbo>=-125 and data=emnist", "letters-2"),
        ("best<-109.5", "grid-0 letters-2"),
        # and binds before or
        ("state=failed or data=strokes and model.latent_dim=16", "broke-3 grid-1"),
        ("model.latent_dim=16 and data=strokes OR state=failed", "broke-3 grid-1"),
        ("data=strokes AND model.latent_dim=16", "grid-1"),
        ("name=gr*", "grid-0 grid-1"),
        ("name='letters'", "letters-2"),
        ("name!=*e*", "grid-0 grid-1"),
        ("model.network.channels=[8,16] and epochs=3", "letters-2"),
        ("seconds<=1.5m and parameters==28088", "grid-0 grid-1 letters-2"),
        ("seconds<0.02h", ""),
        ("seconds>0.02h", "grid-0 grid-1 letters-2"),
        ("size<1MB and size>0.1kB", "broke-3 grid-0 grid-1 letters-2"),
        ("size>0.1GB", ""),
        ("age>1d or age>0s", "broke-3 grid-0 grid-1 letters-2"),
        ("optimizer.lr=1e-3", "broke-3 grid-0 grid-1 letters-2"),
        ("seconds=1.5min and name!=letters", "grid-0 grid-1"),
        # of what nothing is similar, or there could be some, there is none
        ("state=running", ""),
        ("data=fashion_mnist", ""),
    ],
)
def test_conditions(outputs, where, expected):
    assert " ".join(sorted(names(filter_runs(find_runs(["outputs"]), where)))) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            ["--where", "val/elbbo>1"],
            "--where: no run has 'val/elbbo', did you mean val/elbo?; there are name, state, ",
        ),
        (["--where", "emnist"], "--where: 'emnist' is no condition; write KEY=VALUE, or with !=, <, <=, > or >=, "),
        (["--where", "data=emnist and"], "--where: '' is no condition"),
        (["--where", "latent_dim=>16"], "--where: 'latent_dim=>16' is no condition"),
        (["--where", "val/elbo>high"], "--where: val/elbo>high: after > stands a number, as in 130, 2d or 100MB"),
        (["--where", ""], "--where: '' is no condition"),
        (["--where", "model=conv_cve"], "--where: no run has model=conv_cve, did you mean conv_cvae?"),
        (["--where", "state=runing or data=emnist"], "--where: no run has state=runing, did you mean running?"),
        (["--sort", "elbo"], "--sort: no run has 'elbo'"),
        (["--latest", "0"], "argument --latest: must be a whole number of at least 1, got '0'"),
        (["nowhere"], "nowhere: there is no run; name run folders, or a folder that has some below it"),
        (["x*"], "x*: there is no run"),
        (["outputs/pipe"], "outputs/pipe is a device or a pipe"),
        (["a\0b"], r"'a\x00b' cannot be a path"),
        (["--were", "x"], "unknown argument '--were': did you mean --where?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(outputs, line, message, capsys):
    os.mkfifo("outputs/pipe")
    assert exit_status(lambda: main(line)) == 2
    out, err = capsys.readouterr()
    assert (out == "" and err.startswith(f"error: {message}")) or message in err
    assert err.count("\n") == 1


def test_without_outputs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert exit_status(lambda: main([])) == 2
    assert "there is no folder outputs here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["outputs"], ["grid-0", "grid-1", "letters-2", "broke-3"]),  # by the time they began
        (["outputs/letters", "outputs/sweeps"], ["letters-2", "grid-0", "grid-1"]),
        (["outputs/sweeps/grid/run-1", "outputs"], ["grid-1", "grid-0", "letters-2", "broke-3"]),
        (["outputs/l*/*"], ["letters-2"]),
        (["outputs/*/run-[23]"], ["letters-2", "broke-3"]),
        (["outputs/**/run-1"], ["grid-1"]),
        (["outputs/letters/run-2/checkpoints/best.ckpt", "outputs/letters"], ["letters-2"]),
        (["outputs/*"], ["broke-3", "letters-2"]),
    ],
    ids=" ".join,
)
def test_runs_are_found(outputs, paths, expected):
    (outputs / "letters" / "run-2" / "checkpoints" / "best.ckpt").touch()
    os.mkfifo(outputs / "pipe")
    (outputs / "dangling").symlink_to("nowhere")
    (outputs / "ring").symlink_to(outputs)
    if paths == ["outputs/*"]:
        shutil.rmtree(outputs / "sweeps")
        (outputs / "ring").unlink()
        assert sorted(names(find_runs(paths))) == expected
    else:
        assert names(find_runs(paths)) == expected


def test_a_folder_with_brackets_in_its_name_is_no_pattern(tmp_path):
    made.run(tmp_path / "a[1]", "x")
    assert len(find_runs([str(tmp_path / "a[1]")])) == 1


def test_a_checkpoint_without_its_folder_is_a_run(tmp_path):
    shutil.copy(HOME / "tests" / "format1.ckpt", tmp_path / "mine.ckpt")
    (tmp_path / "none.ckpt").write_bytes(b"none")
    mine, none = find_runs([str(tmp_path / "mine.ckpt"), str(tmp_path / "none.ckpt")])
    assert (mine.name, mine.state, mine.flat_config["data.dataset._target_"]) == (
        "mine",
        "exported",
        "ldg.data.strokes.Strokes",
    )
    assert mine.best == mine.metrics["val/elbo"] and none.state == "broken"


def test_exported_weights_are_a_run(outputs, capsys):
    (run,) = find_runs([str(SHIPPED)])
    assert (run.name, run.state, run.size) == ("handwriting", "exported", SHIPPED.stat().st_size)
    runs = find_runs(["outputs", str(SHIPPED)])
    conditions = "data=emnist and state=exported and latent_dim=32 and conditioning=both"
    assert names(filter_runs(runs, conditions)) == ["handwriting-g"]
    main([str(SHIPPED)])
    assert " exported " in (line := capsys.readouterr().out.splitlines()[1]) and line.split()[-4:-2] == ["–", "-124.66"]
    assert [run.name for run in filter_runs(runs, "model.latent_dim=32")] == ["handwriting"]


def test_exported_weights_have_their_metrics_and_their_scorecard(outputs):
    assert find_runs([str(SHIPPED)])[0].best == pytest.approx(-124.66, abs=0.01)
    folder = outputs / "handwriting"
    folder.mkdir()
    card = made.scorecard(folder, [-100.0, -104.0])
    for checkpoint, known in ((str(SHIPPED), True), ("other/handwriting.safetensors", False), ("\0", False)):
        card.checkpoint = checkpoint
        card.save(folder)
        assert ("test/elbo" in find_runs([str(SHIPPED)])[0].metrics) == known


def test_the_newest_and_those_of_a_name(outputs, capsys):
    main(["--latest", "2", "--where", "state=finished"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:3]] == ["letters", "grid"]
    main(["--name", "[lb]*", "--sort", "name"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:3]] == ["broke", "letters"]


def test_runs_are_sorted_by_any_value(outputs):
    runs = find_runs(["outputs"])
    assert names(sort_runs(runs, "val/elbo")) == ["letters-2", "grid-0", "grid-1", "broke-3"]  # who has none is last
    assert names(sort_runs(runs, "model.latent_dim")) == ["grid-0", "letters-2", "broke-3", "grid-1"]
    assert names(sort_runs(runs, "name")) == ["broke-3", "grid-0", "grid-1", "letters-2"]
    assert names(sort_runs(runs, "age")) == ["broke-3", "letters-2", "grid-1", "grid-0"]
    assert names(sort_runs(runs, "size")) == names(sorted(runs, key=lambda run: run.size))


def test_the_list(outputs, capsys):
    main([])
    head, *lines, _, end = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "run" and head.endswith("size")
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert [[cell.strip() for cell in (line[0], line[1], line[2], line[4], line[5])] for line in cells] == [
        ["outputs/broke/run-3", "broke", "failed", "0", "–"],
        ["outputs/letters/run-2", "letters", "finished", "3", "-125.00"],
        ["outputs/sweeps/grid/run-1", "grid", "finished", "2", "-90.00"],
        ["outputs/sweeps/grid/run-0", "grid", "finished", "2", "-110.00"],
    ]
    assert end == f"4 runs, {formats.format_size(sum(run.size for run in find_runs(['outputs'])))}"
    main(["--reverse", "--where", "data=strokes"])
    assert "run-0" in capsys.readouterr().out.splitlines()[1]
    main(["--where", "val/elbo>0", "--name", "*"])
    assert capsys.readouterr().out == "no run matches --where 'val/elbo>0' --name '*'\n"


def test_the_keys_that_are_asked_for_are_columns(outputs, capsys):
    made.run(outputs / "sweeps", "grid", 4, optimizer={"kind": "Adam"}, data="emnist", elbos=(-1234.5678,))
    main(["--sort", "val/elbo", "--where", "model=conv_cvae and model.latent_dim>=4 and age<99d and val/elbo<-100"])
    head, *lines, _, _ = capsys.readouterr().out.splitlines()
    assert head.split()[-4:] == ["size", "val/elbo", "model", "model.latent_dim"]
    assert [line.split()[-3:] for line in lines] == [
        ["-1,235", "conv_cvae", "4"],
        ["-125", "conv_cvae", "4"],
        ["-110", "conv_cvae", "4"],
    ]
    assert head.rindex("val/elbo") + len("val/elbo") == lines[0].rindex("-1,235") + len("-1,235")
    main(["--sort", "optimizer.kind"])
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[:3]] == ["optimizer.kind", "Adam", "–"]


def test_a_run_of_a_sweep_has_its_name_there_in_every_list(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for sweep in ("one", "two"):
        for number, name in enumerate(("000-latent_dim2", "001-latent_dim4")):
            folder = made.run(tmp_path / "sweeps", sweep, number, run=name, sweep_name=sweep)
            folder.rename(folder.with_name(name))
    main(["sweeps/one"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:3]] == [
        "001-latent_dim4",
        "000-latent_dim2",
    ]
    assert label_runs(find_runs(["sweeps/one"])) == ["000-latent_dim2", "001-latent_dim4"]
    assert label_runs(find_runs(["sweeps"]))[::2] == ["one/000-latent_dim2", "one/001-latent_dim4"]
    main(["sweeps/two/000-latent_dim2", "--name", "000-*"])
    assert capsys.readouterr().out.splitlines()[1].split()[1] == "000-latent_dim2"


def test_labels_tell_runs_of_one_name_apart(tmp_path):
    runs = [Run(made.run(tmp_path, *place)) for place in (("a", 0), ("b", 0), ("b", 1))]
    other = Run(made.run(tmp_path / "more", "b", 1))
    assert label_runs(runs) == ["a", "b/run-0", "b/run-1"]
    assert label_runs([*runs, other]) == ["a", "b/run-0", "b/run-1 (3)", "b/run-1 (4)"]


def test_numbers_as_text():
    assert [formats.format_age(s) for s in (-5, 59, 60, 7200, 200_000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    assert [formats.format_size(s) for s in (0, 999, 1500, 2.5e6, 3e9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
    ]
    numbers = (1, 2.5, True, "3", None, float("nan"), float("inf"), 10**400)
    assert [formats.as_number(n) for n in numbers] == [1, 2.5, None, None, None, None, None, None]
    assert formats.align([["a", "b"], ["cc", "\x1b[31m"]], right=[1]) == "a       b\ncc  ?[31m"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of a project with one commit, and git's function of it."""
    git = program("git")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "model.py").write_text("width = 1\n")

    def run(*line):
        names = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run([git, *names, *line], cwd=folder, check=True, capture_output=True, text=True).stdout

    run("init", "-q")
    run("add", ".")
    run("commit", "-qm", "first")
    monkeypatch.setattr(provenance, "repository", lambda: folder)
    return folder, run


def test_a_session_has_the_commit_and_what_was_not_committed(repository, monkeypatch):
    folder, git = repository
    monkeypatch.setenv("MY_API_KEY", "sesame-open-1234")
    monkeypatch.setattr(sys, "argv", ["train.py", "storage=postgresql://me:hunter2@host/x", "name=a b"])
    git("config", "diff.external", "false")  # what the user has set does not matter
    git("config", "color.diff", "always")
    session = provenance.describe_session()
    assert session["commit"] == git("rev-parse", "HEAD").strip() and session["patch"] == ""
    assert "hunter2" not in session["command"] and session["command"].endswith("'name=a b'")
    assert session["pid"] == os.getpid() and {"python", "torch", "ldg"} <= session["versions"].keys()
    (folder / "model.py").write_text("width = 2\n")
    (folder / "new.py").write_text("depth = 3\n")
    (folder / "data.csv").write_text("1,2\n")
    patch = provenance.describe_session()["patch"]
    assert "-width = 1\n+width = 2" in patch and "+depth = 3" in patch and "data.csv" not in patch
    (folder / "new.py").unlink()
    assert provenance.describe_commit() == git("rev-parse", "--short", "HEAD").strip() + "+"
    (folder / "model.py").write_text("width = 2\n" * 30_000)
    session = provenance.describe_session()
    assert session["patch"] == "" and session["patch_size"] > 300_000


def test_the_first_and_the_newest_sessions_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "repository", lambda: tmp_path)
    monkeypatch.setattr(provenance, "MAX_SESSIONS", 3)
    for pid in range(5):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        provenance.add_session(tmp_path, Run(tmp_path).sessions)
    assert [session["pid"] for session in Run(tmp_path).sessions] == [0, 3, 4]


def test_a_session_outside_of_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "repository", lambda: tmp_path)
    session = provenance.describe_session()
    assert (session["commit"], session["patch"], session["patch_size"]) == (None, "", 0)


def test_a_training_notes_its_sessions_its_choices_and_its_time(tmp_path):
    folder, _ = train(*TINY, "trainer.max_epochs=1", f"outputs={tmp_path}")
    first = Run(folder)
    assert first.session["host"] == socket.gethostname() and first.state == "finished"
    (one,), _ = first.curve("val/elbo", "seconds")
    chosen = {"data": "strokes", "model": "vanilla_cvae", "likelihood": "bernoulli", "latent_dim": "4"}
    assert first.choices.items() >= chosen.items()
    resume(folder, "trainer.max_epochs=2")
    both = Run(folder)
    assert both.sessions[0] == first.session and len(both.sessions) == 2
    assert both.started == first.started
    (again, two), _ = both.curve("val/elbo", "seconds")
    assert again == one and two > one > 0


def test_listing_runs_loads_nothing_heavy(outputs):
    heavy = "{'torch', 'pydantic', 'hydra', 'matplotlib', 'PIL', 'numpy'} & set(sys.modules)"
    code = f"import sys; from ldg.commands.runs import main; main(['--where', 'val/elbo>-1e9']); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nset()\n")


def test_the_commands_of_the_help(outputs, monkeypatch, capsys):
    from ldg.commands import runs

    shutil.move(outputs / "sweeps" / "grid", outputs / "sweeps" / "NAME")
    lines = made.commands(runs.__doc__, "ldg runs")
    assert len(lines) == 4
    for line in lines:
        main(line)
        assert capsys.readouterr().out.splitlines()[-1].startswith("1 run, " if "--where" in line else ("4", "2"))


@pytest.mark.parametrize("file", sorted((HOME / "configs" / "data").glob("*.yaml")), ids=lambda file: file.stem)
def test_data_has_the_name_of_the_choice_where_only_the_class_is_known(file, tmp_path):
    target = yaml.safe_load(file.read_text())["dataset"]["_target_"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": {"dataset": {"_target_": target}}}))
    assert value(Run(tmp_path), "data") == file.stem


def test_a_config_of_an_older_format_is_in_todays_words(outputs):
    shutil.copy(HOME / "tests" / "format1.ckpt", "old.ckpt")
    old = {"data": {"dataset": {"_target_": "ldg.data.strokes.Strokes"}}, "scheduler": {}}
    encoder = {"_target_": "ldg.models.conv.ConvEncoder", "_partial_": True, "depth": 2}
    old["model"] = {"encoder": encoder, "decoder": {"_target_": "ldg.models.conv.ConvDecoder"}, "beta": {"beta": 0.5}}
    (outputs / "letters" / "run-2" / "config.yaml").write_text(yaml.safe_dump(old))
    keys = {key for run in find_runs([str(SHIPPED), "old.ckpt", "outputs/letters"]) for key in run.flat_config}
    assert {"model.kl.beta", "model.network.latent_channels", "data.dataset.marks"} <= keys
    assert not [key for key in keys if key.startswith(("model.encoder", "model.decoder", "model.beta"))]
    for broken in ("text", ["encoder"], {"encoder": "x"}, {"encoder": {"_target_": "x"}, "decoder": {}}):
        (outputs / "letters" / "run-2" / "config.yaml").write_text(yaml.safe_dump(old | {"model": broken}))
        assert Run(outputs / "letters" / "run-2").config["model"] == broken
