"""What vector files hold, and that they look like the picture."""

import io
import re
import string
import time
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from PIL import Image

from ldg import checkpoint
from ldg.errors import UserError
from ldg.generation import paper, writer
from tests.conftest import program

SVG = "{http://www.w3.org/2000/svg}"
TEXT = "Hello, World! 8 Boy\nSphinx of black quartz"


@pytest.fixture(scope="module")
def letters():
    """The model that ships with ldg."""
    return checkpoint.load(checkpoint.SHIPPED, "cpu")


def svg(model, text, **options):
    """The SVG of a text, and its paths."""
    chosen = {name: options.pop(name) for name in ("height", "strokes", "seed") if name in options}
    content, _ = writer.write_vectors(model, text, ".svg", options=writer.Options(**options), **chosen)
    root = ET.fromstring(content)
    return root, list(root.iter(f"{SVG}path"))


def pages(content):
    """The content of each page of a PDF."""
    return [zlib.decompress(part).decode() for part in re.findall(rb"stream\n(.*?)\nendstream", content, re.S)]


def drawn(content, size):
    """What a browser draws of an SVG, as ink in [0, 1]."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "chromium-browser", "google-chrome"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": size[1], "height": size[0]})
        tab.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{content.decode()}")
        picture = Image.open(io.BytesIO(tab.screenshot())).convert("L")
        browser.close()
    return 1 - np.asarray(picture, np.float32) / 255


def grown(image):
    """True pixels and those beside them."""
    padded = np.pad(image, 1)
    height, width = image.shape
    return np.any([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)


@pytest.mark.parametrize("options", [{}, {"slant": 10, "pen": 1.4, "letter_spacing": 2, "align": "right", "ragged": 1}])
def test_the_outlines_are_those_of_the_picture(letters, options):
    picture = 1 - writer.write(letters, TEXT, seed=3, **options)
    content, _ = writer.write_vectors(letters, TEXT, ".svg", seed=3, options=writer.Options(**options))
    lines = drawn(content, picture.shape)
    assert abs(lines.mean() - picture.mean()) < 0.01 * picture.mean()
    assert np.abs(lines - picture).mean() < 0.01
    # no edge is a pixel away
    assert not (~grown(picture > 0.5) & (lines > 0.5)).any()
    assert (~grown(lines > 0.5) & (picture > 0.5)).mean() < 1e-5


def test_a_path_for_each_glyph_named_by_its_character(letters):
    root, paths = svg(letters, "Hello (2&2)")
    names = ", ".join(path.get("id") for path in paths)
    assert names == "H, e, l, l-2, o, left-parenthesis, digit-two, ampersand, digit-two-2, right-parenthesis"
    assert root.get("aria-label") == root.find(f"{SVG}title").text == "Hello (2&2)"


def test_holes_and_small_files(letters):
    text = string.ascii_letters + string.digits
    content, _ = writer.write_vectors(letters, text, ".svg")
    sizes = [len(line) for line in content.splitlines() if line.startswith(b"<path")]
    assert len(sizes) == 62 and max(sizes) < 4096 and np.mean(sizes) < 1500
    paths = {path.get("id"): path.get("d").count("M") for path in svg(letters, text, temperature=0)[1]}
    assert [paths[name] for name in ("O", "B", "digit-eight", "S", "l")] == [2, 3, 3, 1, 1]


@pytest.mark.parametrize(("height", "expected"), [("10mm", "mm"), ("1in", "in"), ("12pt", "pt"), ("3cm", "cm")])
def test_real_units(letters, height, expected):
    length = paper.parse_height(height)
    root, _ = svg(letters, "HH", height=length, margins=1)
    size = re.fullmatch(r"([\d.]+)(\w+)", root.get("height"))
    # a capital and its margins
    assert size[2] == expected and float(size[1]) == pytest.approx(3 * length.value, rel=0.01)


def test_a_plotter_gets_lines(letters):
    root, paths = svg(letters, "Hj", seed=3, strokes=True, pen=1.5)
    (group,) = root.iter(f"{SVG}g")
    assert group.get("fill") == "none" and group.get("stroke-linecap") == "round" and not list(root.iter(f"{SVG}rect"))
    widths = {float(path.get("stroke-width")) for path in paths}
    thin = {float(path.get("stroke-width")) for path in svg(letters, "Hj", seed=3, strokes=True)[1]}
    assert len(widths) == 1 and max(widths) == pytest.approx(1.5 * max(thin), rel=0.1)
    assert paths[1].get("d").count("M") == 2  # the dot of the j


def test_colours_and_ruled_lines(letters):
    root, _ = svg(letters, "Hi\n\nyou", ink="navy", paper="#fffff0", ruled=True)
    ground, *rules = root.iter(f"{SVG}rect")
    assert ground.get("fill") == "#fffff0" and root.find(f"{SVG}g").get("fill") == "#000080"
    assert len(rules) == 3 and {rule.get("fill") for rule in rules} == {"#bfbfd4"}


def test_a_pdf_has_the_same_outlines(letters):
    content, _ = writer.write_vectors(letters, "Hobby", ".pdf", height=paper.Length(10, "mm"))
    (page,) = pages(content)
    _, paths = svg(letters, "Hobby")
    assert page.count(" m\n") == sum(path.get("d").count("M") for path in paths)
    assert page.count(" c\n") == sum(path.get("d").count("c") for path in paths)
    assert page.count("f*") == 5
    box = [float(number) for number in re.search(rb"/MediaBox \[([^]]*)\]", content)[1].split()]
    assert box[3] == pytest.approx((1.06 + 0.4 + 0.4) * 10 * 72 / 25.4, rel=0.01)  # b to the tail of y, and margins
    # each entry of the table is where an object begins
    table = re.findall(rb"(\d{10}) 00000 n", content)
    assert all(content[int(place) :].startswith(b"%d 0 obj" % number) for number, place in enumerate(table, 1))
    assert content[int(re.search(rb"startxref\n(\d+)", content)[1]) :].startswith(b"xref")


def test_a_long_text_goes_over_several_sheets(letters):
    text = "The quick brown fox jumps over the lazy dog. " * 30
    content, _ = writer.write_vectors(letters, text, ".pdf", page="A5", options=writer.Options(ruled=True))
    sheets = pages(content)
    assert len(sheets) == content.count(b"/Type /Page ") == 3
    assert content.count(b"/MediaBox [0 0 419.528 595.276]") == 3
    assert sum(sheet.count("f*") for sheet in sheets) == len(re.sub(r"\s", "", text))
    width, height, margin = 148 * 20, 210 * 20, 400  # of the paper, pixels: capitals are 100 tall, and 5 mm
    for sheet in sheets:
        places, corner = [], np.zeros(2)
        for line in sheet.splitlines():
            if line.startswith("q "):
                corner = np.array(line.split()[-3:-1], float)
            elif line.endswith(" m"):
                places.append(corner + np.array(line.split()[:2], float))
        places = np.array(places)
        assert places.min() > margin - 20
        assert places[:, 0].max() < width - margin and places[:, 1].max() < height - margin
    assert places[:, 1].min() < margin + 100  # the last sheet begins at its top
    assert [sheet.count(" re f") for sheet in sheets[:2]] == [18, 18]


def test_a_book_takes_seconds_and_a_library_is_refused(letters, monkeypatch):
    text = "\n".join(["Dear you, all is well here and there! " * 2] * 100)
    start = time.monotonic()
    content, _ = writer.write_vectors(letters, text, ".pdf", page="A4")
    assert time.monotonic() - start < 10 and len(content) < 200 * len(text)
    monkeypatch.setattr(writer, "MAX_GLYPHS", 1000)
    with pytest.raises(UserError, match=r"\.pdf files hold at most 1,000 glyphs, and this text has 6,000: split it"):
        writer.write_vectors(letters, text, ".pdf", page="A4")


def test_a_ruled_line_is_where_a_pen_draws_it(letters):
    (filled,) = svg(letters, "H", ruled=True)[0].iter(f"{SVG}rect")
    line = svg(letters, "H", ruled=True, strokes=True)[1][0]
    height = float(filled.get("y")) + float(filled.get("height")) / 2
    assert float(line.get("d").split("h")[0].split()[1]) == height and line.get("stroke-width") == filled.get("height")


def test_what_has_no_outlines_is_refused(dogs, letters):
    with pytest.raises(UserError, match=r"this model draws pictures: use \.png"):
        writer.write_vectors(dogs, "pug", ".svg")
    with pytest.raises(UserError, match=r"tiles sets images of pixels: use \.png"):
        writer.write_vectors(letters, "Hi", ".svg", options=writer.Options(layout="tiles"))
