"""Trackio: a dashboard on the user's own machine, of runs in SQLite files."""

import importlib
import io
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ldg.runs.run import flatten
from ldg.training.guarded import GuardedLogger, guarded


class TrackioRun(GuardedLogger):
    """A run in a store of Trackio's, which ``trackio show`` shows.

    Nothing leaves the machine, unless Trackio's environment variable TRACKIO_SPACE_ID or TRACKIO_SERVER_URL says where
    to.

    Args:
        project: in Trackio
        name: of the run
        group: of runs
        save_dir: folder with the folder ``trackio``, the store. The environment variable TRACKIO_DIR takes its place.
            Trackio reads it once: all runs of a process share a store
    """

    title = "Trackio"

    def __init__(
        self,
        project: Annotated[str, Field(min_length=1)] = "ldg",
        name: str | None = None,
        group: str | None = None,
        save_dir: str = "outputs",
    ) -> None:
        super().__init__(project)
        self.run_name = name
        self.group = group
        self.store = Path(save_dir).resolve() / "trackio"
        self.config: dict[str, Any] = {}

    def start(self) -> Any:
        """As :meth:`GuardedLogger.start`."""
        with _alone():
            return self.trackio.init(self.project, self.run_name, self.group, config=self.config, embed=False)

    @property
    def trackio(self) -> Any:
        """The package, which reads when it is imported where the store is."""
        os.environ["TRACKIO_DIR"] = os.environ.get("TRACKIO_DIR") or str(self.store)
        # what its threads report, which Python would show with a line of Trackio's source
        importlib.import_module("trackio.run")._emit_nonfatal_warning = _print_line  # type: ignore[attr-defined]
        return importlib.import_module("trackio")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Keep the config, by full names such as ``model.latent_dim``, for the start of the run."""
        self.config = dict(flatten(params))

    @guarded
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers.

        Args:
            metrics: by name
            step: of the training; None: the one after the last
        """
        self.run.log(dict(metrics), step)

    @guarded
    def log_image(
        self, key: str, images: Sequence[str], step: int | None = None, caption: Sequence[str | None] | None = None
    ) -> None:
        """Log pictures.

        Args:
            key: their name
            images: their files
            step: of the training
            caption: of each
        """
        for image, text in zip(images, caption or [None] * len(images), strict=True):
            self.run.log({key: self.trackio.Image(image, text)}, step)

    def log_video(self, key: str, videos: Sequence[str], step: int | None = None, format: Any = None) -> None:
        """Log GIFs, which Trackio's page plays as pictures and not as videos.

        Args:
            key: their name
            videos: their files
            step: of the training
            format: not used, the names of the files tell
        """
        self.log_image(key, videos, step)

    @guarded
    def log_table(self, key: str, columns: list[str], data: list[list[Any]]) -> None:
        """As :meth:`GuardedLogger.log_table`."""
        self.run.log({key: self.trackio.Table(columns, data)})

    def show(self) -> str | None:
        """As :meth:`GuardedLogger.show`."""
        if _is_remote():
            return None
        store = shlex.quote(os.path.relpath(os.environ["TRACKIO_DIR"]))
        start = "uv run trackio" if "UV" in os.environ else "trackio"
        return f"TRACKIO_DIR={store} {start} show --project {shlex.quote(self.project)}"

    @guarded
    def end(self, status: int) -> None:
        """As :meth:`GuardedLogger.end`."""
        if self._run is not None:
            with _alone():
                self.trackio.finish()


def _is_remote() -> bool:
    return bool(os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL"))


def _print_line(message: str, *_: Any, **__: Any) -> None:
    print(f"Trackio: {' '.join(message.split()).removeprefix('trackio.')}", file=sys.stderr)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep Trackio from printing, and from asking Hugging Face for the user's name where the store is local."""
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    if not _is_remote():
        constants.HF_HUB_OFFLINE = True
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline
