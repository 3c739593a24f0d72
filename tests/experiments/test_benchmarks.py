"""The benchmarks run and print what the tables of experiments/README.md are made of."""

import re

from tests.processes import call


def test_overhead_prints_a_ratio_for_each_way_and_model(tmp_path):
    script = "experiments/benchmarks/overhead.py"
    status, out, err = call(tmp_path, "--rounds", "1", "--steps", "2", script=script)
    assert status == 0, err
    found = re.findall(r"^(bare|ldg|usual) +([\d.]+) +([\d.]+)x", out, flags=re.MULTILINE)
    assert [name for name, _, _ in found] == ["bare", "ldg", "usual"] * 2
    assert [float(ratio) for name, _, ratio in found if name == "bare"] == [1.0, 1.0]
    times = [float(ms) for _, ms, _ in found]
    for first in (0, 3):  # one round: the ratios are those of the times
        for place in range(first, first + 3):
            assert abs(float(found[place][2]) - times[place] / times[first]) < 0.02
