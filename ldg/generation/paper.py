"""What a page may be: sizes of paper, lengths, colours and the ranges of its settings. Imports nothing heavy."""

import re
from typing import NamedTuple

from ldg.errors import UserError

POINTS = {"mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0, "pt": 1.0, "px": 0.75}  # in one of each unit
HEIGHTS = 0.5, 1000.0  # of a capital, mm

# Lengths are shares of the height of a capital.
RANGES = {
    "margins": (0.0, 20.0),
    "line_height": (0.3, 10.0),
    "letter_spacing": (0.0, 10.0),
    "word_spacing": (0.0, 10.0),
    "slant": (-45.0, 45.0),
    "pen": (0.5, 2.0),
    "ragged": (0.0, 10.0),
}
ALIGNMENTS = {"left": 0.0, "center": 0.5, "right": 1.0}  # and how much of the free space is on the left


class Length(NamedTuple):
    """A length and its unit, a key of POINTS."""

    value: float
    unit: str

    @property
    def points(self) -> float:
        """Of 1/72 inch."""
        return self.value * POINTS[self.unit]


# width and height
PAPERS = {
    "A4": (Length(210, "mm"), Length(297, "mm")),
    "A5": (Length(148, "mm"), Length(210, "mm")),
    "letter": (Length(8.5, "in"), Length(11, "in")),
}


def parse_height(text: str) -> Length:
    """Parse the height of a capital, as in ``10mm``.

    Raises:
        UserError: For what is no length, or one out of range.
    """
    number, unit = text.strip()[:-2], text.strip()[-2:]
    try:
        length = Length(float(number), unit)
        millimetres = length.points / POINTS["mm"]
    except (ValueError, KeyError):
        raise UserError(f"must be a number and {', '.join(POINTS)}, as in 10mm, got {text!r}") from None
    if not HEIGHTS[0] <= millimetres <= HEIGHTS[1]:
        raise UserError(f"must be from {HEIGHTS[0]:g}mm to {HEIGHTS[1]:g}mm, got {text!r}")
    return length


def parse_colour(text: str) -> tuple[int, int, int]:
    """Parse the name of a colour, or ``#rrggbb``.

    Returns:
        Red, green and blue, 0 to 255.

    Raises:
        UserError: For what is no colour, or a translucent one.
    """
    from PIL import ImageColor

    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        colour = None
    is_beyond = any(float(share) > 100 for share in re.findall(r"([\d.]+)%", text))
    if colour is None or len(colour) > 3 or is_beyond or not all(0 <= part <= 255 for part in colour):
        raise UserError(f"must be a colour, as navy or #1a2b3c, got {text!r}")
    return colour[:3]
