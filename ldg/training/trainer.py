"""Lightning's Trainer for a run."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from ldg.config.run_config import RunConfig
from ldg.data.splits import ImageSplits
from ldg.errors import UserError, explain, explained, one_line
from ldg.training.module import TrainingModule
from ldg.training.saving import WholeFiles
from ldg.training.wandb import WandbRun


def make_callbacks(config: RunConfig, module: TrainingModule, further: Sequence[pl.Callback]) -> list[pl.Callback]:
    """Make the callbacks of a run.

    Args:
        config: of the run
        module: what it trains
        further: callbacks that follow those of the config

    Raises:
        UserError: if a callback refuses an argument, or monitors a metric that the model does not report.
    """
    try:
        callbacks = [*filter(None, instantiate(config.callbacks).values()), *further]
    except InstantiationException as error:
        raise explain(error) or UserError(one_line(error.__cause__ or error)) from None
    if config.trainer.get("max_time") is None:  # with a limit, Lightning adds its own Timer
        callbacks.append(Timer())
    monitors = {type(callback).__name__: getattr(callback, "monitor", None) for callback in callbacks}
    _check_monitors(module, monitors | {"scheduler": config.scheduler.get("monitor")})
    for callback in callbacks:
        if isinstance(callback, EarlyStopping):
            callback.strict = False  # an epoch without validation does not end the run
    return callbacks


def make_trainer(config: RunConfig, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Make the Trainer, without its loggers.

    Args:
        config: of the run
        callbacks: from :func:`make_callbacks`

    Raises:
        UserError: if Lightning refuses an argument, or would take one from an environment variable.
    """
    # Lightning takes them for arguments that the config lacks; neither the checks nor config.yaml know of these
    for variable in sorted(name for name in os.environ if name.startswith("PL_TRAINER_")):
        key = variable.removeprefix("PL_TRAINER_").lower()
        raise UserError(f"{variable} is set: a run follows its config alone; unset it, and give trainer.{key}=...")
    arguments: dict[str, Any] = {"logger": False, "callbacks": callbacks, "default_root_dir": config.folder}
    arguments["max_steps"] = -1  # the module counts them
    if config.trainer.get("max_epochs") is None and config.trainer.get("max_steps"):
        arguments["max_epochs"] = -1
    with explained():
        environment = _environment()
        arguments["plugins"] = [WholeFiles(), environment]
        try:
            trainer: pl.Trainer = instantiate(config.trainer, **arguments)
        except InstantiationException as error:
            raise explain(error) or UserError(f"trainer: {one_line(error.__cause__ or error)}") from None
    if trainer.world_size > 1 and environment.creates_processes_externally and "LDG_RUN_ID" not in os.environ:
        raise UserError(
            "processes that torchrun or srun starts share a folder by its name: set LDG_RUN_ID=NAME for all"
        )
    return trainer


def add_loggers(
    trainer: pl.Trainer, loggers: list[Logger], config: RunConfig, module: TrainingModule, data: ImageSplits
) -> None:
    """Give the Trainer its loggers, and them the config.

    Args:
        trainer: from :func:`make_trainer`
        loggers: of the metrics
        config: of the run
        module: what it trains
        data: what it is trained on
    """
    trainer.loggers = loggers
    for logger in loggers:
        if isinstance(logger, WandbRun) and logger.version == Path(config.folder).name and not config.ckpt_path:
            logger.resume = None  # its id is new, as the folder's name
        logger.log_hyperparams(config.to_dict())
        if isinstance(logger, WandbRun):
            logger.use_data(data)
            if logger.gradients:
                logger.watch(module.model, log="gradients")


def _environment() -> ClusterEnvironment:
    """How the processes of a run find each other.

    Lightning takes every process that SLURM's variables are set for, as in an interactive allocation, for one of many,
    and saves and requeues by itself.
    """
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:  # srun has started several
        return SLURMEnvironment(auto_requeue=False)
    kinds = (TorchElasticEnvironment, LSFEnvironment, MPIEnvironment)
    return next((kind() for kind in kinds if kind.detect()), LightningEnvironment())


def _check_monitors(module: TrainingModule, monitors: dict[str, str | None]) -> None:
    """Raise UserError if something monitors a metric that the model does not report."""
    reported = [*module.names("train"), *module.names("val")]
    for name, monitor in monitors.items():
        if monitor is not None and monitor not in reported:
            kind = type(module.model).__name__
            hint = "; a judge is trained with experiment=judge" if "val/accuracy" in reported else ""
            raise UserError(f"{name}.monitor={monitor}: a {kind} reports {', '.join(reported)}{hint}")
