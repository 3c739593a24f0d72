"""The page of models that do not write characters, and what its functions return."""

import numpy as np
import pytest
import torch

from ldg.errors import UserError
from ldg.generation import decoder as decoders
from ldg.generation import latents
from ldg.models.dense import DenseNetwork
from ldg.models.likelihoods import Bernoulli
from ldg.models.vae import VAE
from tests.generation.conftest import CHARACTERS, Shapes

pytest.importorskip("gradio")
from ldg.demo import page, plane, rendering
from ldg.demo.directions import find_directions


class Slanting(Shapes):
    """The second style shears a frame, the third does nothing."""

    def _frame(self, index, z):
        frame = super()._frame(index, 0.2 * z)
        rows = [torch.roll(row, round(float(z[1]) * (14 - y) / 6), -1) for y, row in enumerate(frame[0])]
        return torch.stack(rows)[None]


def small(**options):
    model = VAE((3, 8, 8), 3, DenseNetwork, Bernoulli(), **options).eval()
    model.classes = ("cat", "dog", "owl")
    return model


def test_directions_are_what_changes_letters_most():
    first, second = find_directions(Slanting(), 2)
    assert first.name == "slant" and np.abs(first.vector).argmax() == 1 and first.vector[1] > 0.9
    assert second.name in ("width", "pen", "direction 2")
    assert abs(first.vector @ second.vector) < 1e-5


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_pictures_have_a_page_and_a_map(latent_dim):
    model = small(latent_dim=latent_dim)
    made = rendering.Model("pets", decoders.as_decoder(model), model)
    page.build([made, made]).close()
    drawn = plane.Plane(model)
    assert "draws of the prior" in drawn.caption
    for label in (None, 2):
        image, found = drawn.decode(400, 400, label)
        assert image.shape == (3, 8, 8) and (label is None or found == label)


def test_the_map_is_that_of_its_points():
    """Where a latent lies on the map, it is what is decoded."""
    model = small(latent_dim=5)
    drawn = plane.Plane(model)
    column, row = drawn._to_points.inverted().transform(drawn.points[7])
    image, label = drawn.decode(int(column), int(len(drawn.picture) - row))
    with torch.no_grad():
        expected = model.decode(torch.from_numpy(drawn.latents[7:8]), torch.tensor([int(drawn.labels[7])]))[0].numpy()
    if label == drawn.labels[7]:
        np.testing.assert_allclose(image, expected, atol=0.05)


def test_a_blend_begins_and_ends_with_its_classes():
    model = Shapes()
    images = rendering.blend(model, 3, 5, 0, 0.5, 4)
    styles = latents.draw_styles([0, 0], 3, 0)
    ends = model.write(styles, np.eye(len(CHARACTERS), dtype=np.float32)[[3, 5]], 0.5)
    np.testing.assert_allclose(images[[0, -1]], ends)


def test_a_model_without_labels_is_refused(monkeypatch):
    model = small(latent_dim=2, conditioning="none")
    monkeypatch.setattr(decoders, "load", lambda path: model)
    with pytest.raises(UserError, match="was trained without labels"):
        rendering.load_model("outputs/1", "1")
