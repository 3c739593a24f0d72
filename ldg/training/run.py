"""A run: data -> model -> training -> test -> a folder that holds all of it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate

from ldg.callbacks.curves import draw_curves
from ldg.callbacks.interrupt import SaveOnSignal
from ldg.callbacks.progress import Progress
from ldg.checkpoint import build
from ldg.config.run_config import RunConfig
from ldg.data.module import ImageDataModule
from ldg.errors import explained
from ldg.training.console import silence_libraries
from ldg.training.folder import RunFolder
from ldg.training.footprint import require_step
from ldg.training.guarded import show_commands
from ldg.training.loggers import closed, sync_command, wandb_run
from ldg.training.module import make_module
from ldg.training.speed import choose_precision, should_compile
from ldg.training.summary import best_checkpoint, load_best, summarise
from ldg.training.trainer import add_loggers, make_callbacks, make_trainer


def run(
    config: RunConfig,
    data: ImageDataModule | None = None,
    afterwards: Callable[..., None] | None = None,
    legibility: Callable[..., tuple[float, float] | None] | None = None,
    callbacks: Sequence[pl.Callback] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Train and test what a config describes.

    The run's folder gets ``config.yaml``, ``source.json``, ``metrics.csv``, ``times.csv``, ``loss.png``,
    ``summary.json``, ``checkpoints/`` and ``gallery/``; if something breaks, ``error.txt``.

    Args:
        config: of the run
        data: takes the place of the data that the config names
        afterwards: called with the folder and the loggers at the end, while the loggers are still open
        legibility: takes the model, the data and their config; the shares of generated and of real characters that are
            recognised, for the summary, or None
        callbacks: those that stand behind the config's
        progress: whether there is a progress bar, or a line an epoch where the output is not a terminal

    Returns:
        The content of ``summary.json``, under ``sync`` the command that sends an offline W&B run, if there is one, and
        under ``show`` those that show the run in the stores of its loggers.

    Raises:
        UserError: for what a user can put right: missing data, a rate that the optimizer refuses, ...
        Interrupted: after Ctrl-C or SIGTERM, once the state is saved.
    """
    silence_libraries()
    # kept by the run, which goes on in it on every machine
    config = replace(config, trainer=config.trainer | {"precision": choose_precision(config.trainer)})
    with SaveOnSignal(Path(config.folder)) as stopper:
        pl.seed_everything(config.seed, verbose=False)
        data = data or build(config.data)
        module = make_module(config, data.classes)
        callbacks = make_callbacks(config, module, [Progress(progress), *callbacks, stopper])
        trainer = make_trainer(config, callbacks)
        data.prepare_data()  # last of these, since it may take long
        if data.limit is not None and progress and trainer.is_global_zero:
            counts = f"{len(data.train):,} train, {len(data.val):,} val and {len(data.test):,} test images"
            print(f"data.limit={data.limit}: {counts}", file=sys.stderr)
        images = min(len(data.train), data.batch_size)
        require_step(module.model, images, trainer.strategy.root_device, str(trainer.precision))
        with RunFolder(config) as folder, closed([]) as loggers, explained():
            if compiled := should_compile(config, module.model, data, trainer):
                module.model.compile()
            loggers += filter(None, instantiate(config.logger).values())
            add_loggers(trainer, loggers, config, module, data)
            trainer.fit(module, data, ckpt_path=config.ckpt_path, weights_only=True)
            load_best(trainer, module)
            if config.test:
                trainer.test(module, data, verbose=False, weights_only=True)
            summary = summarise(config, trainer, module) | {"compiled": compiled}
            if trainer.is_global_zero:
                if wandb := wandb_run(loggers):
                    wandb.log_best(best_checkpoint(trainer), summary["metrics"])
                shares = legibility(module.model, data, config.data) if legibility else None
                summary["legibility"] = shares and dict(zip(("generated", "real"), shares, strict=True))
                if (folder.path / "metrics.csv").exists():
                    draw_curves(folder.path)
                folder.write_summary(summary)
                if afterwards is not None:
                    afterwards(folder.path, loggers)
            return summary | {"sync": sync_command(loggers), "show": show_commands(loggers)}


def make_data(config: dict[str, Any]) -> ImageDataModule:
    """Make the data module of a constructor call, and decode its images unless they are in the cache."""
    data: ImageDataModule = build(config)
    data.prepare_data()
    return data
