"""The base class of data sets: their files are decoded to uint8 arrays once and memory-mapped afterwards."""

import hashlib
import json
import math
import re
import shutil
import sys
import unicodedata
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from ldg.data.cache import cache_folder, compute_checksums, fingerprint, is_intact, read_code
from ldg.data.paths import describe_link, describe_sources, expand, explain_unreadable, join_paths
from ldg.data.strata import choose_part
from ldg.errors import UserError, describe_os_error
from ldg.files import write_text
from ldg.memory import require_memory

Split = Literal["train", "val", "test"]
# what reading a file raises that is damaged, or is not what its name says
DAMAGE = (OSError, EOFError, ValueError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error)


class Arrays(NamedTuple):
    """The images and labels of a split.

    Attributes:
        images: uint8 (N, C, H, W), upright, mapped from the cache; changes are not written to the file
        labels: int64 (N,)
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Unreadable:
    """Stands for an image that cannot be read and is left out.

    Attributes:
        name: of its file
        reason: in a few words
    """

    name: str
    reason: str


Chunk = tuple[np.ndarray, np.ndarray]


class Dataset(ABC):
    """A labelled set of images. A subclass keeps its arguments as attributes, names its classes and reads its files.

    Attributes:
        classes: the name of each label, in order, without ``+`` and ``,``, which are syntax in generated text
        has_val: whether it has a ``val`` split of its own
        max_bad: share of the images that are left out if they cannot be read; more of them are an error
    """

    classes: tuple[str, ...]
    has_val: bool = False
    max_bad: float = 0.0
    code: ClassVar[str]  # what :func:`~ldg.data.cache.read_code` gives, as the class was imported

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = read_code(cls)

    def inspect(self, root: str, cache: str | None) -> None:
        """Find classes, shape of the images and the like where only the files know them; most data sets do not need to.

        Args:
            root: folder of the data sets' files
            cache: folder where what is found may be kept; None: the user's cache folder

        Raises:
            UserError: if the files are missing or unusable.
        """
        return

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """List the files that a split is read from; none for a data set that needs no files.

        Args:
            split: ``train``, ``test``, or ``val`` if the data set has one
            root: folder of the data sets' files
            download: whether missing files are downloaded into ``root``

        Returns:
            Files or folders under ``root``.

        Raises:
            UserError: if a file is missing; the message names the file and the folder it belongs in.
        """
        return []

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray | None:
        """The label of each image, in the order of ``read`` and before any image is decoded.

        Args:
            split: as for ``sources``
            sources: as ``sources`` returns them

        Returns:
            Labels (N,), also of images that cannot be read; None if only ``read`` knows them.

        Raises:
            UserError: if a file is damaged.
        """
        return None

    @abstractmethod
    def read(self, split: Split, sources: list[Path]) -> Iterator[Chunk | Unreadable]:
        """Read the images of a split in chunks.

        Args:
            split: as for ``sources``
            sources: as ``sources`` returns them

        Yields:
            Images uint8 (n, C, H, W), upright, and labels (n,), 0 to ``len(classes)`` - 1; or what stands for an image
            that cannot be read.

        Raises:
            UserError: if a file is damaged.
        """

    def read_rows(self, split: Split, sources: list[Path], rows: np.ndarray) -> Iterator[Chunk | Unreadable]:
        """Read some images of a split; a data set of many files does not decode the others.

        Args:
            split: as for ``sources``
            sources: as ``sources`` returns them
            rows: which, by their place in the order of ``read``, ascending; an unreadable image has a place, too

        Yields:
            As ``read``.

        Raises:
            UserError: if a file is damaged.
        """
        start = 0
        for chunk in self.read(split, sources):
            if isinstance(chunk, Unreadable):
                if len(rows_between(rows, start, start + 1)):
                    yield chunk
                start += 1
                continue
            images, labels = self._check_chunk(chunk)
            inside = rows_between(rows, start, start + len(labels)) - start
            if len(inside):
                yield images[inside], labels[inside]
            start += len(labels)

    def load(
        self,
        split: Split,
        root: str = "data",
        cache: str | None = None,
        download: bool = True,
        limit: int | None = None,
    ) -> Arrays:
        """Load the arrays of a split: read from ``root`` the first time, mapped from ``cache`` afterwards.

        A cache entry is keyed by the arguments of the data set, its code, and the names, sizes and times of its files.
        It is complete or absent, and several processes may load it at once. An entry that
        was damaged afterwards is made again.

        Args:
            split: ``train``, ``test``, or ``val`` if the data set has one
            root: folder of the data sets' files
            cache: folder for decoded arrays; None: the user's cache folder
            download: whether missing files are downloaded into ``root``
            limit: at most so many images, with the same share of every class; None: all

        Returns:
            The images and labels.

        Raises:
            UserError: if files are missing or damaged, the images do not fit into memory, or the cache cannot be
                written.
        """
        self.inspect(root, cache)
        name = type(self).__name__
        try:
            sources = self.sources(split, expand(root), download)
            if not isinstance(sources, list) or not all(isinstance(source, Path) for source in sources):
                raise UserError(f"{name}.sources returns {sources!r}; it should return a list of paths")
            if missing := [source for source in sources if not source.exists()]:
                these = ", ".join(map(describe_link, missing))
                raise UserError(f"{name}: there is no {these}; put it there, or set data.root")
            key = self.key(sources, split=split, limit=limit)
        except OSError as error:
            raise UserError(f"{name}: cannot read {explain_unreadable(error)}; check data.root") from error
        entry = cache_folder(cache) / f"{name.lower()}-{split}-{key}"
        try:
            if not is_intact(entry):
                self._write(entry, split, sources, limit)
        except OSError as error:
            reason = f"{describe_os_error(error)}; set data.cache to a folder with room that you may write to"
            raise UserError(f"data.cache: cannot write {entry}: {reason}") from error
        labels = np.load(entry / "labels.npy")
        shape = (len(labels), *json.loads((entry / "shape.json").read_text(encoding="utf-8")))
        return Arrays(np.memmap(entry / "images.bin", dtype=np.uint8, mode="c", shape=shape), labels)

    def key(self, sources: list[Path], **what: Any) -> str:
        """What an entry of the cache is named after.

        Args:
            sources: the files that it is made from
            what: is made from them

        Returns:
            16 hexadecimal digits, which depend on these, on the arguments and on the code.

        Raises:
            UserError: if an attribute of the data set cannot be written as JSON.
            OSError: if a folder cannot be read.
        """
        arguments = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        identity = {"code": self.code, **arguments, **what, "files": fingerprint(sources)}
        try:
            text = json.dumps(identity, sort_keys=True, default=_arguments)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{type(self).__name__}: the cache is keyed by its attributes, which should be numbers, texts and "
                f"lists ({error})"
            ) from error
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _write(self, entry: Path, split: Split, sources: list[Path], limit: int | None) -> None:
        from filelock import FileLock

        entry.parent.mkdir(parents=True, exist_ok=True)
        part = entry.with_name(entry.name + ".part")
        with FileLock(entry.with_name(entry.name + ".lock")):
            if is_intact(entry):  # another process made it while this one waited
                return
            shutil.rmtree(part, ignore_errors=True)  # what a killed process left
            part.mkdir()
            try:
                bad = self._write_arrays(part, split, sources, limit)
                self._report_bad(bad, len(np.load(part / "labels.npy")), split, entry)
                (part / "checksums.json").write_text(
                    json.dumps(compute_checksums(part, *fingerprint([part]))), encoding="utf-8"
                )
                if entry.exists():  # damaged
                    shutil.rmtree(entry)
                part.rename(entry)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def _write_arrays(self, folder: Path, split: Split, sources: list[Path], limit: int | None) -> list[Unreadable]:
        name = type(self).__name__
        every: list[np.ndarray] = []
        bad: list[Unreadable] = []
        shape: tuple[int, ...] = ()
        with self._one_line(sources):
            known = self.labels(split, sources)
        if known is None and limit is not None:
            known = _join_labels(  # unreadable images are a class of their own, which gets its share
                np.array([-1]) if isinstance(chunk, Unreadable) else chunk[1]
                for chunk in self._read_chunks(split, sources, None)
            )
        rows = choose_part(known, limit) if known is not None and limit is not None and limit < len(known) else None
        count = 0 if known is None else len(known) if rows is None else len(rows)
        written = 0
        with (folder / "images.bin").open("wb") as file:  # plain writes: pages of a mapped file would count as resident
            for chunk in self._read_chunks(split, sources, rows):
                if isinstance(chunk, Unreadable):
                    bad.append(chunk)
                    continue
                images, labels = chunk
                if shape and images.shape[1:] != shape:
                    raise UserError(f"{name}.read yields images {images.shape[1:]} after {shape}; one shape is allowed")
                written += len(images)
                if not shape or written > count:  # without `labels` their number is that of those read so far
                    shape, count = images.shape[1:], max(count, written)
                    of = f"{count:,} images of {'x'.join(map(str, shape))} ({split})"
                    require_memory(count * math.prod(shape), of, "take a part with data.limit, or smaller images", 1)
                file.write(np.ascontiguousarray(images, dtype=np.uint8).data)
                every.append(labels)
        numbers = _join_labels(every)
        if not len(numbers) and not bad:
            raise UserError(f"{name}: the {split} split holds no images{describe_sources(sources)}")
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self.classes)):
            span, expected = f"{numbers.min()} to {numbers.max()}", f"0 to {len(self.classes) - 1}"
            raise UserError(f"{name}: labels run from {span} instead of {expected}{describe_sources(sources)}")
        np.save(folder / "labels.npy", numbers)
        (folder / "shape.json").write_text(json.dumps(shape), encoding="utf-8")
        return bad

    def _report_bad(self, bad: list[Unreadable], good: int, split: Split, entry: Path) -> None:
        """Name the images that are left out, in a file beside the entry and in one line.

        Raises:
            UserError: if they are more than ``max_bad`` of all.
        """
        if not bad:
            return
        names = entry.with_name(f"{entry.name}.unreadable.txt")
        write_text(names, "".join(f"{each.name}: {each.reason}\n" for each in bad))
        what = f"{len(bad):,} of {len(bad) + good:,} {split} images cannot be read"
        if len(bad) > self.max_bad * (len(bad) + good):
            first = f"{bad[0].name} ({bad[0].reason})"
            raise UserError(f"{what}, more than data.max_bad={self.max_bad}: {first}; {names} lists them")
        print(f"{what} and are left out; {names} lists them", file=sys.stderr)

    def _read_chunks(self, split: Split, sources: list[Path], rows: np.ndarray | None) -> Iterator[Chunk | Unreadable]:
        """What ``read`` yields, checked."""
        name = f"{type(self).__name__}.read"
        with self._one_line(sources):
            chunks = self.read(split, sources) if rows is None else self.read_rows(split, sources, rows)
            if not isinstance(chunks, Iterable):
                raise UserError(f"{name} returns {type(chunks).__name__}; it should yield images and labels")
            for chunk in chunks:
                yield chunk if isinstance(chunk, Unreadable) else self._check_chunk(chunk)

    @contextmanager
    def _one_line(self, sources: list[Path]) -> Iterator[None]:
        """Raise UserError where files cannot be read."""
        name = f"{type(self).__name__}.read"
        try:
            yield
        except DAMAGE as error:
            if isinstance(error, OSError) and error.filename:
                raise UserError(f"{name}: cannot read {explain_unreadable(error)}") from error
            if not sources:  # no file is to blame
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(f"{name}: cannot read {join_paths(sources)} ({reason})") from error

    def _check_chunk(self, chunk: Any) -> tuple[np.ndarray, np.ndarray]:
        name = f"{type(self).__name__}.read"
        if not isinstance(chunk, tuple | list) or len(chunk) != 2:
            raise UserError(f"{name} yields {type(chunk).__name__}; it should yield pairs of images and labels")
        try:
            images, labels = map(np.asarray, chunk)
        except ValueError as error:
            raise UserError(f"{name} yields what is no array ({str(error).split('.')[0]})") from error
        is_bytes = images.dtype == np.uint8 or (
            np.issubdtype(images.dtype, np.integer) and images.size and images.min() >= 0 and images.max() <= 255
        )
        if not is_bytes or images.ndim != 4 or 0 in images.shape[1:]:
            returned = f"{images.dtype} images {tuple(images.shape)}"
            raise UserError(f"{name} yields {returned}; they should be uint8 (n, C, H, W), 0 to 255")
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(images),):
            returned = f"{labels.dtype} labels {tuple(labels.shape)} for {len(images)} images"
            raise UserError(f"{name} yields {returned}; there should be one whole number for each")
        return images, labels


def _join_labels(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *(part.astype(np.int64) for part in parts)])


def rows_between(rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Those of some rows that lie in a chunk.

    Args:
        rows: ascending
        start: row of the chunk's first item
        stop: row after its last item

    Returns:
        The rows from ``start`` to below ``stop``.
    """
    return rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]


def check_classes(dataset: Dataset) -> None:
    """Check the names of a data set's classes.

    Args:
        dataset: the data set

    Raises:
        UserError: if they are not texts, or one is repeated, empty, or could not be typed in a text of class names.
    """
    name, classes = f"{type(dataset).__name__}.classes", getattr(dataset, "classes", None)
    if not isinstance(classes, tuple | list) or not classes or not all(isinstance(each, str) for each in classes):
        raise UserError(f"{name}: {classes!r}; it should be a tuple with the name of each label")
    is_written = all(len(each) == 1 for each in classes)
    spelt: dict[str, str] = {}
    for each in classes:
        key = each if is_written else plain_name(each)
        if key not in spelt:
            spelt[key] = each
        elif spelt[key] == each:
            raise UserError(f"{name}: {each!r} stands there twice; each label needs a name of its own")
        else:
            raise UserError(
                f"{name}: {spelt[key]!r} and {each!r} differ only in case or punctuation, which texts that name "
                "classes leave out; rename one"
            )
    # where all names are single characters, a text is written with them and has no syntax
    syntax = set() if is_written else set("+,\n")
    if wrong := [each for each in classes if each != each.strip() or not each or syntax & set(each)]:
        raise UserError(f"{name}: {wrong[0]!r} is empty, or has a + or , or a space around it, where a text is split")


def _arguments(value: Any) -> dict[str, Any]:
    """The arguments and the code of an argument that is an object of ldg's."""
    if type(value).__module__.startswith("ldg.data."):
        return {"code": read_code(type(value)), **vars(value)}
    raise TypeError(f"{type(value).__name__} is none of these")


def plain_name(name: str) -> str:
    """A class's name as texts may spell it: in small letters, and with a space for what is no letter or digit.

    Args:
        name: of a class

    Returns:
        The name; a name without letters and digits as it is.
    """
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", name)).strip().casefold() or name


def progress(total: int, what: str) -> Any:
    """A progress bar, silent without a terminal and for what takes less than a second.

    Args:
        total: number of images
        what: text before the bar

    Returns:
        A tqdm bar.
    """
    return tqdm(total=total, desc=what, unit=" images", unit_scale=True, delay=1, disable=None, leave=False)
