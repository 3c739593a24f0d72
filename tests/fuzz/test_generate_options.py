"""Random command lines of generate.py and evaluate.py: a result or one line, never a traceback or a leftover file.

``python -m tests.fuzz.test_generate_options SECONDS [SEED]`` goes on for so long, at the bounds of sizes as well.
"""

import contextlib
import io
import os
import random
import sys
import tempfile
import time
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from ldg.commands import evaluate, generate
from ldg.commands.cli import exit_status
from ldg.generation import picture
from tests.test_generate import CHARACTERS, leave_run

LINES = 60
ODD = ["", " ", "\t", "0", "-0", "-1", "1.5", "1e308", "1e-400", "nan", "inf", "-inf", "null", "true", "9" * 30, "0x1"]
ODD += [
    "é",
    "e\u0301",
    "😀",
    "\u202eab",
    "שלום",
    "\x00",
    "\x1b[31m",
    "\udcff",
    "٣",
    "n" * 300,
    "../x",
    "/",
    ".",
    "a\nb",
]
ODD += ["[]", "{a: 1}", "${x}", "'", "*", "-", "--", "=", "a=b", "nowhere/x", "file/x", "folder", ".png", "x.svg", "x."]
TEXTS = ["Hi", "ab ba", "a\\nb", "aA+b", "one", "one+two", "One, two", "two+one, one", "one+two+one", "é"]
# of each option values that mean something, then those that take long
OPTIONS = {
    "--checkpoint": (["letters", "words", "plain"], ["letters/checkpoints/best.ckpt"]),
    "--device": (["cpu", "auto"], ["cuda:7"]),
    "-s": (
        ["x", "x.gif", "x.jpg", "x.webp", "x.tif", "x.bmp", "new/x", "new/", "folder/", "taken.png", "y.svg", "y.pdf"],
        ["x.jpeg"],
    ),
    "--file": (["letter.txt", "file", "taken.png"], []),
    "--margins": (["0", "1"], ["20"]),
    "--line-height": (["0.3", "2"], ["10"]),
    "--letter-spacing": (["0", "2"], ["10"]),
    "--word-spacing": (["0", "2"], ["10"]),
    "--slant": (["-45", "0", "10"], []),
    "--pen": (["0.5", "1", "2"], []),
    "--ragged": (["0", "1"], ["10"]),
    "--align": (["left", "center", "right"], []),
    "--ink": (["navy", "#123456", "#123", "hsl(9,9%,9%)"], []),
    "--paper": (["ivory", "black"], []),
    "--height": (["10mm", "1in", "20px"], ["1000mm"]),
    "--page": (["A4", "A5", "letter"], []),
    "--style": (["shared", "word", "varied"], []),
    "--seed": (["0", "7", str(2**63 - 2)], [str(2**63 - 1)]),
    "--temperature": (["0", "0.6", "10"], ["1e-300"]),
    "--layout": (["baseline", "tiles"], []),
    "-t": (["0", "0.5", "1"], ["1e-9"]),
    "--scale": (["1", "2"], ["50", "51"]),
    "--width": (["0", "1", "7"], ["9" * 20]),
    "--rows": (["1", "2"], ["100"]),
    "--columns": (["1", "3"], ["100"]),
    "--to": (TEXTS, ["abc" * 40]),
    "--frames": (["2", "3"], ["500"]),
    "--interpolate": (["0", "1"], ["2"]),
    "--steps": (["2", "3"], ["500"]),
    "--mix": (["0", "0.3", "1"], []),
    "--along": (["both", "label", "code"], []),
    "--judge": (["letters", "nowhere"], []),
}
FLAGS = ("--force", "--ruled", "--strokes")
SETTINGS = [
    "elbo.samples",
    "marginal.samples",
    "marginal.images",
    "marginal.binarize_seed",
    "latent.probe",
    "speed.text",
]
SETTINGS += ["class_accuracy.temperature", "distance.neighbours", "latent.threshold", "elbo", "elbo.x", "é.x", "speed."]


def prepare(folder):
    """A folder with three runs, a file, a folder and a picture."""
    data = {
        "dataset": {"_target_": "ldg.data.strokes.Strokes", "per_class": 1, "test_per_class": 1, "marks": False},
        "image_shape": [1, 28, 28],
        "num_classes": 62,
        "cache": os.environ.get("LDG_CACHE"),
    }
    leave_run(folder / "letters", image_shape=(1, 28, 28), data=data)
    leave_run(folder / "words", ("one", "two"), image_shape=(3, 8, 8))
    leave_run(folder / "plain", CHARACTERS[:10], conditioning="none", image_shape=(1, 8, 8))
    (folder / "file").touch()
    (folder / "folder").mkdir()
    (folder / "taken.png").write_text("mine")
    (folder / "letter.txt").write_text("Hi\nab ba\n")


def options_line(rng, is_long):
    """A command line of generate.py, most of whose values mean something."""
    words = [rng.choice(TEXTS if rng.random() < 0.9 else ODD)] if rng.random() < 0.85 else []
    for option in rng.sample(list(OPTIONS), rng.randint(0, 3)):
        usual, long = OPTIONS[option]
        values = (usual if rng.random() < 0.9 else ODD) + (long if is_long else [])
        words += [option, *(rng.choice(values) for _ in range(2 if option == "--interpolate" else 1))]
    return words + [flag for flag in FLAGS if rng.random() < 0.2]


def settings_line(rng):
    """A command line of evaluate.py that names no run: only what is read before a run is opened."""
    settings = [f"{rng.choice(SETTINGS)}={rng.choice([*ODD, '1', '0.5'])}" for _ in range(rng.randint(0, 3))]
    for option in rng.sample(["--only", "--without", "--seed", "--judge", "--device"], rng.randint(0, 2)):
        settings += [option, rng.choice([*ODD, "elbo", "elbo,cas", "cpu", "5"])]
    return ["nowhere", *settings]


def content(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def look(file):
    """Read a file as a viewer does."""
    if file.suffix == ".svg":
        ElementTree.parse(file)
    elif file.suffix == ".pdf":
        assert file.read_bytes().endswith(b"%%EOF\n")
    else:
        with Image.open(file) as image:
            image.load()


def check(main, words, folder):
    """The outcome of a command line: the exit status. Raises what the command raises."""
    before, out, err = content(folder), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error")
        status = exit_status(lambda: main(words))
    after, lines = content(folder), err.getvalue()
    if status == 0:
        path = folder / out.getvalue().removesuffix("\n")
        for file in path.glob("*.png") if path.is_dir() else [path]:
            look(file)
        assert {new for new in after.keys() - before.keys() if new.name.startswith(".")} == set(), words
        return 0
    assert status == 2 and lines.startswith("error: ") and len(lines.splitlines()) == 1, (words, status, lines)
    assert after == before, words
    return 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    prepare(folder)
    return folder


@pytest.mark.parametrize("part", range(4))
def test_options_of_writing(folder, monkeypatch, part):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(picture, "_free", lambda path: path)  # an earlier line's picture is not numbered
    statuses = []
    for number in range(part, LINES, 4):
        rng = random.Random(number)
        statuses.append(check(generate.main, [*options_line(rng, False), "--force"], folder))
    assert {0, 2} == set(statuses)


def test_settings_of_measuring(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for number in range(4):
        assert check(evaluate.main, settings_line(random.Random(number)), folder) == 2


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None
    end, seed = time.monotonic() + float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10**6
    done, failures = 0, 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
            prepare(Path(name))
            for _ in range(50):
                rng, start = random.Random(seed), time.monotonic()
                kind = evaluate.main if rng.random() < 0.1 else generate.main
                line = settings_line(rng) if kind is evaluate.main else options_line(rng, True)
                try:
                    check(kind, line, Path(name))
                except BaseException as error:
                    failures += 1
                    print(seed, line, type(error).__name__, str(error)[:300], flush=True)
                if time.monotonic() - start > 20:
                    print(seed, line, f"took {time.monotonic() - start:.0f} s", flush=True)
                done, seed = done + 1, seed + 1
    print(f"{done} command lines, {failures} failures")
