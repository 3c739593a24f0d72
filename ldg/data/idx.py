"""The IDX format of MNIST and its relatives: a big-endian header, then bytes; plain or gzipped."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ldg.data.dataset import progress
from ldg.errors import UserError

CHUNK = 4096  # images
IMAGES, LABELS = 0x803, 0x801  # magic numbers: unsigned bytes in three dimensions, in one


def find_file(folder: Path, name: str) -> Path | None:
    """Find a file, unpacked or gzipped.

    Args:
        folder: where to look
        name: of the file, without ``.gz``

    Returns:
        Its path, None if there is no such file.
    """
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_chunks(images: Path, labels: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read a file of images and its file of labels in chunks.

    Args:
        images: path of the images
        labels: path of the labels

    Yields:
        Images uint8 (n, H, W), as stored, and labels uint8 (n,).

    Raises:
        UserError: if a file is damaged or no IDX file, or its number of items is not that of its header or of the
            other file.
    """
    numbers = read_labels(labels)
    with open_idx(images) as file:
        count, height, width = read_header(file, images, IMAGES, 3)
        if count != len(numbers):
            raise UserError(
                f"{images} holds {count} images but {labels} {len(numbers)} labels; they must be of one release"
            )
        with progress(count, f"reading {images.name}") as bar:
            for start in range(0, count, CHUNK):
                n = min(CHUNK, count - start)
                chunk = np.frombuffer(read_bytes(file, images, n * height * width), np.uint8).reshape(n, height, width)
                yield chunk, numbers[start : start + n]
                bar.update(n)
        check_end(file, images)


def read_labels(path: Path) -> np.ndarray:
    """Read all labels of an IDX file.

    Args:
        path: of the file

    Returns:
        Labels uint8 (N,).

    Raises:
        UserError: as :func:`read_chunks`.
    """
    with open_idx(path) as file:
        (count,) = read_header(file, path, LABELS, 1)
        labels = np.frombuffer(read_bytes(file, path, count), np.uint8)
        check_end(file, path)
    return labels


def open_idx(path: Path) -> BinaryIO:
    """Open a file, through gzip if its name ends in ``.gz``.

    Args:
        path: of the file

    Returns:
        The file, open for reading bytes.
    """
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def read_header(file: BinaryIO, path: Path, magic: int, dimensions: int) -> tuple[int, ...]:
    """Read the header of an IDX file.

    Args:
        file: open at its beginning
        path: of the file, for messages
        magic: the number that the file must begin with
        dimensions: number of dimensions of its array

    Returns:
        The shape of the array.

    Raises:
        UserError: if the file begins with another number or ends within the header.
    """
    number, *shape = struct.unpack(f">{1 + dimensions}I", read_bytes(file, path, 4 * (1 + dimensions)))
    if number != magic:
        raise UserError(f"{path} is not the IDX file its name says: it starts with {number:#x} instead of {magic:#x}")
    return tuple(shape)


def read_bytes(file: BinaryIO, path: Path, count: int) -> bytes:
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
    try:
        data = file.read(count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); put a fresh copy in its place") from error
    if len(data) < count:
        raise UserError(f"{path} is truncated: {count - len(data)} bytes are missing; put a fresh copy in its place")
    return data


def check_end(file: BinaryIO, path: Path) -> None:
    """Check that a file ends here; at its end gzip also compares the checksum.

    Args:
        file: where to check
        path: of the file, for messages

    Raises:
        UserError: if more bytes follow or the checksum is wrong.
    """
    try:
        more = file.read(1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); put a fresh copy in its place") from error
    if more:
        raise UserError(f"{path} goes on after the last item its header announces; put a fresh copy in its place")
