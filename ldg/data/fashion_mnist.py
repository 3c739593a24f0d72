"""Fashion-MNIST: pictures of clothes (Xiao, Rasul and Vollgraf 2017)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldg.data import idx
from ldg.data.dataset import Dataset, Split
from ldg.data.download import guard, missing


class FashionMNIST(Dataset):
    """70,000 articles of clothing in 10 classes, 28x28 grey, bright on 0.

    Read from torchvision's layout ``FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]``, or downloaded
    there.
    """

    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        folder = root / "FashionMNIST" / "raw"
        part = "train" if split == "train" else "t10k"
        wanted = [f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if download and not all(idx.find(folder, name) for name in wanted):
            fetch(folder, wanted)
        return [idx.find(folder, name) or missing(folder / f"{name}.gz", "FashionMNIST") for name in wanted]

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images, labels in idx.read(*sources):
            yield images[:, None], labels


def fetch(folder: Path, wanted: list[str]) -> None:
    """Download the missing files through torchvision (MD5 checked)."""
    with guard(folder, wanted, "FashionMNIST"):
        from torchvision.datasets import FashionMNIST as Published
        from torchvision.datasets.utils import download_url

        for name, md5 in Published.resources:
            if name.removesuffix(".gz") in wanted and not idx.find(folder, name.removesuffix(".gz")):
                download_url(Published.mirrors[0] + name, str(folder), md5=md5)
