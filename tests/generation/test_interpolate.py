import numpy as np
import pytest
import torch

from ldg.data.strokes import Strokes
from ldg.errors import UserError
from ldg.generation import interpolate


def test_the_ends_are_the_two_reconstructions(model):
    images, labels = torch.rand(2, 1, 28, 28), torch.tensor([3, 40])
    frames = interpolate.between_images(model, images, labels, steps=5)
    assert frames.shape == (5, 1, 28, 28)
    torch.testing.assert_close(frames[[0, -1]], model.decode(model.encode(images).mean, labels))
    assert torch.unique(model.batches[0], dim=0).shape == (5, 3)


def test_a_dynamic_binarisation_is_the_same_each_time(binarising, shown):
    images, labels = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
    state = torch.get_rng_state()
    first, second = (interpolate.between_images(binarising, images, labels) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())
    assert len(shown) == 2 and torch.cat(shown).unique().tolist() == [0, 1]
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(first[[0, -1]], binarising.reconstruct(images, labels, generator))


def test_between_labels_keeps_the_style(model):
    z = torch.tensor([1.0, 2.0, 3.0])
    frames = interpolate.between_labels(model, z, 10, 11, steps=3)
    ends = model.decode(z.expand(2, -1), torch.tensor([10, 11]))
    torch.testing.assert_close(frames[[0, 2]], ends)
    torch.testing.assert_close(frames[1], ends.mean(0))
    assert (model.batches[0] == z).all()


def test_images_come_from_the_test_split_the_checkpoint_names(shapes, tmp_path):
    model = shapes(Strokes.classes)
    strokes = {"_target_": "ldg.data.strokes.Strokes", "per_class": 2, "test_per_class": 1}
    model.config = {
        "data": {
            "_target_": "ldg.data.module.ImageDataModule",
            "dataset": strokes,
            "image_shape": [1, 28, 28],
            "num_classes": 81,
            "cache": str(tmp_path),
        }
    }
    images, labels = interpolate.read_test_images(model, [4, 1])
    arrays = Strokes(per_class=2, test_per_class=1).load("test", cache=str(tmp_path))
    np.testing.assert_allclose(images, arrays.images[[4, 1]] / 255, atol=1e-7)
    assert labels.tolist() == arrays.labels[[4, 1]].tolist()
    with pytest.raises(UserError, match="no test image 81: the test split has images 0 to 80"):
        interpolate.read_test_images(model, [0, 81])


def test_a_checkpoint_without_data(model):
    with pytest.raises(UserError, match="names no data set"):
        interpolate.read_test_images(model, [0, 1])


def test_summary_has_originals_at_both_ends_above_percentages():
    originals, frames = np.zeros((2, 1, 8, 8)), np.ones((3, 1, 8, 8))
    page = interpolate.draw_summary(originals, frames, scale=4)
    row = page[10]  # through the pictures: originals are blank paper, frames black
    runs = np.flatnonzero(np.diff((row < 0.5).astype(int)))
    assert len(runs) == 6 and {b - a for a, b in runs.reshape(3, 2)} == {32}
    assert page[40:].min() < 0.5  # the captions
