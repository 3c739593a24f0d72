"""The folder of a sweep."""

import multiprocessing

import pytest
import yaml

from ldg.errors import UserError
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.plan import Plan


def plan(folder, parameters=None, study=None):
    parameters = parameters or {"seed": ["1", "2"]}
    return Plan(["data=strokes"], parameters, {"val/elbo": "maximize"}, study, folder, "one", "one")


@pytest.fixture
def ledger(tmp_path):
    return Ledger.open(plan(tmp_path), "python train.py -m seed=1,2")


def test_a_run_that_ends_while_it_is_looked_at_stays_finished(ledger, monkeypatch):
    ledger.write_row("000-seed1", "running")
    lock = ledger.lock

    def end(run):
        ledger.write_row(run, "finished")
        return lock(run)

    monkeypatch.setattr(ledger, "lock", end)
    ledger.mark_interrupted()
    assert ledger.read_row("000-seed1")["state"] == "finished"


def test_failed_runs_are_reopened_and_no_others(ledger):
    ledger.write_row("000-seed1", "failed", error="why")
    ledger.write_row("001-seed2", "finished")
    ledger.reopen()
    assert [row["state"] for row in ledger.read_rows()] == ["interrupted", "finished"]


def test_what_the_sweep_is(ledger):
    sweep = ledger.read_sweep()
    assert sweep.kind == "grid" and sweep.runs == 2
    assert sweep.command == "python train.py -m seed=1,2" and sweep.parameters == {"seed": ["1", "2"]}
    assert set(sweep.versions) == {"ldg", "torch", "pytorch-lightning", "hydra-core"}
    assert yaml.safe_load((ledger.folder / "sweep.yaml").read_text())["schema"] == "ldg.sweep/1"


def test_another_format_is_refused(ledger):
    for text in ("", "- a", "schema: ldg.sweep/2", "schema: ldg.sweep/1"):
        (ledger.folder / "sweep.yaml").write_text(text)
        with pytest.raises(UserError, match=r"sweep.yaml is not of the format ldg.sweep/1"):
            ledger.read_sweep()


def test_opened_again_it_stays(ledger, tmp_path):
    assert Ledger.open(plan(tmp_path), "another command").read_sweep() == ledger.read_sweep()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": ["1", "3"]}, "seed was ['1', '2'], now it is ['1', '3']"),
        ({"seed": ["1", "2"], "model": ["a"]}, "model was nothing"),
    ],
)
def test_a_folder_of_another_sweep_is_refused_and_left(ledger, tmp_path, parameters, message):
    before = ledger.read_sweep()
    with pytest.raises(UserError) as error:
        Ledger.open(plan(tmp_path, parameters), "")
    assert message in str(error.value) and "sweep_name=" in str(error.value)
    assert ledger.read_sweep() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "sweeps").mkdir()
    other = plan(tmp_path).folder
    other.mkdir(exist_ok=True)
    (other / "thesis.tex").write_text("dear")
    with pytest.raises(UserError, match="is not empty and holds no sweep"):
        Ledger.open(plan(tmp_path), "")
    with pytest.raises(UserError, match="holds no sweep"):
        Ledger(other).read_sweep()


def test_a_start_that_was_killed_is_repeated(tmp_path):
    folder = plan(tmp_path).folder
    folder.mkdir()
    (folder / ".1a2b-sweep.yaml").write_text("half")
    assert Ledger.open(plan(tmp_path), "").read_sweep().name == "one"


def test_rows_are_put_in_place(ledger):
    ledger.write_row("001-b", "running", seed="2")
    ledger.write_row("000-a", "running", seed="1")
    ledger.write_row("001-b", "failed", error="no\n  luck, at all")
    ledger.write_row("000-a", "finished", **{"val/elbo": -1.5}, seconds=2)
    first, second = ledger.read_rows()
    assert list(first) == ["run", "state", "seed", "val/elbo", "epochs", "seconds", "parameters", "wandb", "error"]
    assert (first["run"], first["state"], first["val/elbo"]) == ("000-a", "finished", "-1.5")
    assert (second["run"], second["seed"], second["error"]) == ("001-b", "2", "no luck, at all")


def write(folder, run):
    ledger = Ledger(folder)
    for state in ("running", "finished"):
        ledger.write_row(run, state, seed=run)


def test_several_processes_write_at_once(ledger):
    names = [f"{index:03d}-x" for index in range(6)]
    processes = [multiprocessing.get_context("fork").Process(target=write, args=(ledger.folder, n)) for n in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [(row["run"], row["state"]) for row in ledger.read_rows()] == [(name, "finished") for name in names]


def test_a_run_that_nobody_is_at_any_more_was_interrupted(ledger):
    ledger.write_row("000-a", "running")
    ledger.write_row("001-b", "running")
    with ledger.lock("001-b"):
        child = multiprocessing.get_context("fork").Process(target=ledger.mark_interrupted)
        child.start()
        child.join()
    assert [row["state"] for row in ledger.read_rows()] == ["interrupted", "running"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        Ledger.open(plan(tmp_path / "file"), "")
