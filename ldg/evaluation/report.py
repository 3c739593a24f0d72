"""Where a scorecard goes: three files in the run folder, and the loggers of a run that is still open."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from ldg.checkpoint import find
from ldg.errors import UserError
from ldg.evaluation import picture, table
from ldg.evaluation.measure import Measure, Result
from ldg.evaluation.scorecard import Scorecard, evaluate, read, write
from ldg.evaluation.subject import Subject


def folder_of(file: Path) -> Path:
    """The run folder that a checkpoint lies in; where there is none, the folder it is in.

    Exported weights may be part of a package: theirs is ``outputs/`` and their name.
    """
    if file.suffix == ".safetensors":
        return Path("outputs") / file.stem
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent


def publish(card: Scorecard, subject: Subject) -> Path:
    """Write ``scorecard.json``, ``.md`` and ``.png``; the folder they are in.

    What has been measured of this checkpoint before, with this seed, and not now, stays.

    Raises:
        UserError: if it cannot be written to.
    """
    folder = folder_of(Path(card.checkpoint))
    folder.mkdir(parents=True, exist_ok=True)
    card = replace(card, results=earlier(card, folder / "scorecard.json") | card.results)
    card.save(folder)
    write(folder / "scorecard.md", table.markdown([card]))
    try:
        picture.save(card, subject, folder / "scorecard.png")
    except OSError as error:
        raise UserError(f"cannot write {folder}/scorecard.png: {error.strerror}") from None
    return folder


def earlier(card: Scorecard, path: Path) -> dict[str, Result]:
    """The results in a scorecard file, if they are of the same weights and seed."""
    if not path.exists():
        return {}
    try:
        old = read(path)
    except UserError:  # damaged, or of another format: made anew
        return {}
    fresh = path.stat().st_mtime >= Path(card.checkpoint).stat().st_mtime
    return old.results if fresh and (old.checkpoint, old.seed) == (card.checkpoint, card.seed) else {}


def after_training(measures: dict[str, Measure], seed: int, tell: Callable[[str], None]) -> Callable[..., None]:
    """What evaluates a run at its end: takes its folder and its loggers, which get the numbers under ``test/``."""

    def score(folder: Path, loggers: list[Any]) -> None:
        card, subject = evaluate(find(folder), measures, seed, tell=tell)
        publish(card, subject)
        for logger in loggers:
            log(logger, card, folder / "scorecard.png")

    return score


def log(logger: Any, card: Scorecard, image: Path) -> None:
    """Give a scorecard to a logger: numbers, table and picture to W&B, the picture to TensorBoard."""
    if isinstance(logger, WandbLogger):
        import wandb

        header, *body = table.rows([card])
        logger.experiment.summary.update({f"test/{name}": value.value for name, value in card.values.items()})
        logger.experiment.log({"scorecard": wandb.Table(columns=["measure", *header[1:]], data=body)})
        logger.log_image("scorecard_picture", [str(image)])
    elif isinstance(logger, TensorBoardLogger):
        import numpy as np
        from PIL import Image

        logger.experiment.add_image("scorecard", np.asarray(Image.open(image).convert("RGB")), dataformats="HWC")
