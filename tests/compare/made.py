"""Run folders, made in milliseconds: what they say is chosen by the test."""

import json
import re
import shlex

import numpy as np
import yaml
from PIL import Image

from ldg.evaluation.measure import Result, Value
from ldg.evaluation.scorecard import Scorecard
from ldg.runs.provenance import FILE

CLASSES = ["0", "1", "<b>"]


def run(
    outputs, group="tiny", number=0, *, data="strokes", elbos=(-120.0, -110.0), summary=True, session=None, **config
):
    """A run's folder. ``config``: keys of the config, those of a level below as ``model__latent_dim``."""
    folder = outputs / group / f"run-{number}"
    (folder / "checkpoints").mkdir(parents=True)
    dataset = {"strokes": "ldg.data.strokes.Strokes", "emnist": "ldg.data.emnist.EMNIST"}[data]
    content = {
        "data": {"batch_size": 32, "seed": 0, "dataset": {"_target_": dataset}},
        "model": {"latent_dim": 4, "network": {"channels": [8, 16]}},
        "optimizer": {"lr": 0.001},
        "name": group,
        "seed": 0,
        "folder": str(folder),
        "choices": {"data": data, "model": "conv_cvae"},
    }
    for key, value in config.items():
        node = content
        *places, last = key.split("__")
        for place in places:
            node = node.setdefault(place, {})
        node[last] = value
        if key == "seed":
            content["data"]["seed"] = value
    write(folder / "config.yaml", content)
    lines = ["step,epoch,train/loss,val/elbo,test/elbo"]
    lines += [f"{6 * i},{i},{-elbo},{elbo}," for i, elbo in enumerate(elbos, 1)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    lines = ["step,seconds", *(f"{6 * i},{1.5 * i}" for i in range(1, len(elbos) + 1))]
    (folder / "times.csv").write_text("\n".join(lines) + "\n")
    sessions = [{"started": f"2026-11-29T06:{number:02d}:00+00:00", "command": "train.py", "host": "h", "pid": 1}]
    (folder / FILE).write_text(json.dumps([sessions[0] | (session or {})]))
    if summary:
        content = {"name": group, "epochs": len(elbos), "seconds": 90.0, "parameters": 28088, "metrics": {}}
        content["metrics"] = {"val/elbo": max(elbos, default=0.0)}
        (folder / "summary.json").write_text(json.dumps(content))
    return folder


def write(path, content):
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def scorecard(folder, elbos, per_image=True, images="abc", data="Strokes", date=None, **values):
    """A scorecard with the ELBOs of test images, a confusion, and other values by name."""
    numbers = np.asarray(elbos, np.float32)
    mean, error = (float(numbers.mean(dtype=np.float64)), float(numbers.std(ddof=1) / len(numbers) ** 0.5))
    elbo = Value(mean, error, "nats", "higher", per_image=numbers if per_image else None)
    accuracy = {"class_accuracy": Value(0.5, 0.1, "", "higher", reference=0.9)}
    counts = [[3, 1, 0], [0, 4, 0], [2, 0, 2]]
    detail = {
        "judge": "resnet 0123",
        "classes": CLASSES,
        "per_class": [0.75, 1.0, 0.5],
        "per_class_real": [1.0, 1.0, 1.0],
        "confusion": counts,
    }
    card = Scorecard(folder.parent.name, "best.ckpt", 0, {"data": data} | ({"images": images} if images else {}))
    card.results = {
        "elbo": Result("one draw", {"elbo": elbo}),
        "class_accuracy": Result("4 per class", accuracy, detail),
    }
    if values:
        card.results["more"] = Result("as it is", values)
    card.made = {"date": date} if date else {}
    card.save(folder)
    return card


def gallery(folder, epochs, kinds=("strings",), size=(300, 120)):
    """Pictures after epochs, each a bar as long as the epoch's number."""
    for epoch in epochs:
        place = folder / "gallery" / f"epoch_{epoch:04d}"
        place.mkdir(parents=True)
        pixels = np.full((size[1], size[0], 3), 255, np.uint8)
        pixels[20:60, 10 : 20 + epoch] = 0
        for kind in kinds:
            Image.fromarray(pixels).save(place / f"{kind}.png")


def commands(text, name):
    """The arguments of the commands in the text of a module."""
    examples = re.findall(rf"^{name}(?: (\S(?:(?!  ).)*))?(?:  .*)?$", text, re.M)
    return [shlex.split(line) for line in examples]
