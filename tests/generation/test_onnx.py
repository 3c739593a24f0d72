"""Exported decoders: they draw what torch draws, import no torch, and a file of somebody's can do nothing else."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import ldg
from ldg import checkpoint
from ldg.commands.export import export
from ldg.config.compose import compose_config, resolve_config
from ldg.errors import UserError
from ldg.generation import morph, writer
from ldg.generation.decoder import TorchDecoder
from ldg.generation.onnx import BATCH, OnnxDecoder
from tests.conftest import HOME
from tests.runs import CONV, DENSE

LIGHT = checkpoint.SHIPPED.with_suffix(".onnx")
CHARACTERS = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
HIERARCHICAL = ["model=hierarchical_cvae", "model.network.channels=[4,4]", "model.network.latent_channels=[0,1]"]
MAP = ["model/prior=two_levels", "model.network.latent_channels=1", "model.latent_dim=53"]
MAP += ["model.prior.couplings=2", "model.prior.hidden=8", "model.prior.context=2", "model.prior.dense=16"]


def save(folder, *overrides):
    """A checkpoint of a model with random weights."""
    config = resolve_config(compose_config([*overrides, "data.dataset.marks=false", "trainer=cpu"]))
    torch.manual_seed(0)
    model = checkpoint.build(config["model"])
    with torch.no_grad():  # a flow starts as the identity
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    about = {"version": checkpoint.FORMAT, "config": {"model": config["model"], "data": {}}, "classes": CHARACTERS}
    torch.save({"ldg": about | {"classes": list(CHARACTERS)}, "state_dict": weights}, folder / "model.ckpt")
    return folder / "model.ckpt"


def compare(model, decoder, count=BATCH + 1):
    """Draw with both: styles, mixtures of classes, and noise."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((count, model.latent_dim), dtype=np.float32)
    labels = rng.dirichlet(np.full(model.num_classes, 0.1), count).astype(np.float32)
    expected = TorchDecoder(model)
    for temperature in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(
            decoder.write(latents, labels, temperature), expected.write(latents, labels, temperature), atol=1e-5
        )
    np.testing.assert_allclose(decoder.sample(latents, labels), expected.sample(latents, labels), atol=1e-5)
    assert decoder.sample(latents[:1], labels[:1]).shape == (1, *model.image_shape)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=vanilla_cvae", *DENSE[1:], "likelihood=gaussian", "likelihood.activation=tanh"],
        [*CONV, "likelihood=continuous_bernoulli", "model.augment=1"],
        [*CONV, "likelihood=discretized_logistic", "model.network.condition=planes", *MAP],
        [*HIERARCHICAL, "model/prior=flow"],
        ["model=beta_vae", *CONV[1:], "likelihood=gaussian"],
        ["model=vanilla_cvae", *DENSE[1:], "conditioning=none"],
    ],
    ids=["dense", "conv", "map", "hierarchical", "beta", "unconditional"],
)
def test_it_draws_what_torch_draws(tmp_path, overrides):
    file = save(tmp_path, *overrides)
    export(file, tmp_path / "model.onnx")
    model, decoder = ldg.load(file), ldg.load(tmp_path / "model.onnx")
    for name in ("classes", "conditioning", "image_shape", "num_classes", "latent_dim"):
        assert getattr(decoder, name) == getattr(model, name)
    compare(model, decoder)


def test_the_shipped_decoder_is_that_of_the_shipped_weights():
    assert LIGHT.stat().st_size <= 4_000_000
    compare(ldg.load(checkpoint.SHIPPED), ldg.load(LIGHT))
    (entry,) = onnx.load(LIGHT).metadata_props
    about, expected = json.loads(entry.value), checkpoint.read(checkpoint.SHIPPED)["ldg"]
    assert {key: about[key] for key in expected} == expected
    assert str(HOME).encode() not in LIGHT.read_bytes()


def test_a_seed_is_the_same_picture_with_and_without_torch():
    model, decoder = ldg.load(checkpoint.SHIPPED), ldg.load(LIGHT)
    for draw in (
        lambda each: ldg.write("Hello, World!", each, seed=3, style="varied"),
        lambda each: writer.write_sheet(each, "ab", 2, 2, seed=1),
        lambda each: writer.samples(each, 3, 4, seed=2),
        lambda each: np.stack(morph.morph(each, "ab", "c1", frames=3)),
    ):
        np.testing.assert_allclose(draw(decoder), draw(model), atol=2e-3)  # of white
    np.testing.assert_allclose(ldg.write("Hi"), ldg.write("Hi", model), atol=2e-3)
