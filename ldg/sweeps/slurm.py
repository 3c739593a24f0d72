"""The runs of a sweep as SLURM jobs: submitted once, and watched until they have left the queue.

``jobs.csv`` in the sweep's folder holds the last job of each run, so that the process that submitted them may end.
"""

import csv
import getpass
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from omegaconf import OmegaConf
from tqdm import tqdm

from ldg.errors import Interrupted, UserError
from ldg.files import read_csv, whole
from ldg.sweeps.ledger import ENDED, Ledger

ASKED = "launcher.partition, account, minutes, cpus, gpus, memory_gb and n_jobs say what is asked for"
NEVER = {"PartitionConfig", "PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "JobHeldAdmin"}
LONGEST_PAUSE = 20.0  # seconds between two questions to SLURM


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs.

    Attributes:
        id: of SLURM, for a task of an array ``ARRAY_TASK``
        is_running: whether it runs
        reason: why it waits
    """

    id: str
    is_running: bool
    reason: str


def submit(launcher: SlurmLauncher, jobs: dict[str, list[str]], ledger: Ledger) -> None:
    """Submit the runs of a sweep that are not in SLURM's queue yet.

    Args:
        launcher: carries out a run, called in its job
        jobs: the overrides of each run that is left, by its name
        ledger: of the sweep

    Raises:
        UserError: if this is no machine of a cluster, SLURM does not answer, or it refuses the jobs.
    """
    if shutil.which("sbatch") is None:
        raise UserError("launcher=slurm: there is no sbatch on PATH; launcher=slurm_local does without a cluster")
    with ledger.lock("submit"):
        queued = queued_jobs(ledger)
        left = {run: overrides for run, overrides in jobs.items() if run not in queued}
        if known := len(jobs) - len(left):
            print(f"in SLURM's queue already, and watched again: {known}", file=sys.stderr)
        if left:
            state = Singleton.get_state()
            calls = enumerate(left.items())
            arguments = [(overrides, "hydra.sweep.dir", index, run, state) for index, (run, overrides) in calls]
            ids = _submit_array(launcher, arguments)
            _write_jobs(ledger, dict(zip(left, ids, strict=True)))
            print(f"submitted to SLURM: {len(ids)}, as job {' '.join(_array_ids(ids))}", file=sys.stderr)


def _submit_array(launcher: SlurmLauncher, arguments: list[tuple[Any, ...]]) -> list[str]:
    """The ids of new jobs that call the launcher with these arguments; what is refused leaves no files."""
    import submitit

    folder = Path(launcher.params["submitit_folder"])
    before = set(folder.glob("*"))
    shared = set(OmegaConf.structured(BaseQueueConf).keys())
    parameters = _parameters(launcher, len(arguments))
    executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=launcher.params["max_num_timeout"])
    executor.update_parameters(**{k if k in shared else f"slurm_{k}": v for k, v in parameters.items()})
    try:
        with redirect_stderr(StringIO()):  # submitit prints what it raises
            return [job.job_id for job in executor.map_array(launcher, *zip(*arguments, strict=True))]
    except submitit.core.utils.FailedJobError as error:
        for file in set(folder.glob("*")) - before:
            file.unlink()
        reason = str(error).strip().splitlines()[-1].removeprefix("sbatch: error: ")
        raise UserError(f"launcher=slurm: sbatch says {reason!r}; {ASKED}") from None


def _parameters(launcher: SlurmLauncher, number: int) -> dict[str, Any]:
    """What is asked for each job: the settings of ``hydra.launcher``, completed."""
    given = {k: v for k, v in launcher.params.items() if k not in ("submitit_folder", "max_num_timeout")}
    if given["gpus_per_node"] is None:
        assert launcher.config is not None
        given["gpus_per_node"] = _gpus(str(launcher.config.trainer.accelerator), given["partition"])
    if not given["gpus_per_node"]:
        del given["gpus_per_node"]  # a cluster without GPUs refuses the word
    if given["array_parallelism"] == -1:
        given["array_parallelism"] = number
    # a quarter of a short job's time
    given["signal_delay_s"] = min(given["signal_delay_s"], 15 * given["timeout_min"])
    given["additional_parameters"] = {"requeue": True} | given["additional_parameters"]
    return given


def _gpus(accelerator: str, partition: str | None) -> int:
    """The GPUs that a run with an accelerator needs; with ``auto`` one, if the cluster has any."""
    if accelerator != "auto":
        return int(accelerator in ("gpu", "cuda"))
    return int("gpu" in (_ask("sinfo", "--noheader", "--format=%G", *([f"--partition={partition}"] * bool(partition)))))


def queued_jobs(ledger: Ledger) -> dict[str, QueuedJob]:
    """The jobs of a sweep that wait or run, by the names of their runs.

    Args:
        ledger: of the sweep

    Raises:
        UserError: if SLURM does not answer.
    """
    jobs = _read_jobs(ledger)
    if not jobs:
        return {}
    lines = _ask("squeue", f"--user={getpass.getuser()}", "--array", "--noheader", "--format=%i|%T|%r").splitlines()
    queue = {id: QueuedJob(id, state != "PENDING", reason) for id, state, reason in (line.split("|") for line in lines)}
    return {run: queue[id] for run, id in jobs.items() if id in queue}


def watch(ledger: Ledger, runs: list[str]) -> None:
    """Wait until runs have ended, or their jobs have left SLURM's queue.

    Args:
        ledger: of the sweep
        runs: their names

    Raises:
        Interrupted: after Ctrl-C. The jobs go on.
    """
    pause, next_question, told, gone = 1.0, 0.0, "", 0
    with _interruptible(ledger):
        while gone < 2:  # what a job has written last may become visible after it has left the queue
            time.sleep(1)
            ended = {row["run"] for row in ledger.read_rows() if row["state"] in ENDED}
            if ended.issuperset(runs):
                return
            if time.monotonic() < next_question:
                continue
            pause = min(1.2 * pause, LONGEST_PAUSE)
            next_question = time.monotonic() + pause
            try:
                jobs = queued_jobs(ledger)
            except UserError as error:
                line = f"{error}; asking again"
            else:
                gone = 0 if jobs else gone + 1
                line = _describe(list(jobs.values()))
            if line not in ("", told):
                tqdm.write(line, file=sys.stderr)
                told = line


def _describe(jobs: list[QueuedJob]) -> str:
    """How many jobs wait, and why; empty if none does."""
    waiting = [job for job in jobs if not job.is_running]
    reasons = sorted({job.reason for job in waiting} - {"None"})
    hint = f" (such a job never starts; {ASKED})" if NEVER & {*reasons} else ""
    return f"{len(waiting)} wait in SLURM's queue: {', '.join(reasons)}{hint}" if reasons else ""


@contextmanager
def _interruptible(ledger: Ledger) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        ids = " ".join(_array_ids(_read_jobs(ledger).values()))
        print(f"\nthe jobs go on; the same command watches them again, scancel {ids} ends them", file=sys.stderr)
        raise Interrupted(signal.SIGINT, None) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _array_ids(ids: Iterable[str]) -> list[str]:
    """The ids of arrays in place of those of their tasks."""
    return sorted({id.partition("_")[0] for id in ids}, key=int)


def _read_jobs(ledger: Ledger) -> dict[str, str]:
    """The id of the last job of each run.

    Raises:
        UserError: if the file is damaged.
    """
    file = ledger.folder / "jobs.csv"
    try:
        jobs = {row["run"]: row["job"] for row in read_csv(file)}
        for id in jobs.values():
            int(id.partition("_")[0])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, AttributeError, csv.Error):
        raise UserError(f"{file} is damaged; remove it") from None
    return jobs


def _write_jobs(ledger: Ledger, new: dict[str, str]) -> None:
    jobs = _read_jobs(ledger) | new
    with whole(ledger.folder / "jobs.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("run", "job"), *sorted(jobs.items())])


def _ask(*line: str) -> str:
    """What one of SLURM's commands prints.

    Raises:
        UserError: if it fails.
    """
    try:
        return subprocess.run(line, capture_output=True, encoding="utf-8", check=True, timeout=60).stdout
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise UserError(f"launcher=slurm: {line[0]} does not answer: {reason}")
