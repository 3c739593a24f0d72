"""The cache: made once, whole or not at all, keyed by what shapes it."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from ldg.data.dataset import Dataset
from ldg.errors import UserError


class Counting(Dataset):
    """Images filled with their number; every reading adds a line to a file."""

    classes = ("even", "odd")

    def __init__(self, log: str, size: int = 5, fail: bool = False) -> None:
        self.log, self.size, self.fail = log, size, fail

    def read(self, split, sources):
        with Path(self.log).open("a") as file:
            file.write(f"{split}\n")
        numbers = np.arange(self.size)
        for part in np.array_split(numbers, 2):
            time.sleep(0.2)
            yield np.broadcast_to(part[:, None, None, None], (len(part), 1, 2, 3)), part % 2
            if self.fail:
                raise UserError("no more")


class Elsewhere(Counting):
    def sources(self, split, root, download):
        return [root / "images.npz"]


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


def test_a_missing_file_is_named_and_not_taken_for_an_empty_one(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*here/images\.npz; put it there, or set data\.root"):
        Elsewhere(str(tmp_path / "log")).load("train", str(tmp_path / "here"), cache=str(tmp_path / "cache"))


def test_arguments_and_split_key_the_entry(tmp_path):
    cache, log = tmp_path / "cache", str(tmp_path / "log")
    Counting(log).load("train", cache=str(cache))
    Counting(log).load("test", cache=str(cache))
    assert len(Counting(log, size=7).load("train", cache=str(cache)).labels) == 7
    assert len(entries(cache)) == 3


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
    ("images", "labels", "message"),
    [
        (BYTES, np.array([0, 2]), "labels run from 0 to 2 instead of 0 to 1"),
        (BYTES / 255, np.array([0, 1]), "yields float64 images (2, 1, 2, 2); they should be uint8 (n, C, H, W)"),
        (BYTES + np.int64(256), np.array([0, 1]), "yields int64 images"),
        (BYTES[:, 0], np.array([0, 1]), "yields uint8 images (2, 2, 2)"),
        (BYTES, np.array([0.0, 0.7]), "yields float64 labels (2,) for 2 images; there should be one whole number"),
        (BYTES, np.array([0]), "yields int64 labels (1,) for 2 images"),
    ],
)
def test_what_a_data_set_yields_is_checked(images, labels, message, tmp_path):
    class Fixed(Dataset):
        classes = ("even", "odd")

        def read(self, split, sources):
            yield images, labels

    with pytest.raises(UserError) as error:
        Fixed().load("train", cache=str(tmp_path))
    assert message in str(error.value) and entries(tmp_path) == []


def test_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data\.cache"):
        Counting(str(tmp_path / "log")).load("train", cache=str(tmp_path / "file" / "cache"))


def load(log: str, cache: str) -> None:
    assert Counting(log).load("train", cache=cache).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_two_processes_make_one_entry(tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=load, args=(str(log), str(cache))) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text() == "train\n"
    assert len(entries(cache)) == 1
