"""Where metrics go: a CSV file in the run folder; and the end of all loggers' runs."""

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from ldg.errors import Interrupted, UserError
from ldg.files import read_csv, whole
from ldg.training.guarded import GuardedLogger
from ldg.training.wandb import WandbRun


class StepTable:
    """A CSV file with a row for each step. It is rewritten as a whole, so that it never ends in half a row.

    Args:
        path: of the file

    Raises:
        UserError: if what is there is no table of numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            rows = read_csv(self.path) if self.path.exists() else []
            self.rows: list[dict[str, Any]] = [{key: value for key, value in row.items() if value} for row in rows]
            for row in self.rows:
                int(row["step"]), *map(float, row.values())
        except (ValueError, KeyError, TypeError, csv.Error):
            raise UserError(f"{self.path} is damaged; move it away, and a new one is begun") from None

    def add(self, step: int | None, values: dict[str, float]) -> None:
        """Add values to the row of a step; rows of later ones, which a resumed run repeats, go."""
        earlier = [row for row in self.rows if int(row["step"]) < int(step or 0)]
        same = [row for row in self.rows if int(row["step"]) == int(step or 0)]
        self.rows = [*earlier, {"step": step, **{k: v for row in same for k, v in row.items()}, **values}]
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with whole(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)


class MetricsFile(Logger):
    """A CSV file with a row for each step logged, and beside it ``times.csv`` with the seconds of training up to there.

    The times are apart, because all other numbers are the same whenever the same command runs.

    Args:
        path: of the file

    Raises:
        UserError: if what is there is no table of numbers.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.metrics = StepTable(Path(path))
        self.times = StepTable(Path(path).with_name("times.csv"))

    @property
    def name(self) -> str:
        """``csv``."""
        return "csv"

    @property
    def version(self) -> str:
        """Empty: there is one file a run."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: ``config.yaml`` in the run's folder has the config."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of a step."""
        numbers = dict(metrics)
        if (seconds := numbers.pop("seconds", None)) is not None:
            self.times.add(step, {"seconds": seconds})
        self.metrics.add(step, numbers)


def wandb_run(loggers: Sequence[Logger]) -> WandbRun | None:
    """The W&B logger among some loggers, if there is one that has been used."""
    return next((logger for logger in loggers if isinstance(logger, WandbRun) and logger.is_open), None)


def sync_command(loggers: Sequence[Logger]) -> str | None:
    """A line with the command that sends an offline W&B run, if there is one."""
    logger = wandb_run(loggers)
    if logger is None or logger.mode != "offline":
        return None
    return f"send it to W&B:                 {logger.sync}"


@contextmanager
def closed(loggers: list[Logger]) -> Iterator[list[Logger]]:
    """End the runs of the loggers however the training ends.

    They are given the exit status: 0 for success, 2 for a mistake of the user's, 128 + N for signal N, 1 for anything
    else. If the run breaks, or is interrupted when something was saved, the command that sends it to W&B is printed.

    Args:
        loggers: of the training

    Yields:
        The same loggers.
    """
    status, is_empty = 1, False
    try:
        yield loggers
        status = 0
    except UserError:
        status = 2
        raise
    except Interrupted as stopped:
        status, is_empty = 128 + stopped.signum, stopped.checkpoint is None
        raise
    finally:
        command = sync_command(loggers)
        for each in loggers:
            if isinstance(each, GuardedLogger):
                each.end(status)
        if logger := wandb_run(loggers):
            logger.end(status)
        if command and status not in (0, 2) and not is_empty:
            print(command, file=sys.stderr)
