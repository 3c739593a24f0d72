"""Pages as vector graphics: SVG and PDF, in which a glyph is one path."""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

import numpy as np

from ldg.data import strokes
from ldg.errors import UserError
from ldg.generation import outlines, skeleton
from ldg.generation.paper import POINTS
from ldg.generation.typeset import RULE_INK, Glyph

LONGEST = 14_400  # side of a PDF page, points
Colour = tuple[int, int, int]
Drawing = TypeVar("Drawing")


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper. Lengths are pixels of the page that was set, as those of the glyphs.

    Attributes:
        glyphs: With their images; those without are ruled lines.
        top: Row of its upper edge.
        left: Column of its left edge.
        height: Of the paper.
        width: Of the paper.
    """

    glyphs: Sequence[Glyph]
    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True)
class Look:
    """How a text is drawn.

    Attributes:
        unit: Of real lengths, a key of :data:`ldg.generation.paper.POINTS`.
        pixel: Size of a pixel of the page, in this unit.
        ink: Red, green and blue, 0 to 255.
        paper: Likewise; None: none, as a plotter needs it.
        strokes: Whether centre lines are drawn with a pen, rather than outlines filled.
    """

    unit: str
    pixel: float
    ink: Colour = (0, 0, 0)
    paper: Colour | None = None
    strokes: bool = False


@dataclass(frozen=True)
class Path(Generic[Drawing]):
    """What is drawn of a glyph: its curves as a file has them, with the corner of its box at ``place`` of the sheet."""

    name: str
    drawing: Drawing
    place: tuple[float, float]
    pen: float


def svg(sheet: Sheet, look: Look, text: str) -> bytes:
    """Draw a sheet as SVG.

    Args:
        sheet: What is drawn.
        look: How.
        text: Which is written there.

    Returns:
        The file's content: a path for each glyph that has ink, whose id is the character or its Unicode name.
    """
    height, width = (f"{side * look.pixel:.6g}{look.unit}" for side in (sheet.height, sheet.width))
    title = escape(" ".join(text.split()))
    ink = _hex(look.ink)
    style = 'fill="none" stroke="{}" stroke-linecap="round" stroke-linejoin="round"' if look.strokes else 'fill="{}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {sheet.width:.6g} {sheet.height:.6g}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
    ]
    if look.paper is not None:
        lines.append(f'<rect width="100%" height="100%" fill="{_hex(look.paper)}"/>')
    for x, y, wide, high in _rules(sheet):
        if look.strokes:
            line = f"M{_number(x)} {_number(y + high / 2)}h{_number(wide)}"
            lines.append(f'<path d="{line}" stroke="{ink}" stroke-width="{high}"/>')
        else:
            faint = _hex(_faint(look))
            lines.append(f'<rect x="{_number(x)}" y="{_number(y)}" width="{wide}" height="{high}" fill="{faint}"/>')
    lines.append(f"<g {style.format(ink)}>")
    for path in _paths(sheet, look, _svg_data, {}):
        width = f' stroke-width="{_number(path.pen)}"' if look.strokes else ' fill-rule="evenodd"'
        data = "".join(f"M{_joined(start + np.round(path.place, 2))}{rest}" for start, rest in path.drawing)
        lines.append(f'<path id="{path.name}"{width} d="{data}"/>')
    return "\n".join([*lines, "</g>", "</svg>", ""]).encode()


def _svg_data(curves: Sequence[np.ndarray]) -> list[tuple[np.ndarray, str]]:
    """Where each path starts, and its data from there; coordinates are relative to where the segment before ended."""
    parts = []
    for path in curves:
        points = np.round(path, 2)
        rest = "".join("c" + _joined((segment[1:] - segment[0]).ravel()) for segment in points)
        is_closed = (points[0, 0] == points[-1, 3]).all() and len(points) > 1
        parts.append((points[0, 0], f"{rest}z" if is_closed else rest))
    return parts


def _joined(numbers: np.ndarray) -> str:
    text = ""
    for number in numbers.tolist():
        word = _number(number)
        text += word if not text or word.startswith("-") else " " + word
    return text


def _number(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return sign + (digits.removeprefix("0") or "0")


def pdf(sheets: Sequence[Sheet], look: Look, text: str) -> bytes:
    """Draw sheets as the pages of a PDF; arguments as of :func:`svg`.

    Raises:
        UserError: If a sheet is larger than a page can be.
    """
    scale = look.pixel * POINTS[look.unit]
    longest = max(max(sheet.height, sheet.width) for sheet in sheets) * scale
    if longest > LONGEST:
        raise UserError(
            f"a PDF page is at most {LONGEST / POINTS['cm']:.0f} cm long, and this text takes "
            f"{longest / POINTS['cm']:,.0f} cm: choose a smaller --height, a --page or .svg"
        )
    title = " ".join(text.strip().split("\n")[0].split())[:80].encode("utf-16-be").hex()
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(sheets)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(sheets)} >>".encode(),
        f"<< /Title <feff{title}> /Producer (ldg) >>".encode(),
    ]
    drawn: dict[tuple, str] = {}
    for sheet in sheets:
        box = f"[0 0 {sheet.width * scale:.3f} {sheet.height * scale:.3f}]"
        content = zlib.compress(_pdf_content(sheet, look, scale, drawn).encode())
        stream = f"<< /Length {len(content)} /Filter /FlateDecode >>\nstream\n".encode() + content + b"\nendstream"
        number = len(objects) + 2
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Resources << >> /Contents {number} 0 R >>".encode(),
            stream,
        ]
    file, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    return (
        file
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
            f"<< /Size {len(objects) + 1} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
        ).encode()
    )


def _pdf_content(sheet: Sheet, look: Look, scale: float, drawn: dict[tuple, str]) -> str:
    paint = lambda colour: " ".join(f"{part / 255:.4g}" for part in colour)  # noqa: E731
    lines = [f"{scale:.8f} 0 0 {-scale:.8f} 0 {sheet.height * scale:.3f} cm 1 J 1 j"]
    if look.paper is not None:
        lines.append(f"{paint(look.paper)} rg 0 0 {sheet.width:.2f} {sheet.height:.2f} re f")
    faint = look.ink if look.strokes else _faint(look)
    for x, y, wide, high in _rules(sheet):
        if look.strokes:
            middle = y + high / 2
            lines.append(f"{paint(faint)} RG {high} w {x:.2f} {middle:.2f} m {x + wide:.2f} {middle:.2f} l S")
        else:
            lines.append(f"{paint(faint)} rg {x:.2f} {y:.2f} {wide} {high} re f")
    lines.append(f"{paint(look.ink)} {'RG' if look.strokes else 'rg'}")
    for path in _paths(sheet, look, _pdf_data, drawn):
        width = f"{path.pen:.2f} w " if look.strokes else ""
        x, y = path.place
        lines.append(f"q {width}1 0 0 1 {x:.2f} {y:.2f} cm\n{path.drawing}\n{'S' if look.strokes else 'f*'} Q")
    return "\n".join(lines)


def _pdf_data(curves: Sequence[np.ndarray]) -> str:
    lines = []
    for curve in curves:
        lines.append("{:.2f} {:.2f} m".format(*curve[0, 0]))
        lines += ["{:.2f} {:.2f} {:.2f} {:.2f} {:.2f} {:.2f} c".format(*segment[1:].ravel()) for segment in curve]
    return "\n".join(lines)


def _rules(sheet: Sheet) -> Iterator[tuple[float, float, int, int]]:
    """Left edge, upper edge, width and height of the ruled lines."""
    for glyph in sheet.glyphs:
        if not glyph.character:
            yield glyph.left - sheet.left, glyph.top - sheet.top, glyph.ink.shape[1], glyph.ink.shape[0]


def _paths(
    sheet: Sheet, look: Look, draw: Callable[[list[np.ndarray]], Drawing], drawn: dict[tuple, Drawing]
) -> Iterator[Path[Drawing]]:
    """The paths of the glyphs that have ink; equal glyphs are traced once, and kept in ``drawn``."""
    trace: Callable = skeleton.trace if look.strokes else outlines.trace
    seen: Counter[str] = Counter()
    for glyph in sheet.glyphs:
        if glyph.image is None or glyph.outline is None:
            continue
        outline, shape = glyph.outline, glyph.ink.shape
        key = id(glyph.image), outline, shape
        if key not in drawn:
            corner = np.array([outline.left, outline.top])
            scale = shape[::-1] / np.array([outline.width, outline.height])
            drawn[key] = draw([(path - corner) * scale for path in trace(glyph.image, outline)])
        name = _name(glyph.character)
        seen[name] += 1
        yield Path(
            name if seen[name] == 1 else f"{name}-{seen[name]}",
            drawn[key],
            (glyph.left - sheet.left, glyph.top - sheet.top),
            glyph.pen * strokes.FINE.get(glyph.character, 1),
        )


def _name(character: str) -> str:
    """A name for XML: a letter as it is, anything else as Unicode calls it, as ``digit-two``."""
    if character.isascii() and character.isalpha():
        return character
    return unicodedata.name(character, f"u{ord(character):x}").lower().replace(" ", "-")


def _faint(look: Look) -> Colour:
    red, green, blue = (
        round(RULE_INK * dark + (1 - RULE_INK) * light)
        for dark, light in zip(look.ink, look.paper or (255, 255, 255), strict=True)
    )
    return red, green, blue


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
