"""Where metrics go: a CSV file in the run folder, and Weights & Biases, online or off."""

import csv
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only


class MetricsFile(Logger):
    """``path``, a CSV file with a row for each step logged; rewritten as a whole, so that it is never half a row.

    What a resumed run repeats replaces the old values.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml in the run folder has it all."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        earlier = [row for row in self.rows if int(row["step"]) < int(step or 0)]
        same = [row for row in self.rows if int(row["step"]) == int(step or 0)]
        self.rows = [*earlier, {"step": step, **{k: v for row in same for k, v in row.items()}, **metrics}]
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        partial = self.path.with_suffix(".part")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.path)


def has_credentials() -> bool:
    """Whether somebody is logged in to W&B on this machine."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    return wandb.login(prompt=False, verify=False)


def reachable(timeout: float = 2.0) -> bool:
    """Whether the W&B server answers."""
    url = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        with socket.create_connection((url.hostname or "", port), timeout=timeout):
            return True
    except OSError:
        return False


def _dotted(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested config with their full names."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class WandbRun(WandbLogger):
    """Lightning's WandbLogger, which never asks and never stops training.

    ``mode=auto`` is online where there are credentials and the server answers, offline otherwise; WANDB_MODE, where
    it is set, decides. ``gradients`` logs histograms of them, ``log_model`` the best checkpoint as an artifact.
    ``choices`` become columns beside the config's.
    """

    def __init__(
        self,
        project: str = "ldg",
        name: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        choices: dict[str, Any] | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        save_dir: str = "outputs",
        log_model: bool = False,
        gradients: bool = False,
        id: str | None = None,
    ) -> None:
        if mode == "auto":
            asked = os.environ.get("WANDB_MODE")
            mode = asked or ("online" if has_credentials() and reachable() else "offline")  # type: ignore[assignment]
        import wandb

        self.gradients = gradients
        self.choices = dict(choices or {})  # W&B would write what Hydra gives as text
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        save_dir = str(
            Path(save_dir).resolve()
        )  # W&B's service, which writes the file, may have another working folder
        super().__init__(
            project=project,
            name=name,
            group=group,
            tags=tags,
            mode=mode,
            save_dir=save_dir,
            id=id,
            resume="allow" if id and mode == "online" else None,
            log_model=log_model and mode == "online",
            settings=wandb.Settings(silent=True, console="off"),
        )
        # Lightning still passes on an argument that W&B has given up and warns of
        self._wandb_init.pop("anonymous", None)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        """The config, nested, which W&B shows as ``model.latent_dim``, and the choices.

        A W&B sweep over ``model`` keeps that name for its own value; what lies below is given by its full names then.
        """
        known = self.experiment.config
        kept = {
            k: v for k, v in params.items() if isinstance(v, dict) and k in known and not isinstance(known[k], dict)
        }
        shown = {k: v for k, v in params.items() if k not in kept} | dict(_dotted(kept)) | {"choices": self.choices}
        super().log_hyperparams({k: v for k, v in shown.items() if k not in known or known[k] != v})

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """The best checkpoint becomes the artifact, not the last one too."""
        if checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        first = self._experiment is None
        run = super().experiment
        if first:
            run.define_metric("val/elbo", summary="max,last", step_metric="trainer/global_step")
            run.define_metric("val/loss", summary="min,last", step_metric="trainer/global_step")
        return run

    @property
    def folder(self) -> str | None:
        """Where an offline run lies, for ``wandb sync``; None if there is nothing to sync."""
        run = self._experiment
        return str(Path(run.dir).parent) if run is not None and run.settings.mode == "offline" else None
