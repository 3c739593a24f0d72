"""The JSON schema accepts every shipped YAML file, and none of them with a mistake in it."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf

from ldg.commands.schema import main
from ldg.errors import UserError
from tests.conftest import HOME

FILES = sorted(file for folder in ("configs", "experiments/*") for file in HOME.glob(f"{folder}/**/*.yaml"))
# dicts whose keys are free: settings of a launcher, parameters of a sweep, W&B's columns
FREE = ("defaults", "launcher", "params", "choices")
OPEN = ("tensorboard",)  # takes any arguments


def read(file):
    return OmegaConf.to_container(OmegaConf.load(file))


def places(node, path=()):
    """Each value in nested dicts, with its path."""
    if path and (path[-1] in FREE or path == ("hydra",)):
        return
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))


def changed(content, path, value):
    content = deepcopy(content)
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return content


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    file = tmp_path_factory.mktemp("schema") / "ldg.schema.json"
    main(["-s", str(file)])
    content = json.loads(file.read_text())
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOME)))
def test_a_shipped_file_and_that_file_with_mistakes(schema, file):
    content = read(file)
    assert schema.is_valid(content), [error.message for error in next(schema.iter_errors(content)).context]
    for path, value in places(content):
        if isinstance(value, dict):
            assert path == OPEN or not schema.is_valid(changed(content, (*path, "no_such_key"), 1)), path
        else:
            assert not schema.is_valid(changed(content, path, {"no": "value"})), path


@pytest.mark.parametrize(
    ("file", "change", "is_valid"),
    [
        ("configs/model/kl/linear.yaml", {"beta": -1.0}, False),
        ("configs/model/kl/linear.yaml", {"period_epochs": 4.0}, False),  # another schedule's
        ("configs/trainer/auto.yaml", {"max_epochs": 0}, False),
        ("configs/trainer/gpu.yaml", {"precision": "64"}, False),
        ("configs/likelihood/bernoulli.yaml", {"binarize": "sometimes"}, False),
        ("configs/likelihood/bernoulli.yaml", {"_target_": "ldg.models.likelihoods.Bernouli"}, False),
        ("configs/optimizer/adam.yaml", {"lr": "fast"}, False),
        ("configs/optimizer/adam.yaml", {"momentum": 0.9}, False),
        ("configs/conditioning/both.yaml", {"conditioning": "all"}, False),
        ("configs/data/fashion_mnist.yaml", {"image_shape": [1, 28]}, False),
        ("configs/hydra/sweeper/optuna.yaml", {"study": {"trials": 0}}, False),
        ("experiments/experiment/fashion.yaml", {"seed": -1}, False),
        ("experiments/experiment/fashion.yaml", {"model": {"network": {"hidden": "wide"}}}, False),
        ("experiments/sweep/speed.yaml", {"hydra": {"sweeper": {"objectives": {"val/elbo": "max"}}}}, False),
        ("experiments/experiment/fashion.yaml", {"seed": "${oc.env:SEED}"}, True),
        ("configs/data/fashion_mnist.yaml", {"image_shape": [1, "${.size}", "${.size}"]}, True),
        ("configs/data/fashion_mnist.yaml", {"dataset": {"_target_": "mydata.Mine", "size": 3}}, True),
        (
            "configs/logger/csv.yaml",
            {"mine": {"_target_": "pytorch_lightning.loggers.CSVLogger", "name": "x"}},
            True,
        ),
    ],
    ids=str,
)
def test_a_value(schema, file, change, is_valid):
    assert schema.is_valid(read(HOME / file) | change) == is_valid


def test_a_class_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_likelihood.py").write_text("class Mine:\n    def __init__(self, scale: float = 1.0): pass\n")
    folder = tmp_path / "mine" / "likelihood"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("_target_: my_likelihood.Mine\nscale: 2.0\n")
    main(["--config-dir", str(tmp_path / "mine")])
    schema = Draft202012Validator(json.loads(capsys.readouterr().out))
    assert schema.is_valid(read(folder / "mine.yaml"))
    assert not schema.is_valid(read(folder / "mine.yaml") | {"scale": "wide"})
    assert not schema.is_valid(read(folder / "mine.yaml") | {"width": 1.0})
    for content, message in {"a: [": "while parsing", "- a": "should hold keys"}.items():
        (folder / "mine.yaml").write_text(content)
        with pytest.raises(UserError, match=rf"mine/likelihood/mine\.yaml: .*{message}"):
            main(["--config-dir", str(Path(tmp_path / "mine"))])


@pytest.mark.parametrize("entry", ["/base/shared@_here_", "shared@_here_"])
def test_files_that_files_of_ones_own_include(entry, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_noise.py").write_text("class Mine:\n    def __init__(self, level: float = 1.0): pass\n")
    mine = tmp_path / "mine"
    (mine / "likelihood").mkdir(parents=True)
    shared = mine / ("base" if entry.startswith("/") else "likelihood") / "shared.yaml"
    shared.parent.mkdir(exist_ok=True)
    shared.write_text("defaults:\n_target_: my_noise.Mine\n")  # a list of defaults without entries
    (mine / "likelihood" / "mine.yaml").write_text(f"defaults: [{entry}]\nlevel: 0.5\n")
    main(["--config-dir", str(mine)])
    schema = Draft202012Validator(json.loads(capsys.readouterr().out))
    assert schema.is_valid({"level": 0.5}) and not schema.is_valid({"level": "low"})
