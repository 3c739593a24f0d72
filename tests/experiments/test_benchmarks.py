"""The benchmarks run, and print what the tables of experiments/README.md consist of."""

import re
from importlib.util import find_spec

import pytest
from PIL import Image

from tests.processes import call
from tests.runs import CONV, STROKES


@pytest.mark.slow
def test_overhead_prints_a_ratio_for_each_contender_and_model(tmp_path):
    script = "experiments/benchmarks/overhead.py"
    status, out, err = call(tmp_path, "--rounds", "1", "--steps", "2", script=script)
    assert status == 0, err
    lines = re.findall(r"^(bare|ldg|usual) +([\d.]+) +([\d.]+)x", out, flags=re.MULTILINE)
    assert [name for name, _, _ in lines] == ["bare", "ldg", "usual"] * 2
    assert [float(ratio) for name, _, ratio in lines if name == "bare"] == [1.0, 1.0]
    times = [float(ms) for _, ms, _ in lines]
    for first in (0, 3):  # one round: the ratios are those of the times
        for place in range(first, first + 3):
            assert abs(float(lines[place][2]) - times[place] / times[first]) < 0.02


@pytest.mark.slow
def test_writing_prints_a_ratio_to_the_import_of_torch(tmp_path):
    status, out, err = call(tmp_path, "--rounds", "1", script="experiments/benchmarks/writing.py")
    assert status == 0, err
    lines = re.findall(r"^(\S.*?) +([\d.]+) +[\d.]+ +([\d.]+)  (.+)$", out, flags=re.MULTILINE)
    assert [name for name, *_ in lines] == ["ldg write, .onnx", "ldg write, .safetensors", "import torch"]
    assert [heavy for *_, heavy in lines] == ["nothing heavy", "torch", "torch"]
    seconds, ratios = ([float(line[at]) for line in lines] for at in (1, 2))
    assert ratios == pytest.approx([value / seconds[2] for value in seconds], abs=0.03)  # of rounded values


@pytest.mark.slow
def test_compare_prints_times_beside_plain_reading_and_sizes(tmp_path):
    script = "experiments/benchmarks/compare.py"
    status, out, err = call(tmp_path, "--runs", "3", "--images", "50", script=script)
    assert status == 0, err
    times = re.findall(r"^(\S.*?) +([\d.]+) s +([\d.]+) x +([\d.]+) s of a core$", out, flags=re.MULTILINE)
    names = ["json, yaml and csv", "ldg runs", "ldg runs --where", "ldg compare", "ldg compare, 20 runs"]
    assert [name for name, *_ in times] == names and float(times[0][2]) == 1.0
    sizes = re.findall(r"^page of (all|20) runs +([\d.]+) MB$", out, flags=re.MULTILINE)
    assert all(4 < float(size) < 20 for _, size in sizes) and len(sizes) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hand"], "hand is no task, did you mean handwriting?; choose one of default, emnist, handwriting, fashion"),
        (["emnist", "fashion"], "emnist fashion is no task"),
        (["--seeds", "0"], "argument --seeds: must be a whole number of at least 1, got '0'"),
        (["trainer.max_epoch=1"], "trainer.max_epoch: no such key, did you mean trainer.max_epochs?"),
        (["--without", "plain,pyth"], "--without pyth: there are before, plain, pythae, joined by commas"),
    ],
)
def test_what_time_to_quality_refuses_is_one_line(arguments, message, tmp_path):
    status, out, err = call(tmp_path, *arguments, script="experiments/benchmarks/time_to_quality.py")
    assert (status, out) == (2, "") and f"error: {message}" in err and err.count("\n") == 1


@pytest.mark.slow
def test_time_to_quality_prints_when_each_contender_is_there(tmp_path):
    script, picture = "experiments/benchmarks/time_to_quality.py", tmp_path / "learning.png"
    tiny = [*STROKES, *CONV, "trainer.max_epochs=3", "callbacks.gallery=null", "callbacks.averaging=null"]
    line = ["default", *tiny, "--seeds", "2", "--plot", str(picture)]
    others = ["before", "plain", *(["pythae"] if find_spec("pythae") else [])]
    status, out, err = call(tmp_path, *line, "--target", "-5000", script=script)
    assert status == 0, err
    number = r" +([\d.]+)"
    lines = re.findall(
        rf"^(ldg|before|plain|pythae){number}{number}{number}{number}x +-[\d.]+{number}$", out, flags=re.MULTILINE
    )
    assert [name for name, *_ in lines] == ["ldg", *others] and lines[0][4] == "1.00"
    assert lines[0][2:4] == ("6", "192") and lines[2][2:4] == ("2", "256")  # in the first epoch, of 186 images
    assert Image.open(picture).size == (1050, 675)
    status, out, _ = call(tmp_path, *line, "--target", "-1", "--patience", "0", script=script)
    assert status == 0 and re.findall(r"^(\w+) +never", out, flags=re.MULTILINE) == ["ldg", *others]
