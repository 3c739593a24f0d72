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


def find(folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, unpacked or as ``.gz``, or None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read(images: Path, labels: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield chunks of images uint8 (n, H, W), as stored, with their labels (n,).

    Raises UserError, naming the file, if one is damaged, is no IDX file, or holds another number of items than it says
    or than the other file.
    """
    numbers = read_labels(labels)
    with open_idx(images) as file:
        count, height, width = header(file, images, IMAGES, 3)
        if count != len(numbers):
            raise UserError(
                f"{images} holds {count} images but {labels} {len(numbers)} labels; they must be of one release"
            )
        with progress(count, f"reading {images.name}") as bar:
            for start in range(0, count, CHUNK):
                n = min(CHUNK, count - start)
                chunk = np.frombuffer(take(file, images, n * height * width), np.uint8).reshape(n, height, width)
                yield chunk, numbers[start : start + n]
                bar.update(n)
        end(file, images)


def read_labels(path: Path) -> np.ndarray:
    """All labels of an IDX file, uint8 (N,). Raises UserError as ``read`` does."""
    with open_idx(path) as file:
        (count,) = header(file, path, LABELS, 1)
        labels = np.frombuffer(take(file, path, count), np.uint8)
        end(file, path)
    return labels


def open_idx(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def header(file: BinaryIO, path: Path, magic: int, dimensions: int) -> tuple[int, ...]:
    found, *shape = struct.unpack(f">{1 + dimensions}I", take(file, path, 4 * (1 + dimensions)))
    if found != magic:
        raise UserError(f"{path} is not the IDX file its name says: it starts with {found:#x} instead of {magic:#x}")
    return tuple(shape)


def take(file: BinaryIO, path: Path, count: int) -> bytes:
    try:
        data = file.read(count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); put a fresh copy in its place") from error
    if len(data) < count:
        raise UserError(f"{path} is truncated: {count - len(data)} bytes are missing; put a fresh copy in its place")
    return data


def end(file: BinaryIO, path: Path) -> None:
    """Make sure that the file ends here; reading to the end also has gzip check its checksum."""
    try:
        more = file.read(1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); put a fresh copy in its place") from error
    if more:
        raise UserError(f"{path} goes on after the last item its header announces; put a fresh copy in its place")
