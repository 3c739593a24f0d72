"""Hydra's way to ldg's sweeps. Hydra reads this file at every start, so what it needs is imported where it is used."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LdgSweeper(Sweeper):
    """Starts the runs of a :class:`ldg.sweeps.plan.Plan` with the configured launcher; see :mod:`ldg.sweeps.sweeper`.

    The settings are read from the config by the plan, since the command line is checked by it before Hydra starts.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.hydra_context = hydra_context
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> Any:
        from ldg.sweeps.sweeper import sweep

        return sweep(self.config, self.hydra_context, self.task_function, arguments)
