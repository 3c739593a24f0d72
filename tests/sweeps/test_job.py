"""One run of a sweep, with a stand-in for training."""

import json
import os

import pytest
import torch

from ldg.config.compose import compose_config
from ldg.errors import Interrupted
from ldg.files import write_text
from ldg.sweeps.job import run_job
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.plan import make_plan

SUMMARY = {"metrics": {"val/elbo": -1.5, "beta": 1}, "epochs": 2, "seconds": 3.5, "parameters": 10, "wandb": "id1"}


@pytest.fixture
def ledger(tmp_path):
    line = ["seed=1,2", "sweep_name=one", f"outputs={tmp_path}"]
    return Ledger.open(make_plan(compose_config(line[1:]), line), "")


class Training:
    """Called in the place of a training: keeps the configs, and returns a summary or raises an error."""

    def __init__(self, error=None):
        self.configs, self.error = [], error

    def __call__(self, config, callbacks, progress):
        self.configs.append(config)
        if self.error:
            raise self.error
        return SUMMARY


def start(ledger, train, *overrides, index=0):
    job = ["seed=1", "sweep_name=one", "run='000-seed1'", f"outputs={ledger.folder.parents[1]}", *overrides]
    composed = compose_config([*job, f"hydra.sweeper.index={index}"])
    run_job(composed, composed.hydra, train)


def test_a_finished_run_is_recorded_and_left_alone(ledger):
    train = Training()
    start(ledger, train)
    start(ledger, train)
    (config,) = train.configs
    folder = str(ledger.folder / "000-seed1")
    assert (config.folder, config.ckpt_path, config.tags[-1]) == (folder, None, "one")
    wandb = config.logger["wandb"]
    assert (wandb["group"], wandb["name"], wandb["tags"]) == ("one", "000-seed1", config.tags)
    row = {"run": "000-seed1", "state": "finished", "seed": "1", "val/elbo": "-1.5", "epochs": "2", "seconds": "3.5"}
    assert ledger.read_rows() == [row | {"parameters": "10", "wandb": "id1", "error": ""}]


def test_a_given_group_and_name_stay(ledger):
    train = Training()
    start(ledger, train, "logger.wandb.group=mine", "logger.wandb.name=this")
    assert (train.configs[0].logger["wandb"]["group"], train.configs[0].logger["wandb"]["name"]) == ("mine", "this")


def test_a_run_continues_from_its_last_checkpoint(ledger):
    last = ledger.folder / "000-seed1" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    (last.parent / "other").touch()
    train = Training()
    start(ledger, train)
    assert train.configs[0].ckpt_path is None and not last.parent.exists()  # nothing to continue from
    ledger.write_row("000-seed1", "interrupted")
    last.parent.mkdir(parents=True)
    last.touch()
    start(ledger, train)
    assert train.configs[1].ckpt_path == str(last)


def test_a_run_killed_after_its_end_is_only_recorded(ledger):
    (ledger.folder / "000-seed1").mkdir()
    (ledger.folder / "000-seed1" / "summary.json").write_text(json.dumps(SUMMARY))
    train = Training()
    start(ledger, train)
    assert train.configs == [] and ledger.read_row("000-seed1")["val/elbo"] == "-1.5"


def test_an_error_is_recorded_and_an_interruption_ends_the_sweep(ledger):
    start(ledger, Training(ValueError("no\nluck")))
    row = ledger.read_row("000-seed1")
    assert (row["state"], row["error"]) == ("failed", "ValueError: no luck")
    with pytest.raises(Interrupted):
        start(ledger, Training(Interrupted(2, None)))
    row = ledger.read_row("000-seed1")
    assert (row["state"], row["error"]) == ("interrupted", "")


@pytest.mark.parametrize("has_affinity", [True, False])
@pytest.mark.parametrize(
    ("launcher", "threads"),
    [
        (["local"], 12),
        (["joblib", "launcher.n_jobs=3"], 4),
        (["joblib", "launcher.n_jobs=-1"], 1),
        (["slurm"], 12),
        (["slurm_local"], 6),
    ],
)
def test_runs_share_the_machine(ledger, launcher, threads, has_affinity, monkeypatch):
    used = [12]
    if has_affinity:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(12), raising=False)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    train = Training()
    start(ledger, train, f"launcher={launcher[0]}", *launcher[1:], "trainer=gpu", index=4)
    assert used[-1] == threads and train.configs[0].trainer["devices"] == [1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metrics": {}}', '{"metrics": 3}'])
def test_a_run_with_a_damaged_summary_is_trained(text, ledger):
    write_text(ledger.folder / "000-seed1" / "summary.json", text)
    train = Training()
    start(ledger, train)
    assert len(train.configs) == 1 and ledger.read_row("000-seed1")["state"] == "finished"
