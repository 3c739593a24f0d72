"""Run folders from somebody else: damaged, hostile, or larger than any that ldg writes. None of them stops a list or a
comparison, nothing of them is carried out, and nothing outside of them is read."""

import copy
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ldg.compare import page
from ldg.compare.comparison import Comparison
from ldg.compare.scores import Scores
from ldg.runs.formats import align
from ldg.runs.provenance import FILE
from ldg.runs.run import MAX_COLUMNS, MAX_ROWS, Run
from ldg.runs.select import filter_runs, find_runs, sort_runs, values
from tests.compare import made
from tests.fuzz.mutations import mutations
from tests.sweeps.test_strangers import BOMB, png

FILES = ("config.yaml", "summary.json", FILE, "metrics.csv", "times.csv", "scorecard.json", "scorecard.npz")
HUGE = 10**400  # no float is as large


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """The folder of a run beside one of ldg's own, in a folder of runs; both with everything that is compared."""
    monkeypatch.setattr(page, "_plotly", lambda: "")
    monkeypatch.chdir(tmp_path)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.alarm(120)  # a pipe would be waited for
    own, other = made.run(tmp_path / "outputs", "own", 0), made.run(tmp_path / "outputs", "other", 1, seed=1)
    for folder in (own, other):
        made.scorecard(folder, np.arange(9.0))
        made.gallery(folder, [1])
    yield other
    signal.alarm(0)


def report(*paths):
    """Everything that ldg runs and ldg compare say, as what goes into files."""
    runs = find_runs(paths or ["outputs"])
    assert any(run.name == "own" for run in filter_runs(runs, "data=strokes or val/elbo>-1e9"))
    for key in ("age", "name", "size"):
        sort_runs(runs, key)
    compared = Comparison(runs)
    texts = [compared.render_html(Path("outputs/compare.html")), compared.render_markdown(), compared.render_csv()]
    texts += [compared.render_json(), align(compared.rows()).encode("utf-8", "replace").decode()]
    json.loads(texts[3], parse_constant=pytest.fail)  # NaN and infinity are no JSON
    for text in texts:
        text.encode("utf-8")
    return texts


def of_stranger():
    return next(run for run in find_runs(["outputs"]) if run.name != "own")


@pytest.mark.parametrize("name", FILES)
def test_damaged_bytes(name, stranger):
    report()
    for _, data in mutations((stranger / name).read_bytes(), 20):
        (stranger / name).write_bytes(data)
        report()


WRONG = [None, True, -1, 1e308, float("nan"), float("inf"), HUGE, "", "x", "\ud800", "1e999", "-5", [], [None], [[1]]]
WRONG += [{}, {"a": {"b": []}}, [float("nan")] * 3, ["x"] * 3, "<script>alert(1)</script>"]


def places(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(node, path, value):
    if not path:
        return value
    whole = node = copy.deepcopy(node)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return whole


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", FILE, "scorecard.json"])
def test_wrong_types_anywhere(name, stranger):
    text = (stranger / name).read_text()
    content, write = (yaml.safe_load(text), yaml.safe_dump) if name == "config.yaml" else (json.loads(text), json.dumps)
    rng = random.Random(0)
    cases = [(path, wrong) for path in places(content) for wrong in WRONG]
    for path, wrong in rng.sample(cases, min(len(cases), 40)):
        (stranger / name).write_text(write(changed(content, path, wrong)))
        assert "<script>alert" not in report()[0], (path, wrong)


@pytest.mark.parametrize(
    ("name", "path", "wrong"),
    [
        ("summary.json", ["metrics", "val/elbo"], HUGE),
        ("summary.json", ["epochs"], "\ud800"),
        ("summary.json", ["metrics"], {f"a/{i}": i for i in range(10_000)}),
        ("scorecard.json", ["model"], {}),
        ("scorecard.json", ["model", "data"], []),
        ("scorecard.json", ["model", "images"], {}),
        ("scorecard.json", ["results", "elbo", "values", "elbo", "error"], -1.0),
        ("scorecard.json", ["results", "elbo", "values", "elbo", "error"], 5e-324),
        ("scorecard.json", ["results", "elbo", "values", "elbo", "value"], 1e308),
        ("scorecard.json", ["results", "elbo", "values", "\ud800"], {"value": 1.0, "error": float("nan")}),
        ("scorecard.json", ["results", "class_accuracy", "detail", "per_class"], [HUGE] * 3),
        ("scorecard.json", ["results", "class_accuracy", "detail", "per_class"], [float("nan")] * 3),
        ("scorecard.json", ["results", "class_accuracy", "detail", "classes"], [1, None, {"a": 2}]),
        ("scorecard.json", ["results", "elbo", "values"], {str(i): {"value": 1.0} for i in range(2000)}),
        (FILE, [0, "patch_size"], HUGE),
        (FILE, [0, "started"], "9999-12-31T23:59:59"),
        (FILE, [0, "started"], "0001-01-01T00:00:00"),
    ],
    ids=str,
)
def test_a_value_that_is_none(name, path, wrong, stranger):
    content = json.loads((stranger / name).read_text())
    (stranger / name).write_text(json.dumps(changed(content, path, wrong)))
    report()


@pytest.mark.parametrize("key", ["started", "versions", "command", "host", "commit", "patch"])
def test_deep_json(key, stranger):
    for depth in (40, 900, 960, 990, 100_000):
        (stranger / FILE).write_text(f'[{{"{key}": {"[" * depth}{"]" * depth}}}]')
        (stranger / "summary.json").write_text(f'{{"epochs": {"[" * depth}{"]" * depth}}}')
        run = of_stranger()
        assert run.sessions == [] and run.summary == {}
    report()


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 3000,
        "{a: " * 40 + "}" * 40,
        "&a [*a]",
        "a: !!python/object/apply:os.system [touch hacked]",
        '!!int ""',
        '!!float ""',
        '!!bool "x"',
        '!!timestamp "x"',
        "a: 2020-99-99",
        "a: " + "9" * 5000,
        f"a: 0x{'f' * 6000}",
        "a: " + ":".join(["1"] * 300) + ".0",
        "? [a]\n: b",
        "a: \0",
        "--- a\n--- b\n",
        "",
        "just text",
    ],
    ids=lambda text: text[:20],
)
def test_a_config_that_is_none_is_a_broken_run(text, stranger, tmp_path):
    (stranger / "config.yaml").write_text(text)
    (run,) = [run for run in find_runs(["outputs"]) if run.name != "own"]
    assert (run.state, run.config, run.name) == ("broken", {}, "run-1")
    assert "there is no config that can be read" in report()[0]
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "text",
    [
        "name: " + "x" * 900_000,
        "choices: {data: " + "x" * 900_000 + "}",
        "\n".join(f"key{i}: {i}" for i in range(20_000)),
        'name: "\\e[31mred\\0"',
        "name: [2020-01-01]\nwhen: 2020-01-01\nraw: !!binary aGVsbG8=\nset: !!set {a, b}\n1: {2: 3}",
        "folder: ''\nmodel: {beta: .nan}",
        "logger: {wandb: {choices: [1]}}\ndata: {dataset: {_target_: 5}}",
    ],
    ids=lambda text: text[:20],
)
def test_a_strange_config_is_shown(text, stranger):
    (stranger / "config.yaml").write_text(text)
    assert max(map(len, report())) < 2_000_000
    assert of_stranger().state == "finished"


@pytest.mark.parametrize(
    "text",
    [
        "epoch" + ",c" * 1_000_000,
        "epoch" + ",c" * 900 + "\n" + "1\n" * 200_000,
        'epoch,a/b\n1,"' + "x" * 200_000,
        "epoch,epoch,val/elbo\n1,2,3,4,5\n\n6\n",
        "epoch,val/elbo\n-1,1e308\n1e308,-1e308\nnan,1\n,2\n1,1e999\n",
        "epoch,<script>alert(1)</script>,__proto__,constructor,a/b\n1,2,3,4,5\n",
        "epoch,a/b\r1,\0\r",
        "epoch,a/b\n1," + "9" * 5000,
        "\n\n",
        "epoch,a/b\n" + "1,2\n" * 3_000_000,
    ],
    ids=lambda text: text[:20],
)
def test_metrics_that_are_none(text, stranger):
    (stranger / "metrics.csv").write_text(text)
    run = of_stranger()
    assert len(run.rows) <= MAX_ROWS and all(len(row) <= MAX_COLUMNS for row in run.rows)
    assert "<script>alert" not in report()[0]


def npz(content=b"", name="elbo.npy", **entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, data in {name: content, **entries}.items():
            archive.writestr(key, data)
    return buffer.getvalue()


def npy(array=None, header=""):
    buffer = io.BytesIO()
    if array is not None:
        np.save(buffer, array, allow_pickle=True)
        return buffer.getvalue()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


CENTRAL = b"PK\x01\x02\x14\x03\x14\x00\x00"  # of a zip file; flags follow, and the way of compression


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


@pytest.mark.parametrize(
    "data",
    [
        npz(b"abc"),
        npz(b"abc", "elbo"),
        npz(npy(header="{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n")),
        npz(npy(header="{'descr': '<f8', 'fortran_order': False, 'shape': (9,), \n")),
        npz(npy(header="  'a\n  b\n c")),
        npz(npy(header="(" * 9000)),
        npz(npy(np.array([Evil()] * 9, object))),
        npz(npy(np.zeros(0))),
        npz(npy(np.array(["a"] * 9))),
        npz(npy(np.array(1.0))),
        npz(npy(np.zeros(9, [("a", "f8")]))),
        npz(npy(np.full(9, np.inf))),
        npz(npy(np.array([1.7e308, -1.7e308, 0] * 3))),
        npy(np.zeros(3)) + npz(),
        npz(npy(np.zeros(9))).replace(CENTRAL, CENTRAL[:-1] + b"\x01"),  # encrypted
        npz(npy(np.zeros(9))).replace(CENTRAL + b"\0\0", CENTRAL + b"\0\x63"),  # compressed in an unknown way
    ],
    ids=range(16),
)
def test_numbers_of_images_that_are_none(data, stranger, tmp_path):
    (stranger / "scorecard.npz").write_bytes(data)
    (row, *_) = Scores([Run(tmp_path / "outputs" / "own" / "run-0"), Run(stranger)]).rows()
    assert not row.differences[1].is_paired
    report()
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("kind", [np.float16, ">f8", np.longdouble], ids=str)
def test_numbers_of_images_of_any_precision(kind, stranger, tmp_path):
    made.scorecard(stranger, np.arange(1.0, 10.0))
    (stranger / "scorecard.npz").write_bytes(npz(npy(np.arange(1, 10).astype(kind))))
    (row, *_) = Scores([Run(tmp_path / "outputs" / "own" / "run-0"), Run(stranger)]).rows()
    assert row.differences[1].is_paired and row.differences[1].value == 1.0


@pytest.mark.parametrize("name", [*FILES, "error.txt", "gallery", "gallery/epoch_0001/strings.png", "checkpoints"])
def test_a_file_that_is_none(name, stranger, tmp_path):
    """A pipe, a folder, and links to elsewhere, to a device, to nowhere and to itself."""
    place = stranger / name
    outside = tmp_path / "secret"
    outside.write_text("metrics: {val/elbo: 1}\nepoch,val/elbo\n1,666\n")
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    os.mkfifo(place)
    report()
    place.unlink()
    for target in (outside, "/dev/zero", "nowhere", place.name):
        place.symlink_to(target)
        assert "666" not in report()[3]
        place.unlink()
    place.mkdir()
    report()


def test_a_run_that_is_a_link_is_not_followed(stranger, tmp_path):
    moved = tmp_path / "elsewhere"
    stranger.rename(moved)
    stranger.symlink_to(moved)
    assert [run.name for run in find_runs(["outputs"])] == ["own"]
    assert len(find_runs(["outputs", "outputs/other/run-1"])) == 2  # unless it is named


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)<", "a\nb", "\x1b[31m", "javascript:alert(1)", "a'b\"c", "$title", "#a?b%20", "\udcff\udcfe"],
)
def test_folders_of_any_name(name, stranger):
    stranger.rename(stranger.with_name(name))
    text = report()[0]
    assert "<script>alert" not in text and '"javascript:' not in text and text.count("<tr data-run=") == 2


def test_a_folder_without_end(stranger, tmp_path):
    os.chdir(stranger)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(tmp_path)
    try:
        report()
    finally:
        subprocess.run(["rm", "-r", str(stranger)])  # shutil has a limit


def test_pictures_that_are_none_or_too_large(stranger):
    file = stranger / "gallery" / "epoch_0001" / "strings.png"
    for content in (png(60_000, 60_000), png(0, 0), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n"):
        file.write_bytes(content)
        assert "no picture" in report()[0]
    for size in ((1, 30_000), (30_000, 1), (1, 1)):
        Image.new("L", size).save(file)
        report()


def header(content):
    """The header of exported weights with this text in the place of ldg's."""
    return json.dumps({"__metadata__": {"ldg": content}}).encode()


HEADERS = [
    b"",
    b"[" * 50_000,
    b"{}",
    b"[]",
    b'{"__metadata__": 5}',
    header(5),
    header("[]"),
    header('{"config": []}'),
    header('{"config": ' + '{"a": ' * 900 + "1" + "}" * 901),
    header(json.dumps({"config": {"a": "\ud800", "b": HUGE, "name": [1]}})),
    header(json.dumps({"config": {"choices": {"data": "<script>alert(1)</script>"}}})),
]


def test_headers_of_weights_that_are_none(stranger, tmp_path):
    file = tmp_path / "x.safetensors"
    own = str(tmp_path / "outputs" / "own")
    for text in HEADERS:
        for size in (len(text), 2**63, 0):
            file.write_bytes(struct.pack("<Q", size) + text)
            assert "<script>alert" not in report(own, str(file))[0]
    states = set()
    for data in (b"", b"abc", *(data for _, data in mutations(struct.pack("<Q", len(HEADERS[-1])) + HEADERS[-1], 20))):
        file.write_bytes(data)
        (run,) = find_runs([str(file)])
        assert values(run)["name"] == "x"
        states.add(run.state)
    assert states <= {"broken", "exported"}
