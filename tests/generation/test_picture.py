from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldg.errors import UserError
from ldg.generation import picture


@pytest.mark.parametrize(
    ("text", "name"),
    [("Hello World 2468", "hello-world-2468"), ("T-shirt/top, Bag", "t-shirt-top-bag"), ("  a\nb ", "a-b")],
)
def test_slug(text, name):
    assert picture.slug(text) == name


def test_names_get_a_suffix(tmp_path):
    assert picture.destination(str(tmp_path / "hello"), "x.png") == tmp_path / "hello.png"
    assert picture.destination(str(tmp_path / "hello.v2.1"), "x.png") == tmp_path / "hello.v2.1.png"
    assert picture.destination(str(tmp_path / "hello.gif"), "x.png") == tmp_path / "hello.gif"
    assert picture.destination(str(tmp_path / "hello."), "x.png") == tmp_path / "hello.png"
    assert not list(tmp_path.iterdir())


def test_a_default_name_that_is_taken_is_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for taken in ("a.png", "a-2.png"):
        (tmp_path / taken).touch()
    assert str(picture.destination(None, "a.png")) == "a-3.png"
    assert str(picture.destination(None, "a.png", force=True)) == "a.png"


def test_a_given_name_that_is_taken_asks_for_force(tmp_path):
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(UserError, match=r"a.png exists: use --force"):
        picture.destination(str(tmp_path / "a"), "x.png")
    assert picture.destination(str(tmp_path / "a"), "x.png", force=True) == tmp_path / "a.png"
    assert (tmp_path / "a.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.svg", "cannot write .svg files: use one of .png"),
        ("folder.png", "is a folder"),
        ("file/a.png", "cannot write"),
        ("a.mp4", "cannot write .mp4 files: use one of .png"),
        (".png", "names no file"),
        ("..", "names no file"),
        ("n" * 252, "too long"),
    ],
)
def test_impossible_places(tmp_path, name, message):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=message):
        picture.destination(str(tmp_path / name), "x.png")


def test_saved_pixels(tmp_path):
    picture.save(np.array([[0.0, 0.5, 1.2]]), tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), [[0, 128, 255]])
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.png"]


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("mine")

    def fail(self, _):
        self.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(UserError, match=r"a.png: .*No space left"):
        picture.save(np.zeros((2, 2)), tmp_path / "a.png")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.png", "mine")]


def test_an_animation_goes_there_and_back(tmp_path):
    picture.save_animation([np.full((2, 2), value) for value in (0.0, 0.5, 1.0)], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 4 and image.info["loop"] == 0
        greys = []
        for frame in range(4):
            image.seek(frame)
            greys.append(image.convert("L").getpixel((0, 0)))
    assert greys == [0, 128, 255, 128]


@pytest.mark.parametrize(
    ("suffix", "most"),
    [("webp", 16_383), ("jpg", 65_500), ("JPEG", 65_500), ("gif", 65_535), ("png", None), ("bmp", None)],
)
@pytest.mark.parametrize("is_tall", [False, True])
def test_a_format_takes_its_largest_picture_and_no_larger_one(tmp_path, suffix, most, is_tall):
    path = tmp_path / f"a.{suffix}"

    def strip(length):
        return np.zeros((length, 1) if is_tall else (1, length))

    picture.save(strip(most or 70_000), path)
    assert max(Image.open(path).size) == (most or 70_000)
    if most:
        written = path.read_bytes()
        with pytest.raises(UserError, match=f"at most {most:,} pixels wide and tall.*{most + 1:,}"):
            picture.save(strip(most + 1), path)
        assert path.read_bytes() == written and len(list(tmp_path.iterdir())) == 1


def test_a_picture_of_four_gigabytes_is_refused_where_the_format_counts_in_32_bits():
    for name in ("a.tif", "a.bmp"):
        with pytest.raises(UserError, match="at most 4 GiB large"):
            picture.require_format((65_536, 65_536), Path(name))
    picture.require_format((65_536, 65_536), Path("a.png"))


def test_a_folder_of_pictures_is_complete_or_not_there(tmp_path, monkeypatch):
    pictures = {f"{number}.png": np.zeros((2, 2)) for number in range(3)}
    save, calls = picture.save, []

    def fail_at_last(image, path):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        save(image, path)

    monkeypatch.setattr(picture, "save", fail_at_last)
    with pytest.raises(UserError, match=r"cannot write .*new: No space left"):
        picture.save_folder(pictures, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(picture, "save", save)
    picture.save_folder(pictures, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["0.png", "1.png", "2.png", "new"]
