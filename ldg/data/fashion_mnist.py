"""Fashion-MNIST: images of clothes (Xiao, Rasul and Vollgraf 2017)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldg.data import idx
from ldg.data.dataset import Dataset, Split
from ldg.data.download import guard_download, raise_missing


class FashionMNIST(Dataset):
    """70,000 images of clothes in 10 classes, 28x28 grey, bright on 0.

    The files have torchvision's names, ``FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]``; missing
    ones are downloaded.
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
        """As :meth:`ldg.data.dataset.Dataset.sources`: the files of images and of labels."""
        folder = root / "FashionMNIST" / "raw"
        part = "train" if split == "train" else "t10k"
        wanted = [f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if download and not all(idx.find_file(folder, name) for name in wanted):
            download_files(folder, wanted)
        return [idx.find_file(folder, name) or raise_missing(folder / f"{name}.gz", "FashionMNIST") for name in wanted]

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As :meth:`ldg.data.dataset.Dataset.read`."""
        for images, labels in idx.read_chunks(*sources):
            yield images[:, None], labels


def download_files(folder: Path, wanted: list[str]) -> None:
    """Download missing files with torchvision, which checks their MD5.

    Args:
        folder: where the ``.gz`` files belong
        wanted: names of the files, without ``.gz``; those that exist are not downloaded again

    Raises:
        UserError: if the download fails.
    """
    with guard_download(folder, wanted, "FashionMNIST"):
        from torchvision.datasets import FashionMNIST as Published
        from torchvision.datasets.utils import download_url

        for name, md5 in Published.resources:
            if name.removesuffix(".gz") in wanted and not idx.find_file(folder, name.removesuffix(".gz")):
                download_url(Published.mirrors[0] + name, str(folder), md5=md5)
