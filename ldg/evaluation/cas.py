"""Classification Accuracy Score: what a classifier learns from generated images alone (Ravuri & Vinyals 2019)."""

import shutil
import tempfile
from pathlib import Path

import torch
from pydantic import NonNegativeFloat, PositiveInt

from ldg.evaluation import judge
from ldg.evaluation.measure import Measure, Result, Value
from ldg.evaluation.reads import judge_name, macro, read
from ldg.evaluation.subject import BATCH, Subject, data_config, progress
from ldg.training import config as configs
from ldg.training.run import instantiate_data, run


class Cas(Measure):
    """Accuracy on real test images of a fresh judge trained on generated images only.

    There is one generated image for each of the train and val splits, of the same class; the training is the judge's
    own, or as long as ``epochs`` says, and one of the same length on the real images gives the reference.
    """

    def __init__(self, epochs: PositiveInt | None = None, temperature: NonNegativeFloat = 1.0) -> None:
        self.epochs = epochs
        self.temperature = temperature

    def __call__(self, subject: Subject) -> Result:
        subject.require_labels()
        real, labels = subject.images("test")
        config = judge.recipe(data_config(subject.model), self.epochs)
        data = instantiate_data(config)
        bar = progress(len(data.train_labels), "drawing a training set")
        images = torch.empty(len(data.train_labels), *subject.model.image_shape, dtype=torch.uint8)
        done = 0
        for batch in subject.draw(data.train_labels, "cas", self.temperature):
            images[done : done + len(batch)] = (255 * batch).round().byte()
            done += len(batch)
            bar.update(len(batch))
        bar.close()
        folder = Path(tempfile.mkdtemp())
        try:
            run(configs.moved(config, config["folder"], str(folder / "run")), data.with_training_images(images))
            student = judge.load_judge(folder / "run")
        finally:
            shutil.rmtree(folder)
        teacher = judge.find(data, data_config(subject.model), self.epochs)
        learnt = read(student, real.split(BATCH), labels)
        own = read(teacher, real.split(BATCH), labels)
        frequencies = own.sum(1)
        (score, error), (reference, _) = macro(learnt, frequencies), macro(own, frequencies)
        epochs = config["trainer"]["max_epochs"]
        return Result(
            f"{len(images):,} generated images, temperature {self.temperature:g}, {epochs} epochs; "
            f"reference: {judge_name(teacher)} trained alike on as many real ones",
            {"cas": Value(score, error, "", "higher", reference)},
            {
                "classes": list(subject.model.classes),
                "per_class": (learnt.diag() / learnt.sum(1).clamp(min=1)).tolist(),
            },
        )
