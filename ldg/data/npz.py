"""Images and labels in .npz files, in MedMNIST's layout and in that of Keras."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from ldg.data.dataset import DAMAGE, Chunk, Split, progress, rows_between
from ldg.data.user import Contents, UserDataset, describe_files, find_numbers, name_labels
from ldg.errors import UserError, one_line

CHUNK = 1 << 22  # bytes that are read at once
# names of the arrays of a split: its images and its labels
LAYOUTS: list[dict[Split, tuple[str, str]]] = [
    {split: (f"{split}_images", f"{split}_labels") for split in ("train", "val", "test")},
    {split: (f"x_{split}", f"y_{split}") for split in ("train", "val", "test")},
]


class Npz(UserDataset):
    """Images uint8 (N, H, W) or (N, H, W, C) and labels (N,) or (N, 1) in a .npz file.

    The arrays are called ``train_images``, ``train_labels`` and the same for ``val`` and ``test``, or ``x_train``,
    ``y_train`` and so on. They are read in chunks.

    Args:
        path: of the file
        classes: names of the labels that occur, in order; None: the labels themselves
        test_fraction: share of each class that becomes the test split if there is none
    """

    def list_files(self, place: Path) -> dict[Split, tuple[str, str]]:
        """As :meth:`UserDataset.list_files`: the names of the arrays."""
        if place.is_dir():
            raise UserError(f"data.path: {place} is a folder{describe_files(place.iterdir())}; name a .npz file")
        return find_layout(place)

    def find(self, place: Path) -> Contents:
        """As :meth:`UserDataset.find`."""
        layout = self.listed(place)
        shapes = {}
        for split, (images, _) in layout.items():
            with open_array(place, images) as (_, shape, dtype):
                if dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)):
                    raise UserError(
                        f"{place}: {images} is {dtype} {shape}; it should be uint8 (N, H, W) or (N, H, W, 3)"
                    )
                shapes[split] = shape[1:]
        if len(set(shapes.values())) > 1:
            raise UserError(f"{place}: the images of its splits have several shapes, {shapes}")
        height, width, channels = (*shapes["train"], 1)[:3]
        classes = name_labels(self._values("train", place), self.names, place)
        return Contents(classes, (channels, height, width), tuple(layout))

    def read_labels(self, split: Split, place: Path) -> np.ndarray:
        """As :meth:`UserDataset.read_labels`."""
        return find_numbers(self._values(split, place), self._values("train", place), f"{place}: {split}")

    def read_images(self, split: Split, place: Path, rows: np.ndarray) -> Iterator[Chunk]:
        """As :meth:`UserDataset.read_images`."""
        labels = self.read_labels(split, place)
        with open_array(place, self.listed(place)[split][0]) as (file, shape, _), progress(shape[0], "reading") as bar:
            size = int(np.prod(shape[1:]))
            most = max(1, CHUNK // size)
            for start in range(0, shape[0], most):
                count = min(most, shape[0] - start)
                data = np.frombuffer(file.read(count * size), np.uint8)
                images = data.reshape(count, *self.image_shape[1:], self.image_shape[0]).transpose(0, 3, 1, 2)
                inside = rows_between(rows, start, start + count)
                yield images[inside - start], labels[inside]
                bar.update(count)

    def _values(self, split: Split, place: Path) -> np.ndarray:
        images, name = self.listed(place)[split]
        with open_array(place, images) as (_, shape, _):
            count = shape[0]
        with np.load(place) as arrays:
            labels = arrays[name]
        if labels.shape not in ((count,), (count, 1)) or labels.dtype.kind not in "iuUb":
            raise UserError(
                f"{place}: {name} is {labels.dtype} {labels.shape}; {count} images need one label each, ({count},)"
            )
        return labels.reshape(-1)


def find_layout(place: Path) -> dict[Split, tuple[str, str]]:
    """Find what the arrays of each split are called.

    Args:
        place: of the file

    Returns:
        The names of images and labels of each split that has both.

    Raises:
        UserError: if it is no .npz file, or has no training images with labels.
    """
    try:
        with zipfile.ZipFile(place) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise UserError(f"{place} is damaged or no .npz file ({one_line(error)})") from error
    for layout in LAYOUTS:
        there = {split: pair for split, pair in layout.items() if set(pair) <= set(names)}
        if "train" in there:
            return there
    raise UserError(
        f"{place} has the arrays {', '.join(names[:8])}; it should have train_images and train_labels, or x_train and "
        "y_train"
    )


@contextmanager
def open_array(place: Path, name: str) -> Iterator[tuple[BinaryIO, tuple[int, ...], np.dtype[Any]]]:
    """Open an array of a .npz file behind its header.

    Args:
        place: of the file
        name: of the array

    Yields:
        The file, the shape of the array and its type.

    Raises:
        UserError: if the array is damaged, or is stored by columns.
    """
    try:
        with zipfile.ZipFile(place) as archive, archive.open(f"{name}.npy") as file:
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
            shape, by_columns, dtype = read(file)
            if by_columns and len(shape) > 1:
                raise ValueError("it is stored by columns; save np.ascontiguousarray of it")
            yield cast(BinaryIO, file), shape, dtype
    except (*DAMAGE, KeyError) as error:
        raise UserError(f"{place}: {name} cannot be read ({one_line(error)})") from error
