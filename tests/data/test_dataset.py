"""The cache: made once, whole or not at all, keyed by what shapes it."""

import importlib.util
import inspect
import multiprocessing
import os
import re
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ldg.data.dataset import Dataset, Unreadable, check_classes
from ldg.data.pictures import Pictures
from ldg.errors import UserError


class Counting(Dataset):
    """Images filled with their number; every reading adds a line to a file."""

    classes = ("even", "odd")

    def __init__(self, log: str, size: int = 5, fail: bool = False, pause: float = 0) -> None:
        self.log, self.size, self.fail, self.pause = log, size, fail, pause

    def read(self, split, sources):
        with Path(self.log).open("a") as file:
            file.write(f"{split}\n")
        numbers = np.arange(self.size)
        for part in np.array_split(numbers, 2):
            time.sleep(self.pause)
            yield np.broadcast_to(part[:, None, None, None], (len(part), 1, 2, 3)), part % 2
            if self.fail:
                raise UserError("no more")


class Elsewhere(Counting):
    def sources(self, split, root, download):
        return [root / "images.npz"]


class Gaps(Counting):
    """The first, the fifth and every fourth image from there cannot be read."""

    max_bad = 0.9

    def read(self, split, sources):
        for number in range(self.size):
            whole = np.full((1, 1, 2, 3), number), np.array([number % 2])
            yield whole if number % 4 else Unreadable(str(number), "none")


class LabelledGaps(Gaps):
    def labels(self, split, sources):
        return np.arange(self.size) % 2


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_read_once_then_mapped(tmp_path):
    log = tmp_path / "log"
    for _ in range(2):
        images, labels = Counting(str(log)).load("train", cache=str(tmp_path / "cache"))
        assert images.shape == (5, 1, 2, 3) and images.dtype == np.uint8 and isinstance(images, np.memmap)
        assert images[:, 0, 1, 2].tolist() == [0, 1, 2, 3, 4]
        assert labels.tolist() == [0, 1, 0, 1, 0] and labels.dtype == np.int64
    assert log.read_text() == "train\n"
    images[:] = 9  # reaches no file
    assert Counting(str(log)).load("train", cache=str(tmp_path / "cache")).images[1].max() == 1


@pytest.mark.parametrize("kind", [Gaps, LabelledGaps])
def test_a_part_of_images_that_cannot_all_be_read(tmp_path, kind, capsys):
    whole = kind("log", size=40).load("train", cache=str(tmp_path))
    part = kind("log", size=40).load("train", cache=str(tmp_path), limit=20)
    assert len(whole.labels) == 30 and np.array_equal(part.images[:, 0, 0, 0] % 2, part.labels)
    (bad,) = re.findall(r"(\d+) of 20 train images cannot be read", capsys.readouterr().err)
    assert len(part.labels) == 20 - int(bad) and 0 < int(bad) < 20


def test_images_of_an_unknown_number_fit_into_memory_or_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ldg.memory.free_memory", lambda: 5 * 6.0)
    assert len(Counting(str(tmp_path / "log"), size=5).load("train", cache=str(tmp_path / "cache")).labels) == 5
    with pytest.raises(UserError, match=r"6 images of 1x2x3 \(train\) would take about .* data\.limit"):
        Counting(str(tmp_path / "log"), size=6).load("train", cache=str(tmp_path / "cache"))


def test_a_missing_file_is_named_and_not_taken_for_an_empty_one(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*here/images\.npz; put it there, or set data\.root"):
        Elsewhere(str(tmp_path / "log")).load("train", str(tmp_path / "here"), cache=str(tmp_path / "cache"))


def test_arguments_and_split_key_the_entry(tmp_path):
    cache, log = tmp_path / "cache", str(tmp_path / "log")
    Counting(log).load("train", cache=str(cache))
    Counting(log).load("test", cache=str(cache))
    assert len(Counting(log, size=7).load("train", cache=str(cache)).labels) == 7
    assert len(entries(cache)) == 3


MODULE = """
import numpy as np
from ldg.data.dataset import Dataset
class Grey(Dataset):
    classes = ("one",)
    def read(self, split, sources):
        yield np.full((2, 1, 2, 2), VALUE), [0, 0]
"""


def test_an_entry_belongs_to_the_text_of_its_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in (("first", 10), ("second", 20), ("second", 9), ("first", 10)):
        (tmp_path / f"grey_{name}.py").write_text(MODULE.replace("VALUE", str(value)))
        spec = importlib.util.spec_from_file_location(f"grey_{name}", tmp_path / f"grey_{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        (tmp_path / f"grey_{name}.py").write_text("edited meanwhile")
        assert module.Grey().load("train", cache=str(tmp_path / "cache")).images.max() == value
    assert len(entries(tmp_path / "cache")) == 3


@pytest.mark.parametrize(
    ("module", "changed"),
    [
        ("from ldg.data.dataset import Dataset\nclass X(Dataset):\n    read = None", []),
        ("import helper\nfrom ldg.data.dataset import Dataset\nclass X(Dataset):\n    read = None", ["helper"]),
        ("from ldg.data.folder import Folder\nclass X(Folder):\n    pass", ["ldg.data.folder", "ldg.data.user"]),
        ("from ldg.data.folder import Folder\nclass X(Folder):\n    pass", ["ldg.data.pictures", "ldg.data.strata"]),
    ],
)
def test_code_is_that_of_all_modules_that_decide_images(tmp_path, monkeypatch, module, changed):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "grey_fields.py").write_text(module)
    code = importlib.import_module("grey_fields").X.code
    for name in ("helper", "grey_fields"):
        sys.modules.pop(name, None)
    assert module in code and "class Dataset(" not in code
    assert all(inspect.getsource(importlib.import_module(name)) in code for name in changed)


def test_the_class_of_an_argument_keys_the_entry(monkeypatch):
    dataset = Counting("log")
    dataset.pictures = Pictures()
    before = dataset.key([])
    monkeypatch.setattr("ldg.data.dataset.read_code", lambda kind: f"another {kind.__name__}")
    assert dataset.key([]) != before


def test_failure_leaves_no_entry(tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(UserError, match="no more"):
        Counting(str(tmp_path / "log"), fail=True).load("train", cache=str(cache))
    assert entries(cache) == []


def test_leftovers_of_a_killed_process_are_replaced(tmp_path):
    cache, dataset = tmp_path / "cache", Counting(str(tmp_path / "log"))
    dataset.load("train", cache=str(cache))
    (entry,) = (path for path in cache.glob("*-train-*") if path.suffix != ".lock")
    part = entry.rename(entry.with_name(entry.name + ".part"))
    (part / "images.bin").write_bytes(b"half")
    assert dataset.load("train", cache=str(cache)).images.shape == (5, 1, 2, 3)
    assert entries(cache) == [entry.name]


BYTES = np.zeros((2, 1, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([(BYTES, np.array([0, 2]))], "Fixed: labels run from 0 to 2 instead of 0 to 1"),
        ([(BYTES, np.array([0, -1]))], "Fixed: labels run from -1 to 0 instead of 0 to 1"),
        ([(BYTES, np.array([0, 2**63], np.uint64))], "instead of 0 to 1"),
        (
            [(BYTES / 255, np.array([0, 1]))],
            "Fixed.read yields float64 images (2, 1, 2, 2); they should be uint8 (n, C, H, W)",
        ),
        ([(np.full((2, 1, 2, 2), np.nan), np.array([0, 1]))], "Fixed.read yields float64 images"),
        ([(BYTES + np.int64(256), np.array([0, 1]))], "Fixed.read yields int64 images"),
        ([(BYTES - np.int64(1), np.array([0, 1]))], "Fixed.read yields int64 images"),
        ([(BYTES > 0, np.array([0, 1]))], "Fixed.read yields bool images"),
        ([(BYTES[:, 0], np.array([0, 1]))], "Fixed.read yields uint8 images (2, 2, 2)"),
        ([(BYTES[:, :, :0], np.array([0, 1]))], "Fixed.read yields uint8 images (2, 1, 0, 2)"),
        ([(["a", "b"], np.array([0, 1]))], "Fixed.read yields <U1 images (2,)"),
        ([(BYTES, np.array([0, 1])), (BYTES[..., :1], np.array([0, 1]))], "images (1, 2, 1) after (1, 2, 2)"),
        ([(BYTES, np.array([0.0, 0.7]))], "yields float64 labels (2,) for 2 images; there should be one whole number"),
        ([(BYTES, np.array([[0, 1]]))], "Fixed.read yields int64 labels (1, 2)"),
        ([(BYTES, np.array([0]))], "Fixed.read yields int64 labels (1,) for 2 images"),
        ([(BYTES, ["a", "b"])], "Fixed.read yields <U1 labels (2,)"),
        ([(BYTES, [[0], [0, 1]])], "Fixed.read yields what is no array"),
        ([BYTES], "Fixed.read yields ndarray; it should yield pairs of images and labels"),
        ([(BYTES[:0], np.array([], int))], "Fixed: the train split holds no images"),
        ([], "Fixed: the train split holds no images"),
        (None, "Fixed.read returns NoneType; it should yield images and labels"),
    ],
)
def test_what_a_data_set_yields_is_checked(chunks, message, tmp_path):
    class Fixed(Dataset):
        classes = ("even", "odd")

        def read(self, split, sources):
            return chunks

    with pytest.raises(UserError) as error:
        Fixed().load("train", cache=str(tmp_path))
    assert message in str(error.value) and entries(tmp_path) == []


@pytest.mark.parametrize(
    ("sources", "attributes", "message"),
    [
        ("a.npz", {}, "Elsewhere.sources returns 'a.npz'; it should return a list of paths"),
        (["a.npz"], {}, r"Elsewhere.sources returns \['a.npz'\]"),
        ([], {"log": Path("x")}, "Elsewhere: the cache is keyed by its attributes, .*PosixPath"),
        ([], {"log": np.zeros(2)}, "Elsewhere: the cache is keyed by its attributes, .*ndarray"),
    ],
)
def test_what_else_a_data_set_says_is_checked(sources, attributes, message, tmp_path, monkeypatch):
    monkeypatch.setattr(Elsewhere, "sources", lambda *args: sources)
    dataset = Elsewhere("log")
    vars(dataset).update(attributes)
    with pytest.raises(UserError, match=message):
        dataset.load("train", cache=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<html>", "ValueError: .*pickled"), (b"PK\3\4" + bytes(40), "BadZipFile"), (b"", "EOFError: No data left")],
)
def test_what_reading_a_damaged_file_raises_is_one_line(tmp_path, content, reason):
    class Packed(Elsewhere):
        def read(self, split, sources):
            yield np.load(sources[0])["images"], [0]

    (tmp_path / "images.npz").write_bytes(content)
    with pytest.raises(UserError, match=rf"Packed\.read: cannot read .*images\.npz \({reason}") as error:
        Packed("log").load("train", str(tmp_path), cache=str(tmp_path / "cache"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (None, "None; it should be a tuple"),
        ((), r"\(\); it should be a tuple"),
        ("ab", "'ab'; it should be a tuple"),
        ((0, 1), r"\(0, 1\); it should be a tuple"),
        (("cat", "dog", "cat"), "'cat' stands there twice"),
        (("cat", "dog+"), "'dog\\+' is empty, or has a \\+"),
        (("cat, wild", "dog"), "'cat, wild' is empty"),
        (("cat", " dog"), "' dog' is empty, or has .* a space around it"),
        (("cat", ""), "'' is empty"),
    ],
)
def test_class_names_that_no_text_can_name(classes, message):
    dataset = Counting("log")
    dataset.classes = classes
    with pytest.raises(UserError, match=f"Counting.classes: {message}"):
        check_classes(dataset)


def test_characters_may_be_what_is_syntax_among_names():
    dataset = Counting("log")
    dataset.classes = ("+", ",", "a", "A")
    check_classes(dataset)


def damaged(name, change):
    def damage(entry: Path) -> None:
        (entry / name).write_bytes(change((entry / name).read_bytes()))

    return damage


def remade(name, array):
    return lambda entry: np.save(entry / name, array)


@pytest.mark.parametrize(
    "damage",
    [
        damaged("images.bin", lambda data: data[:-1]),
        damaged("images.bin", lambda data: data + b"\0"),
        damaged("images.bin", lambda data: bytes([data[0] ^ 1]) + data[1:]),
        damaged("images.bin", lambda data: bytes(len(data))),  # of what a power cut left
        damaged("labels.npy", lambda data: data[:40]),
        damaged("labels.npy", lambda data: b""),
        remade("labels.npy", np.array([0, 1, 0, 1, 0], np.int32)),
        remade("labels.npy", np.array([0, 1, 0, 1, 9])),
        remade("labels.npy", np.array([0, 1, 0])),
        damaged("shape.json", lambda data: b"[1, 3, 2]"),
        damaged("shape.json", lambda data: b"[1, 2"),
        damaged("checksums.json", lambda data: b"[]"),
        lambda entry: (entry / "checksums.json").unlink(),
        lambda entry: (entry / "images.bin").unlink(),
        lambda entry: ((entry / "images.bin").unlink(), os.mkfifo(entry / "images.bin")),
        lambda entry: ((entry / "labels.npy").unlink(), (entry / "labels.npy").mkdir()),
        lambda entry: (shutil.rmtree(entry), entry.mkdir()),
    ],
)
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    log = tmp_path / "log"
    cache = str(tmp_path / "cache")
    Counting(str(log)).load("train", cache=cache)
    (entry,) = entries(tmp_path / "cache")
    damage(tmp_path / "cache" / entry)
    load(str(log), cache)
    load(str(log), cache)
    assert log.read_text() == "train\n" * 2 and entries(tmp_path / "cache") == [entry]


class Growing(Counting):
    """Images filled with how often they were read."""

    def read(self, split, sources):
        for images, labels in super().read(split, sources):
            yield np.full_like(images, len(Path(self.log).read_text().splitlines())), labels


def test_an_entry_that_is_made_again_with_other_images_is_intact(tmp_path):
    for times in (1, 2):
        for _ in range(2):  # the second time from the cache
            assert Growing(str(tmp_path / "log")).load("train", cache=str(tmp_path / "cache")).images.max() == times
        (entry,) = entries(tmp_path / "cache")
        shutil.rmtree(tmp_path / "cache" / entry)


def test_a_file_in_the_place_of_an_entry_is_named(tmp_path):
    Counting(str(tmp_path / "log")).load("train", cache=str(tmp_path / "cache"))
    (entry,) = entries(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache" / entry)
    (tmp_path / "cache" / entry).write_text("mine")
    with pytest.raises(UserError, match=rf"data\.cache: cannot write .*{entry}: Not a directory"):
        load(str(tmp_path / "log"), str(tmp_path / "cache"))


def test_a_full_disk_leaves_no_entry(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(UserError, match=r"data\.cache: cannot write .*File too large; set data\.cache to a folder"):
            Counting(str(tmp_path / "log"), size=250).load("train", cache=str(tmp_path / "cache"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert entries(tmp_path / "cache") == []


def test_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("file/cache", "x" * 300):
        with pytest.raises(UserError, match=r"data\.cache"):
            Counting(str(tmp_path / "log")).load("train", cache=str(tmp_path / place))


def load(log: str, cache: str, pause: float = 0) -> None:
    assert Counting(log, pause=pause).load("train", cache=cache).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_two_processes_make_one_entry(tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=load, args=(str(log), str(cache), 0.2)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text() == "train\n"
    assert len(entries(cache)) == 1
