"""The folder of a run: created on entry, removed or completed on exit."""

import contextlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from pytorch_lightning.utilities import rank_zero_only

from ldg.config.check import ask_for_processes
from ldg.config.run_config import RunConfig
from ldg.config.secrets import mask
from ldg.errors import Interrupted, UserError, describe_os_error
from ldg.files import write_text
from ldg.runs.provenance import add_session
from ldg.runs.run import Run
from ldg.training.console import resume_command


class RunFolder:
    """As a context manager around training: makes the folder, with ``config.yaml`` and ``source.json``.

    If the run breaks, ``error.txt`` is written. A new run that is interrupted or ends with a mistake of the user's
    before a checkpoint is saved leaves no folder.

    Args:
        config: of the run; ``config.folder`` may exist only if ``config.ckpt_path`` says that the run is resumed

    Raises:
        UserError: on entry, if the folder exists already or cannot be made.
    """

    def __init__(self, config: RunConfig) -> None:
        self.path = Path(config.folder)
        self.config = config

    def __enter__(self) -> Self:
        self.is_first_process = rank_zero_only.rank == 0  # type: ignore[attr-defined]
        if not self.is_first_process:  # another makes the folder
            return self
        try:
            self.made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=self.config.ckpt_path is not None)
        except FileExistsError:
            raise UserError(
                f"folder={self.path}: is there and not empty; leave folder= out, or resume with ckpt_path="
            ) from None
        except OSError as error:
            reason = describe_os_error(error)
            raise UserError(f"{self.path} cannot be made: {reason}; choose another with outputs=...") from None
        try:
            write_text(self.path / "config.yaml", yaml.safe_dump(self.config.to_dict(), sort_keys=False))
            add_session(self.path, Run(self.path).sessions)
        except UserError:
            self._remove()
            raise
        (self.path / "error.txt").unlink(missing_ok=True)
        if ask_for_processes(self.config.trainer):
            os.environ["LDG_RUN_ID"] = self.path.name  # the other processes of this run share its folder
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        os.environ.pop("LDG_RUN_ID", None)
        if error is None or not self.is_first_process:
            return
        if isinstance(error, UserError | Interrupted):
            if not any((self.path / "checkpoints").glob("*.ckpt")):
                self._remove()
            elif isinstance(error, UserError):
                print(
                    f"what was saved before is in {self.path}; resume with:  {resume_command(self.path)}",
                    file=sys.stderr,
                )
            return
        where = f"this error and what was saved before are in {self.path}"
        try:
            write_text(self.path / "error.txt", mask("".join(traceback.format_exception(error))))
        except UserError as refusal:
            where = f"what was saved before is in {self.path}; {refusal}"
        print(f"the run broke; {where}", file=sys.stderr)

    def _remove(self) -> None:
        """Remove what this run has made, unless it holds other runs."""
        if self.config.ckpt_path is None and self.path in self.made:
            shutil.rmtree(self.path, ignore_errors=True)
            with contextlib.suppress(OSError):
                for folder in self.made[1:]:
                    folder.rmdir()

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``, which marks the run as finished."""
        write_text(self.path / "summary.json", json.dumps(summary, indent=2))
