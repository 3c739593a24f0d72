"""Lists of texts in MATLAB's MAT files of version 5, read in Python: SciPy's reader crashes on damaged ones."""

import struct
import zlib
from collections.abc import Iterator

LARGEST = 1 << 26  # bytes of a compressed variable when unpacked
COMPRESSED, MATRIX = 15, 14  # types of elements
CELLS, CHARACTERS = 1, 4  # classes of arrays
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


def read_texts(data: bytes, name: str) -> list[str]:
    """Read a variable that is a cell array of texts.

    Args:
        data: content of the file
        name: of the variable

    Returns:
        The texts, in MATLAB's order.

    Raises:
        ValueError: if it is no such file, is damaged, or has no such variable.
    """
    try:
        order = {b"IM": "<", b"MI": ">"}[data[126:128]]
        for kind, content in split_elements(data[128:], order):
            if kind == COMPRESSED:
                ((kind, content),) = split_elements(zlib.decompressobj().decompress(content, LARGEST), order)
            array_class, variable, cells = read_array(content, order)
            if kind == MATRIX and array_class == CELLS and variable == name:
                return [decode_text(cell, order) for _, cell in cells]
    except (KeyError, struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    raise ValueError(f"no list {name}")


def split_elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Split bytes into elements.

    Args:
        data: some elements, one after the other
        order: of bytes, ``<`` or ``>``

    Yields:
        Type and content of each.

    Raises:
        ValueError: if one ends too early.
    """
    at = 0
    while at < len(data):
        (kind,) = struct.unpack_from(f"{order}I", data, at)
        short = kind >> 16  # the size of what stands in the other four bytes
        size = short or struct.unpack_from(f"{order}I", data, at + 4)[0]
        start = at + (4 if short else 8)
        if start + size > len(data) or short > 4:
            raise ValueError("an element ends too early")
        yield kind & 0xFFFF, data[start : start + size]
        at = at + 8 if short else start + size + (-size % 8 if kind != COMPRESSED else 0)


def read_array(data: bytes, order: str) -> tuple[int, str, list[tuple[int, bytes]]]:
    """Read what every array begins with.

    Args:
        data: content of its element
        order: of bytes, ``<`` or ``>``

    Returns:
        Its class, its name, and the elements it consists of.

    Raises:
        ValueError: if there are too few elements.
    """
    (_, flags), _, (_, name), *elements = split_elements(data, order)
    return struct.unpack_from(f"{order}I", flags)[0] & 0xFF, name.decode("latin-1"), elements


def decode_text(data: bytes, order: str) -> str:
    """Read an array of characters in one row.

    Args:
        data: content of its element
        order: of bytes, ``<`` or ``>``

    Returns:
        The text.

    Raises:
        ValueError: if it is another kind of array.
    """
    array_class, _, elements = read_array(data, order)
    if array_class != CHARACTERS or len(elements) != 1:
        raise ValueError("a cell is no text")
    ((kind, content),) = elements
    encoding = ENCODINGS[kind]
    return content.decode(
        encoding + {"<": "-le", ">": "-be"}[order] if encoding.startswith(("utf-16", "utf-32")) else encoding
    )
