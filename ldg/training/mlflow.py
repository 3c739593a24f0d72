"""MLflow, through Lightning's logger."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock
from PIL import Image
from pydantic import Field
from pytorch_lightning.loggers import MLFlowLogger

from ldg.training.guarded import GuardedLogger, guarded

# what MLflow reads unless the user has set it: no reports about itself, no tips, and a server that does not answer is
# given up after seconds, not minutes
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


class MlflowRun(GuardedLogger):
    """A run of MLflow's in a SQLite file, which ``mlflow ui`` shows.

    Nothing leaves the machine, unless MLflow's environment variable MLFLOW_TRACKING_URI says where to.

    Args:
        project: the experiment in MLflow
        name: of the run
        group: of runs, a tag
        tags: of the run, in one tag
        save_dir: folder with the folder ``mlflow``, which holds the file and the pictures. The environment variable
            MLFLOW_TRACKING_URI takes its place
    """

    title = "MLflow"

    def __init__(
        self,
        project: Annotated[str, Field(min_length=1)] = "ldg",
        name: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        save_dir: str = "outputs",
    ) -> None:
        super().__init__(project)
        self.run_name = name
        labels = {"group": group, "tags": ", ".join(tags or ())}
        self.tags = {key: text for key, text in labels.items() if text}
        self.store = Path(save_dir).resolve() / "mlflow"

    def start(self) -> MLFlowLogger:
        """As :meth:`GuardedLogger.start`."""
        for variable, value in QUIET.items():
            os.environ.setdefault(variable, value)
        server = os.environ.get("MLFLOW_TRACKING_URI")
        local = f"sqlite:///{self.store}/mlflow.db"
        uri = server or local
        self.is_local = uri == local
        pictures = None if server else str(self.store / "artifacts")
        # processes of a sweep that make the tables, or the experiment, at the same time break each other's
        with FileLock(self.store.with_suffix(".lock")):
            logger = MLFlowLogger(self.project, self.run_name, uri, self.tags, artifact_location=pictures)
            logger.experiment  # noqa: B018
        return logger

    @guarded
    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Log the config, by full names such as ``model/latent_dim``."""
        self.run.log_hyperparams(params)

    @guarded
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers.

        Args:
            metrics: by name
            step: of the training; None: 0
        """
        self.run.log_metrics(metrics, step)

    @guarded
    def log_image(self, key: str, images: Sequence[str], step: int | None = None, caption: Any = None) -> None:
        """Log pictures.

        Args:
            key: their name
            images: their files
            step: of the training
            caption: not used, MLflow has none
        """
        for image in images:
            self.run.experiment.log_image(self.run.run_id, Image.open(image), key=key, step=step)

    @guarded
    def log_video(self, key: str, videos: Sequence[str], step: int | None = None, format: Any = None) -> None:
        """Log videos as files.

        Args:
            key: their name, whose first part is the folder
            videos: their files
            step: not used
            format: not used, the names of the files tell
        """
        for video in videos:
            self.run.experiment.log_artifact(self.run.run_id, video, key.rpartition("/")[0])

    @guarded
    def log_table(self, key: str, columns: list[str], data: list[list[Any]]) -> None:
        """As :meth:`GuardedLogger.log_table`."""
        # what MLflow's log_table does, which needs pandas
        file = f"{key}.json"
        self.run.experiment.log_dict(self.run.run_id, {"columns": columns, "data": data}, file)
        tables = json.dumps([{"path": file, "type": "table"}])
        self.run.experiment.set_tag(self.run.run_id, "mlflow.loggedArtifacts", tables)

    def show(self) -> str | None:
        """As :meth:`GuardedLogger.show`; ``mlflow-skinny`` has no ``mlflow ui``, and another version other tables."""
        if not self.is_local:
            return None
        place = shlex.quote(f"sqlite:///{os.path.relpath(self.store)}/mlflow.db")
        installed = version("mlflow-skinny")
        if "UV" in os.environ:
            return f"uvx mlflow@{installed} ui --backend-store-uri {place}"
        missing = "" if find_spec("flask") else f"  # needs pip install mlflow=={installed}"
        return f"mlflow ui --backend-store-uri {place}{missing}"

    @guarded
    def end(self, status: int) -> None:
        """As :meth:`GuardedLogger.end`."""
        if self._run is not None:
            self.run.finalize("success" if status == 0 else "KILLED" if status > 128 else "failed")
