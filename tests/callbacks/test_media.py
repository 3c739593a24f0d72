"""Which loggers take pictures, and how."""

import io

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger

from ldg.callbacks.media import log_picture, log_table
from ldg.training.loggers import MetricsFile
from tests.runs import content


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    return path


def test_tensorboard_takes_pictures(picture, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(str(tmp_path), name="", version="tensorboard")
    log_picture(logger, "gallery/strings", picture, "a caption", 3)
    log_table(logger, "scorecard", ["measure"], [["ELBO"]])  # which it has not
    logger.finalize("success")
    kept = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert kept.Tags()["images"] == ["gallery/strings"]
    (event,) = kept.Images("gallery/strings")
    shown = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert event.step == 3 and (shown == np.asarray(Image.open(picture))).all()


def test_a_logger_without_pictures_is_left_out(picture, tmp_path):
    logger, before = MetricsFile(str(tmp_path / "metrics.csv")), content(tmp_path)
    log_picture(logger, "gallery/strings", picture)
    log_picture(logger, "gallery/strings_moving", picture.with_suffix(".gif"))
    log_table(logger, "scorecard", ["measure"], [["ELBO"]])
    assert content(tmp_path) == before
