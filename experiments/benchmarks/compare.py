"""How long 200 runs take to be listed and compared, beside plain reading of their files, and how large a page is.

    python experiments/benchmarks/compare.py                 # 200 runs of 30 epochs, made first in a temporary folder
    python experiments/benchmarks/compare.py --runs 50 --images 2000

Each run has a config of EMNIST's, metrics, a summary, a scorecard with the numbers of each test image, the code of its
session, and six pictures an epoch of the size that galleries have: links to some hundred files. Times are those of
whole processes, Python's start and torch's among it, the best of three. The baseline is a process that reads the same
files with json, yaml and csv, and adds up the sizes of all files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from ldg import checkpoint
from ldg.config.compose import compose_config, resolve_config
from ldg.evaluation.measure import Result, Value
from ldg.evaluation.scorecard import Scorecard
from ldg.files import write_text
from ldg.runs.provenance import FILE, describe_session

EPOCHS = 30
KINDS = ["strings", "interpolations", "interpolations_labels", "latent_map"]
KINDS += ["reconstructions_val", "reconstructions_train"]  # the last one is not compared
METRICS = [f"{part}/{name}" for part in ("train", "val") for name in ("loss", "elbo", "log_likelihood", "kl")]
READ = """
import csv, json, os, sys, yaml
from pathlib import Path

for file in Path(sys.argv[1]).glob("*/*/config.yaml"):
    yaml.load(file.read_text(), yaml.CSafeLoader)
    for name in ("summary.json", "source.json", "scorecard.json"):
        json.loads(file.with_name(name).read_text())
    for name in ("metrics.csv", "times.csv"):
        with file.with_name(name).open(newline="") as opened:
            list(csv.DictReader(opened))
print(sum(os.stat(os.path.join(at, name)).st_size for at, _, names in os.walk(sys.argv[1]) for name in names))
"""


def draw_pictures(folder: Path, count: int) -> list[Path]:
    """Sheets of generated characters, as large as those of a gallery, each another one."""
    model = checkpoint.load(checkpoint.SHIPPED)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(620) % len(model.classes)
    glyphs = model.sample(labels, generator=generator)
    tiles = (255 * glyphs[:, 0]).round().byte().numpy()
    files, rng = [], np.random.default_rng(0)
    for number in range(count):
        sheet = np.full((7 * 32, 12 * 32), 255, np.uint8)
        for place, tile in enumerate(rng.choice(len(tiles), 84, replace=False)):
            y, x = 32 * (place // 12), 32 * (place % 12)
            sheet[y + 2 : y + 30, x + 2 : x + 30] = 255 - tiles[tile]
        file = folder / f"{number}.png"
        Image.fromarray(sheet).convert("RGB").resize((1200, 700), Image.Resampling.BICUBIC).save(file)
        files.append(file)
    return files


def make_run(folder: Path, number: int, config: dict, session: dict, images: int, pictures: list[Path]) -> None:
    """A run's folder: every third one has the same settings with another seed."""
    rng = np.random.default_rng(number)
    (folder / "gallery").mkdir(parents=True)
    config |= {"folder": str(folder), "name": folder.parent.name, "seed": number % 3}
    config["model"] = config["model"] | {"latent_dim": 8 + number // 3}
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_text(folder / FILE, json.dumps([session], indent=1))
    curve = -120 - 60 * np.exp(-np.arange(EPOCHS) / 5) + rng.normal(0, 1, (len(METRICS), EPOCHS))
    steps = range(200, 200 * EPOCHS + 1, 200)
    lines = [",".join(map(str, [step, step // 200, *row])) for step, row in zip(steps, curve.T, strict=True)]
    write_text(folder / "metrics.csv", "\n".join([",".join(["step", "epoch", *METRICS]), *lines]) + "\n")
    write_text(folder / "times.csv", "\n".join(["step,seconds", *(f"{step},{step / 25}" for step in steps)]) + "\n")
    metrics = dict(zip(METRICS, curve[:, -1].tolist(), strict=True))
    summary = {"name": config["name"], "epochs": EPOCHS, "seconds": 243.0, "parameters": 3_456_789, "metrics": metrics}
    write_text(folder / "summary.json", json.dumps(summary, indent=2))
    make_scorecard(rng, images).save(folder)
    for epoch in range(1, EPOCHS + 1):
        (folder / "gallery" / f"epoch_{epoch:04d}").mkdir()
        for kind, name in enumerate(KINDS):
            part = (number * len(KINDS) + kind) * 3 + (epoch - 1) * 3 // EPOCHS
            os.link(pictures[part % len(pictures)], folder / "gallery" / f"epoch_{epoch:04d}" / f"{name}.png")


def make_scorecard(rng: np.random.Generator, images: int) -> Scorecard:
    card = Scorecard("run", "best.ckpt", 0, {"data": "EMNIST", "images": "0123456789ab"})
    card.made = {"date": "2026-11-29", "machine": "x86_64", "torch": torch.__version__}
    for name in ("elbo", "log_likelihood", "kl", "bits_per_dim", "ssim", "l1"):
        numbers = rng.normal(-120, 30, images).astype(np.float32)
        value = Value(float(numbers.mean()), float(numbers.std() / images**0.5), "nats", "higher", per_image=numbers)
        card.results[name] = Result(f"{images:,} test images", {name: value})
    counts = rng.multinomial(100, np.full(62, 1 / 62), 62)
    detail = {"judge": "resnet 0123", "classes": [chr(48 + i) for i in range(62)], "confusion": counts.tolist()}
    detail |= {"per_class": (counts.diagonal() / 100).tolist(), "per_class_real": [0.9] * 62}
    accuracy = {"class_accuracy": Value(0.8, 0.005, "", "higher", 0.9)}
    card.results["class_accuracy"] = Result("100 images per class", accuracy, detail)
    return card


def measure(*line: str, folder: Path) -> tuple[float, float]:
    """Seconds, and seconds of all cores, of a process, the best of three."""
    times = []
    for _ in range(3):
        start, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, *line], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        spent = os.times()
        cpu = spent.children_user + spent.children_system - before.children_user - before.children_system
        times.append((time.perf_counter() - start, cpu))
    return min(times)[0], min(cpu for _, cpu in times)


def main(runs: int, images: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        config = resolve_config(compose_config(["data=emnist"]))
        session = describe_session()
        (here / "pictures").mkdir()
        pictures = draw_pictures(here / "pictures", min(360, 18 * runs))
        for number in range(runs):
            folder = here / "outputs" / f"run{number // 3}" / str(number)
            make_run(folder, number, config, session, images, pictures)
        few = [str(folder) for folder in sorted((here / "outputs").glob("*/*"))[:20]]
        lines = {
            "json, yaml and csv": ("-c", READ, "outputs"),
            "ldg runs": ("-m", "ldg", "runs"),
            "ldg runs --where": ("-m", "ldg", "runs", "--where", "data=emnist and val/elbo>-130", "--sort", "val/elbo"),
            "ldg compare": ("-m", "ldg", "compare", "--output", "all.html"),
            "ldg compare, 20 runs": ("-m", "ldg", "compare", *few, "--output", "few.html"),
        }
        usual = 0.0
        for name, line in lines.items():
            spent, cpu = measure(*line, folder=here)
            usual = usual or spent
            print(f"{name:24} {spent:7.2f} s {spent / usual:7.2f} x   {cpu:7.2f} s of a core")
        for name, file in (("page of all runs", "all.html"), ("page of 20 runs", "few.html")):
            print(f"{name:24} {(here / file).stat().st_size / 1e6:7.2f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--images", type=int, default=10_000, help="numbers of each in scorecard.npz")
    arguments = parser.parse_args()
    main(arguments.runs, arguments.images)
