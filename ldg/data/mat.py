"""Texts and numbers in MATLAB's MAT files of version 5, read in Python: SciPy's reader crashes on damaged ones."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

LARGEST = 1 << 26  # bytes of a compressed variable when unpacked
COMPRESSED, MATRIX = 15, 14  # types of elements
CELLS, STRUCT, CHARACTERS = 1, 2, 4  # classes of arrays
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
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
        order, content = find_variable(data, name, LARGEST)
        array_class, _, _, cells = read_array(content, order)
        if array_class == CELLS:
            return [decode_text(cell, order) for _, cell in cells]
    except (KeyError, struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    raise ValueError(f"no list {name}")


def read_struct(data: bytes, name: str, largest: int) -> dict[str, Any]:
    """Read a variable that is a struct of numbers and other structs.

    Args:
        data: content of the file
        name: of the variable
        largest: bytes that it may have when unpacked

    Returns:
        The content of each field; numbers are views of arrays in MATLAB's shape.

    Raises:
        ValueError: if it is no such file, is damaged, or has no such variable.
    """
    try:
        order, content = find_variable(data, name, largest)
        value = read_value(content, order)
    except (KeyError, struct.error, zlib.error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"no struct {name}")
    return value


def find_variable(data: bytes, name: str, largest: int) -> tuple[str, memoryview]:
    """Find a variable.

    Args:
        data: content of the file
        name: of the variable
        largest: bytes that a variable may have when unpacked

    Returns:
        The order of bytes, and the content of its element.

    Raises:
        ValueError: if there is none, or an element ends too early.
    """
    order = {b"IM": "<", b"MI": ">"}[data[126:128]]
    for kind, content in split_elements(memoryview(data)[128:], order):
        if kind == COMPRESSED:
            unpacked = zlib.decompressobj().decompress(content, largest)
            ((kind, content),) = split_elements(memoryview(unpacked), order)
        if kind == MATRIX and read_array(content, order)[2] == name:
            return order, content
    raise ValueError(f"no variable {name}")


def read_value(data: memoryview, order: str) -> Any:
    """Read an array of numbers, or a struct of them.

    Args:
        data: content of its element
        order: of bytes, ``<`` or ``>``

    Returns:
        An array, or a dict.

    Raises:
        ValueError: if it is another kind of array.
    """
    array_class, shape, _, elements = read_array(data, order)
    if array_class == STRUCT:
        (_, length), (_, names), *fields = elements
        (size,) = struct.unpack_from(f"{order}I", length)
        keys = [bytes(names[at : at + size]).rstrip(b"\0").decode("ascii") for at in range(0, len(names), size)]
        return {key: read_value(field, order) for key, (_, field) in zip(keys, fields, strict=True)}
    ((kind, content),) = elements
    return np.frombuffer(content, order + NUMBERS[kind]).reshape(shape, order="F")


def split_elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
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


def read_array(data: memoryview, order: str) -> tuple[int, tuple[int, ...], str, list[tuple[int, memoryview]]]:
    """Read what every array begins with.

    Args:
        data: content of its element
        order: of bytes, ``<`` or ``>``

    Returns:
        Its class, its shape, its name, and the elements it consists of.

    Raises:
        ValueError: if there are too few elements.
    """
    (_, flags), (_, sizes), (_, name), *elements = split_elements(data, order)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    return struct.unpack_from(f"{order}I", flags)[0] & 0xFF, shape, bytes(name).decode("latin-1"), elements


def decode_text(data: memoryview, order: str) -> str:
    """Read an array of characters in one row.

    Args:
        data: content of its element
        order: of bytes, ``<`` or ``>``

    Returns:
        The text.

    Raises:
        ValueError: if it is another kind of array.
    """
    array_class, _, _, elements = read_array(data, order)
    if array_class != CHARACTERS or len(elements) != 1:
        raise ValueError("a cell is no text")
    ((kind, content),) = elements
    encoding = ENCODINGS[kind]
    return bytes(content).decode(
        encoding + {"<": "-le", ">": "-be"}[order] if encoding.startswith(("utf-16", "utf-32")) else encoding
    )
