"""Pictures of any size, mode and common format, turned into images of one shape."""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import Field, NonNegativeInt

from ldg.data.dataset import Chunk, Unreadable, progress
from ldg.data.paths import open_regular
from ldg.errors import UserError, one_line

if TYPE_CHECKING:
    from PIL import Image

    Source = Path | bytes | Callable[[], Image.Image]  # a file, its content, or a function that decodes it

# no others, since Pillow reads some with programs of the system
FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".ppm", ".pgm")
MOST_PIXELS = 89_478_485  # Pillow warns of larger pictures
CHUNK = 256  # pictures that are decoded at once
DEFAULT_SIDE = 64  # pixels, of images that are made of pictures of several sizes
SMALLEST, LARGEST = 8, 128  # pixels a side, of pictures that keep their size
Side = Annotated[int, Field(ge=8, le=1024)]
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the tag in Exif data; its values for pictures that lie on their side

Shape = tuple[int, int, int]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Header(NamedTuple):
    """What a picture's file says before it is decoded.

    Attributes:
        height: in pixels, upright
        width: in pixels, upright
        is_grey: whether it has no colours
    """

    height: int
    width: int
    is_grey: bool


class Pictures:
    """How pictures become images of one shape.

    Args:
        image_size: side of a square image in pixels, or [height, width]; None: that of the pictures if all have the
            same one of at most 128 pixels a side, else 64
        channels: 1 for grey, 3 for colours; None: 1 if all pictures are grey, else 3
        resize: ``crop`` fills the image with the middle of the picture, ``pad`` fits the whole picture in, ``squeeze``
            changes its proportions, ``none`` takes pictures of this size only
        background: grey level, 0 to 255, behind transparent pixels and beside a picture that is padded
        invert: whether bright becomes dark; for dark ink on light paper, since writing expects ink to be bright
        max_bad: share of the pictures that are left out if they cannot be read; more of them are an error
    """

    def __init__(
        self,
        image_size: Side | tuple[Side, Side] | None = None,
        channels: Literal[1, 3] | None = None,
        resize: Literal["crop", "pad", "squeeze", "none"] = "crop",
        background: Annotated[NonNegativeInt, Field(le=255)] = 255,
        invert: bool = False,
        max_bad: Annotated[float, Field(ge=0, lt=1)] = 0.01,
    ) -> None:
        self.image_size, self.channels, self.resize = image_size, channels, resize
        self.background, self.invert, self.max_bad = background, invert, max_bad

    def complete(self, channels: int, height: int, width: int) -> Shape:
        """Complete what the arguments leave open.

        Args:
            channels: where ``channels`` is None
            height: in pixels, where ``image_size`` is None
            width: in pixels, where ``image_size`` is None

        Returns:
            (C, H, W).
        """
        if self.image_size:
            height, width = (self.image_size,) * 2 if isinstance(self.image_size, int) else self.image_size
        return self.channels or channels, height, width

    def find_shape(self, sources: Iterable[tuple[str, Source]], total: int) -> Shape:
        """Find the shape that images will have; headers are read only if the arguments leave something open.

        Args:
            sources: name and source of each picture
            total: number of pictures

        Returns:
            (C, H, W).

        Raises:
            UserError: if pictures should keep their size and have several.
        """
        if self.image_size and self.channels and self.resize != "none":
            return self.complete(3, DEFAULT_SIDE, DEFAULT_SIDE)
        sizes: Counter[tuple[int, int]] = Counter()
        first: dict[tuple[int, int], str] = {}
        is_grey = True
        headers = map_chunks(lambda item: (item[0], read_header(item[1])), sources, total, "reading sizes")
        for name, header in chain.from_iterable(headers):
            if header:
                sizes[header[:2]] += 1
                first.setdefault(header[:2], name)
                is_grey = is_grey and header.is_grey
        if self.resize == "none":
            usual = sizes.most_common(1)[0][0] if sizes else (DEFAULT_SIDE, DEFAULT_SIDE)
            expected = self.complete(3, *usual)[1:]
            if other := next((size for size in sizes if size != expected), None):
                raise UserError(
                    f"data.resize=none: pictures have {len(sizes)} sizes, such as {other[1]}x{other[0]} "
                    f"({first[other]}) beside {expected[1]}x{expected[0]}; choose data.resize=crop, pad or squeeze"
                )
            size = expected
        else:
            (size,) = sizes if len(sizes) == 1 else [(DEFAULT_SIDE, DEFAULT_SIDE)]
            size = size if min(size) >= SMALLEST and max(size) <= LARGEST else (DEFAULT_SIDE, DEFAULT_SIDE)
        return self.complete(1 if is_grey and sizes else 3, *size)

    def convert(self, picture: Image.Image, shape: Shape) -> np.ndarray:
        """Turn a picture into an image.

        Args:
            picture: as :func:`open_picture` gives it
            shape: (C, H, W)

        Returns:
            uint8 (C, H, W).

        Raises:
            ValueError: if the picture has another size and may not be resized.
        """
        from PIL import Image, ImageOps

        channels, height, width = shape
        ImageOps.exif_transpose(picture, in_place=True)
        mode = "L" if channels == 1 else "RGB"
        picture = flatten(picture, self.background).convert(mode)
        if picture.size != (width, height):
            bicubic = Image.Resampling.BICUBIC
            if self.resize == "none":
                raise ValueError(f"it has {picture.width}x{picture.height} pixels instead of {width}x{height}")
            if self.resize == "crop":
                picture = ImageOps.fit(picture, (width, height), bicubic)
            elif self.resize == "pad":
                color = self.background if channels == 1 else (self.background,) * 3
                picture = ImageOps.pad(picture, (width, height), bicubic, color)
            else:
                picture = picture.resize((width, height), bicubic)
        image = np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)
        return 255 - image if self.invert else image

    def read(
        self, items: Iterable[tuple[str, Source, int]], shape: Shape, total: int, what: str
    ) -> Iterator[Chunk | Unreadable]:
        """Decode pictures.

        Args:
            items: name, source and label of each picture
            shape: of the images, (C, H, W)
            total: number of pictures
            what: text of the progress bar

        Yields:
            Images and labels, or what stands for a picture that cannot be read, in the order of ``items``.
        """

        def decode(item: tuple[str, Source, int]) -> tuple[np.ndarray, int] | Unreadable:
            name, source, label = item
            try:
                with open_picture(source, shape) as picture:
                    return self.convert(picture, shape), label
            # for a damaged file Pillow raises errors of any type
            except Exception as error:
                return Unreadable(name, one_line(error)[:200])

        for decoded in map_chunks(decode, items, total, what):
            for _, group in groupby(decoded, type):
                run = list(group)
                yield from (each for each in run if isinstance(each, Unreadable))
                if good := [each for each in run if not isinstance(each, Unreadable)]:
                    images, labels = zip(*good, strict=True)
                    yield np.stack(images), np.array(labels)


def map_chunks(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, what: str
) -> Iterator[list[Result]]:
    """Apply a function that reads pictures to many items, on all cores.

    Pillow decodes and resizes outside the interpreter lock, so that threads use every core.

    Args:
        function: of an item
        items: any number; few are held at once
        total: number of items
        what: text of the progress bar

    Yields:
        The results of some items, in order.
    """
    from PIL import Image

    # too many pixels are an error in `open_picture`, and transparency gets a background
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", message="Palette images with Transparency")
    remaining = iter(items)
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress(total, what) as bar:
        while batch := list(islice(remaining, CHUNK)):
            yield list(pool.map(function, batch))
            bar.update(len(batch))


def open_picture(source: Source, shape: Shape | None = None) -> Image.Image:
    """Open a picture without decoding it, unless its source is a function that does.

    Args:
        source: of the picture
        shape: (C, H, W) of the image it will become: a JPEG is decoded at a fraction of its size that is still twice as
            large; None: at its size

    Returns:
        The picture.

    Raises:
        ValueError: if it is none of ``FORMATS``, or has too many pixels.
        OSError: if its file cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, Path):
        open_regular(source).close()  # no pipe, which may never end
    try:
        if callable(source):
            picture = source()
        else:
            picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"it is none of {', '.join(FORMATS)}") from None
    if picture.width * picture.height > MOST_PIXELS:
        picture.close()
        raise ValueError(f"{picture.width}x{picture.height} pixels are more than {MOST_PIXELS // 10**6} million")
    if shape is not None:
        side = 2 * max(shape[1:])  # an orientation may exchange height and width
        picture.draft("L" if shape[0] == 1 else None, (side, side))
    return picture


def read_header(source: Source) -> Header | None:
    """Read the header of a picture.

    Args:
        source: of the picture

    Returns:
        Size and colours; None if it cannot be read.
    """
    try:
        with open_picture(source) as picture:
            height, width = picture.height, picture.width
            # of a PNG the whole file would be decoded
            if picture.format in ("JPEG", "MPO", "WEBP", "TIFF") and picture.getexif().get(ORIENTATION) in SIDEWAYS:
                height, width = width, height
            return Header(height, width, is_grey(picture))
    except Exception:  # decoding says what is wrong
        return None


def is_grey(picture: Image.Image) -> bool:
    """Whether a picture can have no colours.

    Args:
        picture: of any mode

    Returns:
        False also for a picture of a mode with colours that happens to show none.
    """
    if picture.mode in ("P", "PA") and picture.palette is not None:
        colours = np.frombuffer(bytes(picture.palette.getdata()[1]), np.uint8)
        colours = colours.reshape(-1, len(picture.palette.mode))[:, :3]
        return bool((colours == colours[:, :1]).all())
    return picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;16")


def flatten(picture: Image.Image, background: int | None = None) -> Image.Image:
    """Bring a picture to 8 bits without transparency.

    Args:
        picture: of any mode; it is decoded
        background: grey level behind transparent pixels, 0 to 255; None: their own colour

    Returns:
        The picture, grey or in colours. Grey values of 16 bits are divided by 257.

    Raises:
        ValueError: if its values have no known range.
    """
    from PIL import Image

    if picture.mode in ("I", "F"):
        raise ValueError("its numbers of 32 bits have no known range; save it with 8 or 16 bits")
    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture, np.uint32) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8))
    if background is not None and picture.has_transparency_data:
        behind = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(behind, picture.convert("RGBA")).convert("RGB")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
