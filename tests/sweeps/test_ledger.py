"""The folder of a sweep."""

import multiprocessing

import pytest

from ldg.errors import UserError
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.plan import Plan
from tests.conftest import HOME


def plan(folder, parameters=None, study=None):
    parameters = parameters or {"seed": ["1", "2"]}
    return Plan(["data=strokes"], parameters, {"val/elbo": "maximize"}, study, folder, "one", "one")


@pytest.fixture
def ledger(tmp_path):
    return Ledger.open(plan(tmp_path), "python train.py -m seed=1,2", HOME)


def test_what_the_sweep_is(ledger):
    facts = ledger.facts
    assert facts["schema"] == "ldg.sweep/1" and facts["kind"] == "grid" and facts["runs"] == 2
    assert facts["command"] == "python train.py -m seed=1,2" and facts["parameters"] == {"seed": ["1", "2"]}
    assert set(facts["versions"]) == {"ldg", "torch", "pytorch-lightning", "hydra-core"}


def test_opened_again_it_stays(ledger, tmp_path):
    assert Ledger.open(plan(tmp_path), "another command", HOME).facts == ledger.facts


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": ["1", "3"]}, "seed was ['1', '2'], now it is ['1', '3']"),
        ({"seed": ["1", "2"], "model": ["a"]}, "model was nothing"),
    ],
)
def test_a_folder_of_another_sweep_is_refused_and_left(ledger, tmp_path, parameters, message):
    before = ledger.facts
    with pytest.raises(UserError) as error:
        Ledger.open(plan(tmp_path, parameters), "", HOME)
    assert message in str(error.value) and "sweep_name=" in str(error.value)
    assert ledger.facts == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "sweeps").mkdir()
    other = plan(tmp_path).folder
    other.mkdir(exist_ok=True)
    (other / "thesis.tex").write_text("dear")
    with pytest.raises(UserError, match="is not empty and holds no sweep"):
        Ledger.open(plan(tmp_path), "", HOME)
    with pytest.raises(UserError, match="holds no sweep"):
        _ = Ledger(other).facts


def test_rows_are_put_in_place(ledger):
    ledger.record("001-b", "running", seed="2")
    ledger.record("000-a", "running", seed="1")
    ledger.record("001-b", "failed", error="no\n  luck, at all")
    ledger.record("000-a", "finished", **{"val/elbo": -1.5}, seconds=2)
    first, second = ledger.rows()
    assert list(first) == ["run", "state", "seed", "val/elbo", "epochs", "seconds", "parameters", "wandb", "error"]
    assert (first["run"], first["state"], first["val/elbo"]) == ("000-a", "finished", "-1.5")
    assert (second["run"], second["seed"], second["error"]) == ("001-b", "2", "no luck, at all")


def write(folder, run):
    ledger = Ledger(folder)
    for state in ("running", "finished"):
        ledger.record(run, state, seed=run)


def test_several_processes_write_at_once(ledger):
    names = [f"{index:03d}-x" for index in range(6)]
    processes = [multiprocessing.get_context("fork").Process(target=write, args=(ledger.folder, n)) for n in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [(row["run"], row["state"]) for row in ledger.rows()] == [(name, "finished") for name in names]


def test_a_run_that_nobody_is_at_any_more_was_interrupted(ledger):
    ledger.record("000-a", "running")
    ledger.record("001-b", "running")
    with ledger.lock("001-b"):
        child = multiprocessing.get_context("fork").Process(target=ledger.settle)
        child.start()
        child.join()
    assert [row["state"] for row in ledger.rows()] == ["interrupted", "running"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        Ledger.open(plan(tmp_path / "file"), "", HOME)
