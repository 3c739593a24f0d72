"""Size of a model, and how fast it generates."""

import math
import os
import statistics
import time
from collections.abc import Callable

import torch

from ldg.evaluation.context import BATCH, EvaluationContext
from ldg.evaluation.measure import Count, Measure, Quantity, Result
from ldg.figures.strings import writable
from ldg.generation import writer
from ldg.generation.alphabet import is_written
from ldg.generation.decoder import as_decoder


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


def median_and_error(values: list[float]) -> tuple[float, float | None]:
    """The median and its standard error, from the interquartile range: a single slow execution counts little.

    Args:
        values: N numbers, taken as normally distributed but for outliers

    Returns:
        The median and 1.2533 IQR / (1.349 sqrt(N)); None for a single number.
    """
    if len(values) == 1:
        return values[0], None
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, 1.2533 * (high - low) / (1.349 * math.sqrt(len(values)))


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

    def __init__(self, repeats: Count = 5, text: str = "Hello World") -> None:
        self.repeats = repeats
        self.text = text

    def __call__(self, context: EvaluationContext) -> Result:
        """As :meth:`Measure.__call__`."""
        model = context.model
        labels = torch.arange(BATCH) % model.num_classes
        rates = [BATCH / time for time in seconds(lambda: list(context.sample(labels, "speed")), self.repeats)]
        values = {
            "parameters": self.value("parameters", sum(p.numel() for p in model.parameters())),
            "images_per_second": self.value("images_per_second", *median_and_error(rates)),
        }
        if context.is_conditional:
            text = writable(model.classes, self.text) if is_written(model.classes) else model.classes[0]
            decoder = as_decoder(model)
            waits = [1000 * wait for wait in seconds(lambda: writer.write(decoder, text), self.repeats)]
            values["latency"] = self.value("latency", *median_and_error(waits))
        place = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
        if context.device.type != "cpu":
            place += f" and {context.device}"
        return Result(f"median of {self.repeats}, {place}, torch {torch.__version__}", values)
