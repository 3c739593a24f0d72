"""Hydra's entry point to ldg's sweeps. Hydra reads this file at every start, so it imports ldg where it is used."""

import sys
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LdgSweeper(Sweeper):
    """Starts the runs of a :class:`ldg.sweeps.plan.Plan` with the configured launcher; see :mod:`ldg.sweeps.sweeper`.

    Args:
        dry_run: whether the runs are printed and nothing is done
        retry: whether failed runs are tried again
        settings: those that :func:`ldg.sweeps.plan.make_plan` and :mod:`ldg.sweeps.job` read from the config
    """

    def __init__(self, dry_run: bool = False, retry: bool = False, **settings: Any) -> None:
        self.dry_run = dry_run
        self.retry = retry

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.config = config
        self.hydra_context = hydra_context
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> None:
        """Carry out a sweep; ends the process if it does not succeed.

        Args:
            arguments: overrides of the command line
        """
        from ldg.commands.cli import exit_status
        from ldg.sweeps.sweeper import sweep

        if status := exit_status(
            lambda: sweep(self.config, self.hydra_context, self.task_function, arguments, self.dry_run, self.retry)
        ):
            sys.exit(status)
