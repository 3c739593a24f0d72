"""Tables of pixels in .csv files, as Kaggle has them: a line is the label and the pixels of an image."""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ldg.data.dataset import Chunk, Split, progress, rows_between
from ldg.data.user import Contents, UserDataset, find_numbers, list_splits, name_labels
from ldg.errors import UserError, one_line

CHUNK = 2048  # lines
LABELS = ("label", "labels", "class", "target", "y")  # names of the column, in small letters


class Layout(NamedTuple):
    """What the first line of a file says.

    Attributes:
        has_header: whether it names the columns
        label: the column of labels; None: there is none
        shape: (C, H, W) of an image
    """

    has_header: bool
    label: int | None
    shape: tuple[int, int, int]


class Csv(UserDataset):
    """Square images in .csv files with a label and the pixels of an image in each line, 0 to 255.

    The label is in the column called ``label``, ``labels``, ``class``, ``target`` or ``y``, or else in the first; the
    others are pixels, row by row. Of coloured images, red, green and blue of a pixel follow each other. A file without
    labels has no use and is left out.

    Args:
        path: of a file, or of a folder whose files have ``train``, ``val`` or ``test`` in their names
        classes: names of the labels that occur, in order; None: the labels themselves
        test_fraction: share of each class that becomes the test split if there is none
    """

    def list_files(self, place: Path) -> dict[Split, list[Path]]:
        """As :meth:`UserDataset.list_files`: the files."""
        return list_tables(place)

    def find(self, place: Path) -> Contents:
        """As :meth:`UserDataset.find`."""
        files = self.listed(place)
        shapes = {read_layout(file).shape for split in files.values() for file in split}
        if len(shapes) > 1:
            raise UserError(f"{place}: its files have images of several shapes, {sorted(shapes)}")
        return Contents(name_labels(read_values(files["train"]), self.names, place), shapes.pop(), tuple(files))

    def read_labels(self, split: Split, place: Path) -> np.ndarray:
        """As :meth:`UserDataset.read_labels`."""
        files = self.listed(place)
        return find_numbers(read_values(files[split]), read_values(files["train"]), f"{place}: {split}")

    def read_images(self, split: Split, place: Path, rows: np.ndarray) -> Iterator[Chunk]:
        """As :meth:`UserDataset.read_images`."""
        labels, start = self.read_labels(split, place), 0
        channels, height, width = self.image_shape
        with progress(len(labels), f"reading {split} tables") as bar:
            for file in self.listed(place)[split]:
                layout = read_layout(file)
                with file.open(encoding="utf-8-sig") as lines:
                    remaining = islice(lines, int(layout.has_header), None)
                    while batch := [cut(each, layout.label)[1] for each in islice(remaining, CHUNK) if each.strip()]:
                        inside = rows_between(rows, start, start + len(batch))
                        chosen = [batch[row] for row in inside - start]
                        start += len(batch)
                        bar.update(len(batch))
                        if not chosen:
                            continue
                        try:
                            # not as uint8: NumPy before 2.3 cuts what does not fit
                            pixels = np.loadtxt(chosen, delimiter=",", comments=None, ndmin=2)
                            is_whole = (pixels >= 0) & (pixels <= 255) & (pixels % 1 == 0)
                            if not is_whole.all():
                                raise ValueError(f"there is {pixels[~is_whole][0]:g}")
                            images = pixels.astype(np.uint8).reshape(len(chosen), height, width, channels)
                            images = images.transpose(0, 3, 1, 2)
                        except ValueError as error:
                            reason = one_line(error)[:200]
                            raise UserError(
                                f"{file}: pixels should be whole numbers from 0 to 255 ({reason})"
                            ) from error
                        yield images, labels[inside]


def list_tables(place: Path) -> dict[Split, list[Path]]:
    """List the files of each split that have labels.

    Args:
        place: a file or a folder

    Returns:
        The files.

    Raises:
        UserError: if there is none, or the training images have no labels.
    """
    files = list_splits(place, ".csv")
    if without := next((file for file in files["train"] if read_layout(file).label is None), None):
        raise UserError(f"{without} has no labels: a line should be a label and the pixels of a square image")
    return {
        split: kept for split, each in files.items() if (kept := [f for f in each if read_layout(f).label is not None])
    }


def read_layout(file: Path) -> Layout:
    """Read the first line of a file.

    Args:
        file: to look at

    Returns:
        What it says.

    Raises:
        UserError: if its numbers are no square image.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            cells = [cell.strip().strip('"').lower() for cell in lines.readline(1 << 20).split(",")]
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8 ({error.reason})") from error
    has_header = any(cell and not is_number(cell) for cell in cells[1:])
    label = next((cells.index(name) for name in LABELS if name in cells), None) if has_header else None
    for pixels, column in ((len(cells) - 1, label or 0), (len(cells), None)):
        for channels in (1, 3):
            side = math.isqrt(pixels // channels)
            if side > 1 and side * side * channels == pixels:
                return Layout(has_header, column, (channels, side, side))
    raise UserError(
        f"{file}: its first line has {len(cells):,} columns; it should have a label and the pixels of a square image, "
        "such as 1 + 784"
    )


def is_number(cell: str) -> bool:
    """Whether a cell is a number, in whatever notation.

    Args:
        cell: without spaces around it
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True


def cut(line: str, label: int | None) -> tuple[str, str]:
    """Cut a line.

    Args:
        line: of a file
        label: the column of labels

    Returns:
        The label, and the other columns.
    """
    if not label:
        first, _, rest = line.partition(",")
        return first.strip().strip('"'), rest
    cells = line.split(",")
    return cells.pop(label).strip().strip('"') if label < len(cells) else "", ",".join(cells)


def read_values(files: list[Path]) -> np.ndarray:
    """The labels in files, as they stand there.

    Args:
        files: of one split

    Returns:
        Whole numbers if all are, else texts, (N,).
    """
    values = [value for file in files for value in _read_values(file, file.stat().st_mtime_ns)]
    try:
        return np.array([int(value) for value in values], np.int64)
    except ValueError:
        return np.array(values)


@lru_cache
def _read_values(file: Path, modified: int) -> tuple[str, ...]:
    layout = read_layout(file)
    with file.open(encoding="utf-8-sig") as lines:
        return tuple(cut(line, layout.label)[0] for line in islice(lines, int(layout.has_header), None) if line.strip())
