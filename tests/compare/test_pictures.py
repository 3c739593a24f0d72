"""The pictures of a page: which are chosen, how large they are, and each once."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldg.compare import pictures
from ldg.compare.pictures import Album, choose_epochs, read_picture
from ldg.runs.run import Run
from tests.compare import made


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (0, 12, []),
        (1, 12, [1]),
        (3, 12, [3, 1, 2]),
        (12, 12, [12, *range(1, 12)]),
        (13, 12, [13, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]),
        (30, 12, [30, 1, 4, 6, 9, 12, 14, 17, 19, 22, 25, 27]),
        (100, 12, [100, 1, 10, 19, 28, 37, 46, 55, 64, 73, 82, 91]),
        (30, 3, [30, 1, 16]),
        (31, 3, [31, 1, 16]),
        (30, 2, [30, 1]),
        (30, 1, [30]),
    ],
)
def test_the_newest_epoch_and_others_at_equal_distances(count, most, expected):
    epochs = [(epoch, Path(str(epoch))) for epoch in range(count, 0, -1)]
    chosen = [epoch for epoch, _ in choose_epochs(epochs, most)]
    assert chosen == expected and len(chosen) <= most


TWELVE = [1, 4, 6, 9, 12, 14, 17, 19, 22, 25, 27, 30]


def decoded(album, place):
    """The size of a stored picture, from its URL."""
    from base64 import b64decode

    head, _, data = album.images[place]["src"].partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(b64decode(data))).size


def test_an_album_has_every_kind_over_the_epochs(tmp_path):
    folders = [made.run(tmp_path, "x", i) for i in range(3)]
    made.gallery(folders[0], range(1, 31), ("strings", "latent_map"))
    made.gallery(folders[1], [2], ("strings", "data"))  # no page shows the data
    album = Album([Run(folder) for folder in folders])
    assert album.kinds == {"strings": "Samples", "latent_map": "Latent map"}
    epochs = {kind: [[epoch for epoch, _ in of_run] for of_run in runs] for kind, runs in album.shown.items()}
    assert epochs == {"strings": [TWELVE, [2], []], "latent_map": [TWELVE, [], []]}
    # the same picture of both kinds is stored once
    assert len(album.images) == 13 and album.shown["strings"][0] == album.shown["latent_map"][0]
    assert decoded(album, 0) == (300, 52)  # without white lines but six above and below


def test_many_runs_have_fewer_and_smaller_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_RUNS", 4)
    monkeypatch.setattr(pictures, "MAX_PICTURES", 9)
    monkeypatch.setattr(pictures, "BUDGET", 100_000)
    folders = [made.run(tmp_path, "x", i) for i in range(5)]
    for folder in folders:
        made.gallery(folder, range(1, 11), size=(1000, 80))
    album = Album([Run(folder) for folder in folders])
    assert [[epoch for epoch, _ in of_run] for of_run in album.shown["strings"]] == [[1, 10]] * 4 + [[]]
    assert {image["width"] for image in album.images} == {400}


def test_pictures_keep_to_the_budget_and_the_newest_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "BUDGET", 60_000)
    folders = [made.run(tmp_path, "x", i) for i in range(2)]
    rng = np.random.default_rng(0)
    for folder in folders:
        made.gallery(folder, [1, 2, 3])
        for file in folder.rglob("*.png"):  # noise takes many more bytes than what galleries show
            Image.fromarray(rng.integers(0, 256, (100, 300, 3), dtype=np.uint8)).save(file)
    album = Album([Run(folder) for folder in folders])
    sizes = [len(image["src"]) * 3 / 4 for image in album.images]
    assert 30_000 < sum(sizes) <= 60_100
    assert all(of_run and of_run[-1][0] == 3 for of_run in album.shown["strings"])


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1200, 600), (600, 300)), ((1200, 602), (600, 301)), ((500, 9), (500, 9)), ((100, 20_000), (30, 6000))],
)
def test_a_picture_is_made_small(size, expected, tmp_path):
    Image.new("RGB", size, "black").save(tmp_path / "x.png")
    with Image.open(io.BytesIO(read_picture(tmp_path / "x.png", 600))) as picture:
        assert picture.size == expected


def test_what_is_outside_of_a_run_is_no_picture_of_it(tmp_path):
    one, two = made.run(tmp_path, "a", 0), made.run(tmp_path, "b", 1)
    made.gallery(one, [1])
    (two / "gallery").symlink_to(one / "gallery")
    assert Album([Run(two)]).kinds == {}
    (two / "gallery").unlink()
    (two / "gallery" / "epoch_0001").mkdir(parents=True)
    (two / "gallery" / "epoch_0001" / "strings.png").symlink_to(one / "gallery" / "epoch_0001" / "strings.png")
    (two / "gallery" / "epoch_x").mkdir()
    (two / "gallery" / "epoch_x" / "strings.png").touch()
    assert Album([Run(two)]).kinds == {}
