"""Where metrics go: a CSV file in the run folder, and Weights & Biases, online or off."""

import csv
import functools
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from ldg.artifacts import describe_error, has_credentials, within
from ldg.data.splits import ImageSplits
from ldg.errors import Interrupted, UserError
from ldg.files import read_csv, whole
from ldg.runs.run import flatten
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


# what W&B reads unless the user has set it: a server that does not answer is waited for as many seconds, when a run
# starts, when it ends and before each table; an upload that is not complete then is an error; and W&B's reports about
# itself, which wait for the server again, are off
PATIENCE = {
    "WANDB_INIT_TIMEOUT": "10",
    "WANDB_FINISH_TIMEOUT": "10",
    "WANDB_HTTP_TIMEOUT": "3",
    "WANDB_FINISH_TIMEOUT_RAISES": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "1",
}
BYTES_PER_SECOND = 10**6  # of the slowest upload of a checkpoint that is waited for
# what W&B's service notes where the server refuses a part of a run; finish() does not tell
UPLOAD_FAILED = re.compile(
    r'"level":"ERROR[^"]*","msg":"((?:filestream|runfiles|runupserter|sender: failed to log artifact): [^"\\]*)'
)


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
        log_model: ``best`` or True: the best checkpoint is logged as an artifact, when the training is done; ``all``:
            so is each that is the best so far, when it is saved
        register: the collection of W&B's registry that the best checkpoint is linked to, in the registry ``model``, or
            in another one as in ``REGISTRY/NAME``; it is logged as an artifact then
        aliases: of the best checkpoint, beside ``best`` and ``latest``, and the only ones in the registry
        gradients: whether histograms of gradients are logged
        id: of the run in W&B, which continues that run if there is one; the environment variable WANDB_RUN_ID, which
            W&B's agent sets, takes its place
    """

    _has_failed = False  # the server, which this process does not ask again
    _model: Any = None  # the artifact of the best checkpoint

    def __init__(
        self,
        project: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^/\\#?%:]*$")] = "ldg",
        name: str | None = None,
        group: Annotated[str, Field(max_length=128)] | None = None,
        tags: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = None,
        choices: dict[str, Any] | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        save_dir: str = "outputs",
        log_model: Annotated[bool | Literal["best", "all"], "best, all or false"] = False,
        register: Annotated[
            Annotated[str, Field(pattern=r"^([^/\\#?%:]+/)?[^/\\#?%:]+$", max_length=128)] | None,
            "the name of a collection, as in letters or REGISTRY/letters",
        ] = None,
        aliases: list[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^/:]*$")]] | None = None,
        gradients: bool = False,
        id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^:;,#?/']*$")] | None = None,
    ) -> None:
        import wandb

        for variable, value in PATIENCE.items():
            os.environ[variable] = os.environ.get(variable) or value
        os.environ.pop("WANDB_SERVICE", None)  # of a process that started this one, and may have ended it
        given = os.environ.get("WANDB_MODE", "auto") if mode == "auto" else mode
        self.mode = {"dryrun": "offline", "run": "online"}.get(given, given)
        self.log_model = "best" if log_model is True or (register and not log_model) else log_model
        self.register, self.aliases = register, list(aliases or [])
        self.gradients = gradients
        agent = os.environ.get("WANDB_RUN_ID")
        self.resume = "allow" if id and not agent else None  # W&B's run of this id, if there is one
        self.choices = dict(choices or {})  # W&B would write what Hydra gives as text
        super().__init__(
            project=project,
            name=name and name[:128],
            group=group,
            tags=tags,
            # absolute, because W&B's service writes the files and may have another working folder
            save_dir=str(Path(save_dir).resolve()),
            id=agent or id,
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
        shown = {k: v for k, v in params.items() if k not in kept} | dict(flatten(kept)) | {"choices": self.choices}
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

    @rank_zero_only
    def use_data(self, data: ImageSplits) -> None:
        """Record which images the run is trained on: an artifact that refers to them by their fingerprint.

        Nothing of them is uploaded. Runs on the same images share it, whatever their machines.

        Args:
            data: the images
        """
        import wandb

        if self.mode == "disabled":
            return
        fingerprint = data.fingerprint
        name = str(self.choices.get("data") or type(data.dataset).__name__)
        name = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)
        about = {"fingerprint": fingerprint, "classes": data.num_classes, "image_shape": list(data.image_shape)}
        about["images"] = {"train": len(data.train_labels), "test": len(data.test)}
        with _reported("the data are not recorded"):
            artifact = wandb.Artifact(name, "dataset", metadata=about)
            artifact.add_reference(f"ldg-data://{name}/{fingerprint}", name="images", checksum=False)
            self._publish(artifact, is_input=True)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Log a checkpoint that is the best so far, if all of these are asked for; the last one is none."""
        monitor, score = checkpoint_callback.monitor, checkpoint_callback.best_model_score
        if self.log_model == "all" and monitor is not None and score is not None:
            self._log_checkpoint(checkpoint_callback.best_model_path, {monitor: float(score)})

    def log_best(self, path: str | None, metrics: dict[str, float]) -> None:
        """Log the best checkpoint as an artifact, if that was asked for.

        Args:
            path: of its file; None if there is none
            metrics: of its epoch
        """
        if self.log_model:
            self._log_checkpoint(path, metrics, self.aliases)

    def _log_checkpoint(self, path: str | None, metrics: dict[str, float], aliases: Sequence[str] = ()) -> None:
        import wandb

        if self.mode == "disabled":
            return
        with _reported("no checkpoint is logged"):
            if path is None:
                raise UserError("the run has kept no best checkpoint (callbacks.checkpoint)")
            artifact = wandb.Artifact(f"model-{self.experiment.id}", "model", metadata=metrics)
            artifact.add_file(path, name="model.ckpt")
            self._publish(artifact, ["best", *aliases])
            self._model = artifact

    def _publish(self, artifact: Any, aliases: Sequence[str] = (), is_input: bool = False) -> None:
        """Log an artifact as a record of the run, which is in its log on the disk, and so is sent by ``wandb sync``.

        W&B's ``log_artifact`` and ``use_artifact`` do so offline. Online they ask the server first, and keep nothing on
        the disk.
        """
        artifact.finalize()
        run = self.experiment
        run._interface.publish_artifact(
            run, artifact, ["latest", *aliases], is_user_created=is_input, use_after_commit=is_input
        )

    def _deliver_model(self) -> None:
        """Wait for the upload of the best checkpoint, while the server answers, and link it in the registry.

        Raises:
            Exception: whatever W&B raises.
        """
        import wandb

        if self.mode == "offline":
            if self.register:
                raise UserError("an offline run registers nothing")
            return
        run, api = self.experiment, wandb.Api(timeout=int(os.environ["WANDB_HTTP_TIMEOUT"]))
        name = f"{run.entity}/{run.project}/{self._model.name}:latest"
        deadline = time.monotonic() + 5 + self._model.size / BYTES_PER_SECOND
        while True:
            uploaded = api.artifact(name) if api.artifact_exists(name) else None
            if uploaded is not None and uploaded.digest == self._model.digest:
                break
            if time.monotonic() > deadline or self._refusal:
                raise UserError(self._refusal or "its upload takes too long")
            time.sleep(0.2)
        if self.register:
            uploaded.link(self._place, self.aliases)

    @property
    def _refusal(self) -> str | None:
        """What W&B's service notes where the server refuses a part of the run."""
        log = Path(self.experiment.dir).parent / "logs" / "debug-internal.log"
        failed = log.exists() and UPLOAD_FAILED.search(log.read_text(encoding="utf-8", errors="replace"))
        return failed[1] if failed else None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, which is started when it is first needed."""
        import wandb

        if self._experiment is None:
            wandb.setup(settings=wandb.Settings(silent=True))
            refused = None if self.mode in ("offline", "disabled") else self._start_online()
            if self._experiment is None:
                # no server is waited for, but W&B's service, on a machine that may be busy
                settings = wandb.Settings(silent=True, console="off", init_timeout=90, finish_timeout=0)
                self._wandb_init |= {"mode": self.mode, "id": self._id, "resume": None, "settings": settings}
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
        id = self._id or secrets.token_hex(4)
        earlier = self._folders(id)
        try:
            if not has_credentials():
                return None if wanted == "auto" else "no one is logged in (wandb login)"
            mode = "online" if wanted == "auto" else wanted
            self._wandb_init |= {"mode": mode, "id": id, "resume": self.resume}
            super().experiment  # noqa: B018
        except Exception as error:
            self._experiment = None
            WandbRun._has_failed = True
            _end_service()  # it would refuse the id as being in use
            for folder in self._folders(id) - earlier:
                shutil.rmtree(folder, ignore_errors=True)
            return describe_error(error)
        self.mode = mode
        return None

    def _folders(self, id: str, kind: str = "run") -> set[Path]:
        """The folders of a run's sessions, online or ``offline-run``."""
        return {path for path in Path(str(self._save_dir), "wandb").glob(f"{kind}-*") if path.name.endswith(f"-{id}")}

    def give_up(self, error: Exception) -> None:
        """Go on without W&B, after an error in it: say so in one line, and log no more.

        Args:
            error: what W&B, or the disk it writes to, says
        """
        kept = f"; what it has:  {self.sync}" if self.is_open else ""
        print(f"W&B: {describe_error(error)}; the run goes on without it{kept}", file=sys.stderr)
        if self.is_open:
            with suppress(Exception):  # to end the service takes longer if its run has not ended
                self._finish(1)
        _end_service()
        self.mode, self._experiment = "disabled", None

    def end(self, status: int) -> None:
        """End W&B's run; if W&B does not take all of it in time, a line says how to send the rest.

        Args:
            status: the exit status that W&B shows
        """
        sync = self.sync
        lost = f"the checkpoint is not in {self._place}" if self.register else "the checkpoint is not logged"
        refusal = reason = None
        try:
            if self._model is not None and status == 0:
                self._deliver_model()
        except Exception as error:
            refusal = describe_error(error)
        try:
            self._finish(status)
            reason = None if self.mode == "offline" else self._refusal
        except Exception as error:
            WandbRun._has_failed = True
            _end_service()
            reason = "the server no longer answers" if isinstance(error, TimeoutError) else describe_error(error)
        if reason:
            also = f"{lost}; " if refusal and self.register else ""
            print(f"W&B: {reason}; {also}send the rest of the run later:  {sync}", file=sys.stderr)
        elif refusal:
            print(f"W&B: {refusal}; {lost}", file=sys.stderr)

    def _finish(self, status: int) -> None:
        """End W&B's run, in about the time that W&B is given: where it waits for its first artifact, it takes any."""
        seconds = 0.0 if self.mode == "offline" else float(os.environ["WANDB_FINISH_TIMEOUT"])
        within(seconds + 2 if seconds else None, lambda: self.experiment.finish(exit_code=status))

    @property
    def _place(self) -> str:
        """The collection in W&B's registry that the best checkpoint is linked to."""
        return f"wandb-registry-{self.register if '/' in str(self.register) else f'model/{self.register}'}"

    @property
    def is_open(self) -> bool:
        """Whether a run has been started in W&B, by this process."""
        return self._experiment is not None and self.mode != "disabled"

    @property
    def sync(self) -> str:
        """The command that sends what W&B keeps of this run on the disk."""
        start = "uv run wandb" if "UV" in os.environ else "wandb"
        folder = Path(self.experiment.dir).parent
        if self.mode != "offline":
            return f"{start} sync --include-online {os.path.relpath(folder)}"
        sessions = sorted(self._folders(self.experiment.id, "offline-run"))  # of a run that was resumed
        return f"{start} sync {' '.join(map(os.path.relpath, sessions))}"


@contextmanager
def _reported(consequence: str) -> Iterator[None]:
    """Say in one line what follows from an error in W&B, and go on."""
    try:
        yield
    except Exception as error:
        print(f"W&B: {describe_error(error)}; {consequence}", file=sys.stderr)


def _end_service() -> None:
    """End W&B's service process after an error; the next run starts another."""
    import wandb

    wandb.run = None  # the next run would be taken for this one
    with suppress(Exception, SystemExit):  # which it raises if the service has died
        within(3, wandb.teardown)


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
