"""Pictures and tables for loggers: Lightning has no common interface for them.

A logger takes them by methods of the names and arguments that Lightning's WandbLogger has: ``log_image``, ``log_video``
and ``log_table``. One without these methods is left out, except for TensorBoard's, which takes images in its own way.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger


def log_picture(logger: Any, key: str, path: Path, caption: str | None = None, step: int | None = None) -> None:
    """Log a picture that has been saved.

    Args:
        logger: of Lightning
        key: its name in the logger, ``gallery/strings``
        path: of the PNG, or of the GIF, which is logged as a video
        caption: below the picture
        step: of the training; None: none in particular
    """
    if path.suffix == ".gif":
        if hasattr(logger, "log_video"):
            logger.log_video(key, [str(path)], step=step, format=["gif"])
    elif hasattr(logger, "log_image"):
        captions = {} if caption is None else {"caption": [caption]}
        logger.log_image(key, [str(path)], step=step, **captions)
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(key, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")


def log_table(logger: Any, key: str, columns: list[str], rows: list[list[str]]) -> None:
    """Log a table.

    Args:
        logger: of Lightning
        key: its name in the logger
        columns: their names
        rows: the cells of each
    """
    if hasattr(logger, "log_table"):
        logger.log_table(key, columns=columns, data=rows)
