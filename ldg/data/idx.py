"""The IDX format of MNIST and its relatives: a big-endian header, then bytes; plain or gzipped."""

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ldg.data.dataset import progress
from ldg.data.download import usual_name
from ldg.data.paths import list_files, open_regular
from ldg.errors import UserError

CHUNK = 4096  # images
LARGEST = 1 << 26  # bytes of an image, and of a chunk
DEFLATE = 1032  # gzip's format makes data smaller by no larger factor
File = Path | zipfile.Path  # the latter in an archive
IMAGES, LABELS = 0x803, 0x801  # magic numbers: unsigned bytes in three dimensions, in one


def find_file(folder: Path, name: str) -> Path | None:
    """Find a file, unpacked or gzipped, under its name or the one file nearby that has another of its usual names.

    Such names have dots for dashes (``train-images.idx3-ubyte``) or another case, or stand in a folder that an archive
    was unpacked to. Nearby is the folder above and all folders below it.

    Args:
        folder: where the file belongs
        name: of the file, without ``.gz``

    Returns:
        Its path, None if there is no such file, or several under other names.
    """
    expected = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    alike = [] if expected else [path for path in list_files(folder.parent) if usual_name(path) == name.lower()]
    return alike[0] if len(alike) == 1 else expected


def read_labels(images: File, labels: File) -> np.ndarray:
    """Read the labels of images.

    Args:
        images: path of the images, of which the header is read
        labels: path of the labels

    Returns:
        Labels uint8 (N,).

    Raises:
        UserError: as for :func:`read_chunks`.
    """
    with open_pair(images, labels) as (_, _, numbers):
        return numbers


def read_chunks(images: File, labels: File) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read a file of images and its file of labels in chunks.

    What the headers promise is compared with each other and with the files' sizes before anything else is read.

    Args:
        images: path of the images
        labels: path of the labels

    Yields:
        Images uint8 (n, H, W), as stored, and labels uint8 (n,).

    Raises:
        UserError: if a file is damaged or no IDX file, or its number of items is not that of its header or of the
            other file.
    """
    with open_pair(images, labels) as (file, (height, width), numbers):
        most = max(1, min(CHUNK, LARGEST // max(1, height * width)))
        with progress(len(numbers), f"reading {images.name}") as bar:
            for start in range(0, len(numbers), most):
                n = min(most, len(numbers) - start)
                chunk = np.frombuffer(read_bytes(file, images, n * height * width), np.uint8).reshape(n, height, width)
                yield chunk, numbers[start : start + n]
                bar.update(n)
        check_end(file, images)


@contextmanager
def open_pair(images: File, labels: File) -> Iterator[tuple[BinaryIO, tuple[int, int], np.ndarray]]:
    """Open a file of images behind its header, and read its file of labels.

    Args:
        images: path of the images
        labels: path of the labels

    Yields:
        The file of images, height and width of an image, and the labels (N,).

    Raises:
        UserError: as for :func:`read_chunks`.
    """
    with open_idx(images) as file, open_idx(labels) as other:
        count, height, width = read_header(file, images, IMAGES, 3)
        (numbered,) = read_header(other, labels, LABELS, 1)
        if count != numbered:
            raise UserError(
                f"{images} holds {count} images but {labels} {numbered} labels; they must be of one release"
            )
        if count and not 0 < height * width <= LARGEST:
            raise UserError(f"{images} announces images of {height}x{width} pixels; put a fresh copy in its place")
        numbers = np.frombuffer(read_bytes(other, labels, count), np.uint8)
        check_end(other, labels)
        yield file, (height, width), numbers


@contextmanager
def open_idx(path: File) -> Iterator[BinaryIO]:
    """Open a file, through gzip if its first two bytes say so, whatever its name.

    Args:
        path: of the file

    Yields:
        The file, open for reading bytes.
    """
    with open_regular(path) if isinstance(path, Path) else cast(BinaryIO, path.open("rb")) as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not gzipped:
            yield file
            return
        with gzip.open(file) as unpacked:  # which leaves the file open
            yield cast(BinaryIO, unpacked)


def read_header(file: BinaryIO, path: File, magic: int, dimensions: int) -> tuple[int, ...]:
    """Read the header of an IDX file.

    Args:
        file: open at its beginning
        path: of the file, for messages
        magic: the number that the file must begin with
        dimensions: number of dimensions of its array

    Returns:
        The shape of the array.

    Raises:
        UserError: if the file begins with another number, ends within the header, or cannot hold such an array.
    """
    number, *shape = struct.unpack(f">{1 + dimensions}I", read_bytes(file, path, 4 * (1 + dimensions)))
    if number != magic:
        raise UserError(f"{path} is not the IDX file its name says: it starts with {number:#x} instead of {magic:#x}")
    size = path.stat().st_size if isinstance(path, Path) else path.root.getinfo(path.at).file_size
    promised = 4 * (1 + dimensions) + math.prod(shape)
    gzipped = isinstance(file, gzip.GzipFile)
    if promised > size * (DEFLATE if gzipped else 1):
        announced = f"its header announces {promised} bytes, but it has {size}{' when packed' if gzipped else ''}"
        raise UserError(f"{path} is truncated: {announced}; put a fresh copy in its place")
    return tuple(shape)


def read_bytes(file: BinaryIO, path: File, count: int) -> bytes:
    """Read a number of bytes.

    Args:
        file: where to read
        path: of the file, for messages
        count: number of bytes

    Returns:
        So many bytes.

    Raises:
        UserError: if the file is damaged or ends before them.
    """
    data = _read(file, path, count)
    if len(data) < count:
        raise UserError(f"{path} is truncated: {count - len(data)} bytes are missing; put a fresh copy in its place")
    return data


def check_end(file: BinaryIO, path: File) -> None:
    """Check that a file ends here; at its end gzip also compares the checksum.

    Args:
        file: where to check
        path: of the file, for messages

    Raises:
        UserError: if more bytes follow or the checksum is wrong.
    """
    if _read(file, path, 1):
        raise UserError(f"{path} goes on after the last item its header announces; put a fresh copy in its place")


def _read(file: BinaryIO, path: File, count: int) -> bytes:
    try:
        return file.read(count)
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); put a fresh copy in its place") from error
