"""How fast batches come, and how much memory the largest data set takes.

    python experiments/benchmarks/loader.py            # images/s of our loader beside usual ones, on one core
    python experiments/benchmarks/loader.py --memory   # peak memory of EMNIST ByClass in full size

Every loader yields the same 60,000 images of 28x28 in shuffled batches of 128; the best of several passes counts. The
usual loaders also convert to float, which our models do on their device.
"""

import argparse
import gzip
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from ldg.data.dataset import Dataset
from ldg.data.emnist import EMNIST
from ldg.data.module import ImageDataModule

IMAGES, BATCH = 60_000, 128
BYCLASS = {"train": 697_932, "test": 116_323}


class Noise(Dataset):
    """Random images of MNIST's shape."""

    classes = tuple("0123456789")

    def read(self, split, sources):
        rng = np.random.default_rng(0)
        yield rng.integers(0, 256, (IMAGES, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, IMAGES)


class PerItem(torch.utils.data.Dataset):
    """What torchvision's MNIST does for each item."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        from torchvision.transforms import ToTensor

        self.images, self.labels, self.transform = images, labels, ToTensor()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index, 0].numpy())), int(self.labels[index])


def speed(loader: Iterable, passes: int = 3) -> float:
    """Images per second of the best of ``passes`` passes."""
    best = 0.0
    for _ in range(passes):
        start, count = time.perf_counter(), 0
        for images, _ in loader:
            count += len(images)
        best = max(best, count / (time.perf_counter() - start))
    return best


def compare() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        module = ImageDataModule(Noise(), (1, 28, 28), 10, cache=cache, batch_size=BATCH)
        images, labels = module.train[torch.arange(len(module.train))]
        floats = TensorDataset(images.float() / 255, labels)
        loaders = {
            "ImageDataModule": (module.train_dataloader(), 5),
            "TensorDataset + DataLoader": (DataLoader(floats, batch_size=BATCH, shuffle=True), 3),
            "PIL + ToTensor per item": (DataLoader(PerItem(images, labels), batch_size=BATCH, shuffle=True), 1),
        }
        speeds = {name: speed(loader, passes) for name, (loader, passes) in loaders.items()}
    ours = speeds["ImageDataModule"]
    for name, value in speeds.items():
        print(f"{name:30} {value:12,.0f} images/s   {ours / value:6.1f} x")


def write_byclass(raw: Path) -> None:
    """Files of the size of EMNIST ByClass: the same thousand made-up images over and over."""
    raw.mkdir(parents=True)
    block = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), dtype=np.uint8).tobytes()
    for split, count in BYCLASS.items():
        stem = f"emnist-byclass-{split}"
        with gzip.open(raw / f"{stem}-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
            file.write(struct.pack(">4I", 0x803, count, 28, 28))
            for start in range(0, count, 1000):
                file.write(block[: 784 * min(1000, count - start)])
        labels = (np.arange(count) % 62).astype(np.uint8).tobytes()
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)


def epoch(root: str, cache: str) -> None:
    """Decode, then pass over all splits; run in a separate process, whose peak is printed."""
    start = time.perf_counter()
    module = ImageDataModule(EMNIST(), (1, 28, 28), 62, root=root, cache=cache, download=False)
    module.prepare_data()
    decoded = time.perf_counter() - start
    count = sum(
        len(x)
        for part in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
        for x, _ in part
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # KB on Linux
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    anonymous = int(lines["RssAnon"].split()[0]) / 1e6
    print(f"{count:,} images, decoded in {decoded:.1f} s; peak resident {peak:.2f} GB, torch and Lightning included")
    print(f"at the end {anonymous:.2f} GB are not mapped from files; what is mapped can be reclaimed on demand")


def memory() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "root"), Path(folder, "cache")
        write_byclass(root / "EMNIST" / "raw")
        subprocess.run([sys.executable, __file__, "--epoch", root, cache], check=True, env=os.environ)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--epoch", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.epoch:
        epoch(*arguments.epoch)
    elif arguments.memory:
        memory()
    else:
        compare()
