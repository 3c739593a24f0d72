"""The gallery: when its pictures are drawn, and that it leaves the training alone."""

import numpy as np
import pytest
import torch
from PIL import Image

from ldg.errors import UserError
from tests.figures.test_pictures import ALWAYS
from tests.runs import BARE, DENSE, STROKES, TINY, rows, train, weights

# the data set's and the one that is drawn fastest
ONE_PICTURE = [*TINY[:-1], "callbacks.gallery.pictures=[data,reconstructions_val]"]


def test_pictures_of_different_epochs_compare(tmp_path):
    """A rate of next to nothing: what the epochs' pictures show is the same, though their titles are not."""
    overrides = [*STROKES, *DENSE, *BARE[:2], "trainer.max_epochs=2", "optimizer.lr=1e-12"]
    folder, _ = train(*overrides, f"outputs={tmp_path}")
    names = {file.name for file in (folder / "gallery/epoch_0001").iterdir()}
    assert names == {f"{name}.png" for name in ALWAYS | {"interpolations_labels"}}
    for name in names:
        first, second = (np.asarray(Image.open(folder / f"gallery/epoch_000{i}" / name)) for i in (1, 2))
        assert first.shape == second.shape
        assert (first[:24] != second[:24]).any()  # the title
        assert (first[30:] == second[30:]).mean() > 0.999
        assert (folder / "gallery" / name).read_bytes() == (folder / "gallery/epoch_0002" / name).read_bytes()
    with Image.open(folder / "gallery" / "strings.gif") as moving:
        assert moving.n_frames == 2


def test_the_data_are_shown_once(tmp_path):
    folder, _ = train(*ONE_PICTURE, "trainer.max_epochs=1", f"outputs={tmp_path}")
    sheet = np.asarray(Image.open(folder / "gallery" / "data.png").convert("L"))
    assert sheet.shape[1] == 1200 and (sheet < 128).mean() > 0.02
    assert "data.png" not in {file.name for file in (folder / "gallery" / "epoch_0001").iterdir()}


def test_it_draws_every_n_epochs_and_at_the_end(tmp_path):
    line = [*ONE_PICTURE, "callbacks.gallery.every_n_epochs=2", "trainer.max_epochs=3"]
    folder, _ = train(*line, "trainer.limit_train_batches=1", f"outputs={tmp_path}")
    assert sorted(f.name for f in (folder / "gallery").glob("epoch_*")) == ["epoch_0002", "epoch_0003"]


def test_early_stopping_is_an_end_too(tmp_path):
    line = [*ONE_PICTURE, "callbacks.gallery.every_n_epochs=100", "trainer.max_epochs=50"]
    line += ["+callbacks.early_stopping.min_delta=1e9", "callbacks.early_stopping.patience=1"]
    folder, summary = train(*line, "trainer.limit_train_batches=1", f"outputs={tmp_path}")
    assert summary["epochs"] == 2
    assert (folder / "gallery" / "epoch_0002" / "reconstructions_val.png").exists()


@pytest.mark.slow
def test_the_training_does_not_notice_it(tmp_path):
    line = [*STROKES, *DENSE, "trainer=cpu", "logger=csv", "trainer.max_epochs=2", f"outputs={tmp_path}"]
    (drawn, _), (bare, _) = train(*line), train(*line, "callbacks.gallery=null")
    assert (drawn / "metrics.csv").read_bytes() == (bare / "metrics.csv").read_bytes()
    assert all(torch.equal(a, b) for a, b in zip(weights(drawn).values(), weights(bare).values(), strict=True))
    assert len(rows(drawn)) == 2


def test_a_text_the_classes_cannot_write_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="ä") as error:
        train(*TINY[:-1], "callbacks.gallery.text=Straße ä", f"outputs={tmp_path}")
    assert "ß" in str(error.value) and "ä" in str(error.value)
    assert not list(tmp_path.glob("*/*"))


def test_the_pictures_that_are_named_are_drawn_alone(tmp_path):
    line = [*TINY[:-1], "trainer.max_epochs=1", "trainer.limit_train_batches=1", f"outputs={tmp_path}"]
    folder, _ = train(*line, "callbacks.gallery.pictures=[strings,latent_map]")
    assert {file.name for file in (folder / "gallery").glob("*.png")} == {"strings.png", "latent_map.png"}
