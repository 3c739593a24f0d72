"""What a data set is: files turned into uint8 arrays once, and mapped into memory from then on."""

import hashlib
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from ldg.errors import UserError

Split = Literal["train", "test"]


class Arrays(NamedTuple):
    """Images uint8 (N, C, H, W), upright, mapped from the cache (writes reach no file), and labels int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray


class Dataset(ABC):
    """A labelled set of images. A subclass keeps its arguments as attributes, names its classes and reads its files.

    Attributes:
        classes: the name of each label, in order, without ``+`` and ``,``, which mean something to the writer
        version: to be raised when the same files and arguments come to give other arrays
    """

    classes: tuple[str, ...]
    version: ClassVar[int] = 1

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """The files or folders under ``root`` that ``split`` is made from; missing ones are downloaded if allowed.

        Raises UserError, saying which file to put where, if one is missing.
        """
        return []

    @abstractmethod
    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the images in chunks: uint8 (n, C, H, W), upright, with labels (n,) counted from 0."""

    def load(self, split: Split, root: str = "data", cache: str | None = None, download: bool = True) -> Arrays:
        """The arrays of one split: read from ``root`` the first time, mapped from ``cache`` afterwards.

        ``cache`` is a folder (None: the user's cache folder). An entry in it is keyed by the arguments of the data set
        and by name, size and time of its files, is complete or absent, and several processes may ask for it at once.
        Raises UserError for missing or damaged files and for a cache that cannot be written.
        """
        sources = self.sources(split, Path(root).expanduser(), download)
        if missing := [source for source in sources if not source.exists()]:
            raise UserError(f"{type(self).__name__}: there is no {names(missing)}; put it there, or set data.root")
        facts = {"version": self.version, **vars(self), "split": split, "files": fingerprint(sources)}
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        entry = cache_folder(cache) / f"{type(self).__name__.lower()}-{split}-{key}"
        if not entry.exists():
            try:
                self._write(entry, split, sources)
            except OSError as error:
                raise UserError(
                    f"data.cache: cannot write {entry} ({error}); set data.cache to a folder with room"
                ) from error
        labels = np.load(entry / "labels.npy")
        shape = (len(labels), *json.loads((entry / "shape.json").read_text()))
        return Arrays(np.memmap(entry / "images.bin", dtype=np.uint8, mode="c", shape=shape), labels)

    def _write(self, entry: Path, split: Split, sources: list[Path]) -> None:
        from filelock import FileLock

        entry.parent.mkdir(parents=True, exist_ok=True)
        part = entry.with_name(entry.name + ".part")
        with FileLock(entry.with_name(entry.name + ".lock")):
            if entry.exists():  # another process made it while this one waited
                return
            shutil.rmtree(part, ignore_errors=True)  # what a killed process left
            part.mkdir()
            try:
                self._write_arrays(part, split, sources)
                part.rename(entry)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def _write_arrays(self, folder: Path, split: Split, sources: list[Path]) -> None:
        labels, shape = [], None
        with (folder / "images.bin").open("wb") as file:  # plain writes: pages of a mapped file would count as resident
            for images, numbers in self.read(split, sources):
                file.write(np.ascontiguousarray(images, dtype=np.uint8).data)
                labels.append(np.asarray(numbers, dtype=np.int64))
                shape = images.shape[1:]
        if shape is None:
            raise UserError(f"{type(self).__name__}: the {split} split holds no images in {names(sources)}")
        every = np.concatenate(labels)
        if every.min() < 0 or every.max() >= len(self.classes):
            found, right = f"{every.min()} to {every.max()}", f"0 to {len(self.classes) - 1}"
            raise UserError(f"{names(sources)}: labels run from {found} instead of {right}")
        np.save(folder / "labels.npy", every)
        (folder / "shape.json").write_text(json.dumps(shape))


def cache_folder(cache: str | None) -> Path:
    from platformdirs import user_cache_dir

    return Path(cache or user_cache_dir("ldg")).expanduser()


def fingerprint(paths: list[Path]) -> list[tuple[str, int, int]]:
    """Name, size in bytes and time of change in ns of every file, folders searched."""
    files = [file for path in paths for file in ([path] if path.is_file() else files_in(path))]
    return [(file.name, stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]


def files_in(folder: Path) -> list[Path]:
    return sorted(Path(parent, name) for parent, _, found in os.walk(folder) for name in found)


def names(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def progress(total: int, what: str) -> Any:
    """A progress bar over ``total`` images, silent where there is no terminal or less than a second to wait."""
    return tqdm(total=total, desc=what, unit=" images", unit_scale=True, delay=1, disable=None, leave=False)
