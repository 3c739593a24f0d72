"""Data at a path of the user's: classes, splits and the shape of the images are found in the files, once."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ldg.data.cache import cache_folder
from ldg.data.dataset import DAMAGE, Chunk, Dataset, Split, Unreadable
from ldg.data.paths import describe_link, expand, explain_unreadable, list_files
from ldg.data.pictures import Shape
from ldg.data.strata import stratified
from ldg.errors import UserError, one_line
from ldg.files import look, write_text

# words in the names of files and folders that say which split they are
SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
MIN_PER_CLASS = 2  # images of a class, where a part of them is to be the test split


class Contents(NamedTuple):
    """What the files hold.

    Attributes:
        classes: the name of each label
        image_shape: (C, H, W)
        splits: those that the files have, ``train`` among them
        note: the end of the line that is printed about them
    """

    classes: tuple[str, ...]
    image_shape: Shape
    splits: tuple[Split, ...]
    note: str = ""


class UserDataset(Dataset):
    """A data set at a path. Without a ``test`` split, a part of each class of ``train`` is the test split.

    Args:
        path: file or folder, in the current folder or in the folder of the data sets' files
        classes: names of the labels that occur, in order; None: the files' names, or the labels themselves
        test_fraction: share of each class that becomes the test split if the files have none

    Attributes:
        image_shape: (C, H, W), once it is found
        splits: those that the files have
    """

    image_shape: Shape
    splits: tuple[Split, ...] = ()

    def __init__(
        self,
        path: str | None,
        classes: list[str] | None = None,
        test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    ) -> None:
        self.path, self.names, self.test_fraction = path, classes, test_fraction
        self._listed: dict[Path, Any] = {}  # what `list_files` gave since the beginning of `inspect` or `load`

    @abstractmethod
    def list_files(self, place: Path) -> Any:
        """List the files of each split.

        Args:
            place: file or folder at the path

        Returns:
            What the other methods read.

        Raises:
            UserError: if there is none.
        """

    def listed(self, place: Path) -> Any:
        """What ``list_files`` gives, which is called once while data are inspected or loaded.

        Args:
            place: file or folder at the path
        """
        if place not in self._listed:
            self._listed[place] = self.list_files(place)
        return self._listed[place]

    @abstractmethod
    def find(self, place: Path) -> Contents:
        """Find classes, shape and splits, without decoding images.

        Args:
            place: file or folder at the path

        Returns:
            What they hold.

        Raises:
            UserError: if it is no such data set.
        """

    @abstractmethod
    def read_labels(self, split: Split, place: Path) -> np.ndarray:
        """The labels of a split of the files.

        Args:
            split: one of ``splits``
            place: file or folder at the path

        Returns:
            int64 (N,).
        """

    @abstractmethod
    def read_images(self, split: Split, place: Path, rows: np.ndarray) -> Iterator[Chunk | Unreadable]:
        """Read images of a split of the files.

        Args:
            split: one of ``splits``
            place: file or folder at the path
            rows: which, ascending

        Yields:
            As :meth:`Dataset.read`.
        """

    def inspect(self, root: str, cache: str | None) -> None:
        """As :meth:`Dataset.inspect`; what is found is kept in a file beside the arrays."""
        self._listed.clear()
        if self.splits:
            return
        name = type(self).__name__
        (place,) = self.sources("train", expand(root), download=False)
        try:
            file = cache_folder(cache) / f"{name.lower()}-{self.key([place])}.json"
            try:
                self._take(Contents(**json.loads(file.read_text(encoding="utf-8"))))
            except (OSError, ValueError, TypeError):
                contents = self.find(place)
                self._take(contents)
                self._check_counts(place, contents.note)
                with suppress(UserError):  # loading says why the cache cannot be written
                    write_text(file, json.dumps(contents._asdict()))
        except (*DAMAGE, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, OSError) and error.filename:
                raise UserError(f"data.path: cannot read {explain_unreadable(error)}") from error
            reason = f"{type(error).__name__}: {one_line(error)[:200]}"
            raise UserError(f"data.path: cannot read {place} ({reason})") from error

    def _take(self, contents: Contents) -> None:
        self.classes, self.splits = tuple(contents.classes), tuple(contents.splits)
        channels, height, width = contents.image_shape
        self.image_shape = (channels, height, width)
        self.has_val = "val" in self.splits

    def _check_counts(self, place: Path, note: str) -> None:
        """Refuse too few images and labels without a class, and say what is there."""
        counts = {}
        for split in self.splits:
            labels = self.read_labels(split, place)
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
                span, expected = f"{labels.min()} to {labels.max()}", f"0 to {len(self.classes) - 1}"
                raise UserError(f"{place}: {split} labels run from {span} instead of {expected}")
            counts[split] = np.bincount(labels, minlength=len(self.classes))
        train = counts["train"]
        if "test" not in counts and (few := np.flatnonzero((train > 0) & (train < MIN_PER_CLASS))).size:
            more = f" and {len(few) - 1:,} other classes have" if len(few) > 1 else " has"
            raise UserError(
                f"{place}: class {self.classes[few[0]]!r}{more} a single image; each class needs one to train and one "
                f"to test on: add images, or leave the class out"
            )
        total = ", ".join(f"{each.sum():,} {split}" for split, each in counts.items())
        carved = "" if "test" in counts else f"; {self.test_fraction:.0%} of each class are the test split"
        shape = "x".join(map(str, self.image_shape))
        classes = f"{len(self.classes):,} classes" if len(self.classes) > 1 else "1 class"
        images = "image" if sum(int(each.sum()) for each in counts.values()) == 1 else "images"
        print(f"{place}: {total} {images} of {classes}, as {shape}{carved}{note}", file=sys.stderr)

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """As :meth:`Dataset.sources`: the file or folder."""
        if not self.path:
            raise UserError("data.path: name a file or folder, as in data.path=photos")
        places = [Path(self.path).expanduser().absolute(), (root / self.path).absolute()]
        place = next((place for place in places if look(place)), None)
        if place is None:
            raise UserError(f"data.path: there is no {describe_link(places[0])}, nor {self.path} in data.root={root}")
        return [place]

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray:
        """As :meth:`Dataset.labels`."""
        origin, rows = self._rows(split, sources[0])
        return self.read_labels(origin, sources[0])[rows]

    def read(self, split: Split, sources: list[Path]) -> Iterator[Chunk | Unreadable]:
        """As :meth:`Dataset.read`."""
        origin, rows = self._rows(split, sources[0])
        return self.read_images(origin, sources[0], rows)

    def read_rows(self, split: Split, sources: list[Path], rows: np.ndarray) -> Iterator[Chunk | Unreadable]:
        """As :meth:`Dataset.read_rows`."""
        origin, every = self._rows(split, sources[0])
        return self.read_images(origin, sources[0], every[rows])

    def _rows(self, split: Split, place: Path) -> tuple[Split, np.ndarray]:
        """The split of the files that a split is part of, and which rows of it."""
        origin: Split = split if split in self.splits else "train"
        labels = self.read_labels(origin, place)
        if "test" in self.splits or split == "val":
            return origin, np.arange(len(labels))
        return origin, stratified(labels, self.test_fraction, 0)[split == "test"]


def find_split(*names: str) -> Split | None:
    """The split that names of files and folders speak of.

    Args:
        names: such as ``train-00000-of-00002.parquet``

    Returns:
        The first one; None if they speak of none.
    """
    words = [word for name in names for word in re.split(r"[^a-z]+", name.lower())]
    return next((SPLITS[word] for word in words if word in SPLITS), None)


def list_splits(place: Path, suffix: str) -> dict[Split, list[Path]]:
    """List files of data by their split, which is a word in their name or in the name of a folder below ``place``.

    Args:
        place: a file, or a folder with one or more for each split
        suffix: of their names

    Returns:
        The files of each split, sorted; a single file, or files without such a word where none has one, are ``train``.

    Raises:
        UserError: if there is none.
    """
    files = [place] if place.is_file() else [file for file in list_files(place) if file.suffix.lower() == suffix]
    if not files:
        raise UserError(f"{place} holds no {suffix} file{describe_files(list_files(place))}")
    if len(files) == 1:
        return {"train": files}
    names = [find_split(*file.relative_to(place).parts) for file in files]
    if not any(names):
        return {"train": files}
    by_split: dict[Split, list[Path]] = {}
    for name, file in zip(names, files, strict=True):
        if name:
            by_split.setdefault(name, []).append(file)
    if "train" not in by_split:
        raise UserError(f"{place} has no {suffix} file with train in its name, beside those of {', '.join(by_split)}")
    return by_split


def describe_files(files: Iterable[Path]) -> str:
    """The end of a message about what a folder holds instead.

    Args:
        files: in it

    Returns:
        The kinds of its files, most frequent first; nothing for an empty folder.
    """
    counts: dict[str, int] = {}
    for file in files:
        counts[file.suffix.lower() or file.name] = counts.get(file.suffix.lower() or file.name, 0) + 1
    kinds = sorted(counts, key=lambda kind: -counts[kind])[:4]
    return f", but {', '.join(f'{counts[kind]:,} {kind}' for kind in kinds)}" if kinds else ""


def name_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Class names as texts can spell them.

    Args:
        names: of folders, or in the files

    Returns:
        The names with composed accents; among words ``+`` and ``,``, which are syntax in texts, become spaces.
    """
    composed = [unicodedata.normalize("NFC", name).strip() for name in names]
    if all(len(name) == 1 for name in composed):
        return tuple(composed)
    return tuple(re.sub(r"[\s+,]+", " ", name).strip() or name for name in composed)


def name_labels(values: np.ndarray, names: Sequence[str] | None, place: Path) -> tuple[str, ...]:
    """Name the labels that a file has as numbers or texts.

    Args:
        values: of the training images, (N,)
        names: of the different values in order; None: the values name themselves
        place: of the file, for messages

    Returns:
        The classes.

    Raises:
        UserError: if there are not as many names as values.
    """
    different = np.unique(values).tolist()
    if names is not None and len(names) != len(different):
        raise UserError(f"data.classes: {len(names)} names, but {place} has {len(different)} labels; name each")
    return name_classes(list(map(str, different)) if names is None else names)


def find_numbers(values: np.ndarray, train: np.ndarray, what: str) -> np.ndarray:
    """Number the labels that a file has as numbers or texts.

    Args:
        values: of some images, (N,)
        train: of the training images
        what: they are, for messages

    Returns:
        The place of each among the different values of the training images, int64 (N,).

    Raises:
        UserError: if a value is none of these.
    """
    different = np.unique(train)
    if (foreign := np.setdiff1d(values, different)).size:
        raise UserError(f"{what} labels have {foreign[0]}, which no training image has")
    return np.searchsorted(different, values)
