"""Where metrics go: a CSV file in the run folder, and Weights & Biases, online or off."""

import csv
import functools
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from ldg.errors import Interrupted, UserError
from ldg.files import read_csv, whole
from ldg.training.guarded import GuardedLogger


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


# what W&B reads unless the user has set it: a server that does not answer is waited for as many seconds, an upload that
# is not complete then is an error, and W&B's reports about itself, which wait for the server again, are off
PATIENCE = {
    "WANDB_INIT_TIMEOUT": "10",
    "WANDB_FINISH_TIMEOUT": "15",
    "WANDB_FINISH_TIMEOUT_RAISES": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "1",
}
# what W&B's service notes where the server refuses a part of a run; finish() does not tell
UPLOAD_FAILED = re.compile(r'"level":"ERROR[^"]*","msg":"((?:filestream|runfiles|runupserter): [^"\\]*)')


def has_credentials() -> bool:
    """Whether somebody is logged in to W&B on this machine; the server is not asked.

    Raises:
        wandb.errors.AuthenticationError: if the key cannot be one.
    """
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    return wandb.login(prompt=False, verify=False)


def _reason(error: BaseException) -> str:
    """What W&B says about an error, in one line; further lines are advice about its own settings."""
    first = next((line.strip(" :") for line in str(error).splitlines() if line.strip()), "")
    if first in ("", "<no message>"):
        refused = type(error).__name__ == "CommError"
        return "the server refuses the key or the run" if refused else f"its service broke ({type(error).__name__})"
    return first


def dotted(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested config with their full names."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Let an error in W&B end the logging and not the training.

    Args:
        method: its first argument is a logger

    Returns:
        The same, but that an exception ends the logging of a :class:`WandbRun`.
    """

    @functools.wraps(method)
    def call(logger: WandbLogger, *args: Any, **kwargs: Any) -> None:
        try:
            method(logger, *args, **kwargs)
        except Exception as error:
            if not isinstance(logger, WandbRun):
                raise
            logger.give_up(error)

    return call


class WandbRun(WandbLogger):
    """Lightning's WandbLogger, but it never prompts for a login, and no failure of W&B's ends a run.

    Where a run cannot be online, it is offline; where it cannot be that, the training goes on without W&B.

    Args:
        project: in W&B
        name: of the run in W&B, which shows its first 128 characters
        group: of runs in W&B
        tags: of the run in W&B
        choices: values that become columns beside the config's
        mode: ``auto`` is online with credentials and a server that takes the run, offline otherwise; the environment
            variable WANDB_MODE takes its place
        save_dir: folder of offline runs
        log_model: whether the best checkpoint is logged as an artifact
        gradients: whether histograms of gradients are logged
        id: of the W&B run to resume
    """

    _has_failed = False  # the server, which this process does not ask again

    def __init__(
        self,
        project: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^/\\#?%:]*$")] = "ldg",
        name: str | None = None,
        group: Annotated[str, Field(max_length=128)] | None = None,
        tags: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = None,
        choices: dict[str, Any] | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        save_dir: str = "outputs",
        log_model: bool = False,
        gradients: bool = False,
        id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^:;,#?/']*$")] | None = None,
    ) -> None:
        import wandb

        for variable, value in PATIENCE.items():
            # an upload that was asked for may take its time
            os.environ.setdefault(variable, "0" if log_model and variable == "WANDB_FINISH_TIMEOUT" else value)
        os.environ.pop("WANDB_SERVICE", None)  # of a process that started this one, and may have ended it
        given = os.environ.get("WANDB_MODE", "auto") if mode == "auto" else mode
        self.mode = {"dryrun": "offline", "run": "online"}.get(given, given)
        self.gradients = gradients
        self.choices = dict(choices or {})  # W&B would write what Hydra gives as text
        super().__init__(
            project=project,
            name=name and name[:128],
            group=group,
            tags=tags,
            # absolute, because W&B's service writes the files and may have another working folder
            save_dir=str(Path(save_dir).resolve()),
            id=id,
            log_model=log_model,
            settings=wandb.Settings(silent=True, console="off"),
        )
        # Lightning still passes on an argument that W&B has given up and warns of
        self._wandb_init.pop("anonymous", None)

    @harmless
    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """The config, nested, which W&B shows as ``model.latent_dim``, and the choices.

        A W&B sweep over ``model`` keeps that name for its own value; what lies below is given by its full names then.
        """
        known = self.experiment.config
        kept = {
            k: v for k, v in params.items() if isinstance(v, dict) and k in known and not isinstance(known[k], dict)
        }
        shown = {k: v for k, v in params.items() if k not in kept} | dict(dotted(kept)) | {"choices": self.choices}
        super().log_hyperparams({k: v for k, v in shown.items() if k not in known or known[k] != v})

    @harmless
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers, pictures and videos: Lightning sends them all through here."""
        super().log_metrics(metrics, step)

    @harmless
    def watch(self, *args: Any, **kwargs: Any) -> None:
        """Log a model's gradients."""
        super().watch(*args, **kwargs)

    @harmless
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """The best checkpoint becomes the artifact, not the last one too."""
        if checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)

    @harmless
    def finalize(self, status: str) -> None:
        """Log the best checkpoint as an artifact, if that was asked for."""
        super().finalize(status)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, which is started when it is first needed."""
        import wandb

        if self._experiment is None:
            refused = None if self.mode in ("offline", "disabled") else self._start_online()
            if self._experiment is None:
                self._log_model = False
                self._wandb_init |= {"mode": self.mode, "id": self._id, "resume": None}
            run = super().experiment  # Lightning starts it unless it is there
            if refused:
                print(f"W&B: {refused}; the run is offline, send it later:  {self.sync}", file=sys.stderr)
            if self.mode == "disabled":
                wandb.run = None  # the next logger would take it for its own
            run.define_metric("val/elbo", summary="max,last", step_metric="trainer/global_step")
            run.define_metric("val/loss", summary="min,last", step_metric="trainer/global_step")
        return self._experiment

    def _start_online(self) -> str | None:
        """Start W&B's run online, or set the mode to offline; the reason, if it should have been online."""
        wanted, self.mode = self.mode, "offline"
        if WandbRun._has_failed:
            return None  # an earlier run of this process has said why
        id = self._id or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        earlier = self._folders(id)
        try:
            if not has_credentials():
                return None if wanted == "auto" else "no one is logged in (wandb login)"
            mode = "online" if wanted == "auto" else wanted
            self._wandb_init |= {"mode": mode, "id": id, "resume": "allow" if self._id else None}
            super().experiment  # noqa: B018
        except Exception as error:
            self._experiment = None
            WandbRun._has_failed = True
            _end_service()  # it would refuse the id as being in use
            for folder in self._folders(id) - earlier:
                shutil.rmtree(folder, ignore_errors=True)
            return _reason(error)
        self.mode = mode
        return None

    def _folders(self, id: str) -> set[Path]:
        """The folders of a run's online sessions."""
        return {path for path in Path(str(self._save_dir), "wandb").glob("run-*") if path.name.endswith(f"-{id}")}

    def give_up(self, error: Exception) -> None:
        """Go on without W&B, after an error in it: say so in one line, and log no more.

        Args:
            error: what W&B, or the disk it writes to, says
        """
        kept = f"; what it has:  {self.sync}" if self.is_open else ""
        print(f"W&B: {_reason(error)}; the run goes on without it{kept}", file=sys.stderr)
        _end_service()
        self.mode, self._experiment = "disabled", None

    def end(self, status: int) -> None:
        """End W&B's run; if W&B does not take all of it in time, a line says how to send the rest.

        Args:
            status: the exit status that W&B shows
        """
        sync, log = self.sync, Path(self.experiment.dir).parent / "logs" / "debug-internal.log"
        reason = None
        try:
            self.experiment.finish(exit_code=status)
            if self.mode != "offline" and log.exists():
                failed = UPLOAD_FAILED.search(log.read_text(encoding="utf-8", errors="replace"))
                reason = failed and failed[1]
        except Exception as error:
            WandbRun._has_failed = True
            _end_service()
            reason = "the server no longer answers" if isinstance(error, TimeoutError) else _reason(error)
        if reason:
            print(f"W&B: {reason}; send the rest of the run later:  {sync}", file=sys.stderr)

    @property
    def is_open(self) -> bool:
        """Whether a run has been started in W&B, by this process."""
        return self._experiment is not None and self.mode != "disabled"

    @property
    def sync(self) -> str:
        """The command that sends what W&B keeps of this run on the disk."""
        option = "" if self.mode == "offline" else "--include-online "
        start = "uv run wandb" if "UV" in os.environ else "wandb"
        return f"{start} sync {option}{os.path.relpath(Path(self.experiment.dir).parent)}"


def _end_service() -> None:
    """End W&B's service process after an error; the next run starts another."""
    import wandb

    wandb.run = None  # the next run would be taken for this one
    with suppress(Exception, SystemExit):  # which it raises if the service has died
        wandb.teardown()


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
        for guarded in loggers:
            if isinstance(guarded, GuardedLogger):
                guarded.end(status)
        if logger := wandb_run(loggers):
            logger.end(status)
        if command and status not in (0, 2) and not is_empty:
            print(command, file=sys.stderr)
