"""One run of a sweep: begun, continued or skipped, and recorded in the sweep's ledger however it ends."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from omegaconf import DictConfig

from ldg.config.check import check_config
from ldg.config.compose import Sources, compose_config, replace_folder, resolve_config
from ldg.config.run_config import RunConfig
from ldg.errors import Interrupted, UserError, explain
from ldg.evaluation.scorecard import read_scorecard
from ldg.sweeps.ledger import Ledger, Sweep
from ldg.training.resume import go_on
from ldg.training.slurm import use_cores


def run_job(composed: DictConfig, hydra: DictConfig, train: Callable[..., dict[str, Any]]) -> None:
    """Carry out one run of a sweep.

    A finished run is left alone, and one that was killed continues from its last checkpoint. An error is recorded in
    the run's line of ``runs.csv`` and not raised, so that the other runs go on.

    Args:
        composed: config of the job
        hydra: Hydra's part of it
        train: carries out a run: called with its RunConfig, ``callbacks`` and ``progress``, it returns the summary

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, which ends all runs.
        UserError: if the storage of an Optuna study cannot be used any more; the run counts as interrupted.
    """
    ledger = Ledger(Path(hydra.sweep.dir))
    sweep, name, index = ledger.read_sweep(), str(composed.run), int(hydra.sweeper.index)
    folder = ledger.folder / name
    try:
        # if another process carries out this run, wait for it; a job of SLURM's would keep a node waiting
        lock = ledger.lock(name).acquire(timeout=0 if "SLURM_JOB_ID" in os.environ else -1)
    except Timeout:
        print(f"{name}: skipped, another process carries it out", file=sys.stderr)
        return
    with lock:
        if ledger.read_row(name).get("state") in ("finished", "pruned") or _has_given_up(ledger, sweep):
            return
        overrides = list(hydra.overrides.task)
        trial = None
        if sweep.kind == "optuna":
            from ldg.sweeps.study import PATIENCE, Study

            trial = Study(sweep, ledger.folder, index, PATIENCE).begin_trial()
            overrides += trial.overrides
        ledger.write_row(name, "running", **_chosen_values(sweep, overrides))
        try:
            summary = _read_summary(folder)
            if summary is None:
                config = _configure(sweep, folder, overrides, hydra)
                _share_machine(config, sweep.runs, index)
                summary = train(config, callbacks=trial.callbacks if trial else [], progress=False)
            if trial:
                trial.result(summary)  # a summary without an objective fails the run
            state = "pruned" if trial and trial.is_pruned else "finished"
            cells = _result_cells(summary, folder)
        except Interrupted:
            ledger.write_row(name, "interrupted")
            raise
        except Exception as error:
            summary, state, cells = None, "failed", {"error": explain(error) or f"{type(error).__name__}: {error}"}
        try:
            if trial:
                trial.end(summary)
        except UserError:  # the study has not got the result, which is in the run's folder
            ledger.write_row(name, "interrupted")
            raise
        ledger.write_row(name, state, **cells)


def _has_given_up(ledger: Ledger, sweep: Sweep) -> bool:
    """Whether so many trials have failed that no more are begun."""
    if sweep.study is None:
        return False
    return sum(row["state"] == "failed" for row in ledger.read_rows()) >= sweep.study["max_failures"]


def _chosen_values(sweep: Sweep, overrides: list[str]) -> dict[str, str]:
    """This run's values of the sweep's parameters."""
    values = dict(override.partition("=")[::2] for override in overrides)
    return {key: values[key] for key in sweep.parameters}


def _read_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of a run that was killed after it was finished and before that was recorded."""
    path = folder / "summary.json"
    if not path.exists():
        return None
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _result_cells(summary, folder)
    except (TypeError, AttributeError, KeyError, ValueError):  # damaged: the run goes on from its last checkpoint
        return None
    return summary


def _configure(sweep: Sweep, folder: Path, overrides: list[str], hydra: DictConfig) -> RunConfig:
    """The config of a run in the sweep's folder, and in a group of the loggers that have groups.

    It continues from its last checkpoint if it has one. A folder without a checkpoint is removed.
    """
    resolved = resolve_config(compose_config([*hydra.overrides.hydra, *overrides], Sources.of_job(hydra)))
    check_config(resolved)
    config = RunConfig.from_dict(replace_folder(resolved, resolved["folder"], str(folder)))
    last = folder / "checkpoints" / "last.ckpt"
    if last.exists():
        go_on(config, last)
    else:
        config.ckpt_path = None
        shutil.rmtree(folder, ignore_errors=True)
    config.tags = [*config.tags, sweep.name[:64]]  # no longer tag, and no longer group below, is taken by W&B
    for name, logger in config.logger.items():
        if logger and "group" in logger:
            given = {override.partition("=")[0] for override in overrides}
            fitted = {"group": sweep.name[:128], "name": folder.name}
            logger |= {key: value for key, value in fitted.items() if f"logger.{name}.{key}" not in given}
            logger |= {"tags": config.tags} if "tags" in logger else {}
    return config


def _share_machine(config: RunConfig, runs: int, index: int) -> None:
    """Give a run its share of the machine's cores, and one of its GPUs.

    Args:
        config: of the run; the devices of its trainer are changed
        runs: number of runs of the sweep
        index: of this run
    """
    # launchers without the setting carry out one run at a time, or one on each machine
    at_once = (config.launcher or {}).get("runs_per_machine", 1)
    if at_once is None:
        at_once = runs
    elif at_once == -1:
        at_once = os.cpu_count() or 1
    use_cores(at_once)
    gpus = torch.cuda.device_count() if config.trainer.get("accelerator") in ("auto", "gpu", "cuda") else 0
    if gpus > 1 and config.trainer.get("devices") in (1, "auto"):
        config.trainer["devices"] = [index % gpus]


def _result_cells(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The cells of ``runs.csv`` for a run's summary, and for its scorecard if it has one."""
    cells = {key: value for key, value in summary["metrics"].items() if "/" in key}
    if (folder / "scorecard.json").exists():
        scorecard = read_scorecard(folder / "scorecard.json")
        cells |= {f"test/{name}": value.value for name, value in scorecard.values.items()}
    return cells | {key: summary[key] for key in ("epochs", "seconds", "parameters", "wandb")}
