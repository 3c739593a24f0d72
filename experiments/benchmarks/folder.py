"""How fast a folder of photographs is decoded, beside torchvision's ImageFolder in one process, and what a batch costs.

    python experiments/benchmarks/folder.py                  # 10,000 JPEGs of 256x256, made first in a temporary folder
    python experiments/benchmarks/folder.py --images 2000
    python experiments/benchmarks/folder.py --path photos    # a folder of yours, with a folder for each class

Images are 64x64. ImageFolder with Resize and CenterCrop is timed on a part, in the same run, before and after: it does
so in every epoch, the cache is made once. A batch of 128 is timed with the folder and with images of EMNIST's shape.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ldg.data.dataset import Dataset
from ldg.data.folder import Folder
from ldg.data.module import ImageDataModule
from ldg.data.pictures import Pictures

SIDE, SIZE, BATCH = 256, 64, 128
CLASSES = [f"class {number}" for number in range(10)]


class Noise(Dataset):
    """Random images of EMNIST's shape."""

    classes = tuple("0123456789")

    def read(self, split, sources):
        rng = np.random.default_rng(0)
        yield rng.integers(0, 256, (10_000, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, 10_000)


def write_photos(folder: Path, count: int) -> None:
    """JPEGs with about the detail of photographs: noise at several scales, 20 to 25 KB each."""
    rng = np.random.default_rng(0)
    detail = rng.normal(0, 6, (SIDE, SIDE, 3))
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((SIDE, SIDE), 3)
        pixels = np.clip(np.asarray(coarse) + np.roll(detail, number * 7, (0, 1)), 0, 255).astype(np.uint8)
        path = folder / CLASSES[number % len(CLASSES)] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=85)


class Clock:
    """Seconds, and seconds of all cores, since it was made; the latter depend less on what else the machine does."""

    def __init__(self) -> None:
        self.start, self.cpu_start = time.perf_counter(), time.process_time()

    def stop(self, count: int) -> np.ndarray:
        """Images per second, and milliseconds of a core for each."""
        spent, cpu = time.perf_counter() - self.start, time.process_time() - self.cpu_start
        return np.array([count / spent, 1000 * cpu / count])


def time_torchvision(folder: Path, count: int) -> np.ndarray:
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [transforms.Resize(SIZE), transforms.CenterCrop(SIZE), transforms.ToTensor()]
    images = ImageFolder(str(folder), transforms.Compose(steps))
    rows = np.random.default_rng(0).permutation(len(images))[:count].tolist()
    clock = Clock()
    for row in rows:
        images[row]
    return clock.stop(len(rows))


def time_batches(module: ImageDataModule) -> float:
    """Milliseconds per batch, of the best of five passes."""
    best = float("inf")
    for _ in range(5):
        start, count = time.perf_counter(), 0
        for _ in module.train_dataloader():
            count += 1
        best = min(best, 1000 * (time.perf_counter() - start) / count)
    return best


def main(path: Path | None, images: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        cache = str(Path(temporary, "cache"))
        folder = path or Path(temporary, "photos")
        if path is None:
            write_photos(folder, images)
        before = time_torchvision(folder, 1000)
        clock = Clock()
        dataset = Folder(str(folder), Pictures(SIZE, 3))
        count = sum(len(dataset.load(split, cache=cache).labels) for split in ("train", "test"))
        ours = clock.stop(count)
        usual = (before + time_torchvision(folder, 1000)) / 2
        shape, number = dataset.image_shape, len(dataset.classes)
        clock = Clock()
        module = ImageDataModule(dataset, shape, number, cache=cache, batch_size=BATCH)
        module.prepare_data()
        again = clock.stop(count)
        noise = ImageDataModule(Noise(), (1, 28, 28), 10, cache=cache, batch_size=BATCH)
        noise.prepare_data()
        names = ("ImageFolder, one process, every epoch", "folder, all cores, once", "folder, from the cache")
        for name, (speed, cpu) in zip(names, (usual, ours, again), strict=True):
            print(f"{name:40} {speed:10,.0f} images/s {speed / usual[0]:7.2f} x   {cpu:6.3f} ms of a core per image")
        for name, each in (("folder", module), ("EMNIST's shape", noise)):
            size = np.prod(each.image_shape) * BATCH / 1e6
            ms = time_batches(each)
            print(f"{f'a batch of {BATCH}, {name}, {size:.1f} MB':40} {ms:10.3f} ms         {ms / size:5.2f} ms/MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    arguments = parser.parse_args()
    main(arguments.path, arguments.images)
