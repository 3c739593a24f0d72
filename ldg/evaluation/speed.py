"""Size of a model, and how fast it generates."""

import os
import statistics
import time
from collections.abc import Callable

import torch
from pydantic import PositiveInt

from ldg.evaluation.context import BATCH, EvaluationContext
from ldg.evaluation.measure import Measure, Quantity, Result, standard_error
from ldg.generation import writer
from ldg.generation.alphabet import is_written


def seconds(action: Callable[[], object], repeats: int) -> list[float]:
    """Time an action, after one execution that does not count.

    Args:
        action: what is timed
        repeats: how often

    Returns:
        Seconds of each execution.
    """
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return times[1:]


class Speed(Measure):
    """Parameters, images per second from the prior in batches of 500, and milliseconds to write a text.

    The latter two are medians. Unlike all other values they do not follow from the seed.

    Args:
        repeats: executions that are timed
        text: what is written, where classes are characters
    """

    quantities = (
        Quantity("parameters", "parameters", "", "lower", "headline"),
        Quantity("images_per_second", "images per second", "", "higher"),
        Quantity("latency", "writing a line", "ms", "lower"),
    )

    def __init__(self, repeats: PositiveInt = 5, text: str = "Hello World") -> None:
        self.repeats = repeats
        self.text = text

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        model = context.model
        labels = torch.arange(BATCH) % model.num_classes
        rates = [BATCH / time for time in seconds(lambda: list(context.sample(labels, "speed")), self.repeats)]
        values = {
            "parameters": self.value("parameters", sum(p.numel() for p in model.parameters())),
            "images_per_second": self.value(
                "images_per_second", statistics.median(rates), standard_error(torch.tensor(rates))
            ),
        }
        if context.is_conditional:
            text = self.text if is_written(model.classes) else model.classes[0]
            known = set("".join(model.classes)) | {" "}
            text = text if not is_written(model.classes) or set(text) <= known else "".join(model.classes[:10])
            waits = [1000 * wait for wait in seconds(lambda: writer.write(model, text), self.repeats)]
            values["latency"] = self.value("latency", statistics.median(waits), standard_error(torch.tensor(waits)))
        place = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
        if context.device.type != "cpu":
            place += f" and {context.device}"
        return Result(f"median of {self.repeats}, {place}, torch {torch.__version__}", values)
