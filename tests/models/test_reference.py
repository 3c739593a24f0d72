"""The older systems, to the last parameter: counted as Keras does, with the running statistics of batch norm."""

import math

import pytest
import torch

from ldg.training.module import make_module
from tests.runs import configured

PARAMETERS = {
    "ldg_v1": 3_320_213,
    "ldg_v2_conv": 3_984_261,
    "ldg_v2_vanilla": 1_122_596,
    "ldg_v3_conv": 890_781,
    "ldg_v3_vanilla": 494_620,
    "fashion_beta_vae": 370_285,
    "fashion_manifold": 807_700,
    "dog_vae_64": 21_501_059,
    "dog_vae_256": 40_377_347,
}


@pytest.fixture(params=PARAMETERS)
def system(request):
    config = configured(f"experiment={request.param}")
    torch.manual_seed(0)
    return request.param, make_module(config, [str(i) for i in range(config.data["num_classes"])]).model


def squared_error(factor, to_range):
    """Their loss of an image x drawn as y, and what a Gaussian's normalisation adds to it in ldg."""
    variance = 1 / (2 * factor * to_range**2)
    return lambda x, y: factor * (to_range * (x - y)).square().flatten(1).sum(1), 0.5 * math.log(2 * math.pi * variance)


def bernoulli(x, y):
    return -(x * y.log() + (1 - x) * (1 - y).log()).flatten(1).sum(1)


def test_parameters_and_loss(system):
    name, model = system
    running = sum(buffer.numel() for key, buffer in model.named_buffers() if "running" in key)
    assert sum(parameter.numel() for parameter in model.parameters()) + running == PARAMETERS[name]

    if "v3" in name:
        loss, constant = bernoulli, 0.0
    elif name.startswith("dog"):
        loss, constant = squared_error(1 / 3, 1)
    else:
        loss, constant = squared_error(1, 1 if name == "fashion_manifold" else 2)
    model.eval()
    x, labels = torch.rand(2, *model.image_shape), torch.tensor([0, 1])
    with torch.no_grad():
        z = model.encode(x, labels).mean
        condition = None if model.conditioning == "none" else torch.eye(model.num_classes)[labels]
        negative = -model.likelihood.log_prob(model.network.decode(z, condition), x) - constant * x[0].numel()
        torch.testing.assert_close(negative, loss(x, model.decode(z, labels)), rtol=1e-4, atol=1e-2)


def test_first_weights(system):
    name, model = system
    with torch.no_grad():
        weights = model.network.decoder.hidden[0].weight
        expected = math.sqrt(2 / (2 + 512)) if name == "fashion_manifold" else 0.02
        assert float(weights.std()) == pytest.approx(expected, rel=0.1)
        head = model.network.encoder.heads.weight[: model.latent_dim]
        assert float(head.std()) == pytest.approx(math.sqrt(2 / sum(head.shape)), rel=0.1)
