"""A process that is a job of SLURM's, without a cluster: its cores, its folder, whether it starts again."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from ldg.errors import Interrupted
from ldg.training.slurm import continue_job, requeue, use_cores
from tests.runs import TINY, configured


@pytest.mark.parametrize(
    ("environment", "affinity", "now", "share", "threads"),
    [
        ({}, 12, 12, 1, 12),
        ({"SLURM_CPUS_PER_TASK": "4"}, 12, 12, 1, 4),
        ({"SLURM_CPUS_ON_NODE": "2"}, 12, 12, 1, 2),
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "8"}, 12, 12, 1, 4),
        ({"SLURM_CPUS_PER_TASK": "8"}, 3, 3, 1, 3),
        ({"SLURM_CPUS_PER_TASK": "8"}, 12, 2, 1, 2),  # OMP_NUM_THREADS
        ({"SLURM_CPUS_PER_TASK": "8"}, 12, 12, 2, 4),
        ({"SLURM_CPUS_PER_TASK": "1"}, 12, 12, 2, 1),
        ({}, 12, 12, 3, 4),
    ],
)
def test_threads_follow_the_cores_of_the_job(environment, affinity, now, share, threads, monkeypatch):
    used = [now]
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(affinity), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    use_cores(share)
    assert used[-1] == threads


def test_a_command_finds_its_run_when_its_job_starts_again(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    line = [*TINY, f"outputs={tmp_path}"]

    def folder_of(arguments, *further):
        config = continue_job(configured(*line, *further), arguments)
        assert f"{config.folder}/" in config.callbacks["checkpoint"]["dirpath"]
        return Path(config.folder), config.ckpt_path

    alone, _ = folder_of(line)
    assert not alone.name.startswith("slurm-")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    folder, checkpoint = folder_of(line)
    assert folder.name.startswith("slurm-7-") and checkpoint is None
    folder.mkdir(parents=True)
    assert folder_of(line)[0] not in (folder, alone)  # the same command twice in one job: another run
    assert folder_of([*line, "seed=1"])[0] not in (folder, alone)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert folder_of(line) == (folder, None) and not folder.exists()  # it had saved nothing
    last = folder / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    assert folder_of(line) == (folder, str(last))
    assert folder_of(line, "ckpt_path=other.ckpt")[1] == "other.ckpt"
    own = tmp_path / "mine"
    own.mkdir()
    assert folder_of(line, f"folder={own}") == (own, None) and own.exists()  # it may be anybody's


@pytest.mark.parametrize(
    ("signum", "restarts", "has_trained", "limit", "starts_again"),
    [
        (signal.SIGUSR1, None, False, [], True),
        (signal.SIGUSR2, 1, True, [], True),
        (signal.SIGUSR1, 1, False, [], False),  # it would never end
        (signal.SIGUSR2, 1, True, [2], True),
        (signal.SIGUSR2, 2, True, [2], False),
        (signal.SIGUSR2, None, True, [0], False),
        (signal.SIGTERM, None, True, [], False),
    ],
)
def test_a_job_starts_again_while_that_gets_it_further(signum, restarts, has_trained, limit, starts_again, monkeypatch):
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda line, **_: asked.append(line))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "" if restarts is None else str(restarts))
    assert requeue(Interrupted(signum, None, has_trained), *limit) == starts_again
    assert asked == [["scontrol", "requeue", "7"]] * starts_again


def test_without_scontrol_a_job_ends_as_a_run_does(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", "")
    assert not requeue(Interrupted(signal.SIGUSR1, None, True))
