"""The summary of a finished run, of its best weights."""

import os
import shlex
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, Timer

from ldg.checkpoint import read
from ldg.config.run_config import RunConfig
from ldg.figures.strings import writable
from ldg.generation.alphabet import is_written
from ldg.models.vae import VAE
from ldg.training.loggers import wandb_run
from ldg.training.module import TrainingModule


def best_checkpoint(trainer: pl.Trainer) -> str | None:
    """Find the checkpoint with the best value of the monitored metric.

    Args:
        trainer: of the run

    Returns:
        Its path; None if there is none.
    """
    callbacks = trainer.checkpoint_callbacks
    best = next((c for c in callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
    return (best and best.best_model_path) or None


def load_best(trainer: pl.Trainer, module: TrainingModule) -> None:
    """Load the weights of the best epoch, and its metrics, so that all numbers are of the same epoch.

    Args:
        trainer: of the run
        module: which gets the weights
    """
    if path := best_checkpoint(trainer):
        content = read(path)
        module.load_state_dict(content["state_dict"])
        module.reported = content["ldg"]["metrics"]


def summarise(config: RunConfig, trainer: pl.Trainer, module: TrainingModule) -> dict[str, Any]:
    """Collect the content of ``summary.json``.

    Args:
        config: of the run
        trainer: after training and test
        module: with the best weights

    Returns:
        name, number of epochs and steps, seconds of training (of a resumed run since its very start), number of
        parameters, path of the best checkpoint in the run's folder, id of the W&B run, the arguments of ``ldg write``
        that show what the model draws, its classes and conditioning, and the metrics by split and name.
    """
    timer = next(c for c in trainer.callbacks if isinstance(c, Timer))  # type: ignore[attr-defined]
    epochs: Any = trainer.fit_loop.epoch_progress.current  # trainer.current_epoch lags where nothing is left to train
    best = best_checkpoint(trainer)
    wandb = wandb_run(trainer.loggers)
    model = module.model
    return {
        "name": config.name,
        "epochs": epochs.processed,
        "steps": trainer.global_step,
        "seconds": round(timer.time_elapsed("train"), 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "checkpoint": os.path.relpath(best, config.folder) if best else None,
        "wandb": str(wandb.version) if wandb else None,
        "example": _example(model) if isinstance(model, VAE) else None,
        "classes": list(model.classes),
        "conditioning": model.conditioning if isinstance(model, VAE) else None,
        "metrics": {key: value for key, value in module.reported.items() if "/" in key},
    }


def _example(model: VAE) -> str:
    """Arguments of ``ldg write`` that this model can carry out."""
    if model.conditioning == "none":
        return "--rows 4 --columns 8"
    if is_written(model.classes):
        return _quote(writable(model.classes, "Hello World"))
    return _quote(", ".join(model.classes[:2]))


def _quote(text: str) -> str:
    """A text as an argument of a shell, in single quotes only where double ones would not keep it."""
    return shlex.quote(text) if set('$`"\\!') & set(text) else f'"{text}"'
