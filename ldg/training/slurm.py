"""A run as a job of SLURM's: the cores it may use, its folder, and how it starts again."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import torch

from ldg.config.compose import replace_folder
from ldg.config.run_config import RunConfig
from ldg.errors import Interrupted
from ldg.training.resume import go_on

RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
# what announces the end of a job; after SIGTERM it was cancelled, or SLURM starts it again by itself
ANNOUNCING = {getattr(signal, name, None) for name in ("SIGUSR1", "SIGUSR2")}


def use_cores(share: int = 1) -> None:
    """Let torch use the cores that the job was given, which not every cluster binds it to, and never more than before.

    Args:
        share: number of runs that share them
    """
    # macOS and Windows have no affinity
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    if given:
        cores = min(cores, int(given))
    if given or share > 1:
        torch.set_num_threads(max(1, min(cores // share, torch.get_num_threads())))


def restarts() -> int:
    """How often SLURM has started this job again."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def continue_job(config: RunConfig, arguments: list[str]) -> RunConfig:
    """Find the run that a command has begun before SLURM started its job again.

    Args:
        config: of the command
        arguments: of the command; a job may carry out several

    Returns:
        The config in a folder named after the job, and with the checkpoint to go on from, if this is a job.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or config.ckpt_path:
        return config
    folder = Path(config.folder)
    if RUN_ID.fullmatch(folder.name):
        command = json.dumps([*arguments, os.environ.get("SLURM_PROCID", "0")])
        own = folder.with_name(f"slurm-{job}-{hashlib.sha256(command.encode()).hexdigest()[:6]}")
        if restarts() and not (own / "checkpoints" / "last.ckpt").exists():
            shutil.rmtree(own, ignore_errors=True)  # it was killed before it had saved
        if restarts() or not own.exists():
            folder = own
    config = RunConfig.from_dict(replace_folder(config.to_dict(), config.folder, str(folder)))
    last = folder / "checkpoints" / "last.ckpt"
    if restarts() and last.exists():
        go_on(config, last)
    return config


def requeue(stopped: Interrupted, limit: float = float("inf")) -> bool:
    """Let SLURM start this job again, after a signal that announces its end, unless the last start trained nothing.

    Args:
        stopped: what the run has raised
        limit: how often

    Returns:
        Whether SLURM does so. It ends this process.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or stopped.signum not in ANNOUNCING:
        return False
    if restarts() >= limit or (restarts() and not stopped.has_trained):
        return False
    try:
        subprocess.run(["scontrol", "requeue", job], capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False  # not a batch job, or one that may not be started again
    print("stopped and saved; SLURM starts this job again, and it goes on", file=sys.stderr)
    return True
