"""EMNIST: handwritten letters and digits (Cohen, Afshar, Tapson and van Schaik 2017), from NIST Special Database 19."""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ldg.data import idx
from ldg.data.dataset import Dataset, Split
from ldg.data.download import guard, missing

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
    """One of EMNIST's six splits, 28x28 grey, ink 255 on 0, turned upright.

    Read from torchvision's layout ``EMNIST/raw/emnist-<split>-{train,test}-{images-idx3,labels-idx1}-ubyte[.gz]``, or
    downloaded there. Classes are characters, from NIST's mapping.
    """

    def __init__(
        self, split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = "byclass"
    ) -> None:
        self.split = split
        self.classes = tuple(CHARACTERS[split])

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        folder = root / "EMNIST" / "raw"
        wanted = [f"emnist-{self.split}-{split}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if download and not all(idx.find(folder, name) for name in wanted):
            fetch(folder, wanted)
        return [idx.find(folder, name) or missing(folder / f"{name}.gz", "EMNIST") for name in wanted]

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        first = 1 if self.split == "letters" else 0  # the only split that counts from 1
        for images, labels in idx.read(*sources):
            yield images.swapaxes(1, 2)[:, None], labels.astype(np.int64) - first  # NIST stores columns as rows


def fetch(folder: Path, wanted: list[str]) -> None:
    """Download the archive of all splits through torchvision (MD5 checked); its ``.gz`` files end up in ``folder``."""
    with guard(folder, wanted, "EMNIST"):
        if all(idx.find(folder, name) for name in wanted):  # another process fetched it while this one waited
            return
        from torchvision.datasets import EMNIST as Published
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(Published.url, str(folder), md5=Published.md5, remove_finished=True)
        for path in (folder / "gzip").glob("*.gz"):
            path.replace(folder / path.name)
