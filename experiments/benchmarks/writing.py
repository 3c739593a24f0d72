"""How long ldg takes to write a word, from its start to its picture, with torch and without it.

python experiments/benchmarks/writing.py
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ldg.checkpoint import SHIPPED
from ldg.config.home import HOME

HEAVY = {"torch", "pytorch_lightning", "hydra", "wandb", "matplotlib", "onnx"}


def seconds(*arguments):
    """How long a process of Python takes."""
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=folder, env=environment)
        return time.perf_counter() - start


def imported(*arguments):
    """The heavy packages that a process of Python imports."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-X", "importtime", *arguments]
        environment = os.environ | {"PYTHONPATH": str(HOME)}
        done = subprocess.run(line, check=True, capture_output=True, cwd=folder, env=environment, encoding="utf-8")
    return HEAVY & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of each, by turns (default: 7)")
    args = parser.parse_args()

    def write(file: Path):
        return ["-m", "ldg", "write", "Hello", "--checkpoint", str(file)]

    lines = {
        "ldg write, .onnx": write(SHIPPED.with_suffix(".onnx")),
        "ldg write, .safetensors": write(SHIPPED),
        "import torch": ["-c", "import torch"],
    }
    times: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(args.rounds):  # by turns: other load of the machine is the same for all
        for name, line in lines.items():
            times[name].append(seconds(*line))
    torch = statistics.median(times["import torch"])
    print(f"{'':<25}{'median, s':>10}{'least, s':>10}{'of import torch':>17}  imports")
    for name, line in lines.items():
        median = statistics.median(times[name])
        heavy = ", ".join(sorted(imported(*line))) or "nothing heavy"
        print(f"{name:<25}{median:>10.2f}{min(times[name]):>10.2f}{median / torch:>17.2f}  {heavy}")


if __name__ == "__main__":
    main()
