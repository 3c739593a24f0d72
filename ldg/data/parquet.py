"""Pictures in Parquet files, as Hugging Face hubs hold them, read through pyarrow (``pip install "ldg[parquet]"``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ldg.data.dataset import Chunk, Split, Unreadable
from ldg.data.pictures import CHUNK, Pictures, open_picture
from ldg.data.user import Contents, UserDataset, find_numbers, list_splits, name_classes, name_labels
from ldg.errors import UserError, missing_package, one_line

if TYPE_CHECKING:
    from PIL import Image

IMAGES, LABELS = ("image", "img", "picture", "photo"), ("label", "labels", "class", "target")  # usual names of columns


class Parquet(UserDataset):
    """A column of pictures, as bytes or as Hugging Face's ``{bytes, path}``, and a column of classes.

    A path is one below the folder of its Parquet file.

    Splits are words in the names of files or of the folders above them, as in ``train-00000-of-00002.parquet``.
    Names of classes stand in Hugging Face's description of the columns if there is one.

    Args:
        path: of a file, or of a folder of shards
        pictures: how pictures become images
        image_column: that holds the pictures; None: the only one that can
        label_column: that holds the classes; None: the only one that can
        classes: names of the labels, in order; None: those in the file, or the labels themselves
        test_fraction: share of each class that becomes the test split if there is none
    """

    def __init__(
        self,
        path: str | None,
        pictures: Pictures,
        image_column: str | None = None,
        label_column: str | None = None,
        classes: list[str] | None = None,
        test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__(path, classes, test_fraction)
        self.pictures, self.max_bad = pictures, pictures.max_bad
        self.image_column, self.label_column = image_column, label_column

    def list_files(self, place: Path) -> dict[Split, list[Path]]:
        """As :meth:`UserDataset.list_files`: the shards."""
        return list_splits(place, ".parquet")

    def find(self, place: Path) -> Contents:
        """As :meth:`UserDataset.find`."""
        files = self.listed(place)
        for file in (file for split in files.values() for file in split):
            self._columns(file)
        # the hidden labels of a competition's test images are all -1
        labelled = [split for split in files if split == "train" or not (self._values(files[split]) == -1).all()]
        described, values = self._described(files["train"]), self._values(files["train"])
        if described and self.names and len(self.names) != len(described):
            raise UserError(
                f"data.classes: {len(self.names)} names, but {place} has {len(described)} classes; name each"
            )
        classes = name_classes(self.names or described) if described else name_labels(values, self.names, place)
        every = ((name, picture) for split in labelled for name, picture in self._pictures(files[split]))
        total = sum(len(self._values(files[split])) for split in labelled)
        return Contents(classes, self.pictures.find_shape(every, total), tuple(labelled))

    def read_labels(self, split: Split, place: Path) -> np.ndarray:
        """As :meth:`UserDataset.read_labels`."""
        files = self.listed(place)
        values = self._values(files[split])
        if self._described(files["train"]):
            return values.astype(np.int64)
        return find_numbers(values, self._values(files["train"]), f"{place}: {split}")

    def read_images(self, split: Split, place: Path, rows: np.ndarray) -> Iterator[Chunk | Unreadable]:
        """As :meth:`UserDataset.read_images`."""
        labels, chosen = self.read_labels(split, place), set(rows.tolist())
        every = enumerate(self._pictures(self.listed(place)[split]))
        items = ((name, picture, labels[row]) for row, (name, picture) in every if row in chosen)
        return self.pictures.read(items, self.image_shape, len(rows), f"decoding {split} pictures")

    def _columns(self, file: Path) -> tuple[str, str]:
        """The columns of images and of labels."""
        with opened(file) as opened_file:
            schema = opened_file.schema_arrow
        from pyarrow import types  # `opened` says if it is missing

        features = read_features(file)
        columns: list[str] = []
        images = types.is_struct, types.is_binary, types.is_large_binary
        labels = types.is_integer, types.is_string, types.is_large_string
        for what, given, usual, feature, kinds in (
            ("image", self.image_column, IMAGES, "Image", images),
            ("label", self.label_column, LABELS, "ClassLabel", labels),
        ):
            fitting = [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)]
            described = [name for name in fitting if features.get(name, {}).get("_type") == feature]
            usually = [name for name in fitting if name in usual]
            choices = [given] if given else next((names for names in (described, usually, fitting) if names), [])
            if len(choices) != 1 or choices[0] not in schema.names:
                there = f"{file} has the columns {', '.join(schema.names)}"
                wrong = f"no column {given}" if given else f"{len(choices) or 'no'} columns of {what}s"
                which = f": {', '.join(choices)}" if len(choices) > 1 else ""
                raise UserError(f"{there}, {wrong}{which}; name one with data.{what}_column=...")
            columns += choices
        return columns[0], columns[1]

    def _described(self, files: list[Path]) -> list[str] | None:
        """The names of classes in Hugging Face's description, for labels that are their numbers."""
        names = read_features(files[0]).get(self._columns(files[0])[1], {}).get("names")
        return names if self._values(files).dtype.kind in "iu" else None

    def _values(self, files: list[Path]) -> np.ndarray:
        parts = [_read_column(file, self._columns(file)[1], file.stat().st_mtime_ns) for file in files]
        return np.concatenate(parts)

    def _pictures(self, files: list[Path]) -> Iterator[tuple[str, Any]]:
        """Name and source of each picture."""
        for file in files:
            column = self._columns(file)[0]
            with opened(file) as opened_file:
                row = 0
                for batch in opened_file.iter_batches(CHUNK, columns=[column]):
                    for value in batch.column(0).to_pylist():
                        item = value if isinstance(value, dict) else {"bytes": value}
                        content, path = item.get("bytes"), item.get("path")
                        source = content or b""
                        if path and content is None:
                            source = partial(open_below, file.parent, path)
                        yield f"{file}, row {row}{f' ({path})' if path else ''}", source
                        row += 1


def open_below(folder: Path, path: str) -> Image.Image:
    """Open a picture that a row names; no other files of the machine, since a stranger may have written the row.

    Args:
        folder: of the Parquet file
        path: of the picture, relative to the folder

    Returns:
        The picture, not yet decoded.

    Raises:
        ValueError: if it does not lie below the folder, or is no picture.
        OSError: if its file cannot be read.
    """
    place = (folder / path).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise ValueError("it lies outside of the Parquet file's folder")
    return open_picture(place)


@lru_cache
def _read_column(file: Path, column: str, modified: int) -> np.ndarray:
    with opened(file) as opened_file:
        values = opened_file.read([column]).column(0)
    if values.null_count:
        raise UserError(f"{file}: column {column} lacks {values.null_count:,} labels")
    return np.array(values.to_pylist())


def read_features(file: Path) -> dict[str, Any]:
    """Read Hugging Face's description of the columns.

    Args:
        file: Parquet file

    Returns:
        The description of each column; nothing if the file has none.
    """
    with opened(file) as opened_file:
        metadata = opened_file.schema_arrow.metadata or {}
    try:
        return dict(json.loads(metadata[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Open a Parquet file.

    Args:
        file: to read

    Yields:
        pyarrow's object.

    Raises:
        UserError: if pyarrow is missing, or the file is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(missing_package("pyarrow")) from None
    try:
        with pyarrow.parquet.ParquetFile(file) as opened_file:
            yield opened_file
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file} is damaged or no Parquet file ({one_line(error)[:200]})") from error
