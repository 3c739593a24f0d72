"""Tiny data sets in the formats they are published in."""

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def idx_pair(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray, packed: bool = True) -> None:
    """Write ``<prefix>-images-idx3-ubyte[.gz]`` and its labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        path, data = folder / f"{prefix}-{kind}-ubyte", idx(array)
        if packed:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
        else:
            path.write_bytes(data)


def emnist(root: Path, split: str = "digits", count: int = 40, packed: bool = True, first: int = 0) -> np.ndarray:
    """Write both parts of an EMNIST split; returns the upright images of the training part (count, 28, 28)."""
    rng = np.random.default_rng(0)
    stored = {part: rng.integers(0, 256, (count, 28, 28)) for part in ("train", "test")}
    for part, images in stored.items():
        idx_pair(root / "EMNIST" / "raw", f"emnist-{split}-{part}", images, first + np.arange(count) % 10, packed)
    return stored["train"].swapaxes(1, 2).astype(np.uint8)


FOLDERS = ("n02085936-Maltese_dog", "n02086240-Shih-Tzu", "n02110958-pug")


def dogs(root: Path, packed: bool = True, per_breed: int = 2) -> None:
    """Write ``stanford_dogs`` with pictures of 60x40: left half red, right half blue, the box around the blue one."""
    files: dict[str, dict[str, bytes]] = {"images": {}, "annotation": {}, "lists": {}}
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30, 0] = pixels[:, 30:, 2] = 255
    for split, offset in (("train", 0), ("test", per_breed)):
        stems = [f"{f}/{f.split('-')[0]}_{i + offset}" for f in FOLDERS for i in range(per_breed)]
        for stem in stems:
            files["images"][f"Images/{stem}.jpg"] = jpeg(pixels)
            files["annotation"][f"Annotation/{stem}"] = annotation(32, 0, 60, 40)
        listed = np.array([[np.array([f"{stem}.jpg"])] for stem in stems], dtype=object)
        buffer = io.BytesIO()
        savemat(buffer, {"file_list": listed})
        files["lists"][f"{split}_list.mat"] = buffer.getvalue()
    folder = root / "stanford_dogs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            tar(folder / f"{name}.tar", content)
        else:
            for path, data in content.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def annotation(left: int, top: int, right: int, bottom: int) -> bytes:
    corners = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    second = "<object><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>"
    return f"<annotation><object><bndbox>{corners}</bndbox></object>{second}</annotation>".encode()


def tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
