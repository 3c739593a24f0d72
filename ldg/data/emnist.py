"""EMNIST: handwritten letters and digits (Cohen, Afshar, Tapson and van Schaik 2017), from NIST Special Database 19."""

import shutil
import string
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ldg.data import idx
from ldg.data.dataset import Dataset, Split
from ldg.data.download import compute_sha256, guard_download, raise_missing, resume_download
from ldg.files import whole

URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
# size in bytes and SHA-256 as TensorFlow Datasets publishes them (url_checksums/emnist.txt)
PUBLISHED = (561753746, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e")

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

    The files have torchvision's names, ``EMNIST/raw/emnist-<split>-{train,test}-{images-idx3,labels-idx1}-ubyte[.gz]``;
    missing ones are downloaded. Classes are characters, from NIST's mapping.

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
        wanted = [f"emnist-{self.split}-{split}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if download and not all(idx.find_file(folder, name) for name in wanted):
            download_archive(folder, wanted)
        return [idx.find_file(folder, name) or raise_missing(folder / f"{name}.gz", "EMNIST") for name in wanted]

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As :meth:`ldg.data.dataset.Dataset.read`."""
        first = 1 if self.split == "letters" else 0  # the only split that counts from 1
        for images, labels in idx.read_chunks(*sources):
            yield images.swapaxes(1, 2)[:, None], labels.astype(np.int64) - first  # NIST stores columns as rows


def download_archive(folder: Path, wanted: list[str]) -> None:
    """Download the archive of all splits and unpack its files.

    Args:
        folder: where the ``.gz`` files belong
        wanted: names of the missing files, without ``.gz``

    Raises:
        UserError: if the download fails, or a file cannot be written.
    """
    with guard_download(folder, wanted, "EMNIST"):
        if all(idx.find_file(folder, name) for name in wanted):  # another process downloaded it while this one waited
            return
        archive = folder / "gzip.zip"
        # it is there if there was no room to unpack it
        if not archive.exists() or compute_sha256(archive) != PUBLISHED[1]:
            resume_download(URL, archive, *PUBLISHED)
        with zipfile.ZipFile(archive) as packed:
            for name in (name for name in packed.namelist() if name.endswith(".gz")):
                with packed.open(name) as source, whole(folder / Path(name).name) as part, part.open("wb") as file:
                    shutil.copyfileobj(source, file)
        archive.unlink()
