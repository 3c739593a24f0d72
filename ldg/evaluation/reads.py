"""Reads as asked: does a judge find in a generated image the class that was asked for?"""

from collections.abc import Iterable, Sequence

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from ldg.evaluation.measure import Measure, Result, Value
from ldg.evaluation.subject import BATCH, Subject, progress
from ldg.models.classifier import Classifier

# letters whose capital looks the same: EMNIST's by-merge classes (Cohen et al. 2017, section II)
LOOKALIKES = "cijklmopsuvwxyz"


@torch.inference_mode()
def read(judge: Classifier, batches: Iterable[Tensor], labels: Tensor, what: str = "reading") -> Tensor:
    """How often images of one class (rows) were read as another (columns): int64 (K, K), by torchmetrics."""
    bar = progress(len(labels), what)
    found = []
    for batch in batches:
        found.append(judge(batch).argmax(1))
        bar.update(len(batch))
    bar.close()
    return multiclass_confusion_matrix(torch.cat(found), labels, judge.num_classes)


def macro(confusion: Tensor, frequencies: Tensor | None = None) -> tuple[float, float]:
    """The mean of the classes' accuracies, and its standard error; weighed by ``frequencies`` (K,) where given.

    Classes without an image are left out. The accuracies are independent binomial proportions, of which one that is 0
    or 1 gets the variance of one success or failure more.
    """
    counts, right = confusion.sum(1).double(), confusion.diag().double()
    there = counts > 0
    counts, right = counts[there], right[there]
    weights = torch.ones_like(counts) if frequencies is None else frequencies[there].double()
    weights = weights / weights.sum()
    smoothed = (right + 1) / (counts + 2)
    return float(weights @ (right / counts)), float((weights.square() @ (smoothed * (1 - smoothed) / counts)).sqrt())


def merged(confusion: Tensor, classes: Sequence[str]) -> Tensor:
    """A confusion matrix with small look-alikes counted as their capitals: EMNIST's 62 classes become 47."""
    target = [
        classes.index(c.upper()) if c in LOOKALIKES and c.upper() in classes else i for i, c in enumerate(classes)
    ]
    kept = sorted(set(target))
    join = torch.zeros(len(classes), len(kept), dtype=confusion.dtype)
    join[torch.arange(len(classes)), torch.tensor([kept.index(t) for t in target])] = 1
    return join.T @ confusion @ join


class Reads(Measure):
    """Agreement of the judge with the requested class, ``per_class`` images each at a ``temperature``.

    ``reads`` weighs all classes alike, ``reads_overall`` as often as they occur in the test split; ``reads_merged``
    counts letters whose capital looks the same as one (where the classes are characters of both cases). The references
    are the judge's own accuracy on the real test images, measured alike.
    """

    def __init__(self, per_class: PositiveInt = 100, temperature: NonNegativeFloat = 1.0) -> None:
        self.per_class = per_class
        self.temperature = temperature

    def __call__(self, subject: Subject) -> Result:
        subject.require_labels()
        images, labels = subject.images("test")
        judge, classes = subject.judge, subject.model.classes
        real = read(judge, images.split(BATCH), labels, "reading test images")
        asked = torch.arange(len(classes)).repeat_interleave(self.per_class)
        drawn = read(judge, subject.draw(asked, "reads", self.temperature), asked, "reading generated images")
        frequencies = real.sum(1)
        values = {
            "reads": _value(drawn, real),
            "reads_overall": _value(drawn, real, frequencies),
        }
        if both_cases(classes):
            values["reads_merged"] = _value(merged(drawn, classes), merged(real, classes))
        setting = f"{self.per_class} images a class, temperature {self.temperature:g}; read by {judge_name(judge)}"
        detail = {
            "classes": list(classes),
            "per_class": (drawn.diag() / drawn.sum(1).clamp(min=1)).tolist(),
            "per_class_real": (real.diag() / real.sum(1).clamp(min=1)).tolist(),
            "confusion": drawn.tolist(),
        }
        return Result(setting, values, detail)


def both_cases(classes: Sequence[str]) -> bool:
    """Whether some class is a small letter that looks like the capital that is another class."""
    return any(c in LOOKALIKES and c.upper() in classes for c in classes if len(c) == 1)


def _value(drawn: Tensor, real: Tensor, frequencies: Tensor | None = None) -> Value:
    accuracy, error = macro(drawn, frequencies)
    return Value(accuracy, error, "", "higher", macro(real, frequencies)[0])


def judge_name(judge: Classifier) -> str:
    """What the judge is, for the setting of a measure."""
    name = judge.config.get("name", type(judge).__name__)
    return f"{name} ({len(judge.classes)} classes, {judge.head.in_features} features)"
