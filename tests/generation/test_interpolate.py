from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldg import checkpoint
from ldg.errors import UserError
from ldg.generation import interpolate


def test_the_ends_are_the_two_reconstructions(model):
    images, labels = torch.rand(2, 1, 28, 28), torch.tensor([3, 40])
    frames = interpolate.between_images(model, images, labels, steps=5)
    assert frames.shape == (5, 1, 28, 28)
    torch.testing.assert_close(frames[[0, -1]], model.decode(model.encode(images).mean, labels))
    assert torch.unique(model.batches[0], dim=0).shape == (5, 3)


def test_between_labels_keeps_the_style(model):
    z = torch.tensor([1.0, 2.0, 3.0])
    frames = interpolate.between_labels(model, z, 10, 11, steps=3)
    ends = model.decode(z.expand(2, -1), torch.tensor([10, 11]))
    torch.testing.assert_close(frames[[0, 2]], ends)
    torch.testing.assert_close(frames[1], ends.mean(0))
    assert (model.batches[0] == z).all()


def test_images_come_from_the_test_split_the_checkpoint_names(model, monkeypatch):
    asked = []

    class Data:
        def load(self, split, root, cache, download):
            asked.append((split, root, cache, download))
            return SimpleNamespace(images=np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) * 51, labels=np.arange(5))

    monkeypatch.delenv("LDG_DATA", raising=False)
    monkeypatch.setattr(checkpoint, "build", lambda config: Data())
    model.config = {"data": {"dataset": {"_target_": "..."}, "root": "here", "cache": "there", "download": False}}
    images, labels = interpolate.test_images(model, [4, 1])
    assert asked == [("test", "here", "there", False)]
    np.testing.assert_allclose(images.flatten(), [0.8, 0.2])
    assert labels.tolist() == [4, 1]
    with pytest.raises(UserError, match="no test image 5: the test split has images 0 to 4"):
        interpolate.test_images(model, [0, 5])


def test_a_checkpoint_without_data(model):
    with pytest.raises(UserError, match="names no data set"):
        interpolate.test_images(model, [0, 1])


def test_summary_has_originals_at_both_ends_above_percentages():
    originals, frames = np.zeros((2, 1, 8, 8)), np.ones((3, 1, 8, 8))
    page = interpolate.summary(originals, frames, scale=4)
    row = page[10]  # through the pictures: originals are blank paper, frames black
    runs = np.flatnonzero(np.diff((row < 0.5).astype(int)))
    assert len(runs) == 6 and {b - a for a, b in runs.reshape(3, 2)} == {32}
    assert page[40:].min() < 0.5  # the captions
