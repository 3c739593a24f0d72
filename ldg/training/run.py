"""A run: data -> model -> fit -> test -> a folder that holds all of it."""

import json
import logging
import math
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from hydra.utils import instantiate
from pytorch_lightning.callbacks import ModelCheckpoint, Timer

from ldg.callbacks.curves import draw_curves
from ldg.callbacks.gallery import writable
from ldg.callbacks.interrupt import SaveOnSignal
from ldg.callbacks.progress import Progress
from ldg.checkpoint import build, read
from ldg.data.module import ImageDataModule
from ldg.errors import Interrupted, UserError
from ldg.generation.alphabet import is_written
from ldg.models.vae import VAE
from ldg.training.loggers import WandbRun
from ldg.training.module import TrainingModule, VAEModule
from ldg.training.saving import WholeFiles

# warnings of libraries about what is meant to be as it is
QUIET = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*loaded checkpoint was produced with.*",
    ".*could not find the monitored key.*",
    ".*it is recommended to use `Trainer\\(devices=1, num_nodes=1\\)`.*",
)


def run(
    config: dict[str, Any],
    data: ImageDataModule | None = None,
    afterwards: Callable[..., None] | None = None,
    callbacks: Sequence[pl.Callback] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Train and test what a resolved config describes; the summary that ends in the folder's ``summary.json``.

    ``data`` takes the place of the data that the config names; ``afterwards(folder, loggers)`` is called while the
    loggers are still open; ``callbacks`` are there besides the config's, and the bar if ``progress``.

    The folder also gets ``config.yaml``, ``metrics.csv``, ``loss.png``, ``checkpoints/`` and ``gallery/``; if
    something breaks, ``error.txt``.

    Raises:
        UserError: for what a user can put right (data that is not there, a rate no optimizer takes, ...).
        Interrupted: after Ctrl-C or SIGTERM, when the state has been saved.
    """
    quiet()
    with SaveOnSignal(Path(config["folder"])) as stopper:
        return _run(config, [Progress(progress), *callbacks], stopper, data, afterwards)


def _run(
    config: dict[str, Any],
    callbacks: Sequence[pl.Callback],
    stopper: SaveOnSignal,
    data: ImageDataModule | None,
    afterwards: Callable[..., None] | None,
) -> dict[str, Any]:
    folder = Path(config["folder"])
    pl.seed_everything(config["seed"], verbose=False)
    data = data or instantiate_data(config)
    module = make_module(config, data.classes)
    resume = str(config["ckpt_path"]) if config["ckpt_path"] else None
    open_folder(folder, config, may_exist=resume is not None)
    trainer = None
    try:
        trainer = make_trainer(config, folder, module, [*callbacks, stopper])
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        summary = finish(config, folder, trainer, module, data)
        if afterwards is not None and trainer.is_global_zero:
            afterwards(folder, trainer.loggers)
    except Interrupted as stopped:
        if sync := close_wandb(trainer, exit_code=128 + stopped.signum):
            print(sync, file=sys.stderr)
        if stopped.checkpoint is None and not resume:
            shutil.rmtree(folder)  # nothing in it yet
        raise
    except UserError:
        close_wandb(trainer, exit_code=2)
        if not resume:
            shutil.rmtree(folder)
        raise
    except BaseException:
        (folder / "error.txt").write_text(traceback.format_exc())
        print(f"the run broke; this error and what was saved before are in {folder}", file=sys.stderr)
        if sync := close_wandb(trainer, exit_code=1):
            print(sync, file=sys.stderr)
        raise
    finally:
        os.environ.pop("LDG_RUN_ID", None)
    return summary | {"sync": close_wandb(trainer)}


def quiet() -> None:
    """Keep other libraries' tips out of the one progress bar."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in QUIET:
        warnings.filterwarnings("ignore", pattern)


def instantiate_data(config: dict[str, Any]) -> ImageDataModule:
    """The data module, its arrays made or found."""
    data: ImageDataModule = build(config["data"])
    data.prepare_data()
    data.setup("fit")
    return data


def make_module(config: dict[str, Any], classes: tuple[str, ...]) -> TrainingModule:
    """The model and its LightningModule; channels-last, the faster layout for convolutions on CPU and GPU."""
    try:
        model = build(config["model"]).to(memory_format=torch.channels_last)
        model.classes = classes
        optimizer, scheduler = instantiate(config["optimizer"]), instantiate(config["scheduler"])
        optimizer(model.parameters())  # a rate it does not take is said now
    except (ValueError, TypeError) as error:
        raise UserError(" ".join(str(error).split())) from None
    if config["compile"]:
        # in place, so that the checkpoint's names are those of the plain networks
        for network in model.children():
            network.compile()
    return (VAEModule if isinstance(model, VAE) else TrainingModule)(model, optimizer, scheduler, config)


def open_folder(folder: Path, config: dict[str, Any], may_exist: bool) -> None:
    """Make the run folder and write the config into it."""
    worker = int(os.environ.get("LOCAL_RANK", 0)) > 0
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=may_exist or worker)
    except FileExistsError:
        raise UserError(
            f"folder={folder}: there is a run already; leave folder= out, or go on with ckpt_path="
        ) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}; choose another with outputs=...") from None
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "error.txt").unlink(missing_ok=True)


def make_trainer(
    config: dict[str, Any], folder: Path, module: TrainingModule, further: Sequence[pl.Callback]
) -> pl.Trainer:
    """Lightning's Trainer with the configured loggers and callbacks, and ``further`` ones."""
    if "ddp" in str(config["trainer"].get("strategy", "")):
        os.environ["LDG_RUN_ID"] = folder.name  # the other processes of this run share its folder
    loggers = list(instantiate(config["logger"]).values())
    callbacks = [*filter(None, instantiate(config["callbacks"]).values()), *further]
    if config["trainer"]["max_time"] is None:  # which brings its own
        callbacks.append(Timer())
    own = {"logger": loggers, "callbacks": callbacks, "plugins": WholeFiles(), "default_root_dir": folder}
    try:
        trainer: pl.Trainer = instantiate(config["trainer"], **own)
    except Exception as error:
        cause = error.__cause__ or error
        raise UserError(f"trainer: {' '.join(str(cause).split())}") from None
    reported = [*module.names("train"), *module.names("val")]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in reported:
            kind = type(module.model).__name__
            hint = "; a judge is trained with experiment=judge" if "val/accuracy" in reported else ""
            known = ", ".join(reported)
            raise UserError(f"{type(callback).__name__}.monitor={monitor}: a {kind} reports {known}{hint}")
    for logger in loggers:
        logger.log_hyperparams(config)
        if isinstance(logger, WandbRun) and logger.gradients:
            logger.watch(module.model, log="gradients")
    return trainer


def finish(
    config: dict[str, Any],
    folder: Path,
    trainer: pl.Trainer,
    module: TrainingModule,
    data: ImageDataModule,
) -> dict[str, Any]:
    """Test the best weights, draw the curves, write the summary."""
    best = next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
    if best and best.best_model_path:
        content = read(best.best_model_path)
        module.load_state_dict(content["state_dict"])
        module.reported = content["ldg"]["metrics"]  # all numbers are of the same epoch
    if config["test"]:
        trainer.test(module, data, verbose=False, weights_only=True)
    if trainer.is_global_zero and (folder / "metrics.csv").exists():
        draw_curves(folder)
    # of a resumed run: since its very start
    timer = next(c for c in trainer.callbacks if isinstance(c, Timer))  # type: ignore[attr-defined]
    summary = {
        "name": config["name"],
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "seconds": round(timer.time_elapsed("train"), 1),
        "parameters": sum(p.numel() for p in module.model.parameters()),
        "checkpoint": os.path.relpath(best.best_model_path, folder) if best and best.best_model_path else None,
        "wandb": wandb_id(trainer),
        "example": example(module.model) if isinstance(module.model, VAE) else None,
        "metrics": {key: value for key, value in module.reported.items() if "/" in key},
    }
    if trainer.is_global_zero:
        (folder / "summary.json").write_text(json.dumps(summary, indent=2))
    return summary


def example(model: VAE) -> str:
    """What generate.py may be asked of this model."""
    if model.conditioning == "none":
        return "--rows 4 --columns 8"
    if is_written(model.classes):
        return f'"{writable(model.classes, "Hello World")}"'
    return f'"{", ".join(model.classes[:2])}"'


def wandb_run(trainer: pl.Trainer | None) -> WandbRun | None:
    """The W&B logger of a trainer, if it has one that was used."""
    logger = next((x for x in trainer.loggers if isinstance(x, WandbRun)), None) if trainer else None
    return logger if logger is not None and logger._experiment is not None else None


def wandb_id(trainer: pl.Trainer) -> str | None:
    """The id of the W&B run, if there is one."""
    logger = wandb_run(trainer)
    return str(logger.version) if logger else None


def close_wandb(trainer: pl.Trainer | None, exit_code: int = 0) -> str | None:
    """End the W&B run, if any; the command that sends an offline one."""
    logger = wandb_run(trainer)
    if logger is None:
        return None
    folder = logger.folder
    logger.experiment.finish(exit_code=exit_code)
    return f"send it to W&B:                 wandb sync {os.path.relpath(folder)}" if folder else None


def report(summary: dict[str, Any], folder: Path) -> str:
    """The short table at the end, and what to type next."""
    metrics = summary["metrics"]
    epochs = f"{summary['epochs']} epoch{'s' if summary['epochs'] != 1 else ''}"
    lines = [f"\n{summary['name']}: {epochs} in {summary['seconds']:.0f} s, "]
    lines[0] += f"{summary['parameters'] / 1e6:.2f} M parameters"
    names = dict.fromkeys(key.rpartition("/")[2] for key in metrics if key.startswith(("val/", "test/")))
    lines.append(f"{'nats per image' if 'elbo' in names else '':<16}{'train':>10}{'val':>10}{'test':>10}")
    for name in names:
        values = [metrics.get(f"{split}/{name}") for split in ("train", "val", "test")]
        if name != "loss":  # its weights may change with the epoch
            digits = 4 if name == "accuracy" else 2
            lines.append(f"{name:<16}" + "".join(f"{'' if v is None else f'{v:.{digits}f}':>10}" for v in values))
    if not math.isfinite(metrics.get("val/elbo", 0.0)):
        lines.append("val/elbo is no number: training went wrong; a smaller optimizer.lr may help")
    further = f"trainer.max_epochs={2 * summary['epochs']}"
    lines.append(f"\npictures, curves, checkpoints:  {folder}")
    if summary["example"]:
        lines.append(f"write with it:                  python generate.py {summary['example']} --checkpoint {folder}")
    lines.append(f"train on:                       python train.py ckpt_path={folder} {further}")
    if summary.get("sync"):
        lines.append(summary["sync"])
    return "\n".join(lines)
