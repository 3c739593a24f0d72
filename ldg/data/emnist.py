"""EMNIST: handwritten letters and digits (Cohen, Afshar, Tapson and van Schaik 2017), from NIST Special Database 19."""

import string
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ldg.data import idx
from ldg.data.dataset import DAMAGE, Chunk, Dataset, Split
from ldg.data.download import guard_download, raise_missing, resume_download
from ldg.data.mat import read_struct
from ldg.data.paths import list_files, open_regular
from ldg.errors import UserError, one_line

URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
# size in bytes and SHA-256 as TensorFlow Datasets publishes them (url_checksums/emnist.txt)
PUBLISHED = (561753746, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e")

LARGEST = 1 << 30  # bytes of an unpacked MAT file

BYCLASS = string.digits + string.ascii_uppercase + string.ascii_lowercase
# small letters that look like their capitals share the capital's class
MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"
# `letters` merges every small letter with its capital; NIST's mapping lists both, torchvision names the small one
CHARACTERS: dict[str, str] = {
    "byclass": BYCLASS,
    "bymerge": MERGED,
    "balanced": MERGED,
    "letters": string.ascii_lowercase,
    "digits": string.digits,
    "mnist": string.digits,
}


class EMNIST(Dataset):
    """One of EMNIST's six splits: 28x28 grey images, ink 255 on 0, upright.

    The files have torchvision's names, ``EMNIST/raw/emnist-<split>-{train,test}-{images-idx3,labels-idx1}-ubyte[.gz]``.
    Without them, ``emnist-<split>.mat`` or NIST's archive ``gzip.zip`` is read if it lies in ``EMNIST`` or a folder
    below; otherwise the archive is downloaded. Classes are characters, from NIST's mapping.

    Args:
        split: 62 classes in ``byclass``, 47 in ``bymerge`` and ``balanced``, 26 in ``letters``, 10 in ``digits`` and
            ``mnist``
    """

    def __init__(
        self, split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = "byclass"
    ) -> None:
        self.split = split
        self.classes = tuple(CHARACTERS[split])

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """As :meth:`ldg.data.dataset.Dataset.sources`: the files of images and of labels."""
        folder = root / "EMNIST" / "raw"
        wanted = self._names(split)
        if not all(idx.find_file(folder, name) for name in wanted):
            if packed := find_packed(folder.parent, f"emnist-{self.split}.mat"):
                return [packed]
            if download:
                return [download_archive(folder, [*self._names("train"), *self._names("test")])]
        return [idx.find_file(folder, name) or raise_missing(folder / f"{name}.gz", "EMNIST") for name in wanted]

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray:
        """As :meth:`ldg.data.dataset.Dataset.labels`."""
        if sources[0].suffix == ".mat":
            _, labels = read_mat(sources[0], split)
        else:
            labels = idx.read_labels(*self._files(split, sources))
        return labels.astype(np.int64) - self._first

    def read(self, split: Split, sources: list[Path]) -> Iterator[Chunk]:
        """As :meth:`ldg.data.dataset.Dataset.read`."""
        chunks = [read_mat(sources[0], split)] if sources[0].suffix == ".mat" else None
        for images, labels in chunks or idx.read_chunks(*self._files(split, sources)):
            # NIST stores columns as rows
            yield images.swapaxes(1, 2)[:, None], labels.astype(np.int64) - self._first

    @property
    def _first(self) -> int:
        return 1 if self.split == "letters" else 0  # the only split that counts from 1

    def _names(self, split: Split) -> list[str]:
        """The names of the files of images and of labels, without ``.gz``."""
        return [f"emnist-{self.split}-{split}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]

    def _files(self, split: Split, sources: list[Path]) -> list[idx.File]:
        """The files of images and of labels, in NIST's archive if that is the source."""
        if len(sources) == 2:
            return list(sources)
        (archive,) = sources
        with zipfile.ZipFile(archive) as packed:
            members = {Path(name).name.removesuffix(".gz"): name for name in packed.namelist()}
        if missing := [name for name in self._names(split) if name not in members]:
            raise UserError(f"{archive} holds no {missing[0]}; put NIST's gzip.zip in its place")
        return [zipfile.Path(archive, members[name]) for name in self._names(split)]


def find_packed(folder: Path, mat: str) -> Path | None:
    """Find what holds a split besides files of IDX format.

    Args:
        folder: where to look, with the folders below
        mat: name of the split's MAT file

    Returns:
        The MAT file, or else NIST's archive; None if there is neither.
    """
    files = {file.name.lower(): file for file in list_files(folder)}
    archive = files.get("gzip.zip")
    return files.get(mat) or (archive if archive and is_archive(archive) else None)


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP archive to its end, where its list of files stands.

    Args:
        path: of a file, which may be missing
    """
    try:
        with zipfile.ZipFile(path) as packed:
            return bool(packed.namelist())
    except DAMAGE:
        return False


def read_mat(path: Path, split: Split) -> Chunk:
    """Read a part of a MAT file as NIST publishes it.

    Args:
        path: of the file
        split: ``train`` or ``test``

    Returns:
        Images uint8 (N, 28, 28), as stored, and labels uint8 (N,).

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with open_regular(path) as file:
            part = read_struct(file.read(), "dataset", LARGEST)[split]
        images, labels = part["images"], part["labels"].reshape(-1)
        if images.dtype != np.uint8 or images.shape != (len(labels), 784):
            raise ValueError(f"images {images.dtype} {images.shape} for {len(labels)} labels")
        return images.reshape(-1, 28, 28), labels
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged or not NIST's ({one_line(error)}); put a fresh copy in its place"
        ) from error


def download_archive(folder: Path, wanted: list[str]) -> Path:
    """Download the archive of all splits, which is read as it is.

    Args:
        folder: where it belongs
        wanted: names of the files in it that are missing, without ``.gz``

    Returns:
        The archive.

    Raises:
        UserError: if the download fails.
    """
    archive = folder / "gzip.zip"
    with guard_download(folder, wanted, "EMNIST"):
        if not is_archive(archive):  # another process may have downloaded it while this one waited
            resume_download(URL, archive, *PUBLISHED)
    return archive
