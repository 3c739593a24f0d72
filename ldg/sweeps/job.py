"""One run of a sweep: begun, gone on with or skipped, and written into the sweep's ledger however it ends."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback

from ldg.errors import Interrupted
from ldg.sweeps.ledger import Ledger
from ldg.training import config as configs


def carry_out(
    composed: DictConfig,
    hydra: DictConfig,
    home: Path,
    start: Callable[..., dict[str, Any]],
) -> None:
    """Carry out the run that ``composed`` and ``hydra``, the job's config, name, by ``start``, which trains.

    A finished run is left alone, one that was killed goes on from its last checkpoint. What breaks ends in the run's
    line and not in an exception, so that the others go on; being interrupted ends them all.
    """
    ledger = Ledger(Path(hydra.sweep.dir))
    facts, name = ledger.facts, str(composed.run)
    with ledger.lock(name):  # another process may be at it: wait for it
        if ledger.row(name).get("state") in ("finished", "pruned") or _given_up(ledger, facts):
            return
        overrides = list(hydra.overrides.task)
        trial = None
        callbacks: list[Callback] = []
        if facts["kind"] == "optuna":
            from ldg.sweeps.study import Prune, Study

            study = Study(facts, ledger.folder, slot=int(name.rpartition("-")[2]))
            trial, values = study.begin()
            overrides += values
            if facts["study"].get("pruner"):
                callbacks.append(Prune(trial, next(iter(facts["objectives"]))))
        parameters = _parameters(facts, overrides)
        ledger.record(name, "running", **parameters)
        try:
            summary = _finished_before(ledger.folder / name)
            if summary is None:
                config = configs.resolved(configs.composed(overrides, home))
                configs.check(config)
                config = _placed(config, ledger.folder / name, facts, overrides, hydra)
                summary = start(config, callbacks=callbacks, progress=False)
            if trial is not None:
                study.end(trial, summary)
        except Interrupted:
            ledger.record(name, "interrupted")
            raise
        except Exception as error:
            if trial is not None:
                study.end(trial, None)
            ledger.record(name, "failed", error=f"{type(error).__name__}: {error}")
            return
        cells = {key: value for key, value in summary["metrics"].items() if "/" in key} | _scores(ledger.folder / name)
        cells |= {"epochs": summary["epochs"], "seconds": summary["seconds"], "parameters": summary["parameters"]}
        pruned = trial is not None and trial.user_attrs.get("pruned", False)
        ledger.record(name, "pruned" if pruned else "finished", **cells, wandb=summary["wandb"])


def _given_up(ledger: Ledger, facts: dict[str, Any]) -> bool:
    """Whether so many trials have failed that no more are begun."""
    if facts["kind"] != "optuna":
        return False
    return sum(row["state"] == "failed" for row in ledger.rows()) >= facts["study"]["max_failures"]


def _parameters(facts: dict[str, Any], overrides: list[str]) -> dict[str, str]:
    given = dict(override.partition("=")[::2] for override in overrides)
    return {key: given[key] for key in facts["parameters"]}


def _finished_before(folder: Path) -> dict[str, Any] | None:
    """The summary of a run that was killed after its end; where there is nothing to go on from, the folder goes."""
    if (folder / "summary.json").exists():
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
        return summary
    if not (folder / "checkpoints" / "last.ckpt").exists():
        shutil.rmtree(folder, ignore_errors=True)
    return None


def _placed(
    config: dict[str, Any], folder: Path, facts: dict[str, Any], overrides: list[str], hydra: DictConfig
) -> dict[str, Any]:
    """The config of a run in its place: in the sweep's folder, in its W&B group, on its share of the machine."""
    config = configs.moved(config, config["folder"], str(folder))
    last = folder / "checkpoints" / "last.ckpt"
    config["ckpt_path"] = str(last) if last.exists() else None
    config["tags"] = [*config["tags"], facts["name"]]
    if wandb := config["logger"].get("wandb"):
        wandb["tags"] = config["tags"]
        if not any(override.startswith("logger.wandb.group=") for override in overrides):
            wandb["group"] = facts["name"]
        if not any(override.startswith("logger.wandb.name=") for override in overrides):
            wandb["name"] = folder.name
    at_once = _at_once(hydra.launcher, facts["runs"])
    if at_once > 1:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // at_once))
    gpus = torch.cuda.device_count() if config["trainer"].get("accelerator") in ("auto", "gpu", "cuda") else 0
    if gpus > 1 and config["trainer"].get("devices") in (1, "auto"):
        number = int(re.findall(r"\d+", folder.name)[0])
        config["trainer"]["devices"] = [number % gpus]
    return config


def _at_once(launcher: DictConfig, runs: int) -> int:
    """How many runs share this machine."""
    settings = OmegaConf.to_container(launcher, resolve=True)
    assert isinstance(settings, dict)
    if "n_jobs" in settings:
        return os.cpu_count() or 1 if settings["n_jobs"] == -1 else int(settings["n_jobs"])
    return runs if str(settings["_target_"]).endswith(".LocalLauncher") else 1


def _scores(folder: Path) -> dict[str, float]:
    """What the run's scorecard says, if it has one."""
    if not (folder / "scorecard.json").exists():
        return {}
    from ldg.evaluation.scorecard import read

    return {f"test/{name}": value.value for name, value in read(folder / "scorecard.json").values.items()}
