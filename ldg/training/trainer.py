"""Lightning's Trainer for a run."""

from collections.abc import Sequence

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.loggers import Logger

from ldg.config.run_config import RunConfig
from ldg.errors import UserError
from ldg.training.loggers import WandbRun
from ldg.training.module import TrainingModule
from ldg.training.saving import WholeFiles


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
        raise UserError(" ".join(str(error.__cause__ or error).split())) from None
    if config.trainer["max_time"] is None:  # with a limit, Lightning adds its own Timer
        callbacks.append(Timer())
    _check_monitors(module, callbacks)
    return callbacks


def make_trainer(
    config: RunConfig, module: TrainingModule, loggers: list[Logger], callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Make the Trainer, and hand the config to the loggers.

    Args:
        config: of the run
        module: what it trains
        loggers: of the metrics
        callbacks: from :func:`make_callbacks`

    Raises:
        UserError: if Lightning refuses an argument.
    """
    arguments = {"logger": loggers, "callbacks": callbacks, "plugins": WholeFiles(), "default_root_dir": config.folder}
    try:
        trainer: pl.Trainer = instantiate(config.trainer, **arguments)
    except Exception as error:
        cause = error.__cause__ or error
        raise UserError(f"trainer: {' '.join(str(cause).split())}") from None
    for logger in loggers:
        logger.log_hyperparams(config.to_dict())
        if isinstance(logger, WandbRun) and logger.gradients:
            logger.watch(module.model, log="gradients")
    return trainer


def _check_monitors(module: TrainingModule, callbacks: Sequence[pl.Callback]) -> None:
    """Raise UserError if a callback monitors a metric that the model does not report."""
    reported = [*module.names("train"), *module.names("val")]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in reported:
            kind = type(module.model).__name__
            hint = "; a judge is trained with experiment=judge" if "val/accuracy" in reported else ""
            known = ", ".join(reported)
            raise UserError(f"{type(callback).__name__}.monitor={monitor}: a {kind} reports {known}{hint}")
