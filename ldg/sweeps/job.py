"""One run of a sweep: begun, continued or skipped, and recorded in the sweep's ledger however it ends."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from ldg.config.check import check_config
from ldg.config.compose import compose_config, replace_folder, resolve_config
from ldg.config.run_config import RunConfig
from ldg.errors import Interrupted
from ldg.evaluation.scorecard import read_scorecard
from ldg.sweeps.ledger import Ledger, Sweep


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
    """
    ledger = Ledger(Path(hydra.sweep.dir))
    sweep, name, index = ledger.read_sweep(), str(composed.run), int(hydra.sweeper.index)
    folder = ledger.folder / name
    with ledger.lock(name):  # if another process carries out this run, wait for it
        if ledger.read_row(name).get("state") in ("finished", "pruned") or _has_given_up(ledger, sweep):
            return
        overrides = list(hydra.overrides.task)
        trial = None
        if sweep.kind == "optuna":
            from ldg.sweeps.study import Study

            trial = Study(sweep, ledger.folder, index).begin_trial()
            overrides += trial.overrides
        ledger.write_row(name, "running", **_chosen_values(sweep, overrides))
        try:
            summary = _read_summary(folder)
            if summary is None:
                config = _configure(sweep, folder, overrides)
                _share_machine(config, sweep.runs, index)
                summary = train(config, callbacks=trial.callbacks if trial else [], progress=False)
            if trial:
                trial.end(summary)
        except Interrupted:
            ledger.write_row(name, "interrupted")
            raise
        except Exception as error:
            if trial:
                trial.end(None)
            ledger.write_row(name, "failed", error=f"{type(error).__name__}: {error}")
            return
        state = "pruned" if trial and trial.is_pruned else "finished"
        ledger.write_row(name, state, **_result_cells(summary, folder))


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
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary


def _configure(sweep: Sweep, folder: Path, overrides: list[str]) -> RunConfig:
    """The config of a run in the sweep's folder and W&B group, which continues from its last checkpoint if it has one.

    A folder without a checkpoint is removed.
    """
    resolved = resolve_config(compose_config(overrides))
    check_config(resolved)
    config = RunConfig.from_dict(replace_folder(resolved, resolved["folder"], str(folder)))
    last = folder / "checkpoints" / "last.ckpt"
    if last.exists():
        config.ckpt_path = str(last)
    else:
        config.ckpt_path = None
        shutil.rmtree(folder, ignore_errors=True)
    config.tags = [*config.tags, sweep.name]
    if wandb := config.logger.get("wandb"):
        wandb["tags"] = config.tags
        for key, value in (("group", sweep.name), ("name", folder.name)):
            if not any(override.startswith(f"logger.wandb.{key}=") for override in overrides):
                wandb[key] = value
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
    if at_once > 1:
        # macOS and Windows have no affinity
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // at_once))
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
