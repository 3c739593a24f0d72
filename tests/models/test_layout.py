"""Feature maps and their gradients are channels-last on every way through the networks.

Where the operands of a norm or an activation differ in layout, a step takes longer.
"""

import pytest
import torch
from torch import nn

from ldg.checkpoint import build
from tests.runs import configured

MODELS = {
    "conv_cvae": ["model=conv_cvae"],
    "residual": ["model=conv_cvae", "model.network.channels=[8,8,8]", "model.network.blocks=1"],
    "planes": ["model=conv_cvae", "model.network.condition=planes"],
    "concat": ["model=conv_cvae", "model.network.condition=concat"],
    "map": ["model=conv_cvae", "model/prior=two_levels", "model.latent_dim=36", "model.network.latent_channels=2"],
    "hierarchical": ["model=hierarchical_cvae"],
    "reference": ["experiment=ldg_v3_conv"],
    "judge": ["experiment=judge"],
}


@pytest.mark.parametrize("name", MODELS)
def test_norms_get_channels_last(name):
    model = build(configured("trainer=cpu", *MODELS[name]).model).to(memory_format=torch.channels_last).train()
    seen = []

    def check(tensor):
        if tensor.dim() == 4 and not tensor.is_contiguous(memory_format=torch.channels_last):
            seen.append(tuple(tensor.shape))

    def watch(module, inputs, output):
        check(inputs[0])
        output.register_hook(check)

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(watch)
    model.loss(torch.rand(4, 1, 28, 28), torch.arange(4)).objective.backward()
    assert norms
    assert not seen
