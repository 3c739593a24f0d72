"""Folders of pictures: layouts, sizes, modes, what cannot be read, and what is refused in one line."""

import os
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from ldg.data.dataset import Unreadable, check_classes
from ldg.data.folder import Folder
from ldg.data.pictures import Pictures
from ldg.data.splits import ImageSplits
from ldg.errors import UserError

from . import made


def opened(path, tmp_path, limit=None, **arguments):
    """The splits of a folder; what belongs to pictures goes there."""
    own = {key: arguments.pop(key) for key in ("test_fraction",) if key in arguments}
    dataset = Folder(str(path), Pictures(**arguments), **own)
    dataset.inspect(str(tmp_path), str(tmp_path / "cache"))
    shape, cache = dataset.image_shape, str(tmp_path / "cache")
    return ImageSplits(dataset, shape, len(dataset.classes), str(tmp_path), cache, limit=limit)


def put(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def counts(data):
    return [len(part) for part in (data.train, data.val, data.test)]


def test_a_folder_for_each_class(tmp_path, capsys):
    made.folder(tmp_path / "photos", ["dog", "cat"], per_class=20)
    data = opened(tmp_path / "photos", tmp_path)
    assert data.classes == ("cat", "dog") and data.image_shape == (3, 16, 20)
    assert counts(data) == [32, 4, 4] and data.test.labels.bincount().tolist() == [2, 2]
    assert data.test.images[data.test.labels == 1].float().mean((0, 2, 3)).argmax() == 0  # dogs were drawn first, red
    said = capsys.readouterr().err
    assert "40 train images of 2 classes, as 3x16x20; 10% of each class are the test split" in said
    opened(tmp_path / "photos", tmp_path)
    assert not capsys.readouterr().err  # found once


def test_train_val_and_test_folders(tmp_path):
    for split, count in {"train": 6, "Validation": 3, "test": 2}.items():
        made.folder(tmp_path / "photos" / split, ["a", "b", "c"], per_class=count)
    data = opened(tmp_path / "photos", tmp_path)
    assert data.classes == ("a", "b", "c") and counts(data) == [18, 9, 6]
    assert data.val.images is not data.train.images
    twice = data.with_training_images(255 - data.train.images)  # val is a part of what takes their place
    assert len(twice.train) + len(twice.val) == 18 and twice.test is data.test
    assert len({data.fingerprint for data in (data, opened(tmp_path / "photos", tmp_path, limit=9))}) == 2


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (["car", "plane", "train"], ("car", "plane", "train")),
        (["train", "test"], ("photos",)),
        (["train/car", "train/plane", "docs"], ("car", "plane")),
    ],
)
def test_train_is_a_class_among_classes(tmp_path, folders, classes):
    data = opened(made.folder(tmp_path / "photos", folders, per_class=4), tmp_path)
    assert data.classes == classes


@pytest.mark.parametrize("top", ["photos", "photos/train"])
def test_pictures_beside_class_folders_are_counted_or_refused(tmp_path, capsys, top):
    made.folder(tmp_path / top, ["cat", "dog"], per_class=4)
    for number in range(8):
        put(tmp_path / top / f"{number}.png", made.picture(0))
    assert counts(opened(tmp_path / "photos", tmp_path)) == [4, 2, 2]
    assert "; 8 pictures in no class folder are left out\n" in capsys.readouterr().err
    put(tmp_path / top / "8.png", made.picture(0))
    with pytest.raises(UserError, match="photos: 9 pictures lie beside its folders, which hold 8; move them"):
        opened(tmp_path / "photos", tmp_path)


@pytest.mark.parametrize("flat", ["photos", "photos/train"])
def test_a_flat_folder_is_one_class(tmp_path, flat):
    for number in range(20):
        put(tmp_path / flat / f"{number}.jpg", made.picture(0, seed=number))
    (tmp_path / "photos" / "val").mkdir()
    data = opened(tmp_path / "photos", tmp_path)
    assert data.classes == ("photos",) and counts(data) == [16, 2, 2]


def test_what_does_not_belong_to_the_pictures_is_left_out(tmp_path):
    photos = made.folder(tmp_path / "photos", ["cat", "dog"], per_class=10)
    made.folder(photos / "cat", ["siamese"], per_class=2)
    for name in (".DS_Store", "cat/Thumbs.db", "notes.txt", "__MACOSX/cat/._0.png", "cat/.hidden.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"x")
    (photos / "empty").mkdir()
    put(photos / "cover.png", made.picture(0))
    (tmp_path / "more").mkdir()
    for number in range(5):
        put(tmp_path / "more" / f"{number}.png", made.picture(2, seed=number))
    (photos / "owl").symlink_to(tmp_path / "more")
    (photos / "dog" / "loop").symlink_to(photos)
    data = opened(photos, tmp_path)
    assert data.classes == ("cat", "dog", "owl")
    assert len(data.train_labels) + len(data.test) == 12 + 10 + 5


def test_the_folder_that_an_archive_is_unpacked_to(tmp_path):
    made.folder(tmp_path / "archive" / "photos" / "train", ["cat", "dog"])
    made.folder(tmp_path / "archive" / "photos" / "test", ["cat", "dog"], per_class=3)
    data = opened(tmp_path / "archive", tmp_path)
    assert data.classes == ("cat", "dog") and counts(data) == [14, 2, 6]


def test_names_of_classes(tmp_path):
    names = ["salt+pepper", unicodedata.normalize("NFD", "été"), "日本", "a, b", "_"]
    data = opened(made.folder(tmp_path / "photos", names, per_class=4), tmp_path)
    assert data.classes == tuple(sorted(["salt pepper", "été", "日本", "a b", "_"]))
    letters = opened(made.folder(tmp_path / "letters", ["a", "A", "+", "é"], per_class=4), tmp_path)
    assert letters.classes == ("+", "A", "a", "é")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "Cat"], "Folder.classes: 'Cat' and 'cat' differ only in case or punctuation"),
        (["a_b", "a b"], "Folder.classes: 'a b' and 'a_b' differ only in case or punctuation"),
        (["cat", "a+b", "a,b"], "the folders 'a+b' and 'a,b' are both class 'a b'"),
        (["cat", "+"], "Folder.classes: '+' is empty, or has a + or ,"),
    ],
)
def test_names_that_no_text_can_tell_apart(tmp_path, names, message):
    with pytest.raises(UserError) as error:
        opened(made.folder(tmp_path / "photos", names, per_class=3), tmp_path)
    assert message in str(error.value)


def test_many_classes(tmp_path):
    dataset = Folder("photos", Pictures())
    dataset.classes = tuple(f"class {number}" for number in range(20_000))
    check_classes(dataset)


def one_of_two(tmp_path):
    made.folder(tmp_path / "photos", ["cat"], per_class=5)
    made.folder(tmp_path / "photos", ["dog"], per_class=1)


def no_pictures(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.heic", "b.heic", "c.txt"):
        (tmp_path / "photos" / name).write_text("")


def other_test_classes(tmp_path):
    made.folder(tmp_path / "photos" / "train", ["cat", "dog"])
    made.folder(tmp_path / "photos" / "test", ["cat", "owl"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tmp_path: None, r"data\.path: there is no .*photos, nor photos in data\.root="),
        (lambda tmp_path: (tmp_path / "photos").mkdir(), r"photos holds no pictures \(PNG, JPEG, .*TIFF\)$"),
        (no_pictures, r"photos holds no pictures \(.*\), but 2 \.heic, 1 \.txt"),
        (lambda tmp_path: put(tmp_path / "photos" / "a.png", made.picture(0)), "class 'photos' has a single image"),
        (one_of_two, "class 'dog' has a single image; each class needs one to train and one to test on"),
        (
            lambda tmp_path: put(tmp_path / "photos", made.picture(0), format="PNG"),
            r"photos is a file; name the folder",
        ),
        (other_test_classes, "class 'owl' of the test folder is not in the train folder"),
    ],
)
def test_what_is_no_data_set_is_one_line(tmp_path, monkeypatch, make, message):
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        opened("photos", tmp_path)
    assert "\n" not in str(error.value) and not (tmp_path / "cache").exists()


def test_two_images_of_each_class_leave_none_for_val(tmp_path):
    data = opened(made.folder(tmp_path / "photos", ["cat", "dog"], per_class=2), tmp_path)
    with pytest.raises(UserError, match="none is left for validation; add images"):
        data.prepare_data()


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({}, (3, 64, 64)),
        ({"image_size": 8}, (3, 8, 8)),
        ({"image_size": (10, 12), "channels": 1}, (1, 10, 12)),
        ({"image_size": 8, "channels": 3, "resize": "pad"}, (3, 8, 8)),
    ],
)
def test_pictures_of_several_sizes(tmp_path, arguments, shape):
    made.folder(tmp_path / "photos", ["cat"], size=(30, 40))
    made.folder(tmp_path / "photos", ["dog"], size=(50, 20))
    data = opened(tmp_path / "photos", tmp_path, **arguments)
    data.prepare_data()
    assert data.image_shape == shape == data.train.images.shape[1:]
    with pytest.raises(
        UserError, match=r"data\.resize=none: pictures have 2 sizes, such as .*; choose data\.resize=crop"
    ):
        opened(tmp_path / "photos", tmp_path, resize="none")


def converted(picture, shape=(3, 16, 16), suffix="png", tmp_path=None, **arguments):
    """The image that a picture in a file becomes."""
    for number in range(3):
        put(tmp_path / "photos" / "x" / f"{number}.{suffix}", picture)
    pictures = Pictures(image_size=shape[1:], channels=shape[0], **arguments)
    (images, _), *_ = pictures.read([("x", tmp_path / "photos" / "x" / f"0.{suffix}", 0)], shape, 1, "")
    return images[0]


def halves(width=32, height=16, left=(255, 0, 0), right=(0, 0, 255)):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    return Image.fromarray(pixels)


def test_crop_pad_squeeze(tmp_path):
    wide = halves(64, 16)
    wide.paste((0, 255, 0), (24, 0, 40, 16))
    crop = converted(wide, tmp_path=tmp_path)
    assert (crop == np.array([0, 255, 0])[:, None, None]).all()
    pad = converted(wide, tmp_path=tmp_path, resize="pad", background=7)
    assert (pad[:, :6] == 7).all() and (pad[:, 10:] == 7).all() and pad[0, 8, 1] > 200
    squeeze = converted(wide, tmp_path=tmp_path, resize="squeeze")
    assert squeeze[:, 8, 2].tolist() == [255, 0, 0] and squeeze[:, 8, 8].tolist() == [0, 255, 0]


def rgba():
    picture = halves(16, 16).convert("RGBA")
    picture.putalpha(Image.fromarray(np.repeat(np.uint8([[0] * 8 + [255] * 8]), 16, axis=0)))
    return picture


@pytest.mark.parametrize(
    ("picture", "suffix", "left", "right"),
    [
        (halves(16, 16).convert("L"), "png", (76,) * 3, (29,) * 3),
        (halves(16, 16).convert("P"), "png", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16).convert("P"), "gif", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16), "bmp", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16), "webp", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16), "tiff", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16), "ppm", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16).convert("CMYK"), "jpg", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16).convert("CMYK"), "tif", (255, 0, 0), (0, 0, 255)),
        (halves(16, 16).convert("1", dither=Image.Dither.NONE), "png", (0,) * 3, (0,) * 3),
        (rgba(), "png", (255,) * 3, (0, 0, 255)),
        (rgba(), "webp", (255,) * 3, (0, 0, 255)),
        (rgba().convert("LA"), "png", (255,) * 3, (29,) * 3),
        (Image.fromarray(np.full((16, 16), 0x8080, np.uint16)), "png", (128,) * 3, (128,) * 3),
        (Image.fromarray(np.full((16, 16), 0x8080, np.uint16)), "tiff", (128,) * 3, (128,) * 3),
    ],
)
def test_formats_and_modes(picture, suffix, left, right, tmp_path):
    image = converted(picture, tmp_path=tmp_path, suffix=suffix).astype(int)
    tolerance = 16 if suffix in ("jpg", "webp") else 1
    assert np.abs(image[:, 8, 2] - left).max() <= tolerance and np.abs(image[:, 8, 13] - right).max() <= tolerance


def test_orientation_and_inversion(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    for number in range(4):
        put(tmp_path / "photos" / "x" / f"{number}.jpg", halves(32, 16), exif=exif, quality=95, subsampling=0)
    data = opened(tmp_path / "photos", tmp_path, resize="none")
    assert data.image_shape == (3, 32, 16)
    assert np.abs(data.test.images[0].int().numpy()[:, 4, 8] - [255, 0, 0]).max() < 16
    inverted = opened(tmp_path / "photos", tmp_path, resize="none", invert=True)
    assert np.array_equal(inverted.test.images, 255 - data.test.images)


def test_channels_are_found(tmp_path):
    for number in range(4):
        put(tmp_path / "grey" / "x" / f"{number}.png", made.picture(0, seed=number).convert("L").convert("P"))
        put(tmp_path / "both" / "x" / f"{number}.png", made.picture(0).convert("L" if number else "RGB"))
    assert opened(tmp_path / "grey", tmp_path).image_shape == (1, 16, 20)
    assert opened(tmp_path / "both", tmp_path).image_shape == (3, 16, 20)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path):
    smooth = Image.effect_noise((64, 64), 90).convert("RGB").resize((512, 512), Image.Resampling.BICUBIC)
    path = put(tmp_path / "x.jpg", smooth, quality=95)
    (images, _), *_ = Pictures(32, 3).read([("x", path, 0)], (3, 32, 32), 1, "")
    whole = np.asarray(smooth.resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.abs(images[0].astype(int) - whole).mean() < 3


def test_pictures_keep_their_order(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    put(tmp_path / "good.png", made.picture(0, (8, 8)))
    items = [(str(number), tmp_path / f"{'bad' if number in (1, 4) else 'good'}.png", number) for number in range(6)]
    chunks = Pictures().read(items, (3, 8, 8), 6, "")
    order = [chunk.name if isinstance(chunk, Unreadable) else chunk[1].tolist() for chunk in chunks]
    assert order == [[0], "1", [2, 3], "4", [5]]


def damage(path, kind):
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "html": b"<html>" * 20}[kind])


def test_unreadable_pictures_are_left_out_and_named(tmp_path, capsys):
    photos = made.folder(tmp_path / "photos", ["cat", "dog"], per_class=40)
    for number, kind in enumerate(("truncated", "empty", "html")):
        damage(photos / "cat" / f"{number}.png", kind)
    (photos / "dog" / "0.png").unlink()
    (photos / "dog" / "0.png").symlink_to("nowhere.png")
    os.mkfifo(photos / "dog" / "pipe.png")
    data = opened(photos, tmp_path, max_bad=0.2)
    data.prepare_data()
    assert len(data.train_labels) + len(data.test) == 80 - 4
    assert "train images cannot be read and are left out; " in capsys.readouterr().err
    listed = "".join(file.read_text() for file in (tmp_path / "cache").glob("folder-*.unreadable.txt"))
    assert listed.count("\n") == 5 and "cat/2.png: it is none of JPEG, PNG" in listed and "pipe.png: " in listed
    strict = opened(photos, tmp_path, max_bad=0.01)
    with pytest.raises(
        UserError, match=r"\d of \d+ \w+ images cannot be read, more than data\.max_bad=0\.01: .*lists them"
    ):
        strict.prepare_data()


def test_all_unreadable(tmp_path):
    photos = made.folder(tmp_path / "photos", ["cat"], per_class=4)
    for path in photos.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="1 of 1 test images cannot be read"):
        opened(photos, tmp_path).prepare_data()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


@pytest.mark.usefixtures("closes_files")
def test_a_bomb_is_left_out(tmp_path):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (10_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    photos = made.folder(tmp_path / "photos", ["cat"], per_class=20)
    (photos / "cat" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""))
    opened(photos, tmp_path, max_bad=0.5, image_size=8).prepare_data()
    listed = "".join(file.read_text() for file in (tmp_path / "cache").glob("folder-*.unreadable.txt"))
    assert "bomb.png: 10000x10000 pixels are more than 89 million" in listed


def test_a_limit_decodes_that_many(tmp_path):
    photos = made.folder(tmp_path / "photos", ["cat"], per_class=60)
    made.folder(tmp_path / "photos", ["dog"], per_class=30)
    for path in sorted(photos.glob("cat/*"))[:10]:
        path.write_bytes(b"")  # an error if it is decoded
    data = opened(photos, tmp_path, limit=9, image_size=8, max_bad=0.9)
    data.prepare_data()
    chosen = data.train_labels.bincount().tolist()
    assert sum(chosen) <= 9 and len(data.test) <= 9 and chosen[1] == 3


def test_what_does_not_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("ldg.memory.free_memory", lambda: 40_000.0)
    photos = made.folder(tmp_path / "photos", ["cat", "dog"], per_class=30)
    with pytest.raises(UserError, match=r"54 images of 3x16x20 \(train\) would take about .* data\.limit"):
        opened(photos, tmp_path).prepare_data()
    opened(photos, tmp_path, limit=30).prepare_data()
    assert len([path for path in (tmp_path / "cache").iterdir() if path.name.endswith(".part")]) == 0


def test_a_moved_or_changed_picture_is_noticed(tmp_path):
    photos = made.folder(tmp_path / "photos", ["cat", "dog"], per_class=5)
    before = opened(photos, tmp_path).train_labels.bincount().tolist()
    (photos / "cat" / "4.png").rename(photos / "dog" / "5.png")
    after = opened(photos, tmp_path).train_labels.bincount().tolist()
    assert (before, after) == ([4, 4], [3, 5])


def test_a_path_below_the_root(tmp_path, monkeypatch):
    made.folder(tmp_path / "root" / "photos", ["cat", "dog"])
    monkeypatch.chdir(tmp_path)
    dataset = Folder("photos", Pictures())
    assert len(dataset.load("train", "root", str(tmp_path / "cache")).labels) == 14
