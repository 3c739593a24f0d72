"""Exported decoders: they draw what torch draws, import no torch, and a file of somebody's can do nothing else."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import ldg
from ldg import checkpoint
from ldg.__main__ import main
from ldg.commands.cli import exit_status
from ldg.commands.export import export
from ldg.config.compose import compose_config, resolve_config
from ldg.errors import UserError
from ldg.generation import morph, writer
from ldg.generation.decoder import TorchDecoder
from ldg.generation.onnx import BATCH, OnnxDecoder
from ldg.models.likelihoods import Bernoulli
from tests.conftest import HOME
from tests.runs import CONV, DENSE, resume

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
        pytest.param(
            [*CONV, "likelihood=discretized_logistic", "model.network.condition=planes", *MAP], marks=pytest.mark.slow
        ),
        pytest.param([*HIERARCHICAL, "model/prior=flow"], marks=pytest.mark.slow),
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


def test_a_seed_is_the_same_picture_with_and_without_torch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no run is newer than the weights of ldg
    model, decoder = ldg.load(checkpoint.SHIPPED), ldg.load(LIGHT)
    for draw in (
        lambda each: ldg.write("Hello, World!", each, seed=3, style="varied"),
        lambda each: writer.write_sheet(each, "ab", 2, 2, seed=1),
        lambda each: writer.samples(each, 3, 4, seed=2),
        lambda each: np.stack(morph.morph(each, "ab", "c1", frames=3)),
    ):
        np.testing.assert_allclose(draw(decoder), draw(model), atol=2e-3)  # of white
    np.testing.assert_allclose(ldg.write("Hi"), ldg.write("Hi", model), atol=2e-3)


def altered(tmp_path, about=None, **changes):
    """The shipped decoder with other metadata: a text, or changes of its values."""
    model = onnx.load(LIGHT)
    (entry,) = model.metadata_props
    entry.value = about or json.dumps(json.loads(entry.value) | changes)
    return saved(tmp_path, model)


def saved(tmp_path, model):
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "x.onnx"


def refusal(function, *arguments):
    with pytest.raises(UserError) as error:
        function(*arguments)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A working directory with the exported decoder of a model whose classes are words."""
    monkeypatch.chdir(tmp_path)
    altered(tmp_path, classes=[f"class {number}" for number in range(62)]).rename("words.onnx")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["Hello, World!"], "hello-world.png"),
        (["Hi", "--checkpoint", str(LIGHT), "--device", "cpu"], "hi.png"),
        (["Hi", "--rows", "2", "--columns", "2"], "hi.png"),
        (["--rows", "2", "--columns", "2"], "samples.png"),
        (["Hi", "-s", "hi.svg"], "hi.svg"),
        (["Hi", "--to", "Ho", "--frames", "3"], "hi-to-ho.gif"),
        (["class 3, class 40", "--checkpoint", "words.onnx"], "class-3-class-40.png"),
    ],
)
def test_writing_without_torch(words, arguments, name):
    line = [sys.executable, "-X", "importtime", "-m", "ldg", "write", *arguments]
    done = subprocess.run(line, env={"PYTHONPATH": str(HOME), "PATH": ""}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "onnxruntime" in imported
    heavy = {"torch", "pytorch_lightning", "hydra", "omegaconf", "wandb", "matplotlib", "onnx", "huggingface_hub"}
    assert not imported & heavy
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert said == [f"with {'words.onnx' if 'words.onnx' in arguments else LIGHT}"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["write", "--interpolate", "0", "1", "--checkpoint", "words.onnx"], "--interpolate encodes images; an .onnx"),
        (["write", "class 3+class 4", "--checkpoint", "words.onnx"], "a blend encodes images; an .onnx file has only"),
        (["write", "Hi", "--checkpoint", str(LIGHT), "--device", "cuda"], "is computed on the CPU; name a run, .ckpt"),
        (
            ["font", "a.ttf", "--checkpoint", str(LIGHT), "--device", "cuda"],
            "is computed on the CPU; name a run, .ckpt",
        ),
        (["write", "Hi", "--checkpoint", "absent.onnx"], "no checkpoint at absent.onnx"),
        (
            ["evaluate", "words.onnx"],
            "words.onnx has only the decoder, which writes; name a run, .ckpt or .safetensors",
        ),
        (["export", "words.onnx", "a.safetensors"], "words.onnx has only the decoder, which writes; name a run"),
        (["export", str(checkpoint.SHIPPED), "a.pt"], "a.pt: give a name that ends in .safetensors or .onnx"),
        (["export", str(checkpoint.SHIPPED.with_name("judge_strokes.safetensors")), "a.onnx"], "name a run of a VAE"),
    ],
)
def test_what_an_exported_decoder_cannot_do(words, capsys, command, message):
    assert exit_status(lambda: main(command)) == 2
    *before, error = capsys.readouterr().err.splitlines()
    assert message in error and not any("error" in line for line in before)


def test_an_exported_decoder_is_not_resumed(words):
    assert refusal(resume, "words.onnx").startswith("words.onnx has only the decoder")


def test_without_onnxruntime(words, monkeypatch, capsys):
    expected = ldg.write("Hi")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    np.testing.assert_allclose(ldg.write("Hi"), expected, atol=2e-3)
    assert exit_status(lambda: main(["write", "Hi", "--checkpoint", "words.onnx"])) == 2
    assert 'onnxruntime is missing: pip install "ldg[onnx]"' in capsys.readouterr().err
    assert exit_status(lambda: main(["write", "Hi"])) == 0
    assert capsys.readouterr().err == f"with {checkpoint.SHIPPED}\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": [1, 2]},
        {"classes": None},
        {"classes": []},
        {"classes": "0123456789"},
        {"classes": list("abc")},
        {"image_shape": [1, 10**9, 10**9]},
        {"image_shape": [1, 56, 56]},
        {"image_shape": [1, 28]},
        {"image_shape": [True, 28, 28]},
        {"image_shape": "123"},
        {"image_shape": {"a": 1}},
        {"latent_dim": -1},
        {"latent_dim": 10**30},
        {"latent_dim": 33},
        {"conditioning": ["both"]},
        {"conditioning": "x" * 10**5},
    ],
)
def test_metadata_that_ldg_does_not_write(tmp_path, changes):
    assert refusal(ldg.load, altered(tmp_path, **changes)).endswith("; export it again")


@pytest.mark.parametrize("about", ["", "x", "[1]", "null", "{}", "[" * 10**5, '{"a":' * 10**5, '"' + "x" * 2**21 + '"'])
def test_metadata_of_somebody_else(tmp_path, about):
    message = refusal(ldg.load, altered(tmp_path, about or " "))
    assert "was not written by ldg export" in message or "has what no .onnx file of ldg has" in message


def test_a_newer_format(tmp_path):
    message = refusal(ldg.load, altered(tmp_path, format=2))
    assert message == f"{tmp_path}/x.onnx has format 2; this ldg reads 1; update it"


def test_files_that_are_no_onnx(tmp_path):
    content, file = LIGHT.read_bytes(), tmp_path / "x.onnx"
    rng = np.random.default_rng(0)
    samples = [b"", b"\x80" * 100, b"no model", content[:1000], content[:-10], content[: len(content) // 2]]
    samples += [checkpoint.SHIPPED.read_bytes(), bytes(10**6), rng.bytes(10**5)]
    for sample in samples:
        file.write_bytes(sample)
        assert refusal(ldg.load, file).startswith(str(file))
    for place in rng.integers(len(content), size=30):  # one wrong byte: refused, or another picture
        file.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            ldg.write("Hi", file)
        except UserError as error:
            assert str(error).startswith(str(file))


def graph(nodes, *tensors, **model):
    """A model with the metadata of the shipped one and a graph that makes images of its inputs."""
    value = helper.make_tensor_value_info
    inputs = [value("latents", 1, ["n", 32]), value("labels", 1, ["n", 62]), value("temperature", 1, [])]
    inputs += [value("is_style", TensorProto.BOOL, [])]
    made = helper.make_graph(nodes, "g", inputs, [value("images", 1, ["n", 1, 28, 28])], tensors)
    made = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, **model)
    made.metadata_props.extend(onnx.load(LIGHT).metadata_props)
    return made


def test_graphs_that_ldg_does_not_write(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(4 * 784))
    outside = numpy_helper.from_array(np.zeros((1, 1, 28, 28), np.float32), "a")
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value=str(secret))
    image = numpy_helper.from_array(np.zeros((1, 1, 28, 28), np.float32), "a")
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    function = helper.make_function("f", "F", ["a"], ["b"], [], [helper.make_opsetid("", 20)])
    for model in (
        graph([helper.make_node("Identity", ["a"], ["images"])], outside),
        graph([helper.make_node("Constant", [], ["images"], value=outside)]),
        graph([helper.make_node("If", ["is_style"], ["images"], then_branch=body, else_branch=body)], image),
        graph([helper.make_node("Identity", ["a"], ["images"], domain="com.microsoft")], image),
        graph([helper.make_node("Identity", ["a"], ["images"])], image, functions=[function]),
    ):
        file = saved(tmp_path, model)
        assert "has what no .onnx file of ldg has" in refusal(ldg.load, file)
    for nodes in ([helper.make_node("Nonsense", ["a"], ["images"])], [helper.make_node("Identity", ["b"], ["images"])]):
        assert "does not fit its metadata" in refusal(ldg.load, saved(tmp_path, graph(nodes, image)))
    broken = numpy_helper.from_array(np.full((32, 784), np.nan, np.float32), "a")
    shape = numpy_helper.from_array(np.array([-1, 1, 28, 28]), "shape")
    nodes = [
        helper.make_node("MatMul", ["latents", "a"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["images"]),
    ]
    assert "draws images with NaN" in refusal(ldg.write, "Hi", saved(tmp_path, graph(nodes, broken, shape)))
    mismatch = numpy_helper.from_array(np.zeros((1, 1, 5, 5), np.float32), "a")
    decoder = graph([helper.make_node("Identity", ["a"], ["images"])], mismatch)
    assert refusal(ldg.write, "Hi", saved(tmp_path, decoder)).startswith(f"{tmp_path}/x.onnx ")


def test_a_graph_of_gigantic_tensors_ends_in_one_line(tmp_path):
    long = [
        numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in (("a", (10**5, 1)), ("b", (1, 10**5)))
    ]
    of_constants = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("ReduceMax", ["c"], ["images"])]
    shape = numpy_helper.from_array(np.array([10**6, 10**6]), "shape")
    of_shape = [helper.make_node("ConstantOfShape", ["shape"], ["c"]), helper.make_node("ReduceMax", ["c"], ["images"])]
    for model in (graph(of_constants, *long), graph(of_shape, shape)):
        assert refusal(ldg.write, "Hi", saved(tmp_path, model)).startswith(f"{tmp_path}/x.onnx ")


def test_a_model_that_has_no_graph(tmp_path, monkeypatch):
    file = save(tmp_path, *DENSE, "conditioning=none")
    monkeypatch.setattr(Bernoulli, "mean", lambda self, params: params.sigmoid() if params.sum() > 0 else params.exp())
    assert "the model cannot be exported as ONNX: " in refusal(export, file, tmp_path / "a.onnx")
    monkeypatch.setattr(Bernoulli, "mean", lambda self, params: params.sigmoid() / 2)
    monkeypatch.setattr(OnnxDecoder, "write", lambda self, *_: np.zeros((8, 1, 28, 28), np.float32))
    assert "onnxruntime draws other images than torch" in refusal(export, file, tmp_path / "a.onnx")
    assert not list(tmp_path.glob("*.onnx"))
