"""The image sets of torchvision, on made files in the formats that they are published in."""

import bz2
import functools
import pickle
import urllib.error

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from ldg.data.pictures import Pictures
from ldg.data.torchvision import ABOUT, CHARACTERS, Torchvision
from ldg.errors import UserError

from . import made

COUNT = 12
OMNIGLOT = ("Greek/character01", "Tifinagh/character02")  # a dark and a bright grey level
LABELS = np.arange(COUNT) % 10


def level(label):
    """The grey level of an image, by which it is known whose label it has."""
    return 20 * (label % 12) + 10


def grey(labels, *shape):
    """An image of one grey level for each label."""
    return np.multiply.outer(level(labels), np.ones(shape, int)).astype(np.uint8)


def shade(label, size):
    return Image.new("RGB", size, (int(level(label)),) * 3)


def pickled(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def mnist(root, name):
    for part in ("train", "t10k"):
        made.idx_pair(root / name / "raw", part, grey(LABELS, 28, 28), LABELS, packed=False)
    return LABELS


def qmnist(root):
    raw = root / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "test"):
        labels = np.zeros((COUNT, 8), ">i4")
        labels[:, 0] = LABELS
        header = (0x0C02).to_bytes(4, "big") + COUNT.to_bytes(4, "big") + (8).to_bytes(4, "big")
        (raw / f"qmnist-{part}-labels-idx2-int").write_bytes(header + labels.tobytes())
        (raw / f"qmnist-{part}-images-idx3-ubyte").write_bytes(made.idx(grey(LABELS, 28, 28)))
    return LABELS


def usps(root):
    root.mkdir(parents=True, exist_ok=True)
    for name in ("usps.bz2", "usps.t.bz2"):
        lines = []
        for number in range(COUNT):
            values = " ".join(f"{place + 1}:{level(number % 10) / 127.5 - 1:.4f}" for place in range(256))
            lines.append(f"{number % 10 + 1} {values} \n")
        (root / name).write_bytes(bz2.compress("".join(lines).encode()))
    return LABELS


def svhn(root):
    root.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        images = grey(LABELS, 32, 32, 3).transpose(1, 2, 3, 0)
        content = {"X": images, "y": np.where(LABELS == 0, 10, LABELS)[:, None]}
        savemat(root / f"{part}_32x32.mat", content)
    return LABELS


def cifar(root, folder, key, files, meta, names):
    for name in files:
        pickled(root / folder / name, {"data": grey(LABELS, 3072), key: LABELS.tolist()})
    pickled(root / folder / meta, {names: [f"class {number}" for number in range(100)]})
    batches = sum("test" not in name for name in files)
    return np.tile(LABELS, batches)


def stl10(root):
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / f"{part}_X.bin").write_bytes(grey(LABELS, 3, 96, 96).tobytes())
        (folder / f"{part}_y.bin").write_bytes((LABELS + 1).astype(np.uint8).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(b"")
    (folder / "class_names.txt").write_text("\n".join(ABOUT["STL10"].classes))
    return LABELS


def gtsrb(root):
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for number in range(COUNT):
        path = root / "gtsrb" / "GTSRB" / "Training" / f"{number % 3:05d}" / f"{number:05d}.ppm"
        test = root / "gtsrb" / "GTSRB" / "Final_Test" / "Images" / f"{number:05d}.ppm"
        for each in (path, test):
            each.parent.mkdir(parents=True, exist_ok=True)
            shade(number % 3, (30 + number, 40)).save(each)
        lines.append(f"{number:05d}.ppm;30;40;5;5;25;35;{number % 3}")
    (root / "gtsrb" / "GT-final_test.csv").write_text("\n".join(lines))
    return np.sort(np.arange(COUNT) % 3)


def flowers(root):
    folder = root / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for number in range(1, 3 * COUNT + 1):
        shade(number - 1, (80, 60)).save(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.arange(1, 3 * COUNT + 1)[None] % 102})
    parts = np.arange(1, 3 * COUNT + 1).reshape(3, 1, COUNT)
    savemat(folder / "setid.mat", dict(zip(("trnid", "valid", "tstid"), parts, strict=True)))
    return np.arange(COUNT)


def pets(root):
    folder = root / "oxford-iiit-pet"
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    lines = []
    for number in range(COUNT):
        shade(number % 3, (80, 60)).save(folder / "images" / f"Abyssinian_{number}.jpg")
        lines.append(f"Abyssinian_{number} {number % 3 + 1} 1 1\n")
    for part in ("trainval", "test"):
        (folder / "annotations" / f"{part}.txt").write_text("".join(lines))
    return np.arange(COUNT) % 3


def omniglot(root):
    folder = root / "omniglot-py"
    for name in OMNIGLOT:
        for number in range(20):
            path = folder / "images_background" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("1", (105, 105), level(CHARACTERS.index(name)) > 127).save(path)
    (folder / "images_background.zip").write_bytes(b"")
    return np.repeat([CHARACTERS.index(name) for name in OMNIGLOT], 18)


BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
MAKE = {
    "MNIST": functools.partial(mnist, name="MNIST"),
    "KMNIST": functools.partial(mnist, name="KMNIST"),
    "QMNIST": qmnist,
    "USPS": usps,
    "SVHN": svhn,
    "CIFAR10": functools.partial(
        cifar,
        folder="cifar-10-batches-py",
        key="labels",
        files=[*BATCHES, "test_batch"],
        meta="batches.meta",
        names="label_names",
    ),
    "CIFAR100": functools.partial(
        cifar,
        folder="cifar-100-python",
        key="fine_labels",
        files=["train", "test"],
        meta="meta",
        names="fine_label_names",
    ),
    "STL10": stl10,
    "GTSRB": gtsrb,
    "Flowers102": flowers,
    "OxfordIIITPet": pets,
    "Omniglot": omniglot,
}


@pytest.fixture
def without_checksums(monkeypatch):
    """torchvision compares the files of these with those that are published."""
    for module in ("cifar", "svhn", "stl10", "flowers102", "omniglot"):
        exists = lambda path, md5=None: __import__("os").path.isfile(path)  # noqa: E731
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", exists)


def load(name, tmp_path, split="train", download=False, limit=None, **pictures):
    dataset = Torchvision(name, Pictures(**pictures))
    return dataset, dataset.load(split, str(tmp_path / "root"), str(tmp_path / "cache"), download, limit)


@pytest.mark.parametrize("name", MAKE)
def test_made_files(name, tmp_path, without_checksums):
    labels = MAKE[name](tmp_path / "root")
    dataset, train = load(name, tmp_path)
    assert train.images.shape == (len(labels), *dataset.image_shape) and dataset.image_shape == ABOUT[name].image_shape
    assert np.array_equal(np.sort(train.labels), np.sort(labels))
    shown, levels = train.images.mean((1, 2, 3)), level(train.labels)
    assert np.abs(shown - (255 * (levels > 127) if name == "Omniglot" else levels)).max() < 2
    for split in ("test", "val") if dataset.has_val else ("test",):
        assert len(load(name, tmp_path, split)[1].labels) > 0
    small, images = load(name, tmp_path, image_size=16, channels=1)
    assert images.images.shape == (len(labels), 1, 16, 16) and small.image_shape == (1, 16, 16)


def test_every_set_is_made():
    assert MAKE.keys() == ABOUT.keys()


def test_names_of_classes_are_torchvisions():
    assert ABOUT["KMNIST"].classes == tuple(datasets.KMNIST.classes)
    assert ABOUT["Flowers102"].classes == tuple(datasets.Flowers102.classes)
    counts = {name: len(about.classes) for name, about in ABOUT.items()}
    expected = {"CIFAR100": 100, "GTSRB": 43, "Flowers102": 102, "OxfordIIITPet": 37, "Omniglot": 964}
    assert counts == dict.fromkeys(ABOUT, 10) | expected
    assert all(len(set(about.classes)) == len(about.classes) for about in ABOUT.values())


@pytest.mark.parametrize("name", MAKE)
def test_missing_files_are_one_line(name, tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(UserError, match=rf"missing .*, the files of torchvision's {name}; put them there") as error:
        load(name, tmp_path)
    assert "\n" not in str(error.value) and not list((tmp_path / "root").iterdir())


@pytest.mark.parametrize("name", MAKE)
def test_a_download_that_fails_is_one_line(name, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(UserError, match=rf"cannot download .*put torchvision's files of {name} into") as error:
        load(name, tmp_path, download=True)
    assert "\n" not in str(error.value)


def test_damaged_files_are_one_line(tmp_path):
    mnist(tmp_path / "root", "MNIST")
    path = tmp_path / "root" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(UserError, match=r"MNIST/raw: torchvision cannot read MNIST \(.*\); put fresh files there"):
        load("MNIST", tmp_path)


def test_damaged_pictures_are_left_out(tmp_path, without_checksums, capsys):
    flowers(tmp_path / "root")
    (tmp_path / "root" / "flowers-102" / "jpg" / "image_00003.jpg").write_bytes(b"<html>")
    assert load("Flowers102", tmp_path, max_bad=0.1)[1].labels.tolist() == [0, 1, *range(3, COUNT)]
    assert f"1 of {COUNT} train images cannot be read and are left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["MNIST", "Omniglot"])
def test_files_are_read_once_and_no_more_images_than_a_limit(name, tmp_path, without_checksums, monkeypatch):
    MAKE[name](tmp_path / "root")
    made_of, decoded = getattr(datasets, name), []

    class Counted(made_of):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            decoded.append("made")

        def __getitem__(self, row):
            decoded.append("decoded")
            return super().__getitem__(row)

        raw_folder = f"{tmp_path}/root/{name}/raw"

    monkeypatch.setattr(datasets, name, Counted)
    for _ in range(2):  # the second time from the cache
        assert len(load(name, tmp_path, limit=6)[1].labels) == 6
        assert decoded == ["made"] + ["decoded"] * 6


def test_a_download_that_was_interrupted_goes_on(tmp_path, monkeypatch):
    mnist(tmp_path / "root", "MNIST")
    file = tmp_path / "root" / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(UserError, match=r"missing .*, the files of torchvision's MNIST"):
        load("MNIST", tmp_path)
    monkeypatch.setattr(datasets.MNIST, "download", lambda self: file.write_bytes(content))
    assert len(load("MNIST", tmp_path, download=True)[1].labels) == COUNT
