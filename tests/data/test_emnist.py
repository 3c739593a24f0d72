"""EMNIST and Fashion-MNIST: IDX files, their damage, and where they come from."""

import errno
import gzip
import os
import struct
import tracemalloc
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


@pytest.mark.parametrize("place", ["gzip.zip", "raw/gzip.zip", "matlab/emnist-digits.mat", "emnist-digits.mat"])
@pytest.mark.parametrize("packed", [True, False])
def test_other_forms_of_the_files(tmp_path, place, packed):
    upright = made.emnist(tmp_path / "made")
    path = tmp_path / "EMNIST" / place
    path.parent.mkdir(parents=True)
    if path.suffix == ".zip":
        made.emnist_archive(tmp_path / "made").rename(path)
    else:
        made.emnist_mat(path, upright.swapaxes(1, 2), np.arange(40) % 10, packed)
    images, labels = EMNIST("digits").load("train", str(tmp_path), str(tmp_path / "cache"), download=False)
    assert np.array_equal(images[:, 0], upright) and labels.tolist() == list(range(10)) * 4
    half = EMNIST("digits").load("train", str(tmp_path), str(tmp_path / "cache"), download=False, limit=20)
    assert (
        np.bincount(half.labels).tolist() == [2] * 10 and (half.images == images[:, None]).all((2, 3, 4)).any(0).all()
    )


def test_an_archive_without_the_split_is_named(tmp_path):
    made.emnist(tmp_path / "made")
    (tmp_path / "EMNIST").mkdir()
    made.emnist_archive(tmp_path / "made").rename(tmp_path / "EMNIST" / "gzip.zip")
    with pytest.raises(UserError, match=r"gzip\.zip holds no emnist-letters-train-images-idx3-ubyte; put NIST's"):
        EMNIST("letters").load("train", str(tmp_path), str(tmp_path / "cache"), download=False)


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
        (damage_no_gzip, "not the IDX file its name says"),
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


MANY = 2**32 - 1
ROOM = bytes(31360)  # of 40 images


def header(*shape, room=b""):
    return struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape) + room


LABELS, IMAGES = made.idx(np.arange(40) % 10), header(40, 28, 28, room=ROOM)


def packed(data):
    """With gzip, and the same in every process: the bytes are part of a test's name."""
    return gzip.compress(data, mtime=0)


BOMB = packed(bytes(1 << 22))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (header(40, 2**31 - 1, 2**31 - 1, room=ROOM), LABELS, "images.*truncated: its header announces"),
        (
            header(40, 300_000, 300_000, room=ROOM),
            LABELS,
            "images.*truncated: its header announces 3600000000016 bytes",
        ),
        (header(MANY, 28, 28, room=ROOM), header(MANY), "images.*truncated: its header announces"),
        (IMAGES, header(MANY, room=bytes(40)), "labels.*truncated: its header announces 4294967303 bytes"),
        (IMAGES, packed(header(MANY, room=bytes(1 << 22))), "labels.*truncated: .* when packed"),
        (IMAGES, packed(header(1 << 21, room=bytes(1 << 22))), "holds 40 images but .* 2097152 labels"),
        (packed(header(1, 1 << 14, 1 << 14)) + BOMB * 80, header(1, room=b"0"), "images of 16384x16384 pixels"),
        (header(40, 0, 28, room=ROOM), LABELS, "images of 0x28 pixels"),
        (packed(IMAGES) + packed(bytes(1 << 26)), LABELS, "goes on after the last item"),
        (header(0, 28, 28), header(0), "the train split holds no images in .*images"),
        (b"", LABELS, "images.*truncated: 16 bytes are missing"),
        (b"\x1f\x8b", LABELS, "images.*truncated or damaged"),
        (header(40, 28), LABELS, "images.*truncated: 4 bytes are missing"),
        (IMAGES, struct.pack(">II", 0x801, 40) + bytes([10] * 40), "labels run from 10 to 10 instead of 0 to 9"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])  # the first two bytes say what a file is, not its name
def test_headers_that_lie_are_refused_before_anything_is_read(tmp_path, images, labels, message, suffix):
    raw = tmp_path / "root" / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / f"emnist-digits-train-images-idx3-ubyte{suffix}").write_bytes(images)
    (raw / f"emnist-digits-train-labels-idx1-ubyte{suffix}").write_bytes(labels)
    tracemalloc.start()
    with pytest.raises(UserError, match=message) as error:
        load(EMNIST("digits"), tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    assert "\n" not in str(error.value)


def rename(path, places):
    path.parent.joinpath(places).parent.mkdir(parents=True, exist_ok=True)
    path.rename(path.parent / places)


USUAL = {
    "dots for dashes": lambda name: name.replace("-idx", ".idx"),
    "capitals": str.upper,
    "a folder of its name": lambda name: f"{name.removesuffix('.gz')}/{name.removesuffix('.gz')}",
    "a folder of the archive": lambda name: f"gzip/{name}",
    "above": lambda name: f"../{name}",
}


@pytest.mark.parametrize("elsewhere", USUAL.values(), ids=USUAL)
def test_other_usual_names_are_found(tmp_path, elsewhere):
    upright = made.emnist(tmp_path / "root")
    for path in list((tmp_path / "root" / "EMNIST" / "raw").iterdir()):
        rename(path, elsewhere(path.name))
    assert np.array_equal(load(EMNIST("digits"), tmp_path).images[:, 0], upright)


@pytest.mark.parametrize(
    ("elsewhere", "message"),
    [
        (["../../{}"], r"root/{}\)"),  # of MNIST and its relatives, which share their names
        (["../../../{}"], r"-ubyte\.gz; put it there"),
        (["gzip/{}", "../{}"], r"root/FashionMNIST/raw/gzip/{}, .*root/FashionMNIST/{}\)"),
        (["../../fashion/{}"], r"root/fashion/{}\)"),
    ],
)
def test_what_cannot_be_told_apart_is_named(tmp_path, elsewhere, message):
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    made.idx_pair(raw, "train", np.zeros((4, 28, 28)), np.arange(4))
    for path in list(raw.iterdir()):
        for place in elsewhere[1:]:
            (raw / place.format(path.name)).write_bytes(path.read_bytes())
        rename(path, elsewhere[0].format(path.name))
    with pytest.raises(UserError, match=r"missing .*" + message.format(*["train-images-idx3-ubyte.gz"] * 2)):
        load(FashionMNIST(), tmp_path)


def test_a_file_that_may_not_be_read_is_named_and_not_the_cache(tmp_path, monkeypatch):
    made.emnist(tmp_path / "root")
    opened = Path.open

    def denied(path, *args, **kwargs):
        if path.name == "emnist-digits-train-labels-idx1-ubyte.gz":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UserError, match=r"^EMNIST.read: cannot read .*labels-idx1-ubyte\.gz \(Permission denied\)"):
        load(EMNIST("digits"), tmp_path)


@pytest.mark.parametrize("root", ["x" * 300, "~no-such-user/data"])
def test_a_root_that_cannot_be_a_folder(tmp_path, root):
    with pytest.raises(UserError, match=f"{root}"):
        EMNIST("digits").load("train", root, str(tmp_path), False)


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
