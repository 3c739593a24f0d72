"""ldg compare as its users type it."""

import csv
import json
import shutil

import numpy as np
import pytest

from ldg.checkpoint import SHIPPED
from ldg.commands import compare
from ldg.commands.cli import exit_status
from ldg.compare import page, writing
from ldg.compare.writing import add_text
from ldg.runs.run import Run
from ldg.runs.select import find_runs
from tests.compare import made
from tests.processes import start


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with three finished runs, two of them of the sweep NAME, and one whose config is broken."""
    monkeypatch.chdir(tmp_path)
    outputs = tmp_path / "outputs"
    runs = [
        made.run(outputs / "sweeps", "NAME", 0),
        made.run(outputs / "sweeps", "NAME", 1, model__latent_dim=16, elbos=(-90.0,)),
        made.run(outputs, "emnist-a", 2, data="emnist"),
        made.run(outputs, "broken", 3),
    ]
    (runs[3] / "config.yaml").write_text("[")
    for folder in runs[:2]:
        made.scorecard(folder, np.arange(9.0))
    return tmp_path


def test_it_writes_a_page_and_prints_a_table(here, capsys):
    compare.main(["outputs/sweeps", "outputs/emnist-a", "--md", "a.md", "--json", "b/a.json", "--csv", "a.csv"])
    table, paths = capsys.readouterr().out.split("\n\n")
    assert paths.split() == ["outputs/compare.html", "a.md", "b/a.json", "a.csv"]
    lines = [line.split() for line in table.splitlines()]
    assert lines[0][:3] == ["run", "state", "data"] and "test/elbo" in lines[0]
    assert [line[0] for line in lines[1:]] == ["NAME/run-0", "NAME/run-1", "emnist-a"]
    assert [line[lines[0].index("best")] for line in lines[1:]] == ["-110", "-90", "-110"]
    assert "emnist-a" in (here / "outputs" / "compare.html").read_text()
    assert (here / "a.md").read_text().startswith("# 3 runs\n")
    assert [run["state"] for run in json.loads((here / "b" / "a.json").read_text())["runs"]] == ["finished"] * 3
    with (here / "a.csv").open(newline="") as file:
        assert [row["model.latent_dim"] for row in csv.DictReader(file)] == ["4", "16", "4"]


def test_the_commands_of_the_help(here, capsys, monkeypatch):
    shutil.move(made.run(here / "outputs", "NAME", 4), here / "outputs/NAME/ID")
    shutil.copytree(here / "outputs/NAME/ID", here / "outputs/NAME2/ID2")
    shutil.copytree(here / "outputs/NAME/ID", here / "RUN")
    (here / "notes.md").write_text("# Why")
    monkeypatch.setattr(writing, "add_text", lambda runs, text: None)  # of which there is another test
    lines = made.commands(compare.__doc__, "ldg compare")
    assert len(lines) == 5
    for line in lines:
        compare.main(line)
        assert capsys.readouterr().out.endswith(".html\n")
    assert "<h1>Flow or not</h1>" in (here / "flow.html").read_text()


def test_the_script_of_a_checkout(here):
    (here / "t.yaml").write_text("columns: [{title: run, keys: [name]}]")
    done = start(here, "--latest", "2", "--where", "state=finished", "--table", "t.yaml", script="compare.py")
    out, err = done.communicate()
    assert (done.returncode, err) == (0, "") and out.splitlines()[2:] == ["| NAME |", "| emnist-a |"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["nowhere"], "nowhere: there is no run"),
        (
            ["--where", "val/elbo>0"],
            "no run matches --where 'val/elbo>0'; python -m ldg runs lists those that are there",
        ),
        (["--where", "dataa=x"], "--where: no run has 'dataa', did you mean data?"),
        (["--notes", "no.md"], "--notes: there is no file no.md"),
        (["--notes", "binary.md"], "--notes: binary.md cannot be read as text"),
        (["--notes", "large.md"], "--notes: large.md is larger than 1 MiB"),
        (["--output", "x.pdf"], "--output x.pdf: the page is HTML, name it .html; --md, --json and --csv write others"),
        (["--output", "folder.html"], "cannot write folder.html: a folder is there; give the name of a file"),
        (["--csv", "notes.md/x"], "notes.md"),
        (["--text", "abc"], "--text: none of the runs writes 'abc'; NAME/run-0: "),
        (["--table", "t.yaml", "--md", "never.md"], "--md does not go with --table, which prints a table and makes no"),
        (["--table", "t.yaml", "--output", "x.html"], "--output does not go with --table"),
        (["--md", "c.md", "--json", "./c.md"], "c.md would be written twice: name --output, --md"),
        (["--titel", "x"], "unknown argument '--titel': did you mean --title?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_nothing_is_written(here, line, message, capsys):
    (here / "binary.md").write_bytes(b"\xff\xfe\x00")
    (here / "large.md").write_text("x" * (1 << 20) + "y")
    (here / "notes.md").write_text("x")
    (here / "folder.html").mkdir()
    before = sorted(here.rglob("*"))
    assert exit_status(lambda: compare.main(line)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and message in err and err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_one_run_a_broken_one_and_exported_weights(here, capsys):
    for line in (["outputs/emnist-a"], ["outputs/broken"], [str(SHIPPED)], ["outputs", str(SHIPPED)]):
        compare.main([*line, "--json", "x.json"])
        capsys.readouterr()
    states = {run["name"]: run["state"] for run in json.loads((here / "x.json").read_text())["runs"]}
    assert states["handwriting"] == "exported" and states["run-3"] == "broken" and len(states) == 5
    assert "there is no config that can be read" in (here / "outputs" / "compare.html").read_text()


def test_the_same_text_is_written_by_every_run_that_can(here, monkeypatch, capsys):
    monkeypatch.setattr(page, "_plotly", lambda: "")
    made.gallery(here / "outputs" / "emnist-a" / "run-2", [3])
    shutil.copy(SHIPPED, here / "other.safetensors")
    runs = find_runs([str(SHIPPED), "outputs/emnist-a", "other.safetensors"])
    album = add_text(runs, "Hello")
    assert capsys.readouterr().err.startswith("without a picture of the text: emnist-a; emnist-a: ")
    assert list(album.kinds) == ["text", "strings"] and album.kinds["text"] == "“Hello”"
    (first,), none, (third,) = album.shown["text"]
    assert first == third and none == []  # the same weights and noise
    assert [[epoch for epoch, _ in of_run] for of_run in album.shown["strings"]] == [[], [3], []]
    assert len(album.images) == 2 and album.images[first[1]]["width"] > album.images[first[1]]["height"] > 50
    assert add_text([Run(here / "no"), runs[0]], "Hello", seed=1).images[0] != album.images[first[1]]
