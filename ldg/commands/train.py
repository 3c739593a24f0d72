"""Train a conditional VAE: one run, the rest of one, or a sweep of many."""

import re
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ldg.commands.cli import exit_status
from ldg.commands.device import choose_device
from ldg.config.compose import HOME, compose_measures, resolve_config
from ldg.config.renamed import replace_choices
from ldg.config.run_config import RunConfig
from ldg.errors import Interrupted, UserError
from ldg.sweeps.command_line import check_command_line, keep_secrets, prepare_arguments


@hydra.main(config_path=str(HOME / "configs"), config_name="train", version_base="1.3")
def train(composed: DictConfig) -> None:
    """Carry out one job of Hydra's; ends the process if it does not succeed."""
    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if status := exit_status(lambda: _train_in_sweep(composed) if is_sweep else _train_one(composed)):
        sys.exit(status)


def _train_in_sweep(composed: DictConfig) -> None:
    from ldg.sweeps.job import run_job
    from ldg.training.slurm import requeue

    try:
        run_job(composed, HydraConfig.get(), train_and_evaluate)  # type: ignore[arg-type]
    except Interrupted as stopped:
        if not requeue(stopped, OmegaConf.select(composed, "launcher.requeues", default=float("inf"))):
            print("stopped and saved; the same command resumes the sweep", file=sys.stderr)
        raise


def _train_one(composed: DictConfig) -> None:
    # torch and Lightning load from here on, after the config was accepted
    from pytorch_lightning.utilities import rank_zero_only

    from ldg.training.console import diverged, report, resume_command
    from ldg.training.slurm import continue_job, requeue, use_cores

    config = RunConfig.from_dict(resolve_config(composed))
    if config.ckpt_path:
        from ldg.training.resume import resume_config

        config = resume_config(config, list(HydraConfig.get().overrides.task))
    config = continue_job(config, sys.argv[1:])
    use_cores()
    is_first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # of the processes of a DDP run
    try:
        summary = train_and_evaluate(config)
    except Interrupted as stopped:
        if is_first and requeue(stopped):
            pass
        elif is_first and stopped.checkpoint:
            print(f"stopped and saved; resume with:  {resume_command(stopped.checkpoint)}", file=sys.stderr)
        elif is_first:
            print("stopped before there was anything to save", file=sys.stderr)
        raise
    if is_first:
        print(report(summary, Path(config.folder)))
    if diverged(summary):
        raise UserError("training diverged, its numbers are NaN or infinite; try a smaller optimizer.lr")


def train_and_evaluate(config: RunConfig, **options: Any) -> dict[str, Any]:
    """Carry out a run, and evaluate it if the config says so.

    Args:
        config: of the run
        options: further arguments of :func:`ldg.training.run.run`

    Returns:
        The run's summary.
    """
    from ldg.evaluation.legibility import measure_legibility
    from ldg.training.run import run

    afterwards = None
    if config.evaluate:
        from ldg.evaluation.report import after_training
        from ldg.evaluation.scorecard import build_measures

        measures = build_measures(compose_measures([]))
        device = _trained_on(config.trainer)
        afterwards = after_training(measures, config.seed, lambda line: print(f"  {line}", file=sys.stderr), device)
    return run(config, afterwards=afterwards, legibility=measure_legibility, **options)


def _trained_on(trainer: dict[str, Any]) -> str:
    """The device of a run, of several the first: a GPU by its number if the config gives one."""
    device = "cpu" if trainer.get("accelerator") == "cpu" else choose_device("auto")
    devices = trainer.get("devices")
    if isinstance(devices, str) and "," in devices:  # Lightning reads "1," as [1]
        devices = re.findall(r"\d+", devices)
    return f"cuda:{devices[0]}" if device == "cuda" and isinstance(devices, list) and devices else device


def main(arguments: list[str]) -> None:
    """Check a command line and carry it out.

    Args:
        arguments: Hydra's options and the overrides, without the program's name

    Raises:
        UserError: for the first thing that is wrong with the command line.
    """
    sys.argv[1:] = keep_secrets(prepare_arguments(replace_choices(arguments)))
    check_command_line(sys.argv[1:])
    train()
