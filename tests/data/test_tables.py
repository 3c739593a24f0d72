"""Arrays in .npz files, tables in .csv files, pictures in Parquet files."""

import json

import numpy as np
import pytest

from ldg.checkpoint import build
from ldg.config.check import check_config
from ldg.config.compose import compose_config, resolve_config
from ldg.data.csv import Csv, read_layout
from ldg.data.npz import Npz
from ldg.errors import UserError

from . import made


def opened(name, path, tmp_path, *overrides):
    """The data module that a command line describes."""
    line = [f"data={name}", f"data.path={path}", f"data.cache={tmp_path}/cache", *overrides]
    config = resolve_config(compose_config(line))
    check_config(config)
    data = build(config["data"])
    data.prepare_data()
    return data


def refused(name, path, tmp_path, message, *overrides):
    with pytest.raises(UserError, match=message) as error:
        opened(name, path, tmp_path, *overrides)
    assert "\n" not in str(error.value)


def counts(data):
    return [len(part) for part in (data.train, data.val, data.test)]


def test_medmnist(tmp_path):
    path = made.npz(tmp_path / "made.npz", {"train": 24, "val": 6, "test": 9})
    data = opened("npz", path, tmp_path)
    assert data.classes == ("0", "1", "2") and data.image_shape == (3, 12, 12) and counts(data) == [24, 6, 9]
    arrays = np.load(path)
    assert np.array_equal(data.val.images, arrays["val_images"].transpose(0, 3, 1, 2))
    assert np.array_equal(data.val.labels, arrays["val_labels"][:, 0])


def test_keras_without_val(tmp_path, monkeypatch):
    monkeypatch.setattr("ldg.data.npz.CHUNK", 64 * 7)  # seven images at a time
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    labels = np.arange(50) % 5 + 3
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    data = opened("npz", tmp_path / "mnist.npz", tmp_path, "data.classes=[c,d,e,f,g]")
    assert data.classes == tuple("cdefg") and counts(data) == [45, 5, 5]
    assert np.array_equal(data.train.images[:, 0], images) and np.array_equal(data.train_labels, labels - 3)
    part = opened("npz", tmp_path / "mnist.npz", tmp_path, "data.limit=15")
    assert part.train_labels.bincount().tolist() == [3] * 5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": np.zeros((9, 8, 8))}, "it should have train_images and train_labels, or x_train and y_train"),
        (
            {"train_images": np.zeros((9, 8, 8)), "train_labels": np.arange(9)},
            "train_images is float64 .*; it should be",
        ),
        (
            {"train_images": np.zeros((9, 8, 8, 8), np.uint8), "train_labels": np.arange(9)},
            r"train_images is uint8 \(9, 8, 8, 8\); it should be uint8 \(N, H, W\)",
        ),
        (
            {"train_images": np.zeros((9, 8, 8), np.uint8), "train_labels": np.zeros((9, 14), int)},
            r"train_labels is int64 \(9, 14\); 9 images need one label each",
        ),
        (
            {"train_images": np.zeros((9, 8, 8), np.uint8), "train_labels": np.arange(8)},
            "9 images need one label each",
        ),
        (
            {
                "train_images": np.zeros((9, 8, 8), np.uint8),
                "train_labels": np.arange(9) % 2,
                "test_images": np.zeros((2, 8, 8), np.uint8),
                "test_labels": np.array([0, 7]),
            },
            "test labels have 7, which no training image has",
        ),
    ],
)
def test_arrays_that_are_no_data_set(tmp_path, arrays, message):
    np.savez(tmp_path / "made.npz", **arrays)
    refused("npz", tmp_path / "made.npz", tmp_path, message)


def test_labels_that_are_damaged_or_pickled(tmp_path):
    path = made.npz(tmp_path / "made.npz", {"train": 24}, train_labels=np.array([{}] * 24))
    refused("npz", path, tmp_path, r"data\.path: cannot read .*made\.npz \(ValueError: Object arrays cannot be loaded")
    images, labels = np.zeros((24, 8, 8), np.uint8), np.arange(24) % 3
    np.savez(path, train_images=images, train_labels=labels)
    path.write_bytes(path.read_bytes().replace(labels.tobytes(), (labels + 1).tobytes()))
    refused("npz", path, tmp_path, r"data\.path: cannot read .*made\.npz \(BadZipFile: Bad CRC-32")


def test_files_that_are_no_arrays(tmp_path):
    path = made.npz(tmp_path / "made.npz", {"train": 24})
    refused("npz", tmp_path, tmp_path, r"is a folder, but 1 \.npz; name a \.npz file")
    refused("npz", path, tmp_path, "2 names, but .* has 3 labels; name each", "data.classes=[a,b]")
    path.write_bytes(path.read_bytes()[:500])
    refused("npz", path, tmp_path, r"made\.npz is damaged or no \.npz file")


@pytest.mark.parametrize("header", [True, False])
def test_kaggle(tmp_path, header, monkeypatch):
    monkeypatch.setattr("ldg.data.csv.CHUNK", 7)
    pixels = made.csv(tmp_path / "table" / "mnist_train.csv", 30, header=header)
    tested = made.csv(tmp_path / "table" / "mnist_test.csv", 9, header=header)
    data = opened("csv", tmp_path / "table", tmp_path)
    assert data.classes == ("0", "1", "2") and data.image_shape == (1, 4, 4) and counts(data) == [27, 3, 9]
    assert np.array_equal(data.train.images.flatten(1), pixels) and np.array_equal(data.test.images.flatten(1), tested)
    assert data.train_labels.tolist() == [0, 1, 2] * 10
    assert opened("csv", tmp_path / "table", tmp_path, "data.limit=12").train_labels.bincount().tolist() == [4] * 3


@pytest.mark.parametrize("cell", ["-3", "3e2", "1.5"])
def test_a_first_line_of_numbers_is_no_header(tmp_path, cell):
    (tmp_path / "train.csv").write_text(f"1,1,2,3,{cell}\n" + "1,1,2,3,4\n" * 9)
    assert not read_layout(tmp_path / "train.csv").has_header
    refused("csv", tmp_path / "train.csv", tmp_path, "whole numbers from 0 to 255", "conditioning=none")


def test_kaggle_test_images_without_labels_have_no_use(tmp_path):
    made.csv(tmp_path / "table" / "train.csv", 40)
    made.csv(tmp_path / "table" / "test.csv", 9, label=False)
    assert sum(counts(opened("csv", tmp_path / "table", tmp_path))) == 40
    refused("csv", tmp_path / "table" / "test.csv", tmp_path, r"test\.csv has no labels: a line should be")


def test_labels_may_be_text_in_any_column(tmp_path):
    rows = [f"{number % 256},1,2,3,{'BA'[number % 2]}" for number in range(20)]
    (tmp_path / "train.csv").write_text("\n".join(["a,b,c,d,label", *rows]))
    data = opened("csv", tmp_path / "train.csv", tmp_path)
    assert data.classes == ("A", "B") and data.train.images[0, 0].tolist() in ([[0, 1], [2, 3]], [[1, 1], [2, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"first line has 1 columns; it should have a label and the pixels of a square image"),
        ("label,a,b,c,d,e\n1,2,3,4,5,6\n", "first line has 6 columns"),
        ("label,a,b,c,d\n" + "1,2,3,4,500\n" * 9, "pixels should be whole numbers from 0 to 255"),
        ("label,a,b,c,d\n" + "1,2,3,4,x\n" * 9, "pixels should be whole numbers from 0 to 255"),
        ("label,a,b,c,d\n" + "1,2,3,4,5\n" * 9 + "1,2\n", "pixels should be whole numbers from 0 to 255"),
    ],
)
def test_tables_that_are_no_images(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    refused("csv", tmp_path / "train.csv", tmp_path, message, "conditioning=none")


def test_text_that_is_damaged_behind_its_beginning(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"label,a,b,c,d\n" + b"1,2,3,4,5\n" * 9000 + b"\xff,2,3,4,5\n")
    refused(
        "csv", tmp_path / "train.csv", tmp_path, r"data\.path: cannot read .*train\.csv \(UnicodeDecodeError: .*0xff"
    )


def test_a_folder_without_tables(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    refused("csv", tmp_path, tmp_path, r"holds no \.csv file, but 1 \.txt")
    made.csv(tmp_path / "test.csv", 9)
    made.csv(tmp_path / "val.csv", 9)
    refused("csv", tmp_path, tmp_path, r"no \.csv file with train in its name, beside those of")


@pytest.mark.parametrize("image", ["struct", "bytes", "path"])
def test_shards_of_a_hub(tmp_path, image):
    pytest.importorskip("pyarrow")
    names = ["tench, Tinca tinca", "été", "c"]
    for number in range(2):
        made.shard(tmp_path / "hub" / "data" / f"train-0000{number}-of-00002.parquet", 15, names, image=image)
    made.shard(tmp_path / "hub" / "data" / "validation-00000-of-00001.parquet", 6, names, image=image)
    made.shard(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet", 6, names, labels=[-1] * 6, image=image)
    data = opened("parquet", tmp_path / "hub", tmp_path)
    assert data.classes == ("tench Tinca tinca", "été", "c") and data.image_shape == (3, 16, 20)
    assert counts(data) == [27, 6, 3]
    expected = np.asarray(made.picture(1, seed=1)).transpose(2, 0, 1)
    assert (data.train.images.numpy() == expected).all((1, 2, 3)).any()
    assert len(opened("parquet", tmp_path / "hub", tmp_path, "data.limit=9").train) == 9


def test_labels_without_names(tmp_path):
    pytest.importorskip("pyarrow")
    made.shard(tmp_path / "a.parquet", 12, None, labels=["x", "y"] * 6)
    assert opened("parquet", tmp_path / "a.parquet", tmp_path).classes == ("x", "y")
    made.shard(tmp_path / "b.parquet", 12, None, labels=[7, 5, 5] * 4)
    assert opened("parquet", tmp_path / "b.parquet", tmp_path).classes == ("5", "7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": False}, r"has the columns image, no columns of labels; name one with data\.label_column=\.\.\."),
        ({"labels": [0, 5, 1] * 4}, "train labels run from 0 to 5 instead of 0 to 1"),
        ({"labels": [0, None, 1] * 4}, "column label lacks 4 labels"),
    ],
)
def test_shards_that_are_no_data_set(tmp_path, options, message):
    pytest.importorskip("pyarrow")
    made.shard(tmp_path / "a.parquet", 12, ["x", "y"], **options)
    refused("parquet", tmp_path / "a.parquet", tmp_path, message)
    refused("parquet", tmp_path / "a.parquet", tmp_path, "no column foto", "data.image_column=foto")
    (tmp_path / "a.parquet").write_bytes(b"PAR1" * 9)
    refused("parquet", tmp_path / "a.parquet", tmp_path, r"a\.parquet is damaged or no Parquet file")


@pytest.mark.parametrize("features", [{"label": {"_type": "ClassLabel", "names": 3}}, {"label": "ClassLabel"}])
def test_a_description_of_columns_that_is_none(tmp_path, features):
    parquet = pytest.importorskip("pyarrow.parquet")
    made.shard(tmp_path / "a.parquet", 12, ["x", "y", "z"])
    table = parquet.read_table(tmp_path / "a.parquet")
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    refused("parquet", tmp_path / "a.parquet", tmp_path, r"data\.path: cannot read .*a\.parquet \(\w+Error: ")


@pytest.mark.parametrize("place", ["{folder}/private.png", "../private.png", "link.png"])
def test_a_row_names_no_picture_elsewhere(tmp_path, place):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    made.picture(0).save(tmp_path / "private.png")
    made.shard(tmp_path / "hub" / "a.parquet", 30, ["x", "y", "z"], image="path")
    (tmp_path / "hub" / "link.png").symlink_to(tmp_path / "private.png")
    table = parquet.read_table(tmp_path / "hub" / "a.parquet")
    rows = table.to_pylist()
    for row in rows[:9]:
        row["image"]["path"] = place.format(folder=tmp_path)
    parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), tmp_path / "hub" / "a.parquet")
    data = opened("parquet", tmp_path / "hub" / "a.parquet", tmp_path, "data.max_bad=0.9")
    assert len(data.train_labels) + len(data.test) == 21
    listed = "".join(file.read_text() for file in (tmp_path / "cache").glob("parquet-*.unreadable.txt"))
    assert listed.count("it lies outside of the Parquet file's folder\n") == 9


def test_a_shard_without_images(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(
        pyarrow.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet"
    )
    refused("parquet", tmp_path / "a.parquet", tmp_path, "no columns of images")


def test_unreadable_rows_are_left_out(tmp_path, capsys):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    made.shard(tmp_path / "a.parquet", 30, ["x", "y", "z"])
    table = parquet.read_table(tmp_path / "a.parquet")
    rows = table.to_pylist()
    rows[4]["image"]["bytes"] = b"no picture"
    changed = pyarrow.Table.from_pylist(rows, table.schema)
    parquet.write_table(changed, tmp_path / "a.parquet")
    data = opened("parquet", tmp_path / "a.parquet", tmp_path, "data.max_bad=0.5")
    assert len(data.train_labels) + len(data.test) == 29
    assert "cannot be read and are left out" in capsys.readouterr().err


def test_pyarrow_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    refused(
        "parquet", tmp_path / "a.parquet", tmp_path, r'the package pyarrow is missing: pip install "ldg\[parquet\]"'
    )


@pytest.mark.parametrize("dataset", [Npz("x"), Csv("x")])
def test_a_path_that_is_missing(dataset, tmp_path):
    with pytest.raises(UserError, match=r"data\.path: there is no .*/x, nor x in data\.root="):
        dataset.load("train", str(tmp_path), str(tmp_path / "cache"))
