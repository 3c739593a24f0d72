"""Where a scorecard goes: three files in the run folder, and the loggers of a run that is still open."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from ldg import artifacts, hub
from ldg.callbacks.media import log_picture, log_table
from ldg.checkpoint import find
from ldg.errors import UserError
from ldg.evaluation import table
from ldg.evaluation.context import EvaluationContext
from ldg.evaluation.measure import Measure, Result, list_quantities
from ldg.evaluation.scorecard import PER_IMAGE, Scorecard, evaluate_checkpoint, read_per_image, read_scorecard
from ldg.figures.layout import save_figure
from ldg.figures.scorecard import Bar, ScorecardPicture
from ldg.files import write_text
from ldg.runs.formats import format_number
from ldg.training.guarded import harmless


def scorecard_folder(file: Path) -> Path:
    """The folder of a checkpoint's scorecard: its run's, or the one the checkpoint is in.

    Exported weights may be part of a package, and an artifact is in a cache: theirs is ``outputs/NAME``.
    """
    if file.parent.parent.name == artifacts.CACHE:
        return Path("outputs") / file.parent.name
    if file.suffix == ".safetensors":
        return Path("outputs") / (hub.name_of(file) or file.stem)
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent


def publish_scorecard(card: Scorecard, context: EvaluationContext) -> Path:
    """Write ``scorecard.json``, ``.npz``, ``.md`` and ``.png``.

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
    save_figure(figure, folder / "scorecard.png", dpi=130)
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
    if not is_newer or (old.checkpoint, old.seed) != (card.checkpoint, card.seed):
        return {}
    numbers = read_per_image(path.with_name(PER_IMAGE))
    for result in old.results.values():
        result.values |= {n: replace(value, per_image=numbers.get(n)) for n, value in result.values.items()}
    return old.results


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
        f"{quantity.title} {format_number(values[quantity.name].value)} {values[quantity.name].unit}".strip()
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
        format_number(latent.values["active_units"].value) if latent else "",
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


@harmless
def log_scorecard(logger: Any, card: Scorecard, image: Path) -> None:
    """Log a scorecard: numbers and table where a logger takes tables, and the picture.

    Args:
        logger: of Lightning
        card: the results
        image: their picture
    """
    numbers = {f"test/{name}": value.value for name, value in card.values.items()}
    header, *rows = table.table_rows([card])
    if isinstance(logger, WandbLogger):
        logger.experiment.summary.update(numbers)  # not a point of a curve
    elif hasattr(logger, "log_table"):
        logger.log_metrics(numbers)
    log_table(logger, "scorecard", ["measure", *header[1:]], rows)
    log_picture(logger, "scorecard_picture", image)
