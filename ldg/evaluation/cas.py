"""Classification accuracy score (Ravuri & Vinyals 2019)."""

import tempfile
from pathlib import Path

import torch

from ldg.checkpoint import data_config
from ldg.config.compose import replace_folder
from ldg.config.run_config import RunConfig
from ldg.data.dataset import progress
from ldg.evaluation.class_accuracy import count_predictions, weighted_accuracy
from ldg.evaluation.context import BATCH, EvaluationContext
from ldg.evaluation.judge import compose_judge_config, load_judge, train_judge
from ldg.evaluation.measure import Count, Measure, Quantity, Result, Temperature


class Cas(Measure):
    """Accuracy on real test images of a classifier trained only on generated ones, by frequency of the classes.

    The training set holds one generated image for each image of the train and val splits, of the same class. The
    reference is a classifier trained as long on the real images of this machine, not the judge that comes with ldg.

    Args:
        epochs: of the classifier's training; None: as many as the judge's
        temperature: factor of the prior's standard deviation
    """

    quantities = (Quantity("cas", "classification accuracy score", "", "higher", "bar"),)

    def __init__(self, epochs: Count | None = None, temperature: Temperature = 1.0) -> None:
        self.epochs = epochs
        self.temperature = temperature

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        from ldg.training.run import make_data, run  # takes seconds

        context.require_labels()
        real, labels = context.images("test")
        config = compose_judge_config(data_config(context.model), self.epochs, context.device)
        data = make_data(config["data"])
        images = torch.empty(len(data.train_labels), *context.model.image_shape, dtype=torch.uint8)
        done = 0
        with progress(len(images), "generating a training set") as bar:
            for batch in context.sample(data.train_labels, "cas", self.temperature):
                images[done : done + len(batch)] = (255 * batch).round().byte()
                done += len(batch)
                bar.update(len(batch))
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "run")
            placed = RunConfig.from_dict(replace_folder(config, config["folder"], str(place)))
            run(placed, data.with_training_images(images))
            student = load_judge(place).to(context.device)
        teacher = train_judge(data, data_config(context.model), self.epochs, context.device).to(context.device)
        of_student = count_predictions(student, real.split(BATCH), labels, "classifying test images")
        of_teacher = count_predictions(teacher, real.split(BATCH), labels, "classifying test images")
        frequencies = of_teacher.sum(1)
        reference, _ = weighted_accuracy(of_teacher, frequencies)
        epochs = config["trainer"]["max_epochs"]
        return Result(
            f"{len(images):,} generated images, temperature {self.temperature:g}, {epochs} epochs; "
            f"reference: {teacher.description} trained on as many real ones, by the same recipe",
            {"cas": self.value("cas", *weighted_accuracy(of_student, frequencies), reference=reference)},
            {
                "classes": list(context.model.classes),
                "per_class": (of_student.diag() / of_student.sum(1).clamp(min=1)).tolist(),
            },
        )
