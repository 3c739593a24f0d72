"""Runs in Weights & Biases, online or off."""

import math
import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from ldg.artifacts import describe_error, has_credentials, within
from ldg.data.splits import ImageSplits
from ldg.runs.run import flatten
from ldg.training.guarded import harmless
from ldg.training.uploads import CheckpointUploads, make_data_artifact, publish, refusal, reported

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

    _server_failed = False  # this process does not ask it again

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
            given = os.environ.get(variable) or value
            os.environ[variable] = _whole_seconds(given, value) if value.isdecimal() else given
        os.environ.pop("WANDB_SERVICE", None)  # of a process that started this one, and may have ended it
        given = os.environ.get("WANDB_MODE", "auto") if mode == "auto" else mode
        self.mode = {"dryrun": "offline", "run": "online"}.get(given, given)
        self.checkpoints = CheckpointUploads(log_model, register, list(aliases or []))
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
        if self.mode == "disabled":
            return
        with reported("the data are not recorded"):
            name = str(self.choices.get("data") or type(data.dataset).__name__)
            publish(self.experiment, make_data_artifact(name, data), is_input=True)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Log a checkpoint that is the best so far, if all of these are asked for; the last one is none."""
        monitor, score = checkpoint_callback.monitor, checkpoint_callback.best_model_score
        if self.checkpoints.wanted == "all" and monitor is not None and score is not None:
            self._log_checkpoint(checkpoint_callback.best_model_path, {monitor: float(score)})

    def log_best(self, path: str | None, metrics: dict[str, float]) -> None:
        """Log the best checkpoint as an artifact, if that was asked for.

        Args:
            path: of its file; None if there is none
            metrics: of its epoch
        """
        if self.checkpoints.wanted:
            self._log_checkpoint(path, metrics, self.checkpoints.aliases)

    def _log_checkpoint(self, path: str | None, metrics: dict[str, float], aliases: Sequence[str] = ()) -> None:
        if self.mode != "disabled":
            with reported("no checkpoint is logged"):
                self.checkpoints.log(self.experiment, path, metrics, aliases)

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
        if WandbRun._server_failed:
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
            WandbRun._server_failed = True
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
        sync, lost = self.sync, self.checkpoints.lost
        begin = time.monotonic()
        refused = self.checkpoints.deliver(self.experiment, self.mode) if status == 0 else None
        try:
            self._finish(status, time.monotonic() - begin if refused else 0.0)
            reason = None if self.mode == "offline" else refusal(self.experiment)
        except Exception as error:
            WandbRun._server_failed = True
            _end_service()
            reason = "the server no longer answers" if isinstance(error, TimeoutError) else describe_error(error)
        if reason:
            also = f"{lost}; " if refused and self.checkpoints.register else ""
            print(f"W&B: {reason}; {also}send the rest of the run later:  {sync}", file=sys.stderr)
        elif refused:
            print(f"W&B: {refused}; {lost}", file=sys.stderr)

    def _finish(self, status: int, waited: float = 0.0) -> None:
        """End W&B's run, in about the time that W&B is given: where it waits for its first artifact, it takes any.

        Args:
            status: the exit status that W&B shows
            waited: seconds of this time that have gone by, but for the 2 that the log on the disk takes
        """
        seconds = 0.0 if self.mode == "offline" else float(os.environ["WANDB_FINISH_TIMEOUT"])
        within(max(seconds - waited, 0) + 2 if seconds else None, lambda: self.experiment.finish(exit_code=status))

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


def _whole_seconds(given: str, usual: str) -> str:
    """What a user has set as W&B and ldg read it, a whole number; what is no number gives way to the usual one."""
    try:
        return str(math.ceil(float(given)))
    except (ValueError, OverflowError):  # a word; nan; inf
        return usual


def _end_service() -> None:
    """End W&B's service process after an error; the next run starts another."""
    import wandb

    wandb.run = None  # the next run would be taken for this one
    with suppress(Exception, SystemExit):  # which it raises if the service has died
        service: Any = wandb.setup()._connection
        with suppress(TimeoutError):
            within(3, wandb.teardown)
        service._proc._process.kill()  # it would ask a server that is gone for hours, with the terminal open
