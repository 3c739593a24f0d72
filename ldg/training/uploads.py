"""What a run sends to Weights & Biases as artifacts, data and checkpoints, and whether it arrives."""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ldg.artifacts import describe_error
from ldg.data.splits import ImageSplits
from ldg.errors import UserError

STALLED = 8  # seconds without a byte after which an upload is given up
# what W&B's service notes where the server refuses a part of a run; finish() does not tell
UPLOAD_FAILED = re.compile(
    r'"level":"ERROR[^"]*","msg":"((?:filestream|runfiles|runupserter|sender: failed to log artifact): [^"\\]*)'
)


class CheckpointUploads:
    """The best checkpoints of a run as artifacts in W&B, and in its registry.

    Args:
        log_model: as of :class:`ldg.training.wandb.WandbRun`
        register: as of it
        aliases: as of it
    """

    def __init__(self, log_model: bool | str, register: str | None, aliases: list[str]) -> None:
        self.wanted = "best" if log_model is True or (register and not log_model) else log_model
        self.register = register
        self.aliases = aliases
        self._logged: Any = None  # the artifact of the best one

    def log(self, run: Any, path: str | None, metrics: dict[str, float], aliases: Sequence[str] = ()) -> None:
        """Log a checkpoint.

        Args:
            run: of W&B
            path: of the file; None if there is none
            metrics: of its epoch
            aliases: beside ``best`` and ``latest``

        Raises:
            Exception: whatever W&B raises, and UserError if there is no file.
        """
        import wandb

        if path is None:
            raise UserError("the run has kept no best checkpoint (callbacks.checkpoint)")
        artifact = wandb.Artifact(f"model-{run.id}", "model", metadata=metrics)
        artifact.add_file(path, name="model.ckpt")
        publish(run, artifact, ["best", *aliases])
        self._logged = artifact

    def deliver(self, run: Any, mode: str) -> str | None:
        """Wait for the upload of the best checkpoint, and link it in the registry.

        Args:
            run: of W&B
            mode: of the run, ``online`` or ``offline``

        Returns:
            Why it is not where it should be; None if it is.
        """
        if self._logged is None:
            return None
        if mode == "offline":
            return "an offline run registers nothing" if self.register else None
        try:
            uploaded = wait_for_upload(run, self._logged)
            if self.register:
                uploaded.link(self._place, self.aliases)
        except Exception as error:
            return describe_error(error)
        return None

    @property
    def lost(self) -> str:
        """What follows if it is not delivered."""
        return f"the checkpoint is not in {self._place}" if self.register else "the checkpoint is not logged"

    @property
    def _place(self) -> str:
        """The collection in the registry that the best checkpoint is linked to."""
        return f"wandb-registry-{self.register if '/' in str(self.register) else f'model/{self.register}'}"


@contextmanager
def reported(consequence: str) -> Iterator[None]:
    """Say in one line what follows from an error in W&B, and go on.

    Args:
        consequence: what follows
    """
    try:
        yield
    except Exception as error:
        print(f"W&B: {describe_error(error)}; {consequence}", file=sys.stderr)


def make_data_artifact(name: str, data: ImageSplits) -> Any:
    """An artifact that refers to images by their fingerprint.

    Args:
        name: of the data set
        data: the images
    """
    import wandb

    name = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)
    about = {"fingerprint": data.fingerprint, "classes": data.num_classes, "image_shape": list(data.image_shape)}
    about["images"] = {"train": len(data.train_labels), "test": len(data.test)}
    artifact = wandb.Artifact(name, "dataset", metadata=about)
    artifact.add_reference(f"ldg-data://{name}/{data.fingerprint}", name="images", checksum=False)
    return artifact


def publish(run: Any, artifact: Any, aliases: Sequence[str] = (), is_input: bool = False) -> None:
    """Log an artifact as a record of the run, which is in its log on the disk, and so is sent by ``wandb sync``.

    W&B's ``log_artifact`` and ``use_artifact`` do so offline. Online they ask the server first, and keep nothing on
    the disk.

    Args:
        run: of W&B
        artifact: which is changed no more
        aliases: beside ``latest``
        is_input: whether the run uses it, and has not made it
    """
    artifact.finalize()
    run._interface.publish_artifact(
        run, artifact, ["latest", *aliases], is_user_created=is_input, use_after_commit=is_input
    )


def wait_for_upload(run: Any, artifact: Any) -> Any:
    """Wait until the server has an artifact, as long as bytes of it are sent.

    Args:
        run: of W&B, which has logged the artifact
        artifact: as it was logged

    Returns:
        The artifact as the server has it.

    Raises:
        UserError: if the server refuses it, or nothing is sent for :data:`STALLED` seconds.
        Exception: whatever W&B raises.
    """
    import wandb

    seconds = int(os.environ["WANDB_HTTP_TIMEOUT"])
    api, name = wandb.Api(timeout=seconds), f"{run.entity}/{run.project}/{artifact.name}:latest"
    most, deadline = 0, time.monotonic() + STALLED
    while True:
        uploaded = api.artifact(name) if api.artifact_exists(name) else None
        if uploaded is not None and uploaded.digest == artifact.digest:
            return uploaded
        if reason := refusal(run):
            raise UserError(reason)
        state = run._interface.deliver_poll_exit().wait_or(timeout=seconds).response.poll_exit_response
        # bytes that are sent once more are no progress
        if (sent := state.pusher_stats.uploaded_bytes) > most:
            most, deadline = sent, time.monotonic() + STALLED
        elif time.monotonic() > deadline:
            raise UserError("its upload hangs")
        time.sleep(0.2)


def refusal(run: Any) -> str | None:
    """What W&B's service notes where the server refuses a part of the run.

    Args:
        run: of W&B
    """
    log = Path(run.dir).parent / "logs" / "debug-internal.log"
    failed = log.exists() and UPLOAD_FAILED.search(log.read_text(encoding="utf-8", errors="replace"))
    return failed[1] if failed else None
