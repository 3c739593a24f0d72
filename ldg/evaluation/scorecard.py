"""A scorecard: the results of all measures on one checkpoint, and their file."""

import datetime
import json
import math
import os
import platform
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from hydra.utils import instantiate
from pydantic import TypeAdapter

from ldg import checkpoint
from ldg.config.home import command
from ldg.errors import UserError
from ldg.evaluation.context import EvaluationContext, Skipped
from ldg.evaluation.judge import find_judge, require_fitting
from ldg.evaluation.measure import Measure, Result, Value
from ldg.files import whole, write_text
from ldg.models.classifier import Classifier

SCHEMA = "ldg.scorecard/1"
PER_IMAGE = "scorecard.npz"
MAX_PER_IMAGE = 1 << 28  # bytes, inflated
MAX_VALUES = 1000  # of a scorecard
# measures and values in older files
RENAMED = {
    "reads": "class_accuracy",
    "reads_overall": "class_accuracy_by_frequency",
    "reads_merged": "class_accuracy_merged",
}


@dataclass
class Scorecard:
    """The results of one checkpoint.

    Attributes:
        name: of the run
        checkpoint: path of its file
        seed: of all noise
        model: data set, first 12 digits of its images' SHA-256, encoder, conditioning, likelihood and latent dimensions
        results: by measure
        skipped: measures that do not apply, with the reasons
        made: date, machine and versions
    """

    name: str
    checkpoint: str
    seed: int
    model: dict[str, Any]
    results: dict[str, Result] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Value]:
        """The values of all measures, by name."""
        return {name: value for result in self.results.values() for name, value in result.values.items()}

    @property
    def problems(self) -> list[str]:
        """Names of the values that are NaN or infinite."""
        return [name for name, value in self.values.items() if not value.is_finite]

    @property
    def classifiers(self) -> list[str]:
        """What has recognised or compared images, with its hash if it is a judge."""
        details = [result.detail for result in self.results.values()]
        return [detail[key] for detail in details for key in ("judge", "features") if key in detail]

    def setting(self, name: str) -> str:
        """How the value of this name was measured."""
        return next(result.setting for result in self.results.values() if name in result.values)

    @property
    def test_images(self) -> tuple[str, str]:
        """The data set, and the fingerprint of its images, which old scorecards lack."""
        return self.model["data"], self.model.get("images", "")

    def conditions(self, name: str) -> tuple[str, ...]:
        """Under what the value of this name was measured: values are compared where these are equal."""
        return self.values[name].unit, self.setting(name), *self.test_images

    def to_dict(self) -> dict[str, Any]:
        """Plain Python for JSON; NaN and infinity become None."""
        content = asdict(self, dict_factory=lambda items: {key: value for key, value in items if key != "per_image"})
        return {"schema": SCHEMA} | finite_or_none(content) | {"problems": self.problems}

    def save(self, folder: Path) -> None:
        """Write ``scorecard.json``, and ``scorecard.npz`` with the numbers of each test image.

        Raises:
            UserError: if it cannot be written.
        """
        numbers = {name: value.per_image for name, value in self.values.items() if value.per_image is not None}
        with whole(folder / PER_IMAGE) as path:
            np.savez_compressed(path, **numbers)
        write_text(folder / "scorecard.json", json.dumps(self.to_dict(), indent=2) + "\n")


ADAPTER = TypeAdapter(Scorecard)


def read_scorecard(path: Path) -> Scorecard:
    """A scorecard from its JSON file, old names replaced by the present ones.

    Raises:
        UserError: if the file is damaged or has another format.
    """
    try:
        return _from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        again = f"make it again with {command('evaluate')}"
        raise UserError(f"{path} is damaged or not of the format {SCHEMA}; {again}") from None


def read_per_image(path: Path) -> dict[str, np.ndarray]:
    """The numbers of each test image, float (N,) by name of the value; none if the file is missing or damaged.

    Args:
        path: of a ``scorecard.npz``
    """
    if not path.is_file():
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_PER_IMAGE:
                return {}
        with np.load(path, allow_pickle=False) as file:
            arrays = [(name, np.asarray(file[name])) for name in file.files]
    except Exception:  # whatever zipfile and NumPy raise for a file that is half-written, or was never one
        return {}
    return {name: array.astype(float) for name, array in arrays if array.ndim == 1 and array.dtype.kind == "f"}


def _from_dict(content: dict[str, Any]) -> Scorecard:
    if content.pop("schema") != SCHEMA:
        raise ValueError
    content.pop("problems")
    results = {
        _new_name(name): {
            "setting": result["setting"],
            "values": {
                _new_name(key): value | {"value": _none_to_nan(value["value"])}
                for key, value in result["values"].items()
            },
            "detail": result["detail"],
        }
        for name, result in content.pop("results").items()
    }
    skipped = {_new_name(name): reason for name, reason in content.pop("skipped").items()}
    card: Scorecard = ADAPTER.validate_python(content | {"results": results, "skipped": skipped})
    _check_details(card)
    return card


def _check_details(card: Scorecard) -> None:
    """Raises ValueError or another error if what tables and pictures show is none, or does not fit together."""
    if not isinstance(card.model["data"], str) or not isinstance(card.model.get("images", ""), str):
        raise ValueError
    if len(card.values) > MAX_VALUES or any((value.error or 0) < 0 for value in card.values.values()):
        raise ValueError
    if accuracy := card.results.get("class_accuracy"):
        detail, count = accuracy.detail, len(accuracy.detail["classes"])
        shapes = {"per_class": (count,), "per_class_real": (count,), "confusion": (count, count)}
        if any(np.array(detail[key], float).shape != shape for key, shape in shapes.items()):
            raise ValueError
    if not all(isinstance(name, str) for name in card.classifiers):
        raise ValueError
    latent = card.results.get("latent")
    if latent and (np.array(latent.detail["kl_per_dim"], float).ndim != 1 or "active_units" not in latent.values):
        raise ValueError


def _new_name(name: str) -> str:
    return RENAMED.get(name, name)


def _none_to_nan(value: float | None) -> float:
    return math.nan if value is None else value


def finite_or_none(node: Any) -> Any:
    """Plain Python for JSON: in dicts and lists, NaN and infinity become None."""
    if isinstance(node, dict):
        return {key: finite_or_none(value) for key, value in node.items()}
    if isinstance(node, list):
        return [finite_or_none(item) for item in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def build_measures(config: dict[str, Any], only: Sequence[str] | None = None) -> dict[str, Measure]:
    """Construct measures.

    Args:
        config: constructor calls by name, from :func:`ldg.config.compose.compose_measures`
        only: names of those to construct; None: all

    Returns:
        The measures by name, in the order of ``config``.
    """
    return {name: instantiate(node) for name, node in config.items() if only is None or name in only}


def evaluate_checkpoint(
    path: str | Path,
    measures: dict[str, Measure],
    seed: int = 0,
    judge: Classifier | Literal["train"] | None = None,
    report: Callable[[str], None] = lambda line: None,
    device: str = "cpu",
) -> tuple[Scorecard, EvaluationContext]:
    """Measure the model in a checkpoint.

    Args:
        path: checkpoint file or run folder
        measures: by name
        seed: of all noise, 0 to 2**63 - 2
        judge: a classifier of real images; ``train``: the one trained on this machine; None: the data set's that comes
            with ldg, or else as ``train``
        report: called with a line before each measure
        device: that everything is computed on

    Returns:
        The scorecard, and what was measured.

    Raises:
        UserError: for a checkpoint that cannot be read or whose weights are NaN or infinite.
    """
    file = checkpoint.find(path)
    model = checkpoint.load(file, device)
    if isinstance(judge, Classifier):
        require_fitting(judge, model)  # before anything is measured
    context = EvaluationContext(model, seed, find_judge=partial(find_judge, choice=judge))
    torch.manual_seed(seed)  # of what draws without a generator
    description = {
        "data": str(model.config.get("data", {}).get("dataset", {}).get("_target_", "")).rpartition(".")[2],
        "encoder": type(model.network).__name__,
        "conditioning": model.conditioning,
        "likelihood": type(model.likelihood).__name__,
        "latent_dim": model.latent_dim,
    }
    with suppress(Skipped):
        description["images"] = context.data.fingerprint[:12]
    card = Scorecard(str(model.config.get("name", file.stem)), str(file), seed, description)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    card.made = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "ldg": version("ldg"),
        "torch": torch.__version__,
        "machine": machine if context.device.type == "cpu" else f"{machine}, {context.device}",
    }
    start = time.monotonic()
    for number, (name, measure) in enumerate(measures.items(), 1):
        report(f"{name} ({number} of {len(measures)}, after {time.monotonic() - start:.0f} s)")
        try:
            card.results[name] = measure(context)
        except Skipped as reason:
            card.skipped[name] = str(reason)
            report(f"{name} skipped: {reason}")
    for problem in card.problems:
        report(f"{problem} is NaN or infinite: the model's output overflows or is not finite")
    return card, context
