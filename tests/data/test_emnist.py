"""EMNIST and Fashion-MNIST: IDX files, their damage, and where they come from."""

import gzip
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ldg.data.emnist import EMNIST
from ldg.data.fashion_mnist import FashionMNIST
from ldg.errors import UserError

from . import made

REAL = os.environ.get("LDG_DATA")


def load(dataset, tmp_path, split="train", download=False):
    return dataset.load(split, root=str(tmp_path / "root"), cache=str(tmp_path / "cache"), download=download)


@pytest.mark.parametrize("packed", [True, False])
def test_upright_images_and_read_only_root(tmp_path, packed):
    upright = made.emnist(tmp_path / "root", packed=packed)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("root/**/*"))
    images, labels = load(EMNIST("digits"), tmp_path)
    assert np.array_equal(images[:, 0], upright)
    assert labels.tolist() == [i % 10 for i in range(40)]
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("root/**/*")) == before


def test_letters_count_from_one_in_the_file(tmp_path):
    made.emnist(tmp_path / "root", "letters", first=1)
    assert load(EMNIST("letters"), tmp_path).labels[:3].tolist() == [0, 1, 2]


def test_a_replaced_file_is_read_again(tmp_path):
    made.emnist(tmp_path / "root")
    load(EMNIST("digits"), tmp_path)
    made.emnist(tmp_path / "root", count=30)
    assert len(load(EMNIST("digits"), tmp_path).labels) == 30


def test_classes():
    sizes = {
        split: len(EMNIST(split).classes) for split in ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    }
    assert sizes == {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}
    assert "".join(EMNIST("balanced").classes) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert "".join(EMNIST("byclass").classes[9:12] + EMNIST("byclass").classes[35:37]) == "9ABZa"


def damage_truncated_gzip(images: Path, labels: Path) -> None:
    images.write_bytes(images.read_bytes()[:-2000])


def damage_no_gzip(images: Path, labels: Path) -> None:
    images.write_bytes(b"<html>not found</html>")


def damage_short(images: Path, labels: Path) -> None:
    images.write_bytes(gzip.compress(gzip.decompress(images.read_bytes())[:-100]))


def damage_long(images: Path, labels: Path) -> None:
    images.write_bytes(gzip.compress(gzip.decompress(images.read_bytes()) + b"\0"))


def damage_swapped(images: Path, labels: Path) -> None:
    images.write_bytes(labels.read_bytes())


def damage_lengths(images: Path, labels: Path) -> None:
    labels.write_bytes(gzip.compress(made.idx(np.zeros(39))))


def damage_byte(images: Path, labels: Path) -> None:
    data = bytearray(images.read_bytes())
    data[-6] ^= 0xFF  # in the checksum gzip ends with
    images.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncated_gzip, "truncated or damaged"),
        (damage_no_gzip, "truncated or damaged"),
        (damage_short, "truncated: 100 bytes are missing"),
        (damage_long, "goes on after the last item"),
        (damage_swapped, "starts with 0x801 instead of 0x803"),
        (damage_lengths, "holds 40 images but .* 39 labels"),
        (damage_byte, "truncated or damaged"),
    ],
)
def test_damaged_files_are_named_and_leave_nothing(tmp_path, damage, message):
    made.emnist(tmp_path / "root")
    raw = tmp_path / "root" / "EMNIST" / "raw"
    damage(*(raw / f"emnist-digits-train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")))
    with pytest.raises(UserError, match=f"emnist-digits-train.*{message}") as error:
        load(EMNIST("digits"), tmp_path)
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("dataset", "path"),
    [
        (EMNIST("letters"), "EMNIST/raw/emnist-letters-train-images-idx3-ubyte.gz"),
        (FashionMNIST(), "FashionMNIST/raw/train-images-idx3-ubyte.gz"),
    ],
)
def test_missing_files_say_where_to_put_them(tmp_path, dataset, path):
    with pytest.raises(UserError, match=f"missing .*{path}; put it there") as error:
        load(dataset, tmp_path)
    assert "LDG_DATA" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("dataset", "name"),
    [(EMNIST("letters"), "emnist-letters-train-images-idx3-ubyte"), (FashionMNIST(), "train-images-idx3-ubyte")],
)
def test_no_network(tmp_path, dataset, name, monkeypatch):
    from torchvision.datasets import utils

    monkeypatch.setattr(utils, "_get_redirect_url", raises := partial(fail, OSError("no route to host")))
    monkeypatch.setattr(utils, "_urlretrieve", raises)
    with pytest.raises(UserError, match=f"cannot download .*no route to host.*put {name}.* into .*raw") as error:
        load(dataset, tmp_path, download=True)
    assert "\n" not in str(error.value)


def fail(error: Exception, *args, **kwargs):
    raise error


def test_emnist_download_unpacks_the_archive(tmp_path, monkeypatch):
    from torchvision.datasets import utils

    upright = made.emnist(tmp_path / "made")

    def download_and_extract_archive(url, root, md5, remove_finished):
        assert url.endswith("gzip.zip") and len(md5) == 32
        (tmp_path / "made" / "EMNIST" / "raw").rename(Path(root) / "gzip")

    monkeypatch.setattr(utils, "download_and_extract_archive", download_and_extract_archive)
    assert np.array_equal(load(EMNIST("digits"), tmp_path, download=True).images[:, 0], upright)
    assert len(list((tmp_path / "root" / "EMNIST" / "raw").glob("*.gz"))) == 4


def test_fashion_mnist_test_split(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (6, 28, 28))
    made.idx_pair(tmp_path / "root" / "FashionMNIST" / "raw", "t10k", pictures, np.array([9, 2, 1, 1, 6, 1]))
    images, labels = load(FashionMNIST(), tmp_path, "test")
    assert np.array_equal(images[:, 0], pictures)
    assert [FashionMNIST.classes[i] for i in labels[:3]] == ["Ankle boot", "Pullover", "Trouser"]


@pytest.mark.skipif(not REAL, reason="LDG_DATA is not set")
def test_real_files(tmp_path):
    cache = str(tmp_path)
    images, labels = EMNIST().load("test", root=REAL, cache=cache, download=False)
    assert images.shape[1:] == (1, 28, 28) and set(labels) == set(range(62))
    # upright: an L has its ink at the left and at the bottom, a T in the upper half
    left, top = (images[labels == EMNIST().classes.index(c), 0].mean(0) for c in "LT")
    assert left[:, :14].sum() > left[:, 14:].sum() and left[14:].sum() > left[:14].sum()
    assert top[:14].sum() > top[14:].sum()
    images, labels = FashionMNIST().load("train", root=REAL, cache=cache, download=False)
    assert np.bincount(labels).tolist() == [6000] * 10
    assert labels[:5].tolist() == [9, 0, 0, 3, 0]
