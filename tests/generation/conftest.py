"""Small untrained models, and one that draws plain shapes whose geometry is known."""

import string
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldg.models.dense import DenseNetwork
from ldg.models.likelihoods import Bernoulli
from ldg.models.vae import VAE

CHARACTERS = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)


class Shapes:
    """A model whose image of class k is a frame: it fills its 20-pixel box in height, and is narrower for an odd k.

    The first latent moves the right side, so that another style gives another picture. Soft labels mix images.
    """

    conditioning = "both"

    def __init__(self, classes=CHARACTERS, image_shape=(1, 28, 28), latent_dim=3):
        self.classes, self.image_shape, self.latent_dim = tuple(classes), image_shape, latent_dim
        self.num_classes, self.config = len(self.classes), {}
        self.batches = []

    device = torch.device("cpu")

    def from_noise(self, noise, labels):
        return noise

    def decode_noise(self, noise, labels):
        return self.decode(noise, labels)

    def decode(self, z, labels):
        self.batches.append(z)
        labels = labels if labels.is_floating_point() else torch.eye(self.num_classes)[labels]
        return torch.stack([self._mixed(one, label) for one, label in zip(z, labels, strict=True)])

    def _mixed(self, z, label):
        return sum(weight * self._frame(index, z) for index, weight in enumerate(label) if weight)

    def _frame(self, index, z):
        channels, height, width = self.image_shape
        top, left, side = height // 7, width // 7, max(2, width // 10)
        right = width - left - (width // 4 if index % 2 else 0) - round(float(torch.sigmoid(z[0])) * width / 7)
        image = torch.zeros(height, width)
        image[top : height - top, left:right] = 1
        image[top + side : height - top - side, left + side : right - side] = 0
        return image.expand(channels, -1, -1)

    def encode(self, x, labels=None, generator=None):
        return SimpleNamespace(mean=x.flatten(1)[:, : self.latent_dim])

    def write(self, styles, labels, temperature):
        return self.sample(np.float32(temperature) * styles, labels)

    def sample(self, noise, labels):
        return self.decode(torch.from_numpy(noise), torch.from_numpy(labels)).numpy()


@pytest.fixture
def model():
    return Shapes()


@pytest.fixture
def dogs():
    return Shapes(("Chihuahua", "Shih-Tzu", "golden_retriever", "pug"), (3, 32, 32))


@pytest.fixture
def binarising():
    """A model that is shown a new binary image each time."""
    torch.manual_seed(0)
    network = partial(DenseNetwork, hidden=[8])
    model = VAE((1, 4, 4), 3, network, Bernoulli(binarize="dynamic"), latent_dim=3).eval()
    model.classes = ("a", "b", "c")
    return model


@pytest.fixture
def shown(binarising, monkeypatch):
    """The images that the encoder of ``binarising`` is shown."""
    images, encode = [], binarising.network.encode
    monkeypatch.setattr(binarising.network, "encode", lambda x, c: (images.append(x), encode(x, c))[1])
    return images


@pytest.fixture
def shapes():
    """The class itself, for models of other sizes."""
    return Shapes
