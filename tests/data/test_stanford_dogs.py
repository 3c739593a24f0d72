"""Stanford Dogs: the crop, both layouts, breeds, odd images and boxes, damaged archives."""

import gzip
import io
import os
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from ldg.data.stanford_dogs import BREEDS, StanfordDogs
from ldg.errors import UserError

from . import made

REAL = os.environ.get("LDG_DATA")
ORIGINALS = Path(REAL or "", "stanford_dogs_originals")


def load(tmp_path, split="train", download=False, **arguments):
    return StanfordDogs(**arguments).load(split, str(tmp_path / "root"), str(tmp_path / "cache"), download)


@pytest.mark.parametrize("packed", [True, False])
def test_cropped_to_the_first_box(tmp_path, packed):
    made.dogs(tmp_path / "root", packed)
    images, labels = load(tmp_path, image_size=16)
    assert images.shape == (6, 3, 16, 16)
    assert sorted(BREEDS[label] for label in labels) == ["Maltese dog"] * 2 + ["Shih-Tzu"] * 2 + ["pug"] * 2
    blue = np.array([0, 0, 255])[:, None, None]
    assert np.abs(images.astype(int) - blue).max() <= 8  # nothing of the red half outside the box


def test_packed_and_unpacked_agree(tmp_path):
    made.dogs(tmp_path / "a" / "root", packed=True)
    made.dogs(tmp_path / "b" / "root", packed=False)
    (packed, labels), (unpacked, same) = load(tmp_path / "a"), load(tmp_path / "b")
    assert np.array_equal(packed, unpacked) and np.array_equal(labels, same)


PUG = "n02110958-pug/n02110958_0"


def load_pugs(tmp_path, image=None, annotation=None):
    """The two pugs of size 16: the first has this image, or this annotation."""
    folder = tmp_path / "root" / "stanford_dogs"
    made.dogs(tmp_path / "root", packed=False)
    if image is not None:
        (folder / "Images" / f"{PUG}.jpg").write_bytes(image)
    if annotation is not None:
        (folder / "Annotation" / PUG).write_bytes(annotation)
    return load(tmp_path, image_size=16, breeds=["pug"])


def boxed(*corners, of="<annotation><object><bndbox>%s</bndbox></object></annotation>"):
    names = ("xmin", "ymin", "xmax", "ymax")
    return (of % "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, corners, strict=False))).encode()


RED, BLUE = (255, 0, 0), (0, 0, 255)  # the halves of an image of 60x40


@pytest.mark.parametrize(
    ("box", "colour"),
    [
        ((32, -5, 70, 41), BLUE),  # beyond the image: clipped
        ((31.5, 0.4, "60.0", 39.8), BLUE),  # rounded
        (("3.2e1", " 0 ", 60, 40), BLUE),
        ((60, 40, 32, 0), BLUE),  # swapped
        ((28, 0, 0, 40), RED),
        ((32, 40, 60, 0), BLUE),  # only one axis swapped
    ],
)
def test_boxes_mean_what_they_say(tmp_path, box, colour, capsys):
    images, _ = load_pugs(tmp_path, annotation=boxed(*box))
    first = min(images, key=lambda image: np.abs(image.astype(int) - np.array(colour)[:, None, None]).max())
    assert np.abs(first.astype(int) - np.array(colour)[:, None, None]).max() <= 8
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (30, 5, 30, 25), (30, 5, 30.4, 25), (300, 300, 400, 400), (-9, -9, -1, -1)]
)
def test_a_box_without_a_pixel_stands_for_the_whole_image(tmp_path, box, capsys):
    images, _ = load_pugs(tmp_path, annotation=boxed(*box))
    assert sorted(round(float(image[0].mean()) / 64) for image in images) == [0, 2]  # the other pug's box is blue
    assert f"the whole image stands for 1 empty boxes: Annotation/{PUG}" in capsys.readouterr().err


LAUGHS = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
NOT_A_BOX = {
    "text": (boxed(1, 2, "many", 4), "could not convert string to float: 'many'"),
    "missing": (boxed(1, 2, 3), "no ymax"),
    "nan": (boxed(1, 2, "nan", 4), "NaN"),
    "infinite": (boxed(1, 2, "1e999", 4), "infinity"),
    "empty": (b"", "no element found"),
    "laughs": (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>'.encode(), "document type 'a'"),
    "external": (b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>', "document type 'a'"),
    "encoding": (b'<?xml version="1.0" encoding="no-such"?><a/>', "unknown encoding"),
    "huge": (b"<a>" + b" " * (1 << 18) + b"</a>", "has more than 262144 bytes"),
    "deep": (b"<a>" * 20_000, "no element found"),
}


@pytest.mark.parametrize(("annotation", "message"), NOT_A_BOX.values(), ids=NOT_A_BOX)
def test_an_annotation_that_says_no_box_is_named_and_not_its_image(tmp_path, annotation, message):
    with pytest.raises(UserError, match=rf"Annotation: Annotation/{PUG} .*({message})") as error:
        load_pugs(tmp_path, annotation=annotation)
    assert "\n" not in str(error.value) and "Images" not in str(error.value)


def saved(pixels, kind="png", mode=None, **options):
    buffer = io.BytesIO()
    (Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def ramp(most, dtype):
    """An image of 60x40 whose right half, which the box is around, is at half of the range."""
    return np.full((40, 60), most // 2, dtype)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    )


GREY = ramp(255, np.uint8)
EXIF = Image.Exif()
EXIF[0x112] = 6
HALF_GREY = {
    "16 bits, png": saved(ramp(65535, np.uint16)),
    "16 bits, tiff": saved(ramp(65535, np.uint16), "tiff"),
    "8 bits, bmp": saved(GREY, "bmp"),
    "with alpha": saved(np.stack([GREY, GREY], -1)),
    "palette": saved(GREY, "gif"),
    "palette with transparency": saved(GREY, mode="P", transparency=b"\0" * 256),
    "webp": saved(GREY, "webp", mode="RGB", lossless=True),
    "cmyk": saved(np.stack([GREY + 1, GREY + 1, GREY + 1, GREY * 0], -1), "tiff", mode=None),
    "animation": saved(GREY, "gif", save_all=True, append_images=[Image.fromarray(GREY // 2)]),
    "turned": saved(GREY, "jpeg", exif=EXIF),
}


@pytest.mark.parametrize("image", HALF_GREY.values(), ids=HALF_GREY)
def test_images_of_every_kind_keep_their_values(tmp_path, image, recwarn):
    images, _ = load_pugs(tmp_path, image=image)
    assert sorted(round(float(image[0].mean())) for image in images) in ([0, 127], [0, 128])
    assert not recwarn.list


def test_one_bit_is_black_or_white(tmp_path):
    images, _ = load_pugs(tmp_path, image=saved(GREY > 0))
    assert sorted(float(image[0].mean()) for image in images)[1] == 255


NOT_AN_IMAGE = {
    "bomb, png": (png(20000, 20000), r"cannot be read \(Image size \(400000000 pixels\)"),
    "bomb, half": (png(10000, 10000), r"10000x10000 pixels are more than 89 million"),
    "bomb, gif": (
        b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff,"
        b"" + struct.pack("<HHHHB", 0, 0, 60000, 60000, 0) + b"\x02\x02\x4c\x01\0;",
        "pixels",
    ),
    "bomb, tiff": (
        saved(GREY, "tiff").replace(*(struct.pack("<HHII", 256, 4, 1, n) for n in (60, 3_000_000))),
        "3000000x40",
    ),
    "bomb, jpeg": (saved(GREY, "jpeg").replace(bytes([0, 40, 0, 60]), b"\xff\xff\xff\xff"), "4294836225 pixels"),
    "bomb, text": (png(60, 40, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 23)))), "too large"),
    "integers of 32 bits": (saved(ramp(1 << 30, np.int32), "tiff"), "numbers of 32 bits have no known range"),
    "floats": (saved(ramp(2, np.float32), "tiff"), "numbers of 32 bits have no known range"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is none of JPEG, PNG"),
    "empty": (b"", "it is none of JPEG, PNG"),
    "cut": (made.jpeg(np.zeros((40, 60, 3), np.uint8))[:-200], "cannot be read"),
}


@pytest.mark.parametrize(("image", "message"), NOT_AN_IMAGE.values(), ids=NOT_AN_IMAGE)
def test_an_image_that_cannot_be_read_is_named(tmp_path, image, message):
    with pytest.raises(UserError, match=rf"Images: Images/{PUG}\.jpg .*{message}") as error:
        load_pugs(tmp_path, image=image)
    assert "\n" not in str(error.value)


def replaced(target):
    """Damage: the first pug's image is a link."""

    def damage(folder: Path) -> None:
        image = folder / "Images" / f"{PUG}.jpg"
        image.unlink()
        image.symlink_to(target)

    return damage


def instead(name, make):
    """Damage: something else has the place of a file."""

    def damage(folder: Path) -> None:
        path = folder / name
        path.unlink()
        make(path)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced("/nowhere/object"), rf"{PUG}\.jpg, a link to /nowhere/object \(No such file"),
        (replaced(f"{Path(PUG).name}.jpg"), rf"{PUG}\.jpg, a link to .*\(Too many levels"),
        (replaced("/dev/zero"), rf"{PUG}\.jpg, a link to /dev/zero \(Not a file\)"),
        (instead(f"Images/{PUG}.jpg", os.mkfifo), rf"{PUG}\.jpg \(Not a file\)"),
        (instead(f"Annotation/{PUG}", Path.mkdir), rf"Annotation holds no Annotation/{PUG}"),
        (instead("train_list.mat", os.mkfifo), r"train_list\.mat holds no train_list\.mat"),
    ],
)
def test_what_is_no_file_is_named_and_nothing_waits(tmp_path, damage, message):
    made.dogs(tmp_path / "root", packed=False)
    damage(tmp_path / "root" / "stanford_dogs")
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_what_systems_leave_behind_is_not_read(tmp_path):
    made.dogs(tmp_path / "root", packed=False)
    folder = tmp_path / "root" / "stanford_dogs"
    (folder / "Images" / ".DS_Store").write_bytes(b"\0\1")
    (folder / "Images" / "n02110958-pug" / "Thumbs.db").symlink_to("nowhere")
    (folder / "Annotation" / "above").symlink_to(folder)
    os.mkfifo(folder / "Annotation" / "pipe")
    Path(os.fsdecode(os.fsencode(folder) + b"/Images/\xff.jpg")).write_bytes(b"")
    assert len(load(tmp_path).labels) == 6


def test_linked_folders_and_those_with_an_archives_name_are_found(tmp_path):
    made.dogs(tmp_path / "root", packed=False)
    folder = tmp_path / "root" / "stanford_dogs"
    for name in ("Images", "Annotation"):
        (folder / name.lower()).mkdir()
        (folder / name).rename(folder / name.lower() / name)
    (folder / "images" / "Images" / "n02110958-pug").rename(tmp_path / "pugs")
    (folder / "images" / "Images" / "n02110958-pug").symlink_to(tmp_path / "pugs")
    assert len(load(tmp_path).labels) == 6


def test_breeds(tmp_path):
    made.dogs(tmp_path / "root")
    dataset = StanfordDogs(breeds=["pug", "maltese_dog"])
    assert dataset.classes == ("pug", "Maltese dog")
    labels = dataset.load("test", str(tmp_path / "root"), str(tmp_path / "cache"), False).labels
    assert sorted(labels) == [0, 0, 1, 1]
    assert len(BREEDS) == 120 and not [name for name in BREEDS if set(name) & set("+,_")]


@pytest.mark.parametrize(
    ("breeds", "message"),
    [(["Shi-Tzu"], "no breed 'Shi-Tzu'; did you mean 'Shih-Tzu'"), (["pug", "Pug"], "each once"), ([], "at least one")],
)
def test_bad_breeds(breeds, message):
    with pytest.raises(UserError, match=message):
        StanfordDogs(breeds=breeds)


def rewrite(name: str, member: str, data: bytes | None):
    """Damage: a tar whose first file named ``member*`` holds something else, or is missing."""

    def damage(folder: Path) -> None:
        with tarfile.open(folder / name) as tar:
            files = {info.name: tar.extractfile(info).read() for info in tar}
        for path in [path for path in files if path.startswith(member)]:
            del files[path]
            if data is not None:
                files[path] = data
        made.tar(folder / name, files)

    return damage


def mat(names: list) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"file_list": np.array([[np.array([name])] for name in names], dtype=object)})
    return buffer.getvalue()


def entry(size: int, kind: bytes = tarfile.REGTYPE, name: str = f"Images/{PUG}.jpg"):
    """Damage: an archive of one file, whose header says that it has this size."""

    def damage(folder: Path) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.type = size, kind
        header = info.tobuf(tarfile.GNU_FORMAT)
        (folder / "images.tar").write_bytes(header + bytes(4096))

    return damage


def cut(name: str, keep: int):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut("images.tar", 1000), r"images\.tar .*(truncated|holds no Images)"),
        (cut("images.tar", 512), r"images\.tar .*(truncated|holds no Images)"),
        (lambda folder: (folder / "images.tar").write_bytes(b"x" * 2000), r"images\.tar is truncated or no tar file"),
        (rewrite("images.tar", "Images/n02110958", b"no jpeg"), r"images\.tar: Images/n02110958-pug/.*cannot be read"),
        (rewrite("annotation.tar", "Annotation/n02110958", b"<a><b>"), r"annotation\.tar: .*pug/.*cannot be read"),
        (rewrite("annotation.tar", "Annotation/n02110958", b"<a></a>"), r"cannot be read \(no object/bndbox\)"),
        (rewrite("annotation.tar", "Annotation/n02110958", None), r"annotation\.tar holds no Annotation/n02110958-pug"),
        (entry(1 << 40), r"images\.tar (is truncated|holds no)"),
        (entry(-512), r"images\.tar (is truncated|holds no)"),
        (entry(1 << 40, tarfile.GNUTYPE_SPARSE), r"images\.tar (is truncated|holds no)"),
        (entry(1 << 40, tarfile.XHDTYPE), r"images\.tar (is truncated|holds no)"),
        (entry(1 << 40, tarfile.GNUTYPE_LONGNAME), r"images\.tar (is truncated|holds no)"),
        (entry(0, tarfile.CHRTYPE), r"images\.tar holds no Images/"),
        (entry(0, tarfile.SYMTYPE), r"images\.tar holds no Images/"),
        (entry(0, name="../" + PUG), r"images\.tar holds no Images/"),
        (entry(0, name=f"/Images/{PUG}.jpg"), r"images\.tar holds no Images/"),
        (lambda folder: (folder / "images.tar").write_bytes(gzip.compress(b"tar")), r"images\.tar is gzipped"),
        (instead("images.tar", Path.mkdir), r"cannot read .*images\.tar \(Is a directory\)"),
        (instead("images.tar", os.mkfifo), r"cannot read .*images\.tar \(Not a file\)"),
        (
            rewrite("lists.tar", "train_list", mat(["a/b.jpg", 3.0])),
            r"train_list\.mat cannot be read \(a cell is no text",
        ),
        (rewrite("lists.tar", "train_list", mat(["n02110958-pug/a\nb.jpg"])), r"train_list\.mat cannot be read"),
        (rewrite("lists.tar", "train_list", mat(["n02110958-pug/a.jpg"])[:-40]), r"train_list\.mat cannot be read"),
        (rewrite("lists.tar", "train_list", mat(["n02110958-cat/a.jpg"])), r"which is none of the 120 breeds"),
        (rewrite("lists.tar", "train_list", b"no mat"), r"lists\.tar: train_list\.mat cannot be read"),
    ],
)
def test_damaged_archives_are_named_and_leave_nothing(tmp_path, damage, message):
    made.dogs(tmp_path / "root")
    damage(tmp_path / "root" / "stanford_dogs")
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_missing_files_say_where_to_put_them(tmp_path):
    with pytest.raises(UserError, match=r"missing .*stanford_dogs/images\.tar; put it there.*LDG_DATA"):
        load(tmp_path)


@pytest.mark.skipif(not REAL, reason="LDG_DATA is not set")
def test_real_archives(tmp_path):
    images, labels = StanfordDogs().load("test", REAL, str(tmp_path), False)
    assert images.shape == (8580, 3, 64, 64)
    assert np.bincount(labels, minlength=120).min() >= 48


@pytest.mark.skipif(not ORIGINALS.exists(), reason="LDG_DATA holds no original photos")
def test_real_photos_are_cropped(tmp_path):
    folder = tmp_path / "root" / "stanford_dogs"
    folder.mkdir(parents=True)
    for name in ("Images", "Annotation"):
        (folder / name).symlink_to(ORIGINALS.resolve() / name)
    names = sorted(path.relative_to(folder / "Images").as_posix() for path in (folder / "Images").rglob("*.jpg"))
    savemat(folder / "train_list.mat", {"file_list": np.array([[np.array([name])] for name in names], dtype=object)})
    images, labels = load(tmp_path, image_size=32)
    assert sorted(BREEDS[label] for label in labels) == sorted(
        n.split("/")[0].split("-", 1)[1].replace("_", " ") for n in names
    )
    # Maltese dog: its box is (10, 61, 335, 455)
    photo = Image.open(folder / "Images" / "n02085936-Maltese_dog" / "n02085936_24178.jpg").convert("RGB")
    expected = np.asarray(photo.crop((10, 61, 335, 455)).resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    image = images[labels.tolist().index(BREEDS.index("Maltese dog"))]
    assert np.abs(image.astype(int) - expected).max() <= 1
