"""``ldg font`` as a user runs it: what it leaves on disk, what it says and what it refuses."""

import os

import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from ldg import checkpoint
from ldg.__main__ import main
from ldg.commands.cli import exit_status
from tests.test_generate import CHARACTERS, files, leave_run


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leave_run(tmp_path / "outputs" / "letters" / "1")
    return tmp_path


def run(capsys, *arguments):
    """Exit status, output and error output of ``ldg font`` with two drawings of each character."""
    status = exit_status(lambda: main(["font", "--alternates", "2", *arguments]))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


CUT = ["--style-from", "me.jpg", "--style-text", "abc", "--style-cut"]


def outlines(path):
    file = TTFont(path)
    return [file["glyf"][name].compile(file["glyf"]) for name in file.getGlyphOrder()]


def test_a_font_and_its_specimen(workplace, capsys):
    assert run(capsys, "myhand.ttf") == (0, "myhand.ttf\n", "with outputs/letters/1\n")
    assert files(workplace) == ["myhand.png", "myhand.ttf"]
    file = TTFont("myhand.ttf")
    assert file["name"].getDebugName(1) == "myhand" and {*CHARACTERS, *".,;:!?"} <= set(map(chr, file.getBestCmap()))
    assert "A.alt1" in file.getGlyphOrder() and "A.alt2" not in file.getGlyphOrder()
    with Image.open("myhand.png") as picture:
        assert picture.width == 1600


def test_a_seed_is_a_hand(workplace, capsys):
    leave_run(workplace / "digits", "0123456789")
    for name, *options in (["a"], ["b", "--name", "Mine"], ["c", "--seed", "1"], ["d", "--variation", "1"]):
        assert run(capsys, f"{name}.ttf", "--checkpoint", "digits", *options)[0] == 0
    assert outlines("a.ttf") == outlines("b.ttf")
    assert TTFont("b.ttf")["name"].getDebugName(1) == "Mine"
    assert outlines("a.ttf") != outlines("c.ttf") and outlines("a.ttf") != outlines("d.ttf")


def test_before_any_training_the_shipped_weights_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "myhand.ttf") == (0, "myhand.ttf\n", f"with {checkpoint.SHIPPED.with_suffix('.onnx')}\n")


def test_an_error_names_the_model_that_nobody_named(workplace, capsys):
    run_of_colours = leave_run(workplace / "outputs" / "colours", image_shape=(3, 12, 12))
    os.utime(run_of_colours / "summary.json", (2e9, 2e9))
    status, _, err = run(capsys, "myhand.ttf")
    assert status == 2 and "(the model was outputs/colours; --checkpoint names another, " in err


def test_a_model_of_digits_makes_a_font_of_digits(workplace, capsys):
    leave_run(workplace / "digits", "0123456789")
    assert run(capsys, "digits.ttf", "--checkpoint", "digits")[0] == 0
    codes = TTFont("digits.ttf").getBestCmap()
    assert ord("7") in codes and ord(".") in codes and ord("a") not in codes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: FILE.ttf"),
        (["myhand.otf"], "myhand.otf: give a name that ends in .ttf"),
        (["myhand"], "myhand: give a name that ends in .ttf"),
        (["old.ttf"], "old.ttf exists: use --force to write over it, or another name"),
        (["shown.ttf"], "shown.png exists: use --force to write over it, or another name"),
        (["folder.ttf"], "folder.ttf is a folder: give a file name as FILE.ttf"),
        (["a.ttf", *CUT, "a.png"], "a.png is written as well: give another name with --style-cut"),
        (["a.ttf", *CUT, "cuts/"], "'cuts/' names no file: give a file name with --style-cut"),
        (["old.ttf/new.ttf"], "cannot write old.ttf/new.ttf"),
        (["n" * 300 + ".ttf"], "is too long"),
        (["a.ttf", "--name", " "], "'' cannot be a font's name: give 1 to 31 printable characters with --name"),
        ([f"{'n' * 32}.ttf"], "cannot be a font's name"),
        (["a.ttf", "--alternates", "1"], "--alternates: must be a whole number from 2 to 10, got '1'"),
        (["a.ttf", "--variation", "2"], "--variation: must be a number from 0 to 1, got '2'"),
        (["a.ttf", "--seeds", "3"], "unknown argument '--seeds': did you mean --seed?"),
        (["a.ttf", "--checkpoint", "nowhere"], "no checkpoint at nowhere"),
        (["a.ttf", "--checkpoint", "words"], "a font needs a model whose classes are characters, each drawn in grey"),
        (["a.ttf", "--checkpoint", "colours"], "a font needs a model whose classes are characters, each drawn in grey"),
        (["a.ttf", "--checkpoint", "plain"], "this one was trained with conditioning=none"),
    ],
)
def test_what_it_refuses(workplace, capsys, arguments, message):
    for name in ("old.ttf", "shown.png"):
        (workplace / name).write_text("mine")
    (workplace / "folder.ttf").mkdir()
    Image.new("L", (9, 9)).save("me.jpg")
    leave_run(workplace / "words", ["cat", "dog"])
    leave_run(workplace / "colours", image_shape=(3, 12, 12))
    leave_run(workplace / "plain", conditioning="none")
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert files(workplace) == ["me.jpg", "old.ttf", "shown.png"] and (workplace / "old.ttf").read_text() == "mine"
