"""Fashion-MNIST: images of clothes (Xiao, Rasul and Vollgraf 2017)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldg.data import idx
from ldg.data.dataset import Chunk, Dataset, Split
from ldg.data.download import guard_download, raise_missing, resume_download

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
# size in bytes and SHA-256 as TensorFlow Datasets publishes them (url_checksums/fashion_mnist.txt)
PUBLISHED = {
    "train-images-idx3-ubyte": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    "train-labels-idx1-ubyte": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    "t10k-images-idx3-ubyte": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels-idx1-ubyte": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
}


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
            download_files(folder)
        return [idx.find_file(folder, name) or raise_missing(folder / f"{name}.gz", "FashionMNIST") for name in wanted]

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray:
        """As :meth:`ldg.data.dataset.Dataset.labels`."""
        return idx.read_labels(*sources).astype(np.int64)

    def read(self, split: Split, sources: list[Path]) -> Iterator[Chunk]:
        """As :meth:`ldg.data.dataset.Dataset.read`."""
        for images, labels in idx.read_chunks(*sources):
            yield images[:, None], labels


def download_files(folder: Path) -> None:
    """Download the files that are missing.

    Args:
        folder: where they belong

    Raises:
        UserError: if the download fails.
    """
    missing = [name for name in PUBLISHED if not idx.find_file(folder, name)]
    with guard_download(folder, missing, "FashionMNIST"):
        for name in missing:
            if not idx.find_file(folder, name):  # another process may have downloaded it meanwhile
                resume_download(f"{URL}{name}.gz", folder / f"{name}.gz", *PUBLISHED[name])
