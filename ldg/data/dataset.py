"""The base class of data sets: their files are decoded to uint8 arrays once and memory-mapped afterwards."""

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
    """The images and labels of a split.

    Attributes:
        images: uint8 (N, C, H, W), upright, mapped from the cache; changes are not written to the file
        labels: int64 (N,)
    """

    images: np.ndarray
    labels: np.ndarray


class Dataset(ABC):
    """A labelled set of images. A subclass keeps its arguments as attributes, names its classes and reads its files.

    Attributes:
        classes: the name of each label, in order, without ``+`` and ``,``, which are syntax in generated text
        version: to be increased when the same files and arguments give other arrays than before
    """

    classes: tuple[str, ...]
    version: ClassVar[int] = 1

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """List the files that a split is read from; none for a data set that needs no files.

        Args:
            split: ``train`` or ``test``
            root: folder of the data sets' files
            download: whether missing files are downloaded into ``root``

        Returns:
            Files or folders under ``root``.

        Raises:
            UserError: if a file is missing; the message names the file and the folder it belongs in.
        """
        return []

    @abstractmethod
    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the images of a split in chunks.

        Args:
            split: ``train`` or ``test``
            sources: as ``sources`` returns them

        Yields:
            Images uint8 (n, C, H, W), upright, and labels (n,), 0 to ``len(classes)`` - 1.

        Raises:
            UserError: if a file is damaged.
        """

    def load(self, split: Split, root: str = "data", cache: str | None = None, download: bool = True) -> Arrays:
        """Load the arrays of a split: read from ``root`` the first time, mapped from ``cache`` afterwards.

        A cache entry is keyed by the arguments of the data set and by the names, sizes and times of its files. It is
        complete or absent, and several processes may load it at once.

        Args:
            split: ``train`` or ``test``
            root: folder of the data sets' files
            cache: folder for decoded arrays; None: the user's cache folder
            download: whether missing files are downloaded into ``root``

        Returns:
            The images and labels.

        Raises:
            UserError: if files are missing or damaged, or the cache cannot be written.
        """
        sources = self.sources(split, Path(root).expanduser(), download)
        if missing := [source for source in sources if not source.exists()]:
            raise UserError(f"{type(self).__name__}: there is no {join_paths(missing)}; put it there, or set data.root")
        identity = {"version": self.version, **vars(self), "split": split, "files": fingerprint(sources)}
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
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
                self._check_chunk(images, np.asarray(numbers))
                file.write(np.ascontiguousarray(images, dtype=np.uint8).data)
                labels.append(np.asarray(numbers, dtype=np.int64))
                shape = images.shape[1:]
        if shape is None:
            raise UserError(f"{type(self).__name__}: the {split} split holds no images in {join_paths(sources)}")
        every = np.concatenate(labels)
        if every.min() < 0 or every.max() >= len(self.classes):
            span, expected = f"{every.min()} to {every.max()}", f"0 to {len(self.classes) - 1}"
            raise UserError(f"{join_paths(sources)}: labels run from {span} instead of {expected}")
        np.save(folder / "labels.npy", every)
        (folder / "shape.json").write_text(json.dumps(shape))

    def _check_chunk(self, images: np.ndarray, labels: np.ndarray) -> None:
        name = f"{type(self).__name__}.read"
        is_bytes = images.dtype == np.uint8 or (
            np.issubdtype(images.dtype, np.integer) and images.size and images.min() >= 0 and images.max() <= 255
        )
        if not is_bytes or images.ndim != 4:
            returned = f"{images.dtype} images {tuple(images.shape)}"
            raise UserError(f"{name} yields {returned}; they should be uint8 (n, C, H, W), 0 to 255")
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(images),):
            returned = f"{labels.dtype} labels {tuple(labels.shape)} for {len(images)} images"
            raise UserError(f"{name} yields {returned}; there should be one whole number for each")


def cache_folder(cache: str | None) -> Path:
    """The folder of decoded arrays.

    Args:
        cache: its path; None: the user's cache folder

    Returns:
        The path with ``~`` expanded; the folder may not exist.
    """
    from platformdirs import user_cache_dir

    return Path(cache or user_cache_dir("ldg")).expanduser()


def fingerprint(paths: list[Path]) -> list[tuple[str, int, int]]:
    """Describe files by what changes when they are replaced.

    Args:
        paths: files or folders; folders are searched

    Returns:
        Name, size in bytes and time of modification in ns of each file.
    """
    files = [file for path in paths for file in ([path] if path.is_file() else list_files(path))]
    return [(file.name, stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]


def list_files(folder: Path) -> list[Path]:
    """List all files in a folder and the folders below it.

    Args:
        folder: where to search

    Returns:
        The files, sorted by path.
    """
    return sorted(Path(parent, name) for parent, _, names in os.walk(folder) for name in names)


def join_paths(paths: list[Path]) -> str:
    """Join paths with commas, for messages.

    Args:
        paths: at least one

    Returns:
        The text.
    """
    return ", ".join(map(str, paths))


def progress(total: int, what: str) -> Any:
    """A progress bar, silent without a terminal and for what takes less than a second.

    Args:
        total: number of images
        what: text before the bar

    Returns:
        A tqdm bar.
    """
    return tqdm(total=total, desc=what, unit=" images", unit_scale=True, delay=1, disable=None, leave=False)
