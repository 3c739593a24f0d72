"""Tiny data sets in the formats they are published in."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
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


def emnist_archive(root: Path) -> Path:
    """Pack the files of :func:`emnist` as NIST does, beside them."""
    path = root / "gzip.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((root / "EMNIST" / "raw").glob("*.gz")):
            archive.write(file, f"gzip/{file.name}")
        archive.writestr("gzip/readme.txt", "mapping")
    return path


def emnist_mat(path: Path, images: np.ndarray, labels: np.ndarray, packed: bool) -> None:
    """Write stored images (N, 28, 28) and labels as both parts of a MAT file of NIST's."""
    part = {
        "images": images.reshape(len(images), 784).astype(np.uint8),
        "labels": labels[:, None].astype(np.float64),
        "writers": np.zeros((len(images), 1), np.uint16),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"dataset": {"train": part, "test": part, "mapping": np.zeros((10, 2))}}
    savemat(path, content, do_compression=packed)


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


def picture(label: int, size: tuple[int, int] = (20, 16), seed: int = 0) -> Image.Image:
    """A noisy picture in one of three colours."""
    rng = np.random.default_rng((seed, label))
    pixels = rng.integers(0, 60, (size[1], size[0], 3)) + 180 * np.eye(3, dtype=int)[label % 3]
    return Image.fromarray(pixels.astype(np.uint8))


def folder(path: Path, classes: list[str], per_class: int = 8, suffix: str = "png", **options) -> Path:
    """Write a folder of pictures for each class."""
    for label, name in enumerate(classes):
        (path / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            picture(label, seed=number, **options).save(path / name / f"{number}.{suffix}")
    return path


def npz(path: Path, counts: dict[str, int], classes: int = 3, shape: tuple[int, ...] = (12, 12, 3), **more) -> Path:
    """Write arrays in MedMNIST's layout."""
    rng, arrays = np.random.default_rng(0), {}
    for split, count in counts.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count)[:, None] % classes).astype(np.uint8)
    np.savez_compressed(path, **arrays | more)
    return path


def csv(path: Path, count: int, classes: int = 3, label: bool = True, header: bool = True, side: int = 4) -> np.ndarray:
    """Write a table as Kaggle has it; its pixels (N, side * side)."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, side * side))
    names = [*["label"] * label, *(f"pixel{number}" for number in range(side * side))]
    table = np.column_stack([np.arange(count) % classes, pixels]) if label else pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, table, "%d", ",", header=",".join(names) if header else "", comments="")
    return pixels


def shard(path: Path, count: int, names: list[str] | None, labels=None, image="struct", column: str = "image") -> None:
    """Write a Parquet file as Hugging Face's hub holds it; ``image`` is struct, bytes or path."""
    import pyarrow
    import pyarrow.parquet

    labels = [number % 3 for number in range(count)] if labels is None else labels
    path.parent.mkdir(parents=True, exist_ok=True)
    values = []
    for number in range(count):
        buffer = io.BytesIO()
        picture(number % 3, seed=number).save(buffer, "PNG")
        if image == "path":
            (path.parent / f"{number}.png").write_bytes(buffer.getvalue())
        content = None if image == "path" else buffer.getvalue()
        values.append(content if image == "bytes" else {"bytes": content, "path": f"{number}.png"})
    columns = {column: values} | ({} if labels is False else {"label": labels})
    table = pyarrow.table(columns)
    if names is not None:
        features = {column: {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, path)


def user_data(name: str, path: Path) -> list[str]:
    """The overrides by which a choice of data is complete, with made files where it needs some."""
    if name == "folder":
        return [f"data.path={folder(path / 'photos', ['cat', 'dog', 'owl'])}"]
    if name == "npz":
        return [f"data.path={npz(path / 'made.npz', {'train': 24, 'val': 6, 'test': 6})}"]
    if name == "csv":
        csv(path / "table" / "train.csv", 24)
        return [f"data.path={path}/table"]
    if name == "parquet":
        pytest.importorskip("pyarrow")
        shard(path / "shards" / "train-00000-of-00001.parquet", 24, ["cat", "dog", "owl"])
        return [f"data.path={path}/shards"]
    return []


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
