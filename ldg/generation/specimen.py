"""A specimen of a font: a sheet that shows its characters and texts, drawn from the outlines in its file."""

import io

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from ldg.generation.font import CAPITAL, EM, Font
from ldg.generation.typeset import LINE

WIDTH, MARGIN = 1600, 90  # pixels
PRIVATE = 0xE000  # codes by which glyphs are drawn that have none of their own
PANGRAM = "The quick brown fox jumps over the lazy dog."
TEXT = (
    'A little yellow balloon still hung in the trees. "Shall we call Anna?" asked Bill - it was 7:45 in the evening, '
    "and all the bees had gone to sleep. Nobody has ever written this by hand, and no letter is the same as its "
    "neighbour. Pack my box with five dozen liquor jugs; sphinx of black quartz, judge my vow!"
)


def draw_specimen(font: Font, title: str) -> np.ndarray:
    """Draw a specimen.

    Args:
        font: Of which it is.
        title: Its first line.

    Returns:
        A picture (H, W) in [0, 1], dark ink on white.
    """
    groups = [[name for name in font.names if test(name)] for test in (str.isupper, str.islower, str.isdigit)]
    rest = [name for name in font.names if not name.isalnum()]
    repeated = [5 * name for name in font.names if name in "aenost"]
    shown = [(110, title), (76, PANGRAM), *((64, " ".join(group)) for group in (*groups, rest, repeated))]
    blocks = [(_fitting(font, text, size), text) for size, text in shown] + [(46, TEXT), (28, TEXT)]
    lines = [(size, line) for size, text in blocks for line in (*_wrap(font, text, size), "")]
    baselines = np.cumsum([LINE * CAPITAL / EM * size * (1 if line else 0.4) for size, line in lines])
    page = Image.new("L", (WIDTH, round(baselines[-1]) + MARGIN), 255)
    ink, outlines = ImageDraw.Draw(page), _by_number(font)
    number = font.file.getReverseGlyphMap()
    faces: dict[int, ImageFont.FreeTypeFont] = {}
    for (size, line), baseline in zip(lines, baselines.tolist(), strict=True):
        if size not in faces:
            outlines.seek(0)
            faces[size] = ImageFont.truetype(outlines, size, layout_engine=ImageFont.Layout.BASIC)
        for name, left in font.set_line(line)[0]:
            place = MARGIN + left * size / EM, MARGIN / 2 + baseline
            ink.text(place, chr(PRIVATE + number[name]), 0, faces[size], anchor="ls")
    return np.asarray(page, np.float32) / 255


def _by_number(font: Font) -> io.BytesIO:
    """The font's file with a code for each glyph, as alternates have none."""
    content = io.BytesIO()
    font.file.save(content)
    file = TTFont(content)
    codes = {PRIVATE + number: name for number, name in enumerate(file.getGlyphOrder())}
    for table in file["cmap"].tables:
        table.cmap = codes
    content = io.BytesIO()
    file.save(content)
    return content


def _known(font: Font, text: str) -> list[str]:
    """The words of a text, without the characters that the font lacks."""
    return "".join(character for character in text if character in font.names or character == " ").split()


def _fitting(font: Font, text: str, size: int) -> int:
    """The size at which a text is one line, if that is not much smaller."""
    width = font.set_line(" ".join(_known(font, text)))[1]
    return min(size, max(size // 2, (WIDTH - 2 * MARGIN) * EM // max(width, 1)))


def _wrap(font: Font, text: str, size: int) -> list[str]:
    """Lines no wider than the sheet, except for a word that is."""
    lines: list[str] = []
    for word in _known(font, text):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.set_line(longer)[1] * size <= (WIDTH - 2 * MARGIN) * EM:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
