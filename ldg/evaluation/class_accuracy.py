"""Class accuracy: does a judge recognise the requested class in generated images?"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ldg.data.dataset import progress
from ldg.evaluation.context import EvaluationContext
from ldg.evaluation.measure import Count, Measure, Quantity, Result, Temperature, Value
from ldg.memory import require_memory
from ldg.models.classifier import Classifier

LABELS = 32  # bytes of memory that an image's class and what is recognised in it take
# letters whose capital looks the same: EMNIST's by-merge classes (Cohen et al. 2017, section II)
LOOKALIKES = "cijklmopsuvwxyz"


@torch.inference_mode()
def count_predictions(judge: Classifier, batches: Iterable[Tensor], labels: Tensor, what: str) -> Tensor:
    """The confusion matrix of a judge, by torchmetrics.

    Args:
        judge: in eval mode
        batches: of images (B, C, H, W), N in all
        labels: their classes, (N,)
        what: text of the progress bar

    Returns:
        int64 (K, K): how many images of one class (rows) were classified as another (columns).
    """
    predictions = []
    with progress(len(labels), what) as bar:
        for batch in batches:
            predictions.append(judge(batch.to(judge.device)).argmax(1).cpu())
            bar.update(len(batch))
    return confusion_matrix(torch.cat(predictions), labels, judge.num_classes)


@torch.inference_mode()
def count_real(context: EvaluationContext) -> Tensor:
    """The confusion matrix of the judge on all test images, as :func:`count_predictions`."""
    _, labels = context.images("test")
    predictions = context.judge.head(context.test_features.to(context.device)).argmax(1).cpu()
    return confusion_matrix(predictions, labels, context.judge.num_classes)


def confusion_matrix(predictions: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count which class is taken for which, by torchmetrics.

    Args:
        predictions: (N,)
        labels: (N,)
        classes: K

    Returns:
        int64 (K, K), true classes in rows.
    """
    from torchmetrics.functional.classification import multiclass_confusion_matrix  # takes seconds

    # torchmetrics counts no fewer than two classes
    return multiclass_confusion_matrix(predictions, labels, max(2, classes))[:classes, :classes]


def weighted_accuracy(confusion: Tensor, frequencies: Tensor | None = None) -> tuple[float, float]:
    """The mean of the classes' accuracies.

    Classes without an image are left out. The accuracies are independent binomial proportions; where one is 0 or 1,
    its variance is that of one more success and one more failure.

    Args:
        confusion: counts, (K, K), true classes in rows
        frequencies: weights of the classes, (K,); None: all alike (macro average)

    Returns:
        The accuracy and its standard error.
    """
    counts, correct = confusion.sum(1).double(), confusion.diag().double()
    present = counts > 0
    counts, correct = counts[present], correct[present]
    weights = torch.ones_like(counts) if frequencies is None else frequencies[present].double()
    weights = weights / weights.sum()
    smoothed = (correct + 1) / (counts + 2)
    variance = weights.square() @ (smoothed * (1 - smoothed) / counts)
    return float(weights @ (correct / counts)), float(variance.sqrt())


def merge_lookalikes(confusion: Tensor, classes: Sequence[str]) -> Tensor:
    """Count small letters that look like their capitals as these: EMNIST's 62 classes become 47.

    Args:
        confusion: counts, (K, K)
        classes: names of the K classes

    Returns:
        Counts (M, M) of the remaining classes, in their order.
    """
    target = [
        classes.index(c.upper()) if c in LOOKALIKES and c.upper() in classes else i for i, c in enumerate(classes)
    ]
    kept = sorted(set(target))
    join = torch.zeros(len(classes), len(kept), dtype=confusion.dtype)
    join[torch.arange(len(classes)), torch.tensor([kept.index(t) for t in target])] = 1
    return join.T @ confusion @ join


def has_lookalikes(classes: Sequence[str]) -> bool:
    """Whether some class is a small letter that looks like the capital that is another class."""
    return any(c in LOOKALIKES and c.upper() in classes for c in classes if len(c) == 1)


class ClassAccuracy(Measure):
    """Accuracy of the judge on generated images, with the requested class as the truth.

    Three averages over the classes: macro (all alike), by frequency in the test split, and macro with look-alikes
    merged (where the classes are letters of both cases). References are the judge's accuracy on real test images.

    Args:
        per_class: generated images of each class
        temperature: factor of the prior's standard deviation
    """

    quantities = (
        Quantity("class_accuracy", "class accuracy, macro", "", "higher", "bar", in_report=True),
        Quantity("class_accuracy_by_frequency", "class accuracy, by frequency", "", "higher", "bar"),
        Quantity("class_accuracy_merged", "class accuracy, look-alikes merged", "", "higher", "bar"),
    )

    def __init__(self, per_class: Count = 100, temperature: Temperature = 1.0) -> None:
        self.per_class = per_class
        self.temperature = temperature

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        context.require_labels()
        real = count_real(context)
        judge, classes = context.judge, context.model.classes
        require_memory(
            LABELS * len(classes) * self.per_class,
            f"class_accuracy.per_class={self.per_class}",
            "choose a smaller number",
        )
        requested = torch.arange(len(classes)).repeat_interleave(self.per_class)
        samples = context.sample(requested, "reads", self.temperature)  # the purpose decides the noise: it stays
        generated = count_predictions(judge, samples, requested, "classifying generated images")
        values = {
            "class_accuracy": self._accuracy("class_accuracy", generated, real),
            "class_accuracy_by_frequency": self._accuracy(
                "class_accuracy_by_frequency", generated, real, frequencies=real.sum(1)
            ),
        }
        if has_lookalikes(classes):
            merged = (merge_lookalikes(counts, classes) for counts in (generated, real))
            values["class_accuracy_merged"] = self._accuracy("class_accuracy_merged", *merged)
        setting = f"{self.per_class} images per class, temperature {self.temperature:g}; judge: {judge.description}"
        detail = {
            "judge": judge.description,
            "classes": list(classes),
            "per_class": (generated.diag() / generated.sum(1).clamp(min=1)).tolist(),
            "per_class_real": (real.diag() / real.sum(1).clamp(min=1)).tolist(),
            "confusion": generated.tolist(),
        }
        return Result(setting, values, detail)

    def _accuracy(self, name: str, generated: Tensor, real: Tensor, frequencies: Tensor | None = None) -> Value:
        reference, _ = weighted_accuracy(real, frequencies)
        return self.value(name, *weighted_accuracy(generated, frequencies), reference=reference)
