"""Sweeps and single runs on a real SLURM cluster of one node."""

import shlex
import sys
import threading
import time
from pathlib import Path

import pytest
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from omegaconf import OmegaConf

from ldg.config.compose import compose_config
from ldg.errors import UserError
from ldg.files import read_csv
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.slurm import QueuedJob, _describe, _parameters, queued_jobs
from tests import slurm
from tests.conftest import HOME
from tests.processes import call
from tests.runs import TINY, rows, weights

LINE = [*TINY, "trainer.max_epochs=80"]
SLURM = ["launcher=slurm", "launcher.cpus=1", "launcher.memory_gb=1", "launcher.n_jobs=1"]


@pytest.fixture(scope="session")
def cluster():
    with slurm.cluster() as environment:
        yield environment | {"PYTHONPATH": str(HOME)}


def wait_for(condition, *arguments):
    deadline = time.monotonic() + 240
    while not (value := condition(*arguments)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def is_in_the_middle(folder):
    (metrics,) = list(Path(folder).glob("metrics.csv")) or [None]
    return metrics is not None and len(rows(folder)) > 2


def assert_same(one, other):
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    assert all((a == b).all() for a, b in zip(*(weights(f).values() for f in (one, other)), strict=True))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert call(folder.parent, *LINE, "seed=1", f"folder={folder}")[0] == 0
    return folder


@pytest.mark.slow
def test_a_sweep_survives_its_head_a_requeue_and_a_cancelled_job(cluster, uninterrupted, tmp_path):
    line = ["-m", *LINE, *SLURM, "seed=1,2", "sweep_name=one"]
    ledger = Ledger(tmp_path / "outputs/sweeps/one")
    first = ledger.folder / "000-seed1"
    status, _, err = call(tmp_path, *line, stop_when=lambda: is_in_the_middle(first), **cluster)
    jobs = read_csv(ledger.folder / "jobs.csv")
    array = jobs[0]["job"].partition("_")[0]
    assert status == 130 and f"submitted to SLURM: 2, as job {array}\n" in err
    assert f"the jobs go on; the same command watches them again, scancel {array} ends them" in err
    assert [row["run"] for row in jobs] == ["000-seed1", "001-seed2"]

    def disturb():
        slurm.command(cluster, "scancel", "--signal=USR2", jobs[0]["job"])
        # it starts again when the other one, which has taken its place, makes room
        wait_for(lambda: ledger.read_row("001-seed2").get("state") == "running")
        assert ledger.read_row("000-seed1")["state"] == "interrupted"
        slurm.command(cluster, "scancel", jobs[1]["job"])

    thread = threading.Thread(target=disturb)
    thread.start()
    status, out, err = call(tmp_path, *line, **cluster)
    thread.join()
    assert "in SLURM's queue already, and watched again: 2\n" in err and "submitted" not in err
    assert read_csv(ledger.folder / "jobs.csv") == jobs
    assert status == 1 and "one: 1 finished, 1 interrupted" in out and "the same command resumes the sweep" in out
    assert_same(first, uninterrupted)


@pytest.mark.slow
def test_a_batch_job_goes_on_where_it_was(cluster, uninterrupted, tmp_path):
    command = shlex.join([sys.executable, str(HOME / "train.py"), *LINE, "seed=1", "name=x", f"outputs={tmp_path}"])
    line = ["sbatch", "--parsable", "--requeue", f"--chdir={tmp_path}", "--output=log", "--open-mode=append"]
    job = slurm.command(cluster, *line, f"--wrap=exec {command}").strip()
    (folder,) = wait_for(lambda: list(tmp_path.glob(f"x/slurm-{job}-*")))
    wait_for(is_in_the_middle, folder)
    slurm.command(cluster, "scancel", "--batch", "--signal=USR1", job)
    wait_for(lambda: not slurm.command(cluster, "squeue", "--noheader", "--me"))
    log = (tmp_path / "log").read_text()
    assert log.count("SLURM starts this job again") == 1 and "Traceback" not in log
    assert list((tmp_path / "x").iterdir()) == [folder] and (folder / "summary.json").exists(), log
    assert_same(folder, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (["launcher.partition=nowhere"], "Invalid partition name specified"),
        (["launcher.memory_gb=1000"], "Requested node configuration is not available"),
        (["trainer=gpu"], "Invalid generic resource (gres) specification"),
    ],
)
def test_what_sbatch_refuses_is_said_once_and_leaves_nothing(wrong, reason, cluster, tmp_path):
    status, out, err = call(tmp_path, "-m", *LINE, *SLURM, "seed=1,2", *wrong, **cluster)
    assert (status, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err.startswith("error: launcher=slurm: sbatch says") and reason in err and err.count("\n") == 1


def test_a_job_that_never_starts_is_told_from_one_that_waits():
    jobs = [QueuedJob("1_0", True, "None"), QueuedJob("1_1", False, "JobArrayTaskLimit")]
    assert _describe(jobs) == "1 wait in SLURM's queue: JobArrayTaskLimit"
    assert "PartitionTimeLimit (such a job never starts; launcher.partition" in _describe(
        [*jobs, QueuedJob("1_2", False, "PartitionTimeLimit")]
    )


@pytest.mark.parametrize("content", [b"", b"run,job\n"])
def test_without_jobs_nothing_is_queued(content, tmp_path):
    (tmp_path / "jobs.csv").write_bytes(content)
    assert queued_jobs(Ledger(tmp_path)) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"run\n000-seed1\n",
        b"run,job\n000-seed1\n",
        b"run,job\na,x_1\n",
        b"run,job\n\xff,1\n",
        b"run,job\na," + b"1" * 10**6,
    ],
)
def test_a_damaged_list_of_jobs_is_a_line(content, tmp_path):
    (tmp_path / "jobs.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"jobs\.csv is damaged; remove it$"):
        queued_jobs(Ledger(tmp_path))


def test_without_a_cluster(tmp_path):
    status, out, err = call(tmp_path, "-m", *LINE, "launcher=slurm", "seed=1,2", PATH="/nowhere")
    assert (status, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err == "error: launcher=slurm: there is no sbatch on PATH; launcher=slurm_local does without a cluster\n"


@pytest.mark.parametrize(
    ("accelerator", "resources", "gpus"),
    [
        ("cpu", "gpu:2", None),
        ("gpu", "(null)", 1),
        ("cuda", "(null)", 1),
        ("auto", "(null)", None),
        ("auto", "(null)\ngpu:a100:4(S:0-1)", 1),
    ],
)
def test_a_job_asks_for_a_gpu_if_its_trainer_does(accelerator, resources, gpus, monkeypatch):
    monkeypatch.setattr("ldg.sweeps.slurm._ask", lambda *line: resources)
    config = compose_config([f"trainer.accelerator={accelerator}", "launcher=slurm", "launcher.minutes=2"])
    settings = OmegaConf.to_container(config.hydra.launcher, resolve=True) | {"submitit_folder": "x"}
    del settings["_target_"]
    launcher = SlurmLauncher(**settings)
    launcher.config = config
    parameters = _parameters(launcher, 3)
    assert parameters.get("gpus_per_node") == gpus
    assert (parameters["timeout_min"], parameters["signal_delay_s"]) == (2, 30)  # not at once
