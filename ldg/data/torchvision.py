"""The labelled image sets of torchvision, read through its classes from the files that these download."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ldg.data.dataset import DAMAGE, Chunk, Dataset, Split, Unreadable
from ldg.data.download import guard_download
from ldg.data.pictures import Pictures
from ldg.data.strata import stratified
from ldg.errors import UserError, one_line

TEST_FRACTION = 0.1  # of each character of Omniglot, whose other half has other characters
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
SIGNS = """
speed limit 20|speed limit 30|speed limit 50|speed limit 60|speed limit 70|speed limit 80|end of speed limit 80|
speed limit 100|speed limit 120|no passing|no passing of lorries|right of way|priority road|yield|stop|no vehicles|
no lorries|no entry|general caution|curve left|curve right|double curve|bumpy road|slippery road|road narrows|
road work|traffic signals|pedestrians|children|bicycles|ice and snow|wild animals|end of all limits|turn right|
turn left|ahead only|straight or right|straight or left|keep right|keep left|roundabout|end of no passing|
end of no passing of lorries
"""
FLOWERS = """
pink primrose|hard-leaved pocket orchid|canterbury bells|sweet pea|english marigold|tiger lily|moon orchid|
bird of paradise|monkshood|globe thistle|snapdragon|colt's foot|king protea|spear thistle|yellow iris|globe-flower|
purple coneflower|peruvian lily|balloon flower|giant white arum lily|fire lily|pincushion flower|fritillary|red ginger|
grape hyacinth|corn poppy|prince of wales feathers|stemless gentian|artichoke|sweet william|carnation|garden phlox|
love in the mist|mexican aster|alpine sea holly|ruby-lipped cattleya|cape flower|great masterwort|siam tulip|
lenten rose|barbeton daisy|daffodil|sword lily|poinsettia|bolero deep blue|wallflower|marigold|buttercup|oxeye daisy|
common dandelion|petunia|wild pansy|primula|sunflower|pelargonium|bishop of llandaff|gaura|geranium|orange dahlia|
pink-yellow dahlia?|cautleya spicata|japanese anemone|black-eyed susan|silverbush|californian poppy|osteospermum|
spring crocus|bearded iris|windflower|tree poppy|gazania|azalea|water lily|rose|thorn apple|morning glory|
passion flower|lotus|toad lily|anthurium|frangipani|clematis|hibiscus|columbine|desert-rose|tree mallow|magnolia|
cyclamen|watercress|canna lily|hippeastrum|bee balm|ball moss|foxglove|bougainvillea|camellia|mallow|mexican petunia|
bromelia|blanket flower|trumpet creeper|blackberry lily
"""
PETS = """
Abyssinian|American Bulldog|American Pit Bull Terrier|Basset Hound|Beagle|Bengal|Birman|Bombay|Boxer|
British Shorthair|Chihuahua|Egyptian Mau|English Cocker Spaniel|English Setter|German Shorthaired|Great Pyrenees|
Havanese|Japanese Chin|Keeshond|Leonberger|Maine Coon|Miniature Pinscher|Newfoundland|Persian|Pomeranian|Pug|Ragdoll|
Russian Blue|Saint Bernard|Samoyed|Scottish Terrier|Shiba Inu|Siamese|Sphynx|Staffordshire Bull Terrier|
Wheaten Terrier|Yorkshire Terrier
"""
# the alphabets of Omniglot's background set, and how many characters each has
ALPHABETS = {
    "Alphabet_of_the_Magi": 20,
    "Anglo-Saxon_Futhorc": 29,
    "Arcadian": 26,
    "Armenian": 41,
    "Asomtavruli_(Georgian)": 40,
    "Balinese": 24,
    "Bengali": 46,
    "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14,
    "Braille": 26,
    "Burmese_(Myanmar)": 34,
    "Cyrillic": 33,
    "Early_Aramaic": 22,
    "Futurama": 26,
    "Grantha": 43,
    "Greek": 24,
    "Gujarati": 48,
    "Hebrew": 22,
    "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16,
    "Japanese_(hiragana)": 52,
    "Japanese_(katakana)": 47,
    "Korean": 40,
    "Latin": 26,
    "Malay_(Jawi_-_Arabic)": 40,
    "Mkhedruli_(Georgian)": 41,
    "N_Ko": 33,
    "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
    "Sanskrit": 42,
    "Syriac_(Estrangelo)": 23,
    "Tagalog": 17,
    "Tifinagh": 55,
}
LABELS = ("targets", "labels", "_labels", "_samples", "_flat_character_images")  # attributes of torchvision's objects
CHARACTERS = [f"{alphabet}/character{n:02d}" for alphabet, count in ALPHABETS.items() for n in range(1, count + 1)]


class About(NamedTuple):
    """What is known of a data set without its files.

    Attributes:
        classes: the name of each label
        image_shape: (C, H, W); of a data set of pictures of several sizes, what they become
        files: below the root, with ``{split}`` for the name of the split
        argument: of torchvision's class, that chooses the split
        splits: the values of this argument
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    files: str
    argument: str = "train"
    splits: dict[Split, Any] = {"train": True, "test": False}  # noqa: RUF012  (never changed)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace("\n", "").split("|"))


NAMED: dict[Split, Any] = {"train": "train", "test": "test"}
ABOUT = {
    "MNIST": About(tuple(string.digits), (1, 28, 28), "MNIST/raw"),
    "KMNIST": About(KANA, (1, 28, 28), "KMNIST/raw"),
    "QMNIST": About(tuple(string.digits), (1, 28, 28), "QMNIST/raw"),
    "USPS": About(tuple(string.digits), (1, 16, 16), "usps{split}.bz2"),
    "SVHN": About(tuple(string.digits), (3, 32, 32), "{split}_32x32.mat", "split", NAMED),
    "CIFAR10": About(CIFAR10, (3, 32, 32), "cifar-10-batches-py"),
    "CIFAR100": About(tuple(name.replace("_", " ") for name in CIFAR100.split()), (3, 32, 32), "cifar-100-python"),
    "STL10": About(STL10, (3, 96, 96), "stl10_binary", "split", NAMED),
    "GTSRB": About(_words(SIGNS), (3, 32, 32), "gtsrb", "split", NAMED),
    "Flowers102": About(_words(FLOWERS), (3, 64, 64), "flowers-102", "split", {**NAMED, "val": "val"}),
    "OxfordIIITPet": About(
        _words(PETS), (3, 64, 64), "oxford-iiit-pet", "split", {"train": "trainval", "test": "test"}
    ),
    "Omniglot": About(
        tuple(name.replace("/character", " ").replace("_", " ") for name in CHARACTERS),
        (1, 105, 105),
        "omniglot-py",
        "background",
        {"train": True, "test": True},
    ),
}


class Torchvision(Dataset):
    """A data set of torchvision, from its files below the root; missing ones are downloaded.

    Of Omniglot these are the 964 characters of the background set, of which a part is the test split.

    Args:
        name: of torchvision's class
        pictures: how pictures become images
    """

    def __init__(
        self,
        name: Literal[
            "MNIST",
            "KMNIST",
            "QMNIST",
            "USPS",
            "SVHN",
            "CIFAR10",
            "CIFAR100",
            "STL10",
            "GTSRB",
            "Flowers102",
            "OxfordIIITPet",
            "Omniglot",
        ],
        pictures: Pictures,
    ) -> None:
        self.name, self.pictures, self.max_bad = name, pictures, pictures.max_bad
        self.classes = ABOUT[name].classes
        self.has_val = "val" in ABOUT[name].splits
        self.image_shape = pictures.complete(*ABOUT[name].image_shape)
        self._download = False
        self._opened: dict[Split, Any] = {}  # torchvision's objects between `labels` and `read_rows`

    def sources(self, split: Split, root: Path, download: bool) -> list[Path]:
        """As :meth:`Dataset.sources`: the file, or the folder that torchvision unpacks files to."""
        part = {"train": "", "test": ".t"} if self.name == "USPS" else {"train": "train", "test": "test"}
        place = root / ABOUT[self.name].files.format(split=part.get(split))
        self._download = download
        if not place.exists():  # a part of the files is completed when arrays are made of them
            self._open(split, place)
        return [place]

    def labels(self, split: Split, sources: list[Path]) -> np.ndarray:
        """As :meth:`Dataset.labels`."""
        _, labels = self._list(split, self._open(split, sources[0]))
        return labels

    def read(self, split: Split, sources: list[Path]) -> Iterator[Chunk | Unreadable]:
        """As :meth:`Dataset.read`."""
        return self.read_rows(split, sources, np.arange(len(self.labels(split, sources))))

    def read_rows(self, split: Split, sources: list[Path], rows: np.ndarray) -> Iterator[Chunk | Unreadable]:
        """As :meth:`Dataset.read_rows`."""
        dataset = self._open(split, sources[0])
        del self._opened[split]
        every, labels = self._list(split, dataset)
        items = (
            (f"{self.name} {row}", lambda row=row: dataset[row][0], label)
            for row, label in zip(every[rows].tolist(), labels[rows].tolist(), strict=True)
        )
        return self.pictures.read(items, self.image_shape, len(rows), f"decoding {self.name}")

    def _open(self, split: Split, place: Path) -> Any:
        """Torchvision's object, which reads and checks its files; missing ones are downloaded where that is allowed."""
        if split not in self._opened:
            root = place.parents[ABOUT[self.name].files.count("/")]
            try:
                self._opened[split] = self.make(split, root, download=False)
            except (RuntimeError, *DAMAGE) as error:
                is_missing = isinstance(error, FileNotFoundError) or "download=True" in str(error)
                top = place.relative_to(root).parts[0]
                if not is_missing:
                    reason = one_line(error)[:200]
                    raise UserError(
                        f"{place}: torchvision cannot read {self.name} ({reason}); put fresh files there"
                    ) from error
                if not self._download:
                    raise UserError(
                        f"missing {place}, the files of torchvision's {self.name}; put them there, or set data.root "
                        f"(or LDG_DATA) to the folder that holds {top}"
                    ) from error
                with guard_download(root, [f"torchvision's files of {self.name}"], top):
                    self._opened[split] = self.make(split, root, download=True)
        return self._opened[split]

    def make(self, split: Split, root: Path, download: bool) -> Any:
        """Make torchvision's object.

        Args:
            split: ``train``, ``test``, or ``val`` if the data set has one
            root: folder of the data sets' files
            download: whether missing files are downloaded

        Returns:
            The object, whose items are pairs of a picture and a label.

        Raises:
            RuntimeError: or another error of torchvision's, if files are missing or damaged.
        """
        from torchvision import datasets

        about = ABOUT[self.name]
        arguments = {about.argument: about.splits[split]}
        return getattr(datasets, self.name)(str(root), download=download, **arguments)

    def _list(self, split: Split, dataset: Any) -> tuple[np.ndarray, np.ndarray]:
        """The items of torchvision's object that belong to a split, and their labels."""
        values = next(getattr(dataset, name) for name in LABELS if hasattr(dataset, name))
        if any(isinstance(value, tuple) for value in values[:1]):  # a path and a label
            values = [label for _, label in values]
        # QMNIST has more numbers behind the label
        labels = np.asarray(values, np.int64).reshape(len(values), -1)[:, 0]
        if self.name != "Omniglot":
            return np.arange(len(labels)), labels
        # torchvision numbers characters in the order of the file system
        numbers = {name: number for number, name in enumerate(CHARACTERS)}
        order = np.array([numbers[name] for name in dataset._characters])
        rows = stratified(labels, TEST_FRACTION, 0)[split == "test"]
        return rows, order[labels[rows]]
