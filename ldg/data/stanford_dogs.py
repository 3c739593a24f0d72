"""Stanford Dogs: photographs of 120 breeds (Khosla, Jayadevaprakash, Yao and Li 2011), from ImageNet."""

from __future__ import annotations

import difflib
import random
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from xml.etree import ElementTree

import numpy as np
from pydantic import Field

from ldg.data.dataset import Chunk, Dataset, Split
from ldg.data.download import guard_download, raise_missing, resume_download
from ldg.data.mat import read_texts
from ldg.data.paths import list_files, open_regular
from ldg.data.pictures import flatten, map_chunks, open_picture
from ldg.errors import UserError, one_line

if TYPE_CHECKING:
    from PIL import Image

URL = "http://vision.stanford.edu/aditya86/ImageNetDogs/"
# size in bytes and SHA-256 as TensorFlow Datasets publishes them (url_checksums/stanford_dogs.txt)
ARCHIVES = {
    "images.tar": (793579520, "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58"),
    "annotation.tar": (21852160, "662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd"),
    "lists.tar": (481280, "34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c"),
}
LARGEST_IMAGE, LARGEST_ANNOTATION, LARGEST_LIST = 1 << 26, 1 << 18, 1 << 23  # bytes
# the folders' names without their synset, in the official order of labels (with underscores for spaces)
FOLDERS = """
Chihuahua Japanese_spaniel Maltese_dog Pekinese Shih-Tzu Blenheim_spaniel papillon toy_terrier
Rhodesian_ridgeback Afghan_hound basset beagle bloodhound bluetick black-and-tan_coonhound Walker_hound
English_foxhound redbone borzoi Irish_wolfhound Italian_greyhound whippet Ibizan_hound Norwegian_elkhound
otterhound Saluki Scottish_deerhound Weimaraner Staffordshire_bullterrier American_Staffordshire_terrier
Bedlington_terrier Border_terrier Kerry_blue_terrier Irish_terrier Norfolk_terrier Norwich_terrier
Yorkshire_terrier wire-haired_fox_terrier Lakeland_terrier Sealyham_terrier Airedale cairn Australian_terrier
Dandie_Dinmont Boston_bull miniature_schnauzer giant_schnauzer standard_schnauzer Scotch_terrier Tibetan_terrier
silky_terrier soft-coated_wheaten_terrier West_Highland_white_terrier Lhasa flat-coated_retriever
curly-coated_retriever golden_retriever Labrador_retriever Chesapeake_Bay_retriever German_short-haired_pointer
vizsla English_setter Irish_setter Gordon_setter Brittany_spaniel clumber English_springer
Welsh_springer_spaniel cocker_spaniel Sussex_spaniel Irish_water_spaniel kuvasz schipperke groenendael malinois
briard kelpie komondor Old_English_sheepdog Shetland_sheepdog collie Border_collie Bouvier_des_Flandres
Rottweiler German_shepherd Doberman miniature_pinscher Greater_Swiss_Mountain_dog Bernese_mountain_dog
Appenzeller EntleBucher boxer bull_mastiff Tibetan_mastiff French_bulldog Great_Dane Saint_Bernard Eskimo_dog
malamute Siberian_husky affenpinscher basenji pug Leonberg Newfoundland Great_Pyrenees Samoyed Pomeranian chow
keeshond Brabancon_griffon Pembroke Cardigan toy_poodle miniature_poodle standard_poodle Mexican_hairless dingo
dhole African_hunting_dog
""".split()  # noqa: SIM905
BREEDS = tuple(name.replace("_", " ") for name in FOLDERS)


class StanfordDogs(Dataset):
    """20,580 RGB images of dogs, cropped to the annotated box and resized to a square; with the official split.

    The files are ``stanford_dogs/{images,annotation,lists}.tar`` or, unpacked, ``stanford_dogs/Images``, ``Annotation``
    and ``*_list.mat``; missing ones are downloaded. Resizing is Pillow's bicubic with antialiasing; pixels outside the
    box are not used, and the aspect ratio is not kept. Breeds are named as in the archive, with spaces for underscores:
    ``Shih-Tzu``, ``Maltese dog``.

    Args:
        image_size: height and width in pixels, 16 to 128
        breeds: the classes, in this order; None: all 120. Case and underscores do not matter.

    Raises:
        UserError: for a breed that does not exist (the message suggests a similar name) or is repeated, or none at all.
    """

    def __init__(self, image_size: Annotated[int, Field(ge=16, le=128)] = 64, breeds: list[str] | None = None) -> None:
        self.image_size = image_size
        self.classes = BREEDS if breeds is None else tuple(map(match_breed, breeds))
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise UserError(f"breeds: {', '.join(self.classes) or 'none'}: name at least one, each once")

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """As :meth:`ldg.data.dataset.Dataset.sources`: images, annotations and the list of the split."""
        folder = root / "stanford_dogs"
        unpacked = {"images.tar": "Images", "annotation.tar": "Annotation", "lists.tar": f"{split}_list.mat"}
        paths = {tar: find_source(folder, tar, other) for tar, other in unpacked.items()}
        if download and None in paths.values():
            download_archives(folder, [tar for tar, path in paths.items() if path is None])
            paths = {tar: find_source(folder, tar, other) for tar, other in unpacked.items()}
        return [path or raise_missing(folder / tar, "stanford_dogs") for tar, path in paths.items()]

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray:
        """As :meth:`ldg.data.dataset.Dataset.labels`."""
        return np.array([label for _, label in self.list_images(split, Archive(sources[-1]))], np.int64)

    def read(self, split: Split, sources: list[Path]) -> Iterator[Chunk]:
        """As :meth:`ldg.data.dataset.Dataset.read`."""
        return self.read_rows(split, sources, np.arange(len(self.labels(split, sources))))

    def read_rows(self, split: Split, sources: list[Path], rows: np.ndarray) -> Iterator[Chunk]:
        """As :meth:`ldg.data.dataset.Dataset.read_rows`."""
        from PIL import Image

        images, annotations, lists = map(Archive, sources)
        listed = self.list_images(split, lists)
        files = [listed[row] for row in rows.tolist()]
        whole: list[str] = []

        def read_dog(file: tuple[str, int]) -> tuple[np.ndarray, int]:
            name, label = file
            annotation = f"Annotation/{name.rsplit('.', 1)[0]}"
            box, image = read_box(annotations, annotation), read_image(images, f"Images/{name}")
            inside = clip(box, image.width, image.height)
            if inside is None:
                whole.append(annotation)
            # not resize(box=...), whose filter uses pixels outside the box
            square = image.crop(inside).resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
            return np.asarray(square).transpose(2, 0, 1), label

        for decoded in map_chunks(read_dog, files, len(files), f"decoding {split} dogs"):
            squares, labels = zip(*decoded, strict=True)
            yield np.stack(squares), np.array(labels)
        if whole:
            these = f"{', '.join(sorted(whole)[:3])}{' ...' if len(whole) > 3 else ''}"
            print(f"{annotations.path}: the whole image stands for {len(whole)} empty boxes: {these}", file=sys.stderr)

    def list_images(self, split: Split, lists: Archive) -> list[tuple[str, int]]:
        """List the images of a split.

        Args:
            split: ``train`` or ``test``
            lists: has ``<split>_list.mat``

        Returns:
            Breed folder and file of each image, and its label.

        Raises:
            UserError: if the list is missing or damaged.
        """
        names = read_list(lists, split)
        files = [(name, label) for name in names if (label := self.find_label(name, lists)) is not None]
        random.Random(0).shuffle(files)  # the lists are sorted by breed
        return files

    def find_label(self, name: str, lists: Archive) -> int | None:
        """Find the label of an image.

        Args:
            name: breed folder and file, ``n02086240-Shih-Tzu/n02086240_1011.jpg``
            lists: where the name is listed, for messages

        Returns:
            The label; None if the breed is not among the classes.

        Raises:
            UserError: if the folder is none of the 120 breeds.
        """
        folder = name.split("/")[0].split("-", 1)[-1]
        if folder not in FOLDERS:
            raise UserError(
                f"{lists.path} lists {name!r}, which is none of the 120 breeds; put the official file in its place"
            )
        breed = folder.replace("_", " ")
        return self.classes.index(breed) if breed in self.classes else None


def match_breed(name: str) -> str:
    """Find a breed by its name.

    Args:
        name: case and underscores do not matter

    Returns:
        The name as in ``BREEDS``.

    Raises:
        UserError: if there is no such breed; the message suggests a similar name.
    """
    wanted = name.replace("_", " ").lower()
    spelling = {known.lower(): known for known in BREEDS}
    if wanted in spelling:
        return spelling[wanted]
    close = difflib.get_close_matches(wanted, spelling, n=1, cutoff=0)
    raise UserError(f"breeds: no breed {name!r}; did you mean {spelling[close[0]]!r}?")


def find_source(folder: Path, tar: str, unpacked: str) -> Path | None:
    """Find an archive or what was unpacked from it.

    Args:
        folder: where to look
        tar: name of the archive
        unpacked: name of the file or folder

    Returns:
        The path of the first that exists, or of the only ``unpacked`` one folder deeper; None if there is none.
    """
    expected = next((path for path in (folder / tar, folder / unpacked) if path.exists()), None)
    deeper = [] if expected else list(folder.glob(f"*/{unpacked}"))  # in a folder with the archive's name
    return deeper[0] if len(deeper) == 1 else expected


def download_archives(folder: Path, tars: list[str]) -> None:
    """Download missing archives.

    Args:
        folder: where they belong
        tars: names of the archives, keys of ``ARCHIVES``

    Raises:
        UserError: if the download fails.
    """
    with guard_download(folder, tars, "stanford_dogs"):
        for tar in tars:
            if not (folder / tar).exists():
                resume_download(URL + tar, folder / tar, *ARCHIVES[tar])


class Archive:
    """Files by their name in the archive, read from an uncompressed tar file or from what was unpacked from it.

    Several threads may read at once.

    Args:
        path: of the tar file, or of the unpacked file or folder

    Raises:
        UserError: if the tar file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[str, tuple[Path, int, int]] = {}  # name -> file, offset, size
        if path.suffix == ".tar":
            self._index_tar()
        else:
            files = [path] if path.is_file() else list_files(path)
            self.places = {file.relative_to(path.parent).as_posix(): (file, 0, -1) for file in files}

    def _index_tar(self) -> None:
        end = 0
        with open_regular(self.path) as file:
            if file.read(2) == b"\x1f\x8b":
                raise UserError(f"{self.path} is gzipped; unpack it with gunzip, or put a plain tar file in its place")
            file.seek(0)
            try:
                with tarfile.open(fileobj=file, mode="r:") as tar:
                    for member in tar:
                        if member.size < 0 or member.offset_data <= end:  # such headers may lead round in a circle
                            raise tarfile.ReadError("a header has an impossible size")
                        end = member.offset_data
                        if member.isreg() and not member.issparse():
                            self.places[member.name.removeprefix("./")] = (self.path, end, member.size)
            # for a damaged file tarfile raises errors of many types
            except (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError, RecursionError) as error:
                raise UserError(
                    f"{self.path} is truncated or no tar file ({error}); put a fresh copy in its place"
                ) from error

    def read_file(self, name: str, most: int) -> bytes:
        """Read a whole file.

        Args:
            name: in the archive
            most: its largest size in bytes

        Returns:
            Its content.

        Raises:
            UserError: if the file is missing, truncated or larger.
            OSError: if an unpacked file cannot be read.
        """
        if name not in self.places:
            raise UserError(f"{self.path} holds no {name}; is it complete? Put a fresh copy in its place")
        path, offset, size = self.places[name]
        with open_regular(path) as file:
            file.seek(offset)
            data = file.read(min(size, most + 1) if size >= 0 else most + 1)
        if len(data) > most:
            raise UserError(f"{self.path}: {name} has more than {most} bytes; put a fresh copy in its place")
        if len(data) < size:
            raise UserError(f"{self.path} is truncated in {name}; put a fresh copy in its place")
        return data

    def raise_damaged(self, name: str, error: Exception) -> NoReturn:
        """Report a damaged file.

        Args:
            name: in the archive
            error: what reading it raised

        Raises:
            UserError: always.
        """
        reason = one_line(error)[:200]
        raise UserError(f"{self.path}: {name} cannot be read ({reason}); put a fresh copy in its place") from error


def read_list(lists: Archive, split: Split) -> list[str]:
    """Read the names of the images in a split.

    Args:
        lists: has ``<split>_list.mat``
        split: ``train`` or ``test``

    Returns:
        Breed folder and file of each image.

    Raises:
        UserError: if the list is missing or damaged.
    """
    name = f"{split}_list.mat"
    try:
        names = read_texts(lists.read_file(name, LARGEST_LIST), "file_list")
        if not all(map(str.isprintable, names)):
            raise ValueError("file_list should hold names of files")
    except ValueError as error:
        lists.raise_damaged(name, error)
    return names


class Builder(ElementTree.TreeBuilder):
    """Builds the tree of an annotation, which declares no document type and so no entities that could grow."""

    def doctype(self, name: str, public: str, system: str) -> NoReturn:
        """Refuse the declaration.

        Args:
            name: of the document type
            public: its public identifier
            system: its address

        Raises:
            ValueError: always.
        """
        raise ValueError(f"it declares the document type {name[:20]!r}")


def read_box(annotations: Archive, name: str) -> tuple[int, int, int, int]:
    """Read the first bounding box of an annotation.

    Args:
        annotations: where to read
        name: of the annotation

    Returns:
        Left, top, right and bottom in pixels; fractions are rounded, and swapped corners put in order.

    Raises:
        UserError: if the annotation is missing or damaged.
    """
    text = annotations.read_file(name, LARGEST_ANNOTATION)
    try:
        corners = ElementTree.fromstring(text, ElementTree.XMLParser(target=Builder())).find("object/bndbox")
        if corners is None:
            raise ValueError("no object/bndbox")
        ends = [round(float(corners.findtext(key, f"no {key}"))) for key in ("xmin", "ymin", "xmax", "ymax")]
    # for an unknown encoding, the last; for infinity, the one before
    except (ElementTree.ParseError, ValueError, OverflowError, LookupError) as error:
        annotations.raise_damaged(name, error)
    (left, right), (top, bottom) = sorted(ends[::2]), sorted(ends[1::2])
    return left, top, right, bottom


def clip(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int] | None:
    """Clip a box to its image.

    Args:
        box: left, top, right and bottom in pixels
        width: of the image in pixels
        height: of the image in pixels

    Returns:
        The part of the box inside the image, None if there is none.
    """
    left, top, right, bottom = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def read_image(images: Archive, name: str) -> Image.Image:
    """Read an image.

    Its pixels stay as they are stored, which is what boxes refer to: an orientation in its Exif data is not applied.
    Transparency is dropped, and of an animation the first image is taken.

    Args:
        images: where to read
        name: of the image

    Returns:
        The image, RGB. Grey values of 16 bits are divided by 257.

    Raises:
        UserError: if the image is missing, damaged, too large, or its values have no known range.
    """
    data = images.read_file(name, LARGEST_IMAGE)
    try:
        with open_picture(data) as picture:
            return flatten(picture).convert("RGB")
    # for a damaged file Pillow raises errors of any type
    except Exception as error:
        images.raise_damaged(name, error)
