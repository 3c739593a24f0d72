"""Checkpoint files that are there as a whole or not at all."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO


class WholeFiles(TorchCheckpointIO):
    """Writes beside the file and then renames: whatever happens meanwhile, the checkpoint before stays as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        try:
            torch.save(checkpoint, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
