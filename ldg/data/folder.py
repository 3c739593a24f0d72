"""Folders of pictures, in torchvision's layout: one for each class, with or without ``train`` and ``test`` above."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ldg.data.dataset import Chunk, Split, Unreadable
from ldg.data.paths import list_files
from ldg.data.pictures import SUFFIXES, Pictures
from ldg.data.user import SPLITS, Contents, UserDataset, describe_files, name_classes
from ldg.errors import UserError


class Item(NamedTuple):
    """A picture.

    Attributes:
        name: of its class
        path: of its file
    """

    name: str
    path: Path


class Folder(UserDataset):
    """Pictures in a folder for each class, ``photos/cats/1.jpg``; folders below these are part of the class.

    Above the class folders there may be ``train``, ``val`` and ``test``. Pictures without class folders are one class;
    the others that lie beside class folders are left out.

    Args:
        path: of the folder
        pictures: how pictures become images
        test_fraction: share of each class that becomes the test split if there is no ``test`` folder
    """

    def __init__(
        self,
        path: str | None,
        pictures: Pictures,
        test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__(path, test_fraction=test_fraction)
        self.pictures, self.max_bad = pictures, pictures.max_bad

    def list_files(self, place: Path) -> dict[Split, list[Item]]:
        """As :meth:`UserDataset.list_files`: the pictures."""
        return list_pictures(place)

    def find(self, place: Path) -> Contents:
        """As :meth:`UserDataset.find`."""
        listed = self.listed(place)
        classes = sorted({item.name for item in listed["train"]})
        for split, items in listed.items():
            if foreign := {item.name for item in items}.difference(classes):
                raise UserError(f"{place}: class {min(foreign)!r} of the {split} folder is not in the train folder")
        every = [(str(item.path), item.path) for items in listed.values() for item in items]
        left_out = sum(file.suffix.lower() in SUFFIXES for file in list_files(place)) - len(every)
        note = f"; {left_out:,} pictures in no class folder are left out" if left_out else ""
        return Contents(tuple(classes), self.pictures.find_shape(every, len(every)), tuple(listed), note)

    def read_labels(self, split: Split, place: Path) -> np.ndarray:
        """As :meth:`UserDataset.read_labels`."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[item.name] for item in self.listed(place)[split]], np.int64)

    def read_images(self, split: Split, place: Path, rows: np.ndarray) -> Iterator[Chunk | Unreadable]:
        """As :meth:`UserDataset.read_images`."""
        items, labels = self.listed(place)[split], self.read_labels(split, place)
        chosen = ((str(items[row].path), items[row].path, labels[row]) for row in rows.tolist())
        return self.pictures.read(chosen, self.image_shape, len(rows), f"decoding {split} pictures")


def list_pictures(place: Path) -> dict[Split, list[Item]]:
    """List the pictures of each split.

    Args:
        place: the folder

    Returns:
        The pictures, sorted by path; all are ``train`` if there are no folders of splits.

    Raises:
        UserError: if it is no folder, has no pictures, or most of them lie beside the class folders.
    """
    if place.is_file():
        raise UserError(f"data.path: {place} is a file; name the folder of the pictures")
    files = list_files(place)
    pictures = [(file.relative_to(place).parts, file) for file in files if file.suffix.lower() in SUFFIXES]
    if not pictures:
        formats = "PNG, JPEG, WebP, BMP, GIF, TIFF"
        raise UserError(f"{place} holds no pictures ({formats}){describe_files(files)}")
    # the one folder that an archive was unpacked to, with folders in it
    top = pictures[0][0][0]
    while top.lower() not in SPLITS and all(len(parts) > 2 and parts[0] == top for parts, _ in pictures):
        pictures = [(parts[1:], file) for parts, file in pictures]
        top = pictures[0][0][0]
    _refuse_loose([parts[:-1] for parts, _ in pictures], place)
    inside = [(SPLITS.get(parts[0].lower()), parts) for parts, _ in pictures if len(parts) > 1]
    # among other folders, `train` is a class unless it holds classes itself
    has_splits = any(split == "train" for split, _ in inside) and (
        all(split for split, _ in inside) or any(split == "train" and len(parts) > 2 for split, parts in inside)
    )
    if not has_splits:
        return {"train": _name_items([(parts[:-1], file) for parts, file in pictures], place)}
    listed: dict[Split, list[tuple[tuple[str, ...], Path]]] = {}
    for parts, file in pictures:
        if len(parts) > 1 and (split := SPLITS.get(parts[0].lower())):
            listed.setdefault(split, []).append((parts[1:-1], file))
    is_flat = not any(folders for folders, _ in listed["train"])
    return {
        split: _name_items(items, place)
        for split, items in listed.items()
        if is_flat or any(folders for folders, _ in items)  # test pictures without classes have no use
    }


def _refuse_loose(parents: list[tuple[str, ...]], place: Path) -> None:
    """Refuse more pictures beside folders than in them; ``parents`` are the folders above each picture."""
    loose, inside = sum(not folders for folders in parents), sum(bool(folders) for folders in parents)
    if loose > inside > 0:
        raise UserError(
            f"{place}: {loose:,} pictures lie beside its folders, which hold {inside:,}; move them into a folder of "
            "their class"
        )


def _name_items(pictures: list[tuple[tuple[str, ...], Path]], place: Path) -> list[Item]:
    """Pictures with the class that the first of their folders names; of a flat folder all have the same one."""
    _refuse_loose([folders for folders, _ in pictures], place)
    folders = sorted({folders[0] for folders, _ in pictures if folders})
    if not folders:
        return [Item(name_classes([place.name])[0], file) for _, file in pictures]
    names = dict(zip(folders, name_classes(folders), strict=True))
    folder_of = {name: folder for folder, name in names.items()}
    if same := next((folder for folder, name in names.items() if folder_of[name] != folder), None):
        raise UserError(
            f"{place}: the folders {same!r} and {folder_of[names[same]]!r} are both class {names[same]!r}, since texts "
            "cannot spell + and ,; rename one"
        )
    return [Item(names[folders[0]], file) for folders, file in pictures if folders]
