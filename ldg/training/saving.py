"""Checkpoint files that exist as a whole or not at all, and are read in today's format."""

from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ldg.files import whole
from ldg.migration import migrate


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints whole: whatever happens meanwhile, the checkpoint before stays as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            UserError: if the file cannot be written.
        """
        with whole(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch's own complaint about a file that is shorter than it should be
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint of any format."""
        return migrate(super().load_checkpoint(*args, **kwargs))
