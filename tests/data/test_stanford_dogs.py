"""Stanford Dogs: the crop, both layouts, breeds, damaged archives and the download."""

import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from ldg.data import stanford_dogs
from ldg.data.download import resume_download
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


def test_a_box_beyond_the_picture_is_clipped(tmp_path):
    made.dogs(tmp_path / "root", packed=False)
    for path in (tmp_path / "root" / "stanford_dogs" / "Annotation").rglob("n*_*"):
        if path.is_file():
            path.write_bytes(made.annotation(32, -5, 70, 41))
    assert load(tmp_path, image_size=16).images[:, 2].min() > 240


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
        import tarfile

        with tarfile.open(folder / name) as tar:
            files = {info.name: tar.extractfile(info).read() for info in tar}
        for path in [path for path in files if path.startswith(member)]:
            del files[path]
            if data is not None:
                files[path] = data
        made.tar(folder / name, files)

    return damage


def cut(name: str, keep: int):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut("images.tar", 1000), r"images\.tar .*(truncated|holds no Images)"),
        (cut("images.tar", 512), r"images\.tar .*(truncated|holds no Images)"),
        (lambda folder: (folder / "images.tar").write_bytes(b"x" * 2000), r"images\.tar is truncated or no tar file"),
        (rewrite("images.tar", "Images/n02110958", b"no jpeg"), r"images\.tar: Images/n02110958-pug/.*is damaged"),
        (rewrite("annotation.tar", "Annotation/n02110958", b"<a><b>"), r"annotation\.tar: .*pug/.*is damaged"),
        (rewrite("annotation.tar", "Annotation/n02110958", b"<a></a>"), r"damaged \(no object/bndbox\)"),
        (rewrite("annotation.tar", "Annotation/n02110958", None), r"annotation\.tar holds no Annotation/n02110958-pug"),
        (rewrite("lists.tar", "train_list", b"no mat"), r"lists\.tar: train_list\.mat is damaged"),
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


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file; breaks off in the middle of the first answer, and honours ranges or not."""

    data, ranges, broken = b"", True, False
    requested: list[str | None]

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.requested.append(wanted)
        resumed = wanted is not None and self.ranges
        data = self.data[int(wanted.removeprefix("bytes=").rstrip("-")) :] if resumed else self.data
        self.send_response(206 if resumed else 200)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.broken and len(self.requested) == 1 else data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    handler = type("Fresh", (Handler,), {"data": os.urandom(10_000), "requested": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        handler.url = f"http://127.0.0.1:{httpd.server_address[1]}/"
        yield handler
        httpd.shutdown()


@pytest.mark.parametrize("ranges", [True, False])
def test_download_goes_on_where_it_stopped(tmp_path, server, ranges):
    server.broken, server.ranges = True, ranges
    published = (len(server.data), hashlib.sha256(server.data).hexdigest())
    with pytest.raises(OSError, match="stopped after 5000 of 10000 bytes"):
        resume_download(server.url, tmp_path / "file", *published)
    assert not (tmp_path / "file").exists()
    resume_download(server.url, tmp_path / "file", *published)
    assert (tmp_path / "file").read_bytes() == server.data
    assert server.requested == [None, "bytes=5000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_download_of_the_wrong_file(tmp_path, server, monkeypatch):
    monkeypatch.setattr(stanford_dogs, "URL", server.url)
    monkeypatch.setattr(stanford_dogs, "ARCHIVES", {"images.tar": (len(server.data), "0" * 64)})
    with pytest.raises(
        UserError, match=r"cannot download .*SHA-256.*put images\.tar, annotation\.tar, lists\.tar into"
    ):
        load(tmp_path, download=True)
    assert not list(tmp_path.rglob("images.tar*"))


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
