"""A scorecard: what the measures say of one checkpoint, and how it is kept."""

import datetime
import json
import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from ldg import checkpoint
from ldg.errors import UserError
from ldg.evaluation import judge as judges
from ldg.evaluation.measure import Measure, Result, Value
from ldg.evaluation.subject import Skipped, Subject
from ldg.models.classifier import Classifier

SCHEMA = "ldg.scorecard/1"


@dataclass
class Scorecard:
    """The results of one checkpoint by measure, and the reasons of the measures that were skipped.

    ``problems`` names the values that are no numbers.
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
        """All values by name."""
        return {name: value for result in self.results.values() for name, value in result.values.items()}

    @property
    def problems(self) -> list[str]:
        return [name for name, value in self.values.items() if not value.is_number]

    def setting(self, name: str) -> str:
        """How a value was measured."""
        return next(result.setting for result in self.results.values() if name in result.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python for JSON; what is no number becomes None."""
        return {"schema": SCHEMA} | _plain(asdict(self)) | {"problems": self.problems}

    def save(self, folder: Path) -> None:
        """Write ``scorecard.json``."""
        write(folder / "scorecard.json", json.dumps(self.to_dict(), indent=2) + "\n")


def read(path: Path) -> Scorecard:
    """A scorecard from its JSON file; UserError if it is damaged or of another format."""
    try:
        return _from_dict(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is damaged or not of the format {SCHEMA}; make it anew with evaluate.py") from None


def _from_dict(content: dict[str, Any]) -> Scorecard:
    if content.pop("schema") != SCHEMA:
        raise ValueError
    content.pop("problems")
    results = {
        name: Result(
            result["setting"],
            {key: Value(**value | {"value": _number(value["value"])}) for key, value in result["values"].items()},
            result["detail"],
        )
        for name, result in content.pop("results").items()
    }
    return Scorecard(**content, results=results)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def write(path: Path, text: str) -> None:
    """Write a text file as a whole; UserError if it cannot be."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def make(config: dict[str, Any], only: Sequence[str] | None = None) -> dict[str, Measure]:
    """The measures of a resolved ``configs/evaluate.yaml``; some of them if ``only`` names them."""
    return {name: instantiate(node) for name, node in config.items() if only is None or name in only}


def evaluate(
    path: str | Path,
    chosen: dict[str, Measure],
    seed: int = 0,
    judge: Classifier | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[Scorecard, Subject]:
    """Measure the model in a checkpoint file or run folder; ``tell`` is given a line for each measure as it ends.

    Raises:
        UserError: for a checkpoint that cannot be read or whose weights are no numbers.
    """
    file = checkpoint.find(path)
    model = checkpoint.load(file)
    subject = Subject(model, seed, judge=judge, find_judge=judges.find)
    torch.manual_seed(seed)  # for what draws without being given a generator
    facts = {
        "data": str(model.config.get("data", {}).get("dataset", {}).get("_target_", "")).rpartition(".")[2],
        "encoder": type(model.encoder).__name__,
        "conditioning": model.conditioning,
        "likelihood": type(model.likelihood).__name__,
        "latent_dim": model.latent_dim,
    }
    card = Scorecard(str(model.config.get("name", file.stem)), str(file), seed, facts)
    card.made = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "ldg": version("ldg"),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
    }
    for name, measure in chosen.items():
        start = datetime.datetime.now()
        try:
            card.results[name] = measure(subject)
            tell(f"{name} ({(datetime.datetime.now() - start).total_seconds():.0f} s)")
        except Skipped as reason:
            card.skipped[name] = str(reason)
            tell(f"{name} skipped: {reason}")
    for problem in card.problems:
        tell(f"{problem} is no number: the model's output overflows or is not finite")
    return card, subject
