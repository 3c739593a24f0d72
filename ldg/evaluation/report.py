"""Where a scorecard goes: three files in the run folder, and the loggers of a run that is still open."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from ldg import artifacts
from ldg.checkpoint import find
from ldg.errors import UserError
from ldg.evaluation import table
from ldg.evaluation.context import EvaluationContext
from ldg.evaluation.measure import Measure, Result, list_quantities
from ldg.evaluation.scorecard import Scorecard, evaluate_checkpoint, read_scorecard
from ldg.figures.scorecard import Bar, ScorecardPicture
from ldg.files import whole, write_text
from ldg.training.loggers import harmless


def scorecard_folder(file: Path) -> Path:
    """The folder of a checkpoint's scorecard: its run's, or the one the checkpoint is in.

    Exported weights may be part of a package, and an artifact is in a cache: theirs is ``outputs/NAME``.
    """
    if file.parent.parent.name == artifacts.CACHE:
        return Path("outputs") / file.parent.name
    if file.suffix == ".safetensors":
        return Path("outputs") / file.stem
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent


def publish_scorecard(card: Scorecard, context: EvaluationContext) -> Path:
    """Write ``scorecard.json``, ``.md`` and ``.png``.

    Earlier results of the same checkpoint and seed are kept, unless they are measured again.

    Args:
        card: the results
        context: the model they are of, which generates the samples in the picture

    Returns:
        The folder of the files.

    Raises:
        UserError: if they cannot be written.
    """
    folder = scorecard_folder(Path(card.checkpoint))
    card = replace(card, results=read_earlier_results(card, folder / "scorecard.json") | card.results)
    card.save(folder)
    write_text(folder / "scorecard.md", table.format_markdown([card]))
    figure, _ = picture_of(card).draw(lambda labels: context.sample(labels, "sheet"), context.model)
    with whole(folder / "scorecard.png") as path:
        figure.savefig(path, dpi=130)
    return folder


def read_earlier_results(card: Scorecard, path: Path) -> dict[str, Result]:
    """Read the results of an earlier scorecard.

    Args:
        card: of the same checkpoint
        path: of the earlier ``scorecard.json``

    Returns:
        Results by measure; none if the file is missing, damaged, older than the weights, or of another seed.
    """
    if not path.exists():
        return {}
    try:
        old = read_scorecard(path)
    except UserError:  # damaged, or of another format: it is replaced
        return {}
    is_newer = path.stat().st_mtime >= Path(card.checkpoint).stat().st_mtime
    return old.results if is_newer and (old.checkpoint, old.seed) == (card.checkpoint, card.seed) else {}


def picture_of(card: Scorecard) -> ScorecardPicture:
    """The picture of a scorecard, which lacks only the samples."""
    quantities = [quantity for quantity in list_quantities().values() if quantity.name in card.values]
    values = card.values
    bars = [
        Bar(quantity.title, value.value, value.error, value.reference)
        for quantity in quantities
        if quantity.display == "bar"
        for value in [values[quantity.name]]
    ]
    headline = [
        f"{quantity.title} {table.format_number(values[quantity.name].value)} {values[quantity.name].unit}".strip()
        for quantity in quantities
        if quantity.display == "headline"
    ]
    accuracy, latent = card.results.get("class_accuracy"), card.results.get("latent")
    return ScorecardPicture(
        card.name,
        headline,
        bars,
        accuracy.detail if accuracy else None,
        latent.detail["kl_per_dim"] if latent else None,
        table.format_number(latent.values["active_units"].value) if latent else "",
        list(dict.fromkeys(card.classifiers)),
    )


def after_training(
    measures: dict[str, Measure], seed: int, report: Callable[[str], None], device: str = "cpu"
) -> Callable[..., None]:
    """What evaluates a run at its end.

    Args:
        measures: by name
        seed: of all noise
        report: called with a line after each measure
        device: that everything is computed on

    Returns:
        A function of the run's folder and its loggers, which receive the numbers as ``test/NAME``.
    """

    def score(folder: Path, loggers: list[Any]) -> None:
        card, context = evaluate_checkpoint(find(folder), measures, seed, report=report, device=device)
        publish_scorecard(card, context)
        for logger in loggers:
            log_scorecard(logger, card, folder / "scorecard.png")

    return score


def log_scorecard(logger: Any, card: Scorecard, image: Path) -> None:
    """Log a scorecard: numbers, table and picture to W&B, the picture to TensorBoard.

    Args:
        logger: of Lightning; others than these two are left out
        card: the results
        image: their picture
    """
    if isinstance(logger, WandbLogger):
        numbers = {f"test/{name}": value.value for name, value in card.values.items()}
        _log_to_wandb(logger, numbers, table.table_rows([card]), image)
    elif isinstance(logger, TensorBoardLogger):
        import numpy as np
        from PIL import Image

        logger.experiment.add_image("scorecard", np.asarray(Image.open(image).convert("RGB")), dataformats="HWC")


@harmless
def _log_to_wandb(logger: WandbLogger, numbers: dict[str, float], rows: list[list[str]], image: Path) -> None:
    header, *body = rows
    logger.experiment.summary.update(numbers)
    logger.log_table("scorecard", columns=["measure", *header[1:]], data=body)
    logger.log_image("scorecard_picture", [str(image)])
