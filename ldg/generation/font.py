"""A TrueType font of a hand: several glyphs of each character, which a text goes through in turn. Imports no torch.

The first character of a line is drawn by its first alternate, the second by its second, and so on round. So equal
characters fewer places apart than there are alternates are never the same glyph. OpenType's ``calt`` does this, by
rules that look at the glyph before, or across a blank. Where it is off, the first alternates are set.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from fontTools.agl import UV2AGL
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.misc.timeTools import timestampNow
from fontTools.otlLib.builder import buildCoverage, buildValue
from fontTools.otlLib.maxContextCalc import maxCtxFont
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables import otTables
from fontTools.ttLib.tables._g_l_y_f import Glyph
from fontTools.ttLib.tables.ttProgram import Program

from ldg.errors import UserError
from ldg.generation import outlines, typeset
from ldg.generation.alphabet import BLANK, PLAIN, Cell

VERSION = "1.000"
# in font units, of which an em has so many
EM = 1000
CAPITAL = 650
ASCENDER, DESCENDER = 815, -387  # a line is as far from the next as the typesetter sets it: 1.85 capitals
MOST = 180  # characters whose kerning fits into tables of 64 kB
TAIL = 40  # how far a tail or an arm reaches into a blank
ERROR = 1.0  # of a quadratic curve in the place of a cubic one
HIGHEST = 0.85  # level of the ink: higher than in pictures, as no greys soften an uneven pen
PRECISION = 100  # pixels of a capital where space is measured
LICENSE = "ldg claims no rights in this font; the data that its model was trained on may have a licence of their own."


class Font(NamedTuple):
    """A font, and how it sets a text.

    Attributes:
        file: Of fontTools.
        names: Of glyphs: for each character, those of its K alternates.
        widths: Their advances, by name, in font units.
        kerning: What is added between two characters, when the first is drawn by alternate k: (K, M, M) in font units,
            in the order of ``names``.
    """

    file: TTFont
    names: Mapping[str, Sequence[str]]
    widths: Mapping[str, int]
    kerning: np.ndarray

    def set_line(self, text: str) -> tuple[list[tuple[str, int]], int]:
        """Set a line of text, as programs do that know ``calt`` and ``kern``.

        Args:
            text: Of characters of the font and single blanks between them.

        Returns:
            The name of each glyph with its left edge, in font units, and where the line ends.
        """
        number = {character: index for index, character in enumerate(self.names)}
        glyphs, left, turn, before = [], 0, 0, None
        for character in text:
            if character == " ":
                left, before = left + self.widths["space"], None
                continue
            alternates = self.names[character]
            if before is not None:
                left += int(self.kerning[(turn - 1) % len(alternates), number[before], number[character]])
            glyphs.append((alternates[turn], left))
            left, turn, before = left + self.widths[alternates[turn]], (turn + 1) % len(alternates), character
        return glyphs, left


def build(characters: Sequence[str], images: np.ndarray, family: str, description: str) -> Font:
    """Make a font from images of its characters.

    Args:
        characters: M different ones.
        images: Of K alternates of each, at least 2: (K, M, H, W) in [0, 1].
        family: The font's name.
        description: What it says of itself.

    Raises:
        UserError: If there is no ink in the images, or there are too many characters.
    """
    if len(characters) > MOST:
        raise UserError(f"a font has at most {MOST} characters: this model has {len(characters):,}")
    layout = typeset.Baseline(PRECISION, highest=HIGHEST)
    line = [cell for name in characters for cell in (Cell(name, ((0, 1.0),)), BLANK)]
    flat = images.reshape(-1, *images.shape[2:])
    placed = layout.place([line * len(images)], flat, [0] * len(flat))
    if not any(glyph.outline for glyph in placed):
        raise UserError("this model draws no ink: train it longer, or name another with --checkpoint")
    rows = [placed[start : start + len(characters)] for start in range(0, len(placed), len(characters))]
    names = {name: _glyph_names(name, len(images)) for name in characters}
    before, after, kerning = _space(layout, rows)

    blank = round(typeset.BLANK_WIDTH * CAPITAL - np.median(after) - np.median(before))
    shapes, widths = {".notdef": _box(), "space": TTGlyphPen(None).glyph()}, {".notdef": 500, "space": blank}
    in_order = [alternates[k] for k in range(len(images)) for alternates in names.values()]
    sides = zip(before.ravel().tolist(), after.ravel().tolist(), strict=True)
    for name, glyph, paths, (left, right) in zip(in_order, placed, _trace(placed), sides, strict=True):
        shapes[name] = _draw(glyph, paths, left)
        widths[name] = left + round(glyph.ink.shape[1] * CAPITAL / PRECISION) + right
    codes = {ord(name): alternates[0] for name, alternates in names.items()} | {0x20: "space"}
    _add_typographic(shapes, widths, codes, names)
    file = _assemble(shapes, widths, codes, _name(family, description))
    _add_features(file, list(names.values()), kerning)
    return Font(file, names, widths, kerning)


def _glyph_names(character: str, number: int) -> list[str]:
    code = ord(character)
    name = UV2AGL.get(code, f"uni{code:04X}" if code < 0x10000 else f"u{code:X}")
    return [name, *(f"{name}.alt{k}" for k in range(1, number))]


def _space(
    layout: typeset.Baseline, glyphs: Sequence[Sequence[typeset.Glyph]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The space before and after each glyph (K, M), and what pairs of neighbours have besides (K, M, M)."""
    following = [*glyphs[1:], glyphs[0]]
    pairs = [layout.spaces(first, second) for first, second in zip(glyphs, following, strict=True)]
    space = np.array(pairs) * CAPITAL / PRECISION
    half = np.median(space) / 2
    upright = [number for number, glyph in enumerate(glyphs[0]) if glyph.character in ":;"]  # not under the arm of a 7
    space[:, :, upright] = np.maximum(space[:, :, upright], half)
    space[:, upright] = np.maximum(space[:, upright], half)
    after = np.round(np.maximum(np.median(space, axis=2) - half, -TAIL)).astype(int)
    before = np.round(np.maximum(np.median(space, axis=1) - half, -TAIL)).astype(int)  # of those that follow
    kerning = np.round(space).astype(int) - after[:, :, None] - before[:, None]
    return np.roll(before, 1, axis=0), after, kerning


def _trace(glyphs: Sequence[typeset.Glyph]) -> list[list[np.ndarray]]:
    """Paths of each glyph, in pixels of its image; of one without ink none."""
    inked = [(glyph.image, glyph.outline) for glyph in glyphs if glyph.image is not None and glyph.outline is not None]
    found = iter(outlines.trace_all(*zip(*inked, strict=True)))
    return [next(found) if glyph.outline else [] for glyph in glyphs]


def _draw(glyph: typeset.Glyph, paths: Sequence[np.ndarray], left: int) -> Glyph:
    """A glyph whose box begins ``left`` units from its origin."""
    pen = TTGlyphPen(None)
    if glyph.outline is None:
        return pen.glyph()
    quadratic = Cu2QuPen(pen, ERROR)
    unit, (height, width), box = CAPITAL / PRECISION, glyph.ink.shape, glyph.outline
    scale = unit * np.array([width / box.width, -height / box.height])
    for path in paths:
        curves = (path - (box.left, box.top)) * scale + (left, -glyph.top * unit)
        quadratic.moveTo(tuple(curves[0, 0]))
        for curve in curves.tolist():
            quadratic.curveTo(*map(tuple, curve[1:]))
        quadratic.closePath()
    return pen.glyph()


def _box() -> Glyph:
    """The glyph of characters that the font lacks: the frame of a rectangle."""
    pen = TTGlyphPen(None)
    for corners in (
        [(50, 0), (50, CAPITAL), (450, CAPITAL), (450, 0)],
        [(100, 50), (400, 50), (400, CAPITAL - 50), (100, CAPITAL - 50)],
    ):
        pen.moveTo(corners[0])
        for corner in corners[1:]:
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def _add_typographic(
    shapes: dict[str, Glyph], widths: dict[str, int], codes: dict[int, str], names: Mapping[str, Sequence[str]]
) -> None:
    """Add what word processors make of marks: other codes of their glyphs, and an ellipsis of full stops."""
    for character, plain in PLAIN.items():
        if ord(character) in codes or ord(plain[0]) not in codes:
            continue
        if len(plain) == 1:
            codes[ord(character)] = codes[ord(plain)]
            continue
        pen, name, left = TTGlyphPen(shapes), _glyph_names(character, 1)[0], 0
        for number, part in enumerate(plain):
            alternate = names[part][number % len(names[part])]
            pen.addComponent(alternate, (1, 0, 0, 1, left, 0))
            left += widths[alternate]
        shapes[name], widths[name], codes[ord(character)] = pen.glyph(), left, name


def _name(family: str, description: str) -> dict[str, str]:
    """The entries of the name table."""
    ascii_name = unicodedata.normalize("NFKD", family).encode("ascii", "ignore").decode()
    return {
        "copyright": "Drawn with ldg.",
        "familyName": family,
        "styleName": "Regular",
        "uniqueFontIdentifier": f"{VERSION};ldg;{family}",
        "fullName": family,
        "version": f"Version {VERSION}",
        "psName": f"{re.sub('[^A-Za-z0-9]', '', ascii_name)[:55] or 'Hand'}-Regular",
        "description": description,
        "licenseDescription": LICENSE,
    }


def _assemble(
    shapes: Mapping[str, Glyph], widths: Mapping[str, int], codes: Mapping[int, str], names: Mapping[str, str]
) -> TTFont:
    builder = FontBuilder(EM, isTTF=True)
    builder.setupGlyphOrder(list(shapes))
    builder.setupCharacterMap(codes)
    builder.setupGlyf(shapes)
    glyf = builder.font["glyf"]
    builder.setupHorizontalMetrics({name: (width, getattr(glyf[name], "xMin", 0)) for name, width in widths.items()})
    builder.setupHorizontalHeader(ascent=ASCENDER, descent=DESCENDER)
    builder.setupNameTable(names, mac=False)
    inked = [glyph for glyph in map(glyf.__getitem__, shapes) if glyph.numberOfContours]
    builder.setupOS2(
        version=4,
        sTypoAscender=ASCENDER,
        sTypoDescender=DESCENDER,
        sTypoLineGap=0,
        usWinAscent=max(ASCENDER, *(glyph.yMax for glyph in inked)),
        usWinDescent=-min(DESCENDER, *(glyph.yMin for glyph in inked)),
        sxHeight=round(typeset.X_HEIGHT * CAPITAL),
        sCapHeight=CAPITAL,
        fsSelection=1 << 6 | 1 << 7,  # regular; the typographic metrics are those of a line
        fsType=0,  # may be embedded and installed
        sFamilyClass=10 << 8,  # script
        achVendID="LDG ",
        ySubscriptXSize=EM * 3 // 5,
        ySubscriptYSize=EM * 3 // 5,
        ySubscriptYOffset=150,
        ySuperscriptXSize=EM * 3 // 5,
        ySuperscriptYSize=EM * 3 // 5,
        ySuperscriptYOffset=350,
        yStrikeoutSize=50,
        yStrikeoutPosition=round(typeset.X_HEIGHT * CAPITAL / 2),
    )
    panose = builder.font["OS/2"].panose
    panose.bFamilyType, panose.bProportion = 3, 2  # written by hand, the spacing proportional
    builder.setupPost(underlinePosition=-150, underlineThickness=50)
    builder.updateHead(fontRevision=float(VERSION), created=timestampNow(), lowestRecPPEM=8)
    gasp = builder.font["gasp"] = newTable("gasp")
    gasp.version, gasp.gaspRange = 1, {0xFFFF: 0x000A}  # smooth at every size, no hints
    prep = builder.font["prep"] = newTable("prep")
    prep.program = Program()
    prep.program.fromAssembly(
        ["PUSH[ ]", "511", "SCANCTRL[ ]", "PUSH[ ]", "4", "SCANTYPE[ ]"]
    )  # no thin stroke drops out
    table = builder.font["OS/2"]
    table.recalcUnicodeRanges(builder.font)
    table.recalcCodePageRanges(builder.font)
    table.recalcAvgCharWidth(builder.font)
    return builder.font


def _add_features(file: TTFont, names: Sequence[Sequence[str]], kerning: np.ndarray) -> None:
    """Add ``calt`` and ``kern``."""
    turns = [f"[{' '.join(alternates)}]" for alternates in zip(*names, strict=True)]
    rules = [
        f"sub {before} {blank} {turns[0]}' by {after};" for before, after in pairwise(turns) for blank in ("", "space")
    ]
    some = names[0][0]
    addOpenTypeFeaturesFromString(
        file,
        f"""
        languagesystem DFLT dflt;
        languagesystem latn dflt;
        feature calt {{ {" ".join(rules)} }} calt;
        feature kern {{ pos {some} {some} 0; }} kern;
        """,
    )
    # a table of all pairs is made here: as text it takes seconds to read
    lookup = file["GPOS"].table.LookupList.Lookup[0]
    order = file.getReverseGlyphMap()
    lookup.SubTable = [
        _pair_table([alternates[k] for alternates in names], names, values, order) for k, values in enumerate(kerning)
    ]
    lookup.SubTableCount = len(lookup.SubTable)
    file["OS/2"].usMaxContext = maxCtxFont(file)


def _pair_table(
    first: Sequence[str], second: Sequence[Sequence[str]], values: np.ndarray, order: Mapping[str, int]
) -> otTables.PairPos:
    """Kerning (M, M) between M glyphs and M classes of glyphs."""
    table = otTables.PairPos()
    table.Format, table.ValueFormat1, table.ValueFormat2 = 2, 4, 0
    table.Coverage = buildCoverage(first, order)
    table.ClassDef1, table.ClassDef2 = otTables.ClassDef(), otTables.ClassDef()
    table.ClassDef1.classDefs = {name: number for number, name in enumerate(first)}
    # class 0 is every other glyph
    table.ClassDef2.classDefs = {name: number for number, each in enumerate(second, 1) for name in each}
    table.Class1Count, table.Class2Count = len(first), len(second) + 1
    records = {value: _pair_record(value) for value in {0, *values.ravel().tolist()}}
    table.Class1Record = []
    for row in values.tolist():
        record = otTables.Class1Record()
        record.Class2Record = [records[value] for value in (0, *row)]
        table.Class1Record.append(record)
    return table


def _pair_record(advance: int) -> otTables.Class2Record:
    record = otTables.Class2Record()
    record.Value1 = buildValue({"XAdvance": advance})
    return record
