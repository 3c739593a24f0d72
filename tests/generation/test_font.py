"""A font as other programs see it: HarfBuzz, FreeType, Font Bakery and a browser."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uharfbuzz
from fontTools.pens.areaPen import AreaPen
from fontTools.pens.perimeterPen import PerimeterPen
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from ldg import checkpoint
from ldg.data.strokes import LETTERS, MARKS
from ldg.errors import UserError
from ldg.generation import font, typeset, writer
from ldg.generation.specimen import TEXT, draw_specimen
from tests.conftest import program

ALTERNATES = 5


@pytest.fixture(scope="module")
def made():
    model = checkpoint.load(checkpoint.SHIPPED, "cpu")
    return font.build(*writer.draw_alternates(model, ALTERNATES, seed=3), "My Hand", "A test.")


@pytest.fixture(scope="module")
def path(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("font") / "myhand.ttf"
    made.file.save(path)
    return path


@pytest.fixture(scope="module")
def file(path):
    return TTFont(path)


@pytest.fixture(scope="module")
def shape(path):
    """A function from a text to names and left edges of glyphs, and the line's end, as HarfBuzz sets it."""
    face = uharfbuzz.Font(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path))))

    def shape(text, **features):
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        uharfbuzz.shape(face, buffer, features)
        names = [face.glyph_to_string(info.codepoint) for info in buffer.glyph_infos]
        edges = np.cumsum([0, *(position.x_advance for position in buffer.glyph_positions)]).tolist()
        return list(zip(names, edges, strict=False)), edges[-1]

    return shape


def contours(file, name):
    """The area of each closed path of a glyph, positive if it runs counterclockwise."""
    pen = DecomposingRecordingPen(file.getGlyphSet())
    file.getGlyphSet()[name].draw(pen)
    areas, area = [], None
    for command, arguments in pen.value:
        area = AreaPen(None) if command == "moveTo" else area
        getattr(area, command)(*arguments)
        if command == "closePath":
            areas.append(area.value)
    return areas


@pytest.mark.parametrize(
    "text", ["ballooon", "aaaaaaaaaaaaaaaa", "Mississippi", "to be or to be", "e e e e e", "!!!???..."]
)
def test_equal_characters_near_each_other_are_different_glyphs(shape, text):
    names = [name for name, _ in shape(text)[0] if name != "space"]
    characters = text.replace(" ", "")
    assert len(names) == len(characters)
    for first, second in ((i, j) for i in range(len(names)) for j in range(i + 1, min(i + ALTERNATES, len(names)))):
        assert characters[first] != characters[second] or names[first] != names[second]
    plain = shape(text, calt=False)[0]
    assert len({name for name, _ in plain if name != "space"}) == len(set(characters))


@pytest.mark.parametrize("text", ["To AVATAR", "Hello, World!", *TEXT.split(". "), LETTERS, MARKS])
def test_a_line_is_set_as_harfbuzz_sets_it(made, shape, text):
    glyphs, end = shape(text)
    assert made.set_line(text) == ([(name, left) for name, left in glyphs if name != "space"], end)


def test_every_alternate_is_drawn_anew(made, file):
    for character, names in made.names.items():
        assert len(names) == ALTERNATES
        assert len({file["glyf"][name].compile(file["glyf"]) for name in names}) == ALTERNATES, character


def test_it_has_every_character_and_what_word_processors_make_of_marks(file):
    codes = file.getBestCmap()
    assert {*LETTERS, *MARKS, *" ’“”–—…\xa0"} <= set(map(chr, codes))
    assert codes[ord("’")] == "quotesingle" and codes[0xA0] == "space"
    assert file["hmtx"][codes[ord("…")]][0] == sum(
        file["hmtx"][name][0] for name in ("period", "period.alt1", "period.alt2")
    )


def test_glyphs_stand_on_the_line_as_tall_as_in_type(made, file):
    for character, names in made.names.items():
        if character in MARKS:
            continue
        bottom, top = typeset.EXTENTS.get(character, (0.0, 1.0))
        for name in names:
            glyph = file["glyf"][name]
            wide = (glyph.xMax - glyph.xMin) > 1.5 * (glyph.yMax - glyph.yMin)  # drawn smaller
            assert glyph.yMin == pytest.approx(bottom * font.CAPITAL, abs=20), name
            assert wide or character in "ij" or glyph.yMax == pytest.approx(top * font.CAPITAL, abs=20), name


def test_space_comes_from_ink(made, file, shape):
    """Each pair is as far apart as on a page; a small letter slips under the arm of a capital."""
    _, close = shape("To")
    _, wide = shape("To", kern=False)
    assert close < wide - 50
    glyf = file["glyf"]
    for text in ("nn", "oo", "no", "on"):
        (first, left), (second, right) = shape(text)[0]
        white = right + glyf[second].xMin - left - glyf[first].xMax
        assert 0 < white < 0.25 * font.CAPITAL, text


def test_outlines_run_the_right_way_and_holes_are_open(made, file):
    for names in made.names.values():
        for name in names:
            assert min(contours(file, name), key=lambda area: -abs(area)) < 0, name
    for character in "oO0":
        for name in made.names[character]:
            assert max(contours(file, name)) > 0, name


def test_the_pen_is_even(made, file):
    glyphs, widths = file.getGlyphSet(), []
    for character in LETTERS:
        for name in made.names[character]:
            edge = PerimeterPen(glyphs)
            glyphs[name].draw(edge)
            widths.append(-2 * sum(contours(file, name)) / edge.value)
    assert np.std(widths) < 0.15 * np.mean(widths)


def test_freetype_draws_it(path):
    page = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(page).text((150, 220), "O", 0, ImageFont.truetype(str(path), 250), anchor="ms")
    ink = np.asarray(page) < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert rows[-1] == pytest.approx(219, abs=3) and np.ptp(rows) == pytest.approx(0.65 * 250, abs=4)
    assert not ink[(rows[0] + rows[-1]) // 2, columns.mean().astype(int)]


def test_names_and_metrics(file):
    names = {record.nameID: str(record) for record in file["name"].names}
    assert (names[1], names[2], names[4], names[6]) == ("My Hand", "Regular", "My Hand", "MyHand-Regular")
    assert "licence" in names[13] and names[10] == "A test."
    about, lines = file["OS/2"], file["hhea"]
    assert (about.sxHeight, about.sCapHeight) == (416, 650)
    assert (
        lines.ascent - lines.descent == round(typeset.LINE * font.CAPITAL) == about.sTypoAscender - about.sTypoDescender
    )
    assert about.usWinAscent >= file["head"].yMax and about.usWinDescent >= -file["head"].yMin
    assert about.panose.bFamilyType == 3 and about.fsType == 0 and about.usMaxContext == 2
    assert about.ulUnicodeRange1 & 1 and about.ulCodePageRange1 & 1


def test_the_file_is_small(path):
    assert path.stat().st_size < 400_000


def test_the_specimen_shows_it(made):
    page = draw_specimen(made, "My Hand")
    assert page.shape[1] == 1600 and page.min() == 0 and 0.01 < (page < 0.5).mean() < 0.2
    assert page[:40].min() == page[-40:].min() == page[:, :60].min() == page[:, -60:].min() == 1  # nothing is cut


@pytest.mark.slow
def test_font_bakery_finds_no_fault(path, tmp_path):
    bakery = program("fontbakery", str(Path(sys.executable).with_name("fontbakery")))
    report = tmp_path / "report.json"
    # one check asks a server whether the name is taken
    line = [bakery, "check-universal", "-x", "fontdata_namecheck", "--json", report, "--no-progress", path]
    subprocess.run(line, capture_output=True, timeout=300)
    results = [check for section in json.loads(report.read_text())["sections"] for check in section["checks"]]
    assert sum(check["result"] == "PASS" for check in results) > 50
    assert [check["key"][1] for check in results if check["result"] in ("FAIL", "FATAL", "ERROR")] == []


def test_a_browser_shapes_it(path, shape):
    from playwright.sync_api import sync_playwright

    chromium = program("chromium", "chromium-browser", "google-chrome")
    text = "ballooon to be"
    page = path.with_name("page.html")
    page.write_text(
        f"<style>@font-face {{ font-family: hand; src: url({path.name}) }} span {{ font: 100px hand }}"
        f"#plain {{ font-variant-ligatures: no-contextual }}</style><span>{text}</span><br><span id=plain>{text}</span>"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        tab.evaluate("document.fonts.ready")
        widths = tab.evaluate("[...document.querySelectorAll('span')].map(span => span.getBoundingClientRect().width)")
        browser.close()
    expected = [shape(text)[1] / 10, shape(text, calt=False)[1] / 10]
    assert expected[0] != expected[1] and widths == pytest.approx(expected, abs=0.5)


def test_what_makes_no_font():
    with pytest.raises(UserError, match="draws no ink"):
        font.build(["a", "b"], np.zeros((2, 2, 28, 28), np.float32), "None", "")
    with pytest.raises(UserError, match="at most 180 characters: this model has 200"):
        font.build([chr(0x4E00 + number) for number in range(200)], np.ones((2, 200, 8, 8)), "Many", "")
