"""The contract of a network: a wrong shape is named, with what was returned and what is needed."""

from functools import partial

import pytest
import torch

from ldg.checkpoint import build
from ldg.models.dense import DenseNetwork
from ldg.models.posterior import Posterior
from tests.models.test_layout import MODELS
from tests.models.test_vae import make, seeded
from tests.runs import configured


class Wrong(DenseNetwork):
    """A dense network one of whose methods returns ``value``."""

    def __init__(self, sizes, method, value):
        super().__init__(sizes, hidden=[4])
        setattr(self, method, lambda *_: value)


class WrongDraw(DenseNetwork):
    """A hierarchical network that decodes on the way, to the wrong number of maps, or draws too few latents."""

    def __init__(self, sizes, latents, maps):
        super().__init__(sizes, hidden=[4])
        self.latents, self.maps = latents, maps

    def infer(self, features, c, noise):
        posterior = Posterior.from_parameters(features)
        return posterior, posterior.at(noise)[:, : self.latents], torch.zeros(len(noise), self.maps, 16, 16)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            partial(Wrong, method="encode", value=torch.zeros(2, 4)),
            r"Wrong.encode returned (2, 4) for two images; (2, 8)",
        ),
        (partial(Wrong, method="encode", value=None), r"Wrong.encode returned NoneType for two images; (2, 8)"),
        (
            partial(Wrong, method="decode", value=torch.zeros(2, 1, 15, 16)),
            r"Wrong.decode returned (2, 1, 15, 16) for two images; (2, 1, 16, 16)",
        ),
        (partial(WrongDraw, latents=3, maps=1), r"WrongDraw.infer (draw) returned (2, 3) for two images; (2, 4)"),
        (
            partial(WrongDraw, latents=4, maps=2),
            r"WrongDraw.infer (likelihood parameters) returned (2, 2, 16, 16) for two images; (2, 1, 16, 16)",
        ),
    ],
)
def test_a_wrong_shape_is_named(network, message):
    with pytest.raises(ValueError) as error:
        make(network)
    assert str(error.value) == f"{message} is needed"


class Normed(DenseNetwork):
    """With running statistics."""

    def __init__(self, sizes):
        super().__init__(sizes, hidden=[4])
        self.norm = torch.nn.BatchNorm2d(1)

    def encode(self, x, c):
        return super().encode(self.norm(x), c)


def test_the_check_leaves_no_trace():
    network = make(Normed).network
    assert network.training and network.norm.num_batches_tracked == 0


VAES = {**MODELS, "vanilla_cvae": ["model=vanilla_cvae"], "beta_vae": ["model=beta_vae"]}


@pytest.mark.parametrize("name", sorted(VAES.keys() - {"judge"}))
def test_the_elbo_of_an_image_does_not_depend_on_the_others_in_its_batch(name):
    torch.manual_seed(0)
    model = build(configured("trainer=cpu", *VAES[name]).model).train()
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    model.loss(images, labels)  # running statistics as training leaves them
    others = torch.cat([images[:1], torch.rand(7, 1, 28, 28)]), torch.tensor([0, *range(3, 10)])
    for training in (False, True):  # with the statistics of the batch it would
        a, b = (model.train(training)(*batch, generator=seeded()).elbo[0] for batch in ((images, labels), others))
        assert torch.allclose(a, b, rtol=1e-5, atol=0) == (not training or name == "vanilla_cvae")
