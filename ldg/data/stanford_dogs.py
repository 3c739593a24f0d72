"""Stanford Dogs: photographs of 120 breeds (Khosla, Jayadevaprakash, Yao and Li 2011), from ImageNet."""

import difflib
import io
import os
import random
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, NoReturn
from xml.etree import ElementTree

import numpy as np
from pydantic import Field

from ldg.data.dataset import Dataset, Split, files_in, progress
from ldg.data.download import guard, missing, resume
from ldg.errors import UserError

URL = "http://vision.stanford.edu/aditya86/ImageNetDogs/"
# size in bytes and SHA-256 as TensorFlow Datasets publishes them (url_checksums/stanford_dogs.txt)
ARCHIVES = {
    "images.tar": (793579520, "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58"),
    "annotation.tar": (21852160, "662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd"),
    "lists.tar": (481280, "34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c"),
}
CHUNK = 256
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
    """20,580 dogs in colour, cut out along their annotated box and resized to a square; the official train/test lists.

    Read from ``stanford_dogs/{images,annotation,lists}.tar`` or, unpacked, ``stanford_dogs/Images``, ``Annotation`` and
    ``*_list.mat``; or downloaded there. Resizing is Pillow's bicubic with antialiasing, from the box alone; the aspect
    ratio is not kept. Breeds are named as in the archive, with spaces for underscores and hyphens kept: ``Shih-Tzu``,
    ``Maltese dog``.

    Args:
        image_size: height and width in pixels
        breeds: keep only these, labelled in the order given; None keeps all 120

    Raises UserError for a breed that is not there, suggesting the closest.
    """

    def __init__(self, image_size: Annotated[int, Field(ge=16, le=128)] = 64, breeds: list[str] | None = None) -> None:
        self.image_size = image_size
        self.classes = BREEDS if breeds is None else tuple(map(breed, breeds))
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise UserError(f"breeds: {', '.join(self.classes) or 'none'}: name at least one, each once")

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        folder = root / "stanford_dogs"
        unpacked = {"images.tar": "Images", "annotation.tar": "Annotation", "lists.tar": f"{split}_list.mat"}
        found = {tar: find(folder, tar, other) for tar, other in unpacked.items()}
        if download and None in found.values():
            fetch(folder, [tar for tar, path in found.items() if path is None])
            found = {tar: find(folder, tar, other) for tar, other in unpacked.items()}
        return [path or missing(folder / tar, "stanford_dogs") for tar, path in found.items()]

    def read(self, split: Split, sources: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        images, annotations, lists = map(Archive, sources)
        files = [(name, label) for name in listed(lists, split) if (label := self.label(name, lists)) is not None]
        random.Random(0).shuffle(files)  # the lists go breed by breed; any stretch of ours stands for the whole

        def cut_out(name: str) -> np.ndarray:
            stem = name.rsplit(".", 1)[0]
            return crop(images, f"Images/{name}", box(annotations, f"Annotation/{stem}"), self.image_size)

        # Pillow decodes and resizes outside the interpreter lock, so that threads use every core
        with ThreadPoolExecutor(os.cpu_count()) as pool, progress(len(files), f"decoding {split} dogs") as bar:
            for start in range(0, len(files), CHUNK):
                names, labels = zip(*files[start : start + CHUNK], strict=True)
                yield np.stack(list(pool.map(cut_out, names))), np.array(labels)
                bar.update(len(names))

    def label(self, name: str, lists: "Archive") -> int | None:
        """The label of ``n02086240-Shih-Tzu/n02086240_1011.jpg``; None if the breed was left out."""
        folder = name.split("/")[0].split("-", 1)[-1]
        if folder not in FOLDERS:
            raise UserError(
                f"{lists.path} lists {name}, which is none of the 120 breeds; put the official file in its place"
            )
        found = folder.replace("_", " ")
        return self.classes.index(found) if found in self.classes else None


def breed(name: str) -> str:
    """The breed's name as in BREEDS; case and underscores do not matter."""
    wanted = name.replace("_", " ").lower()
    spelling = {known.lower(): known for known in BREEDS}
    if wanted in spelling:
        return spelling[wanted]
    close = difflib.get_close_matches(wanted, spelling, n=1, cutoff=0)
    raise UserError(f"breeds: no breed {name!r}; did you mean {spelling[close[0]]!r}?")


def find(folder: Path, tar: str, unpacked: str) -> Path | None:
    return next((path for path in (folder / tar, folder / unpacked) if path.exists()), None)


def fetch(folder: Path, tars: list[str]) -> None:
    with guard(folder, tars, "stanford_dogs"):
        for tar in tars:
            if not (folder / tar).exists():
                resume(URL + tar, folder / tar, *ARCHIVES[tar])


class Archive:
    """Files by their name in the official layout, from a tar file (uncompressed) or from what was unpacked beside it.

    Reading is safe from several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[str, tuple[Path, int, int]] = {}  # name -> file, offset, size
        if path.suffix == ".tar":
            self._index_tar()
        else:
            files = [path] if path.is_file() else files_in(path)
            self.places = {file.relative_to(path.parent).as_posix(): (file, 0, -1) for file in files}

    def _index_tar(self) -> None:
        try:
            with tarfile.open(self.path, "r:") as tar:
                for member in tar:
                    if member.isfile():
                        self.places[member.name.removeprefix("./")] = (self.path, member.offset_data, member.size)
        except (tarfile.TarError, EOFError) as error:
            raise UserError(
                f"{self.path} is truncated or no tar file ({error}); put a fresh copy in its place"
            ) from error

    def read(self, name: str) -> bytes:
        """Raises UserError if the file is not there or not all there."""
        if name not in self.places:
            raise UserError(f"{self.path} holds no {name}; is it complete? Put a fresh copy in its place")
        path, offset, size = self.places[name]
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) < size:
            raise UserError(f"{self.path} is truncated in {name}; put a fresh copy in its place")
        return data

    def damaged(self, name: str, error: Exception) -> NoReturn:
        raise UserError(f"{self.path}: {name} is damaged ({error}); put a fresh copy in its place") from error


def listed(lists: Archive, split: Split) -> list[str]:
    """The names in ``<split>_list.mat``: breed folder and file."""
    from scipy.io import loadmat

    name = f"{split}_list.mat"
    data = lists.read(name)
    try:
        return [entry.item() for entry in loadmat(io.BytesIO(data))["file_list"].ravel()]
    # a damaged file makes scipy raise whatever its parser stumbles over
    except Exception as error:
        lists.damaged(name, error)


def box(annotations: Archive, name: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the first box in an annotation, in pixels."""
    text = annotations.read(name)
    try:
        corners = ElementTree.fromstring(text).find("object/bndbox")
        if corners is None:
            raise ValueError("no object/bndbox")
        left, top, right, bottom = (int(corners.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))
    except (ElementTree.ParseError, ValueError) as error:
        annotations.damaged(name, error)
    return left, top, right, bottom


def crop(images: Archive, name: str, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """The part of a picture in ``box``, resized to uint8 (3, size, size)."""
    from PIL import Image

    data = images.read(name)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            left, top, right, bottom = box
            inside = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
            # not resize(box=...), whose filter reaches for pixels outside the box
            square = picture.convert("RGB").crop(inside).resize((size, size), Image.Resampling.BICUBIC)
    except (OSError, ValueError) as error:
        images.damaged(name, error)
    return np.asarray(square).transpose(2, 0, 1)
