"""Files of data sets with changed bytes: images, or one line that names the file; never a traceback, never a hang."""

import gzip
import os

import pytest

from ldg.data.emnist import EMNIST
from ldg.data.stanford_dogs import StanfordDogs
from ldg.errors import UserError
from tests.fuzz.mutations import mutations

from . import made
from .test_stanford_dogs import HALF_GREY, PUG

COUNT = int(os.environ.get("LDG_FUZZ", "12"))  # variants of each file
SEED = int(os.environ.get("LDG_FUZZ_SEED", "0"))

IDX = "EMNIST/raw/emnist-digits-train-{}-ubyte"
FILES = {
    "idx images": (EMNIST("digits"), IDX.format("images-idx3"), None),
    "idx labels": (EMNIST("digits"), IDX.format("labels-idx1"), None),
    "gzip": (EMNIST("digits"), IDX.format("images-idx3"), gzip.compress),
    "list": (StanfordDogs(16, ["pug"]), "stanford_dogs/train_list.mat", None),
    "annotation": (StanfordDogs(16, ["pug"]), f"stanford_dogs/Annotation/{PUG}", None),
    "image": (StanfordDogs(16, ["pug"]), f"stanford_dogs/Images/{PUG}.jpg", None),
    **{
        name: (StanfordDogs(16, ["pug"]), f"stanford_dogs/Images/{PUG}.jpg", lambda _, image=image: image)
        for name, image in HALF_GREY.items()
    },
    "tar of images": (StanfordDogs(16, ["pug"]), "stanford_dogs/images.tar", None),
    "tar of lists": (StanfordDogs(16, ["pug"]), "stanford_dogs/lists.tar", None),
}


@pytest.mark.usefixtures("closes_files")
@pytest.mark.parametrize(("dataset", "name", "change"), FILES.values(), ids=FILES)
def test_changed_bytes(dataset, name, change, tmp_path):
    packed = name.endswith(".tar")
    if isinstance(dataset, EMNIST):
        made.emnist(tmp_path / "root", packed=False)
    else:
        made.dogs(tmp_path / "root", packed=packed)
    path = tmp_path / "root" / name
    whole = change(path.read_bytes()) if change else path.read_bytes()
    for number, (what, data) in enumerate(mutations(whole, COUNT, SEED)):
        path.write_bytes(data)
        os.utime(path, ns=(number, number))  # never the entry of another variant
        try:
            images, labels = dataset.load("train", str(tmp_path / "root"), str(tmp_path / "cache"), False)
            assert len(images) == len(labels) > 0, what
        except UserError as error:
            assert "\n" not in str(error) and str(error).isprintable(), what
        except Exception as error:
            raise AssertionError(f"{name}, {what}") from error


def test_changed_entries_of_the_cache(tmp_path):
    made.emnist(tmp_path / "root")
    dataset = EMNIST("digits")

    def load():
        return dataset.load("train", str(tmp_path / "root"), str(tmp_path / "cache"), False)

    images = load().images.copy()
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    for path in sorted(entry.iterdir()):
        for what, data in mutations(path.read_bytes(), COUNT, SEED):
            path.write_bytes(data)
            assert (load().images == images).all(), what
