"""One's own hand: photographs whose letters are known, and styles that are combined by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

import generate
import ldg
from ldg.checkpoint import SHIPPED
from ldg.commands.cli import exit_status
from ldg.data.strokes import Strokes, draw_characters
from ldg.errors import UserError
from ldg.generation import hand, photo
from ldg.models.style import StyleSpace
from tests.generation.pages import photograph

TEXT = "abc ABC 123"


@pytest.fixture(scope="module")
def shipped():
    return ldg.load(SHIPPED)


def letters(text, pen=2.8, slant=0.1, seed=0):
    """Images of the characters of a text, None for a space."""
    labels = np.array([Strokes.classes.index(c) for c in text if c != " "])
    images = iter(draw_characters(labels, (seed,), pen, slant)[:, 0] / np.float32(255))
    return [None if c == " " else next(images) for c in text]


def read(model, path, text):
    return hand.read_style(model, hand.cut_letters(model, path, text)[0], text)


CONDITIONS = [
    {},
    {"angle": 10, "light": 0.5},
    {"angle": -9, "ink": "blue", "is_ruled": True, "scale": 3},
    {"angle": 4, "is_ruled": True, "light": 0.4, "noise": 5, "scale": 5},
    {"ink": "blue", "scale": 2, "noise": 3},
]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("lines", [["abc ABC 123"], ["abc", "ABC", "123"], ["Hij", "tx?"]])
def test_letters_are_cut_in_reading_order(condition, lines, tmp_path):
    images = [letters(line) for line in lines]
    photograph(images, **condition).save(tmp_path / "me.png")
    pieces = photo.cut(photo.find_ink(photo.read_picture(tmp_path / "me.png")), len("".join(lines).replace(" ", "")))
    known = [image for line in images for image in line if image is not None]
    assert len(pieces) == len(known)
    for piece, image in zip(pieces, known, strict=True):
        assert np.corrcoef(hand.form(piece.ink, (28, 28), 22).ravel(), image.ravel())[0, 1] > 0.45


@pytest.mark.parametrize("character", "TELFzZ")
def test_bars_are_no_ruled_lines(character):
    (image,) = letters(character)
    tight = image[np.ix_(image.max(1) > 0.3, image.max(0) > 0.3)]
    picture = 1 - 0.8 * np.pad(tight, 2).repeat(8, 0).repeat(8, 1)
    (piece,) = photo.cut(photo.find_ink(picture), 1)
    assert piece.ink.shape[1] > 0.8 * (picture.shape[1] - 32)  # the bar is as wide as it was


def test_faint_letters_and_16_bits(shipped, tmp_path):
    images = letters("abcH")
    images[2] = images[2] * 0.5
    grey = np.asarray(photograph([images]).convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "me.png")
    checked, _ = read(shipped, tmp_path / "me.png", "abcH")
    assert not any(letter.fault for letter in checked)


def test_the_form_is_that_of_the_data(shipped):
    assert hand.measure_frame(shipped) == 22  # as the ink of EMNIST's images
    (image,) = letters("k")
    formed = hand.form(image.repeat(5, 0).repeat(5, 1), (28, 28), 20)
    rows, columns = np.nonzero(formed > 0.5)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)
    for places in (rows, columns):
        assert places.min() + places.max() == pytest.approx(27, abs=1)


def test_a_style_arrives(shipped, tmp_path):
    """Thin and upright, and bold and slanted: what is written with them differs as they do."""
    from ldg.evaluation.style import traits

    text, results = "EHNTUXL", []
    space, labels = StyleSpace(shipped), torch.tensor([shipped.classes.index(c) for c in "HTEF"])
    for pen, slant in ((2.1, -0.1), (3.4, 0.4)):
        photograph([letters(text, pen, slant)]).save(tmp_path / "me.png")
        style = torch.from_numpy(read(shipped, tmp_path / "me.png", text)[1])
        with torch.no_grad():
            written = shipped.decode(space.latents(style.expand(4, -1), labels, 0.8), labels)
        results.append(traits(written).mean(0))
    (thin, upright, _), (bold, slanted, _) = results
    assert bold > 1.15 * thin and slanted > upright + 0.2


def test_views_are_combined_as_a_product_with_the_prior_once(shipped):
    images = torch.from_numpy(np.stack(letters("aB")))[:, None]
    labels = torch.tensor([shipped.classes.index(c) for c in "aB"])
    with torch.no_grad():
        means, variance = StyleSpace(shipped).styles(shipped.encode(images, labels), labels)
        variance = variance.clamp(max=hand.WIDEST)
        a, b = (1 / v for v in variance)
        expected = (a * means[0] + b * means[1]) / (a + b - 1)
        np.testing.assert_allclose(hand.combine(shipped, images, labels), expected, rtol=1e-4, atol=1e-5)


def test_letters_that_are_not_used_are_named(shipped, tmp_path):
    photograph([letters("abcHKM")]).save(tmp_path / "me.png")
    found, page = hand.cut_letters(shipped, tmp_path / "me.png", "abcHKi")
    checked, _ = hand.read_style(shipped, found, "abcHKi")
    assert [letter.fault for letter in checked] == ["", "", "", "", "", "it looks like 'M'"]
    drawn = hand.draw_cut(checked, page)
    assert drawn.shape[2] == 3 and drawn.min() >= 0 and drawn.max() <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ab", "the picture has 3 letters, as far as they can be told apart, and --style-text has 2"),
        ("abcd", "the picture has 3 letters, as far as they can be told apart, and --style-text has 4"),
        (" ", "--style-text is empty"),
        ("abé", "the model has no class for 'é'"),
    ],
)
def test_a_text_that_does_not_match(text, message, shipped, tmp_path):
    photograph([letters("abc")]).save(tmp_path / "me.png")
    with pytest.raises(UserError, match=message):
        read(shipped, tmp_path / "me.png", text)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.fromarray(255 - np.asarray(photograph([letters("abc")]))), "most of the picture is dark"),
        (Image.new("RGB", (200, 100), "white"), "there is no ink in the picture"),
        (Image.new("L", (300, 300), 128), "there is no ink in the picture"),
        (Image.new("L", (5, 300), 0), "has 5 x 300 pixels: letters need more"),
        (b"GIF89a", "is no picture that can be read"),
        (b"", "is no picture that can be read"),
        (None, "No such file"),
    ],
)
def test_bad_pictures(picture, message, shipped, tmp_path):
    path = tmp_path / "me.png"
    if isinstance(picture, bytes):
        path.write_bytes(picture)
    elif picture:
        picture.save(path)
    with pytest.raises(UserError, match=message):
        read(shipped, path, "abc")


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photograph([letters("abcHKM")], angle=5, is_ruled=True).save("me.png")
    given = ["--checkpoint", str(SHIPPED), "--style-from", "me.png", "--style-text"]

    def run(*arguments):
        status = exit_status(lambda: generate.main(["Hello", *given, *arguments]))
        return status, capsys.readouterr()

    status, said = run("abc HKi", "--style-cut", "cut.png", "-s", "mine")
    assert status == 0 and said.out == "mine.png\n"
    assert said.err.splitlines()[:2] == ["cut.png", "not used: 'i', it looks like 'M'"]
    assert run("abc HKi", "-s", "bold.svg", "--seed", "4", "--style", "varied")[0] == 0
    # another seed varies the hand
    assert run("abc HKi", "-s", "same", "--seed", "0")[0] == run("abc HKi", "-s", "varied", "--seed", "4")[0] == 0
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "mine.png").read_bytes()
    assert (tmp_path / "varied.png").read_bytes() != (tmp_path / "mine.png").read_bytes()
    status, said = run("abc", "--style-cut", "wrong.png")
    assert (
        status == 2
        and said.err.count("error: the picture has 6 letters, as far as they can be told apart, and --style-text has 3")
        == 1
    )
    assert (tmp_path / "wrong.png").exists() and not (tmp_path / "hello.png").exists()
    for arguments, message in (
        (["--style-from", "me.png"], "--style-from goes with --style-text"),
        (["--style-text", "abc"], "--style-text goes with --style-from"),
        (["--style-from", "none.png", "--style-text", "abc"], "there is no picture none.png"),
        (["--style-from", "me.png", "--style-text", "abc", "--style-cut", "cut.png"], "cut.png exists"),
    ):
        assert exit_status(lambda: generate.main(["Hello", *arguments])) == 2  # noqa: B023
        assert message in capsys.readouterr().err
