"""Texts in characters that matplotlib's and Pillow's fonts lack."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ldg import fonts
from ldg.figures.layout import draw_rows, fit_texts, save_figure
from ldg.generation import sheets

FAMILY = "Ldg Squares"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The fonts of this machine: one, in which 猫 is a black square."""
    pen = TTGlyphPen(None)
    for step, corner in enumerate([(0, 0), (0, 1000), (1000, 1000), (1000, 0)]):
        (pen.lineTo if step else pen.moveTo)(corner)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "cat": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    (tmp_path / "fonts").mkdir()
    files = [tmp_path / "fonts" / name for name in ("damaged.ttf", "squares.ttf")]
    files[0].write_bytes(b"no font")
    builder.save(files[1])
    found = [str(file) for file in files]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: found)
    monkeypatch.setattr(fonts, "_said", set())
    fonts._find_fonts.cache_clear()
    yield found
    fonts._find_fonts.cache_clear()


def ink_of(text):
    """The share of ink within the bounds of a text that matplotlib draws."""
    figure = Figure(figsize=(2, 1))
    drawn = figure.text(0.2, 0.2, text, fontsize=40)
    fit_texts(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ink = 1 - np.asarray(canvas.buffer_rgba())[::-1, :, 0] / 255
    (left, bottom), (right, top) = drawn.get_window_extent().get_points().round().astype(int)
    return ink[bottom:top, left:right].mean()


def test_an_installed_font_has_what_the_default_lacks(installed, capsys):
    assert ink_of("猫") > 0.7  # of the height of a line
    assert fonts.find_families("cat") == fonts.find_families("кот") == ["sans-serif"]
    assert fonts.find_families("cat 猫") == ["sans-serif", FAMILY]
    assert fonts.find_font("猫") == installed[1] and fonts.find_font("café") != installed[1]
    assert capsys.readouterr().err == ""


def test_what_no_font_has_is_said_once(installed, tmp_path, capsys, recwarn):
    images = np.zeros((2, 1, 28, 28))
    for name in "ab":
        save_figure(draw_rows([images], ["猫"], ["犬", f"鳥{name}"]), tmp_path / f"{name}.png", dpi=100)
    assert capsys.readouterr().err == "no installed font has '犬', which is drawn as a box: install one that has it\n"
    assert [str(warning.message) for warning in recwarn] == []


def test_captions_have_accents_and_other_scripts(installed):
    black = np.zeros((40, 40))

    def caption(text):
        return sheets.captioned([black], [text], columns=1)[50:]

    pictures = [caption(text) for text in ("é", "ж", "猫", "犬")]
    assert len({picture.tobytes() for picture in pictures}) == 4  # only one is a box
    assert (pictures[2] < 0.3).mean() > 3 * (pictures[0] < 0.3).mean()  # the square


def test_dollars_are_no_mathematics():
    figure = draw_rows([np.zeros((2, 1, 28, 28))], [""], ["$5", r"$10 or $\20"])
    fit_texts(figure)
    FigureCanvasAgg(figure).draw()  # raises for what is no formula
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["$5", r"$10 or $\20"]
