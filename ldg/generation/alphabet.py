"""From a text to the classes that are drawn. Imports no torch."""

import difflib
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldg.data.strokes import MARKS
from ldg.errors import UserError

CHARACTERS_A_LINE = 60
PICTURES_A_LINE = 8
# what word processors make of marks
PLAIN = {
    **dict.fromkeys("‘’′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict.fromkeys("‐‑–—−", "-"),
    "…": "...",
    "\xa0": " ",
}
NAMED = 10  # what a message names at most


Mixture = tuple[tuple[int, float], ...]  # classes and their shares


@dataclass(frozen=True)
class Cell:
    """One place on a page.

    Attributes:
        name: The character, or the caption.
        mixture: The classes it is drawn from and their shares, which sum to 1; empty for a blank.
    """

    name: str
    mixture: Mixture = ()


Page = list[list[Cell]]
BLANK = Cell(" ")


def is_written(classes: Sequence[str]) -> bool:
    """Whether each class is a single character, so that a text is a string of them; otherwise classes have names."""
    return all(len(name) == 1 for name in classes)


def parse(
    text: str, classes: Sequence[str], width: int | None = None, mix: float = 0.5, marks: Sequence[str] = ""
) -> Page:
    """Parse a text into lines of cells.

    Args:
        text: Where classes are characters, a space is a blank and a newline starts a line. Where classes are words,
            names separated by commas; ``a+b`` blends two of them.
        classes: Names of the classes.
        width: Characters in a line, wrapped at a space (None: 60), or pictures in a line (None: 8); 0: no limit.
        mix: Share of b in ``a+b``, in [0, 1].
        marks: Further characters, which count as the classes after the last one unless they are classes.

    Returns:
        Lines of cells.

    Raises:
        UserError: That names everything without a class.
    """
    text = unicodedata.normalize("NFC", text)  # an accent as a character of its own joins its letter
    if not text.strip():
        raise UserError("the text is empty: give at least one character or class name")
    if is_written(classes):
        return _characters(text, [*classes, *marks], CHARACTERS_A_LINE if width is None else width)
    cells = _names(text, classes, mix)
    width = PICTURES_A_LINE if width is None else width or len(cells)
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def explain_refusal(text: str, about: Mapping[str, Any]) -> str | None:
    """Explain why a run cannot write a text.

    Args:
        text: See :func:`parse`.
        about: The run's summary, with ``classes`` and ``conditioning``; older ones lack them.

    Returns:
        What the run lacks; None if it can write the text, or its summary does not say.
    """
    if (classes := about.get("classes")) is None:
        return None
    if about.get("conditioning") == "none" and ("+" not in text or is_written(classes)):
        return "it was trained without labels (conditioning=none)"
    try:
        parse(text, classes, marks=MARKS)
    except UserError as error:
        return str(error)
    return None


def soft_labels(cells: Sequence[Cell], num_classes: int) -> np.ndarray:
    """Convert cells to mixtures of classes.

    Args:
        cells: N cells.
        num_classes: K.

    Returns:
        float32 (N, K); rows sum to 1, that of a blank to 0.
    """
    labels = np.zeros((len(cells), num_classes), np.float32)
    for row, cell in zip(labels, cells, strict=True):
        for index, weight in cell.mixture:
            row[index] += weight
    return labels


def number_characters(classes: Sequence[str]) -> dict[str, int]:
    """Number the characters that classes write.

    Args:
        classes: Characters, and after them marks that are drawn unless they are classes.

    Returns:
        By character, the class or mark it is written as.
    """
    exact = {name: index for index, name in reversed(list(enumerate(classes)))}  # a class, rather than a mark
    # a split that merges look-alikes, or both cases, writes a character with its other case
    return {name.swapcase(): index for name, index in exact.items()} | exact


def _characters(text: str, classes: Sequence[str], width: int) -> Page:
    indices = number_characters(classes)
    lines = "".join(c if c in indices else PLAIN.get(c, c) for c in text).strip("\n").splitlines()
    unknown = [c for c in dict.fromkeys("".join(lines)) if c != " " and c not in indices]
    if unknown:
        known = "".join(dict.fromkeys([*classes, *sorted(indices)]))
        raise UserError(f"cannot write {_listed(unknown)}: this model knows {known} and the space")
    return [
        [BLANK if c == " " else Cell(c, ((indices[c], 1.0),)) for c in line]
        for long_line in lines
        for line in _wrapped(long_line, width)
    ]


def _wrapped(line: str, width: int) -> list[str]:
    if not width or len(line) <= width:
        return [line]
    return textwrap.wrap(line, width, break_on_hyphens=False)


def _names(text: str, classes: Sequence[str], mix: float) -> list[Cell]:
    indices = {_key(name): index for index, name in enumerate(classes)}
    names = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not names:
        raise UserError("the text names no class: list class names with commas")
    parents = [[part.strip() for part in name.split("+")] for name in names]
    unknown = [part for parts in parents for part in parts if _key(part) not in indices]
    if unknown:
        names = list(dict.fromkeys(unknown))
        raise UserError("; ".join([*(_unknown(name, classes) for name in names[:NAMED]), *_more(names)]))
    return [_blend([indices[_key(part)] for part in parts], classes, mix) for parts in parents]


def _blend(parents: list[int], classes: Sequence[str], mix: float) -> Cell:
    if len(parents) > 2:
        raise UserError(f"cannot blend {_listed(classes[i] for i in parents)}: a blend has two classes, as in 'a+b'")
    if len(parents) == 1:
        return Cell(classes[parents[0]], ((parents[0], 1.0),))
    return Cell(f"{' + '.join(classes[i] for i in parents)} ({mix:.0%})", ((parents[0], 1.0 - mix), (parents[1], mix)))


def _unknown(name: str, classes: Sequence[str]) -> str:
    keys = {_key(known): known for known in classes}
    within = [known for key, known in keys.items() if _key(name) and _key(name) in key]
    close = [keys[key] for key in difflib.get_close_matches(_key(name), keys, n=3)]
    matches = list(dict.fromkeys([*within, *close]))[:5]
    if matches:
        return f"no class is called {name!r}: did you mean {_listed(matches, ' or ')}?"
    few = ", ".join(classes[:10]) + (f" ... ({len(classes)} in all)" if len(classes) > 10 else "")
    return f"no class is called {name!r}: the model knows {few}"


def _more(names: Sequence[str]) -> list[str]:
    """What a message says in the place of names that would make it too long."""
    return [f"{len(names) - NAMED:,} more"] if len(names) > NAMED else []


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


def _listed(names: Iterable[str], last: str = " and ") -> str:
    names = list(names)
    quoted = [*map(repr, names[:NAMED]), *_more(names)]
    return last.join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
