"""Downloads: resumed, whole or absent, and one line where a server fails."""

import contextlib
import hashlib
import http.server
import os
import resource
import threading
import time
from functools import partial

import numpy as np
import pytest

from ldg.data import download, emnist, fashion_mnist, stanford_dogs
from ldg.data.download import resume_download
from ldg.data.emnist import EMNIST
from ldg.data.fashion_mnist import FashionMNIST
from ldg.data.stanford_dogs import StanfordDogs
from ldg.errors import UserError

from . import made


def load(dataset, tmp_path):
    return dataset.load("train", str(tmp_path / "root"), str(tmp_path / "cache"), True)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a file; breaks off in the middle of the first answer, and honours ranges or not."""

    data, ranges, broken = b"", True, False
    respond = None
    requested: list[str | None]

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.requested.append(wanted)
        if self.respond:
            self.respond()
            return
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
        threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
        handler.url = f"http://127.0.0.1:{httpd.server_address[1]}/"
        yield handler
        httpd.shutdown()


def published(data):
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("ranges", [True, False])
def test_download_goes_on_where_it_stopped(tmp_path, server, ranges):
    server.broken, server.ranges = True, ranges
    with pytest.raises(OSError, match="stopped after 5000 of 10000 bytes"):
        resume_download(server.url, tmp_path / "file", *published(server.data))
    assert not (tmp_path / "file").exists()
    resume_download(server.url, tmp_path / "file", *published(server.data))
    assert (tmp_path / "file").read_bytes() == server.data
    assert server.requested == [None, "bytes=5000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def page(handler, status=200, body=b"<html>please log in</html>"):
    handler.send_response(status)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def hang(handler):
    time.sleep(1)


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"x" * 5000)
    time.sleep(1)


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(ConnectionError):  # the other side hangs up
        while True:
            handler.wfile.write(bytes(1 << 20))


def no_http(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")


def in_chunks(handler):
    """Breaks off in the middle of a chunk."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ffff\r\nabc")


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (page, "answers with 26 bytes instead of the published 10000"),
        (partial(page, status=404), "Not Found"),
        (partial(page, status=206), "answers with 26 bytes instead of the published 10000"),
        (hang, "timed out"),
        (drip, "timed out"),
        (endless, "does not have the published size"),
        (no_http, "SSH"),
        (in_chunks, "IncompleteRead"),
    ],
)
def test_what_a_server_does_instead_is_one_line(tmp_path, server, respond, reason, monkeypatch):
    server.respond = lambda handler: respond(handler)
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(fashion_mnist, "URL", server.url)
    monkeypatch.setattr(fashion_mnist, "PUBLISHED", dict.fromkeys(fashion_mnist.PUBLISHED, published(server.data)))
    with pytest.raises(
        UserError, match=f"cannot download FashionMNIST .*{reason}.*put train-images-idx3-ubyte"
    ) as error:
        load(FashionMNIST(), tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*ubyte*.gz"))
    assert respond in (drip, in_chunks) or not list(tmp_path.rglob("*.part"))


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(emnist, "URL", "http://127.0.0.1:9/")
    with pytest.raises(
        UserError, match=r"cannot download EMNIST .*Connection refused.*put emnist-letters-train.*emnist-letters-test"
    ) as error:
        load(EMNIST("letters"), tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "root").exists()


def test_a_full_disk(tmp_path, server, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "URL", server.url)
    monkeypatch.setattr(fashion_mnist, "PUBLISHED", dict.fromkeys(fashion_mnist.PUBLISHED, published(server.data)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot download FashionMNIST .*File too large"):
            load(FashionMNIST(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.rglob("*ubyte*.gz"))


def test_download_of_the_wrong_file(tmp_path, server, monkeypatch):
    monkeypatch.setattr(stanford_dogs, "URL", server.url)
    monkeypatch.setattr(stanford_dogs, "ARCHIVES", {"images.tar": (len(server.data), "0" * 64)})
    with pytest.raises(
        UserError, match=r"cannot download .*SHA-256.*put images\.tar, annotation\.tar, lists\.tar into"
    ):
        load(StanfordDogs(), tmp_path)
    assert not list(tmp_path.rglob("images.tar*"))


@pytest.mark.parametrize(("there", "downloads"), [("nothing", 1), ("a damaged one", 1), ("a whole one", 0)])
def test_emnist_is_read_from_its_archive(tmp_path, server, monkeypatch, there, downloads):
    upright = made.emnist(tmp_path / "made")
    archive = made.emnist_archive(tmp_path / "made")
    server.data = archive.read_bytes()
    monkeypatch.setattr(emnist, "URL", server.url)
    monkeypatch.setattr(emnist, "PUBLISHED", published(server.data))
    raw = tmp_path / "root" / "EMNIST" / "raw"
    if there != "nothing":
        raw.mkdir(parents=True)
        (raw / "gzip.zip").write_bytes(server.data if there == "a whole one" else server.data[:-10] + bytes(10))
    for _ in range(2):
        assert np.array_equal(load(EMNIST("digits"), tmp_path).images[:, 0], upright)
    assert len(server.requested) == downloads
    assert {path.name for path in raw.iterdir()} - {".download.lock"} == {"gzip.zip"}


def test_only_what_is_missing_of_fashion_mnist_is_downloaded(tmp_path, server, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 256, (6, 28, 28))
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    made.idx_pair(raw, "train", pictures, np.arange(6))
    server.data = (raw / "train-images-idx3-ubyte.gz").read_bytes()
    (raw / "train-images-idx3-ubyte.gz").unlink()
    monkeypatch.setattr(fashion_mnist, "URL", server.url)
    monkeypatch.setattr(fashion_mnist, "PUBLISHED", {"train-images-idx3-ubyte": published(server.data)})
    assert np.array_equal(load(FashionMNIST(), tmp_path).images[:, 0], pictures)
    assert len(server.requested) == 1
