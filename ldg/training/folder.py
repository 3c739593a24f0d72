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

from ldg.config.run_config import RunConfig
from ldg.errors import Interrupted, UserError
from ldg.files import write_text


class RunFolder:
    """As a context manager around training: makes the folder, with ``config.yaml`` in it.

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
        is_first_process = int(os.environ.get("LOCAL_RANK", 0)) == 0
        may_exist = self.config.ckpt_path is not None or not is_first_process
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=may_exist)
        except FileExistsError:
            raise UserError(
                f"folder={self.path}: there is a run already; leave folder= out, or resume with ckpt_path="
            ) from None
        except OSError as error:
            raise UserError(f"{self.path} cannot be made: {error.strerror}; choose another with outputs=...") from None
        if is_first_process:
            write_text(self.path / "config.yaml", yaml.safe_dump(self.config.to_dict(), sort_keys=False))
            (self.path / "error.txt").unlink(missing_ok=True)
        if "ddp" in str(self.config.trainer.get("strategy", "")):
            os.environ["LDG_RUN_ID"] = self.path.name  # the other processes of this run share its folder
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        os.environ.pop("LDG_RUN_ID", None)
        if error is None:
            return
        if isinstance(error, UserError | Interrupted):
            has_checkpoint = any((self.path / "checkpoints").glob("*.ckpt"))
            if not has_checkpoint and self.config.ckpt_path is None:
                shutil.rmtree(self.path)
                with contextlib.suppress(OSError):  # unless it holds other runs
                    self.path.parent.rmdir()
            return
        write_text(self.path / "error.txt", "".join(traceback.format_exception(error)))
        print(f"the run broke; this error and what was saved before are in {self.path}", file=sys.stderr)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``, which marks the run as finished."""
        write_text(self.path / "summary.json", json.dumps(summary, indent=2))
