"""The splits without Lightning are those that a run trains on."""

import copy

import pytest
import torch

from ldg.data.module import ImageDataModule
from ldg.data.splits import ImageSplits, load_splits
from ldg.errors import UserError

from .test_module import Numbered

SPLITS = ("train", "val", "test")


@pytest.fixture
def config(tmp_path):
    return {
        "_target_": "ldg.data.module.ImageDataModule",
        "dataset": {"_target_": "tests.data.test_module.Numbered"},
        "image_shape": [1, 4, 2],
        "num_classes": 3,
        "root": str(tmp_path),
        "cache": str(tmp_path / "cache"),
        "download": False,
        "batch_size": 8,
        "val_fraction": 0.2,
        "val_seed": 5,
        "seed": 3,
        "shuffle": True,
        "balance": 0.5,
    }


def build_module(config):
    return ImageDataModule(Numbered(), **{key: config[key] for key in config if key not in ("_target_", "dataset")})


def test_they_are_those_of_the_data_module(config):
    splits, module = load_splits(Numbered(), config), build_module(config)
    assert type(splits) is ImageSplits
    for name in SPLITS:
        one, other = getattr(splits, name), getattr(module, name)
        assert all(torch.equal(getattr(one, part), getattr(other, part)) for part in ("images", "labels", "indices"))
        for first, second in zip(splits.examples(name, 5), module.examples(name, 5), strict=True):
            assert torch.equal(first, second)
    assert splits.fingerprint == module.fingerprint
    assert torch.equal(splits.train_labels, module.train_labels)
    for name in ("classes", "image_shape", "num_classes", "root", "cache", "download", "val_fraction", "val_seed"):
        assert getattr(splits, name) == getattr(module, name)


def test_keys_that_a_config_leaves_out_have_their_defaults(config):
    few = {key: config[key] for key in ("image_shape", "num_classes", "cache")}
    splits, module = load_splits(Numbered(), few), build_module(few)
    assert torch.equal(splits.val.indices, module.val.indices) and splits.download is module.download is True


@pytest.mark.parametrize("build", [build_module, lambda config: load_splits(Numbered(), config)])
def test_with_training_images(build, config):
    data = build(config)
    before = {name: copy.copy(getattr(data, name)) for name in SPLITS}
    images = 255 - data.train.images
    new = data.with_training_images(images)
    assert type(new) is type(data)
    assert new.train.images is new.val.images is images and new.test is data.test
    assert torch.equal(new.train_labels, data.train_labels)
    for name in SPLITS:
        assert torch.equal(getattr(new, name).indices, before[name].indices)
        assert getattr(data, name).images is before[name].images
    with pytest.raises(ValueError, match=r"images have shape \(59, 1, 4, 2\) instead of \(60, 1, 4, 2\)"):
        data.with_training_images(images[1:])


def test_disagreement_is_an_error(config):
    with pytest.raises(UserError, match=r"data\.num_classes: 4, but Numbered has 3 classes"):
        load_splits(Numbered(), {**config, "num_classes": 4})
    with pytest.raises(UserError, match=r"data\.image_shape: \[1, 4, 4\], but Numbered has \[1, 4, 2\]"):
        load_splits(Numbered(), {**config, "image_shape": [1, 4, 4]}).prepare_data()


@pytest.mark.parametrize(("size", "val"), [(4, 1), (1, 0), (3, 0)])
def test_a_split_without_an_image_is_an_error(size, val, config):
    splits = load_splits(Numbered(size), config)
    if val:
        splits.prepare_data()
        assert (len(splits.train), len(splits.val)) == (size - val, val)
    else:
        with pytest.raises(UserError, match=r"Numbered: no class has two training images.*validation; add images"):
            splits.prepare_data()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_that_leaves_none_for_val_is_named(limit, config):
    message = rf"data\.limit={limit}: no class has two training images, .* validation; set it to 6 or more"
    with pytest.raises(UserError, match=message):
        load_splits(Numbered(), {**config, "limit": limit}).prepare_data()
    load_splits(Numbered(), {**config, "limit": 6}).prepare_data()


def test_class_names_are_checked(config):
    dataset = Numbered()
    dataset.classes = ("a", "b", "b")
    with pytest.raises(UserError, match=r"Numbered\.classes: 'b' stands there twice"):
        load_splits(dataset, config)
