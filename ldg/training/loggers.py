"""Where metrics go: a CSV file in the run folder, and Weights & Biases, online or off."""

import csv
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from ldg.errors import Interrupted, UserError
from ldg.files import read_csv, whole


class MetricsFile(Logger):
    """A CSV file with a row for each step logged. It is rewritten as a whole, so that it never ends in half a row.

    What a resumed run repeats replaces the old values.

    Args:
        path: of the file
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = Path(path)
        rows = read_csv(self.path) if self.path.exists() else []
        self.rows: list[dict[str, Any]] = [{key: value for key, value in row.items() if value} for row in rows]

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
        earlier = [row for row in self.rows if int(row["step"]) < int(step or 0)]
        same = [row for row in self.rows if int(row["step"]) == int(step or 0)]
        self.rows = [*earlier, {"step": step, **{k: v for row in same for k, v in row.items()}, **metrics}]
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with whole(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)


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
    """Lightning's WandbLogger, but it never prompts for a login.

    Args:
        project: in W&B
        name: of the run in W&B
        group: of runs in W&B
        tags: of the run in W&B
        choices: values that become columns beside the config's
        mode: ``auto`` is online with credentials and a server that answers, offline otherwise; the environment variable
            WANDB_MODE overrides it
        save_dir: folder of offline runs
        log_model: whether the best checkpoint is logged as an artifact
        gradients: whether histograms of gradients are logged
        id: of the W&B run to resume
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
            detected = "online" if has_credentials() and reachable() else "offline"
            mode = os.environ.get("WANDB_MODE") or detected  # type: ignore[assignment]
        import wandb

        self.mode = mode
        self.gradients = gradients
        self.choices = dict(choices or {})  # W&B would write what Hydra gives as text
        # absolute, because W&B's service writes the files and may have another working folder
        save_dir = str(Path(save_dir).resolve())
        Path(save_dir).mkdir(parents=True, exist_ok=True)
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
        """W&B's run, which is started when it is first needed."""
        is_new = not self.is_open
        run = super().experiment
        if is_new:
            run.define_metric("val/elbo", summary="max,last", step_metric="trainer/global_step")
            run.define_metric("val/loss", summary="min,last", step_metric="trainer/global_step")
        return run

    @property
    def is_open(self) -> bool:
        """Whether a run has been started in W&B, by this process."""
        return self._experiment is not None

    @property
    def folder(self) -> str | None:
        """Where an offline run lies, for ``wandb sync``; None if there is nothing to sync."""
        if not self.is_open or self.experiment.settings.mode != "offline":
            return None
        return str(Path(self.experiment.dir).parent)


def wandb_run(loggers: Sequence[Logger]) -> WandbRun | None:
    """The W&B logger among some loggers, if there is one that has been used."""
    return next((logger for logger in loggers if isinstance(logger, WandbRun) and logger.is_open), None)


def sync_command(loggers: Sequence[Logger]) -> str | None:
    """A line with the command that sends an offline W&B run, if there is one."""
    logger = wandb_run(loggers)
    if logger is None or logger.folder is None:
        return None
    return f"send it to W&B:                 wandb sync {os.path.relpath(logger.folder)}"


@contextmanager
def closed(loggers: list[Logger]) -> Iterator[list[Logger]]:
    """End the W&B run however the training ends.

    W&B is given the exit status: 0 for success, 2 for a mistake of the user's, 128 + N for signal N, 1 for anything
    else. If the run is interrupted or breaks, the command that sends it is printed.

    Args:
        loggers: of the training

    Yields:
        The same loggers.
    """
    status = 1
    try:
        yield loggers
        status = 0
    except UserError:
        status = 2
        raise
    except Interrupted as stopped:
        status = 128 + stopped.signum
        raise
    finally:
        command = sync_command(loggers)
        if logger := wandb_run(loggers):
            logger.experiment.finish(exit_code=status)
        if command and status not in (0, 2):
            print(command, file=sys.stderr)
