"""Size of a model, and how fast it draws."""

import os
import statistics
import time
from collections.abc import Callable

import torch
from pydantic import PositiveInt

from ldg.evaluation.measure import Measure, Result, Value
from ldg.evaluation.subject import BATCH, Subject
from ldg.generation import writer
from ldg.generation.alphabet import is_written


def seconds(action: Callable[[], object], repeats: int) -> list[float]:
    """How long an action takes, each time, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return times[1:]


class Speed(Measure):
    """Parameters, images a second from the prior in batches of 500, and milliseconds to write ``text``.

    The latter two are medians of ``repeats``; unlike all other values they are not decided by the seed.
    """

    def __init__(self, repeats: PositiveInt = 5, text: str = "Hello World") -> None:
        self.repeats = repeats
        self.text = text

    def __call__(self, subject: Subject) -> Result:
        model = subject.model
        labels = torch.arange(BATCH) % model.num_classes
        draws = seconds(lambda: list(subject.draw(labels, "speed")), self.repeats)
        rates = [BATCH / time for time in draws]
        values = {
            "parameters": Value(sum(p.numel() for p in model.parameters()), None, "", "lower"),
            "images_per_second": Value(statistics.median(rates), _spread(rates), "", "higher"),
        }
        if subject.is_conditional:
            text = self.text if is_written(model.classes) else model.classes[0]
            known = set("".join(model.classes)) | {" "}
            text = text if not is_written(model.classes) or set(text) <= known else "".join(model.classes[:10])
            waits = [1000 * wait for wait in seconds(lambda: writer.write(model, text), self.repeats)]
            values["latency"] = Value(statistics.median(waits), _spread(waits), "ms", "lower")
        threads, cores = torch.get_num_threads(), os.cpu_count()
        return Result(
            f"median of {self.repeats}, {threads} threads on {cores} cores, torch {torch.__version__}", values
        )


def _spread(values: list[float]) -> float | None:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
