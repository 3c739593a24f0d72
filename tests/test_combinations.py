"""Data sets, models and conditionings in each pair: trains, draws, saves, loads, generates."""

import itertools
import math
import os

import numpy as np
import pytest
import torch

import ldg
from ldg.errors import UserError
from ldg.generation import writer
from tests.conftest import HOME
from tests.data import made
from tests.runs import BARE, STROKES, train

DATA = {
    "strokes": (STROKES, "Ab 3"),
    "emnist": (["data.dataset.split=digits"], "20 26"),
    "fashion_mnist": ([], "Bag, Coat+Dress"),
    "stanford_dogs": (
        ["data.dataset.breeds=[pug,Shih-Tzu,Maltese dog]", "data.dataset.image_size=16", "data.val_fraction=0.5"],
        "pug, Shih-Tzu+pug",
    ),
}
# files of a user's; what models and conditionings do with them is what they do with those above
FILES = {
    "folder": (["data.image_size=16"], "cat, dog+owl"),
    "npz": ([], "01 2"),
    "csv": ([], "012"),
    "parquet": (["data.resize=pad"], "cat, dog+owl"),
}
SMALL = {
    "vanilla_cvae": ["model.network.hidden=[8]"],
    "conv_cvae": ["model.network.channels=[4,4]", "model.network.hidden=8"],
    "hierarchical_cvae": [
        "model.network.channels=[4,4]",
        "model.network.hidden=8",
        "model.network.latent_channels=[1,2]",
    ],
    "beta_vae": ["model.network.channels=[4,4]", "model.network.hidden=8", "model/kl=capacity"],
}
ONE_STEP = [f"trainer.{key}=1" for key in ("max_epochs", "limit_train_batches", "limit_val_batches")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    made.emnist(root, "digits", 40)
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
        made.idx_pair(root / "FashionMNIST/raw", part, images, np.arange(40) % 10)
    made.dogs(root, per_breed=4)
    before = os.environ.get("LDG_DATA")
    os.environ["LDG_DATA"] = str(root)
    yield root
    os.environ.pop("LDG_DATA") if before is None else os.environ.update(LDG_DATA=before)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.stem for file in (HOME / "experiments/experiment").glob("*.yaml")))
def test_every_named_experiment_trains_a_step(name, root, tmp_path):
    made.emnist(root, "byclass", 124)
    few = [*DATA["stanford_dogs"][0], "data.dataset.image_size=64"] if name.startswith("dog") else []
    few += STROKES if name in ("judge", "reference") else []
    if name.startswith("dog_vae"):  # of 40 million parameters
        few += [
            "model.network.channels=[4,4,4,4]",
            "model.network.decoder_first=4",
            "model.network.decoder_channels=[4,4,4,4]",
        ]
    _, summary = train(f"experiment={name}", *few, *BARE, *ONE_STEP, f"outputs={tmp_path}")
    assert summary["name"].startswith(name.split("_")[0]) and summary["steps"] == 1
    measured = summary["metrics"]["test/accuracy" if name.startswith("judge") else "test/elbo"]
    assert math.isfinite(measured)


def combinations():
    """Every data set with every model, every model with every conditioning, and every data set with every one."""
    chosen = []
    conditionings = ["both", "decoder", "none"]
    for (row, data), (column, model) in itertools.product(enumerate(DATA), enumerate(SMALL)):
        for place, conditioning in enumerate(conditionings):
            if data == "strokes" or model == "conv_cvae" or place == (row + column) % 3:
                chosen.append((data, model, conditioning))
    return chosen + [(data, "conv_cvae", "both") for data in FILES]


@pytest.mark.parametrize(("data", "model", "conditioning"), combinations())
def test_trains_draws_saves_loads_generates(data, model, conditioning, root, tmp_path):
    options, text = (DATA | FILES)[data]
    options = [*options, *made.user_data(data, tmp_path)]
    # the gallery once for each data set with labels and without: it knows nothing of architectures
    has_gallery = model == "conv_cvae" and conditioning != "decoder"
    bare = [o for o in BARE if not has_gallery or "gallery" not in o]
    overrides = [f"data={data}", f"model={model}", f"conditioning={conditioning}", *options, *SMALL[model], *bare]
    folder, summary = train(*overrides, "model.latent_dim=3", *ONE_STEP, f"outputs={tmp_path}")
    assert summary["steps"] == 1 and math.isfinite(summary["metrics"]["test/elbo"])
    if has_gallery:
        drawn = {file.stem for file in (folder / "gallery").glob("*.png")}
        expected = {"data", "strings", "interpolations", "latent_map"}
        expected |= {f"reconstructions_{split}" for split in ("train", "val", "test")}
        assert drawn == expected | ({"interpolations_labels"} if conditioning != "none" else set())

    loaded = ldg.load(folder)
    assert loaded.conditioning == conditioning and len(loaded.classes) == loaded.num_classes
    images = loaded.sample(torch.arange(2), generator=torch.Generator().manual_seed(0))
    assert images.shape == (2, *loaded.image_shape) and 0 <= images.min() <= images.max() <= 1
    if conditioning == "none":
        with pytest.raises(UserError, match="trained without labels"):
            ldg.write(text, loaded)
        picture = writer.samples(loaded, 2, 3)
    else:
        picture = ldg.write(text, loaded)
    assert picture.ndim == (3 if loaded.image_shape[0] == 3 else 2) and 0 <= picture.min() < picture.max() <= 1
