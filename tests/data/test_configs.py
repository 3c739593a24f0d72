"""The YAML files of the data group: one override is enough, and each builds its data set."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ldg.config.compose import prepare_hydra

from . import made

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
SHARED = [CONFIGS.parent / "base" / f"{name}.yaml" for name in ("images", "path", "pictures")]


def composed(name: str, *overrides: str):
    prepare_hydra()
    with initialize_config_dir(str(CONFIGS.parent), version_base="1.3"):
        config = compose(overrides=[f"+data={name}", *overrides])
    return config.data


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_file_is_a_constructor_call(name, tmp_path):
    config = composed(name, *made.user_data(name, tmp_path), f"data.cache={tmp_path}/cache")
    module = instantiate(config)
    assert module.num_classes == config.num_classes == len(module.classes)
    assert module.image_shape == tuple(config.image_shape)
    lines = [line for file in (CONFIGS / f"{name}.yaml", *SHARED) for line in file.read_text().splitlines()]
    bare = re.compile(r"defaults:|  - (/base/\w+@_here_|_self_)|(  )?(dataset|pictures):| +(\w+): \$\{\.+\4\}")
    assert all("#" in line for line in lines if "_target_" not in line and not bare.fullmatch(line))


@pytest.mark.parametrize(
    ("name", "override", "shape", "classes"),
    [
        ("emnist", "data.dataset.split=letters", [1, 28, 28], 26),
        ("emnist", "data.dataset.split=balanced", [1, 28, 28], 47),
        ("stanford_dogs", "data.dataset.image_size=32", [3, 32, 32], 120),
        ("stanford_dogs", "data.dataset.breeds=[pug,Shih-Tzu]", [3, 64, 64], 2),
        ("stanford_dogs", "data.dataset.breeds=[Maltese dog]", [3, 64, 64], 1),
    ],
)
def test_shape_and_classes_follow_one_override(name, override, shape, classes):
    config = composed(name, override)
    assert (list(config.image_shape), config.num_classes) == (shape, classes)
    assert len(instantiate(config).classes) == classes


def test_places_and_seed(monkeypatch):
    monkeypatch.setenv("LDG_DATA", "/somewhere")
    monkeypatch.setenv("LDG_CACHE", "/elsewhere")
    config = composed("emnist", "+seed=4")
    assert (config.root, config.cache, config.seed) == ("/somewhere", "/elsewhere", 4)
    assert composed("emnist", "data.root=here", "data.cache=there").root == "here"
