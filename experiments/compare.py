"""The table of experiments: a line for each run that evaluate.py has measured, beside what older systems reported.

python experiments/compare.py outputs/ldg_v1/ID outputs/handwriting/ID --pictures docs/experiments
python experiments/compare.py RUN RUN --text "Hello World 2468" --save docs/versions.png    the same string by all
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure

from ldg import checkpoint
from ldg.commands.cli import Parser, start
from ldg.errors import UserError
from ldg.evaluation import scorecard
from ldg.evaluation.measure import Value
from ldg.figures.layout import save_figure
from ldg.generation import picture, writer
from ldg.generation.alphabet import is_written
from ldg.models.vae import VAE

# the test loss that each older system reported, in the units it used, and after how many epochs
REPORTED = {
    "ldg_v1": "57.98 (10 epochs)",
    "ldg_v2_conv": "131.94 (50)",
    "ldg_v2_vanilla": "57.16 (100)",
    "ldg_v3_conv": "149.955 (99)",
    "ldg_v3_vanilla": "141.709 (95)",
    "fashion_beta_vae": "57.364 (95)",
    "fashion_manifold": "28.30 (50)",
    "dog_vae_64": "140.28 (100)",
    "dog_vae_256": "137.62 (100)",
}
HEAD = (
    "picture|experiment|data|epochs|minutes|reported|test loss, its units"
    "|ELBO, nats|KL|active|class accuracy|FID|SSIM|parameters"
)


def loss_of_older_systems(elbo: float, config: dict[str, Any]) -> float | None:
    """The loss as older systems printed it: minus the ELBO, without the constant of a Gaussian of given variance."""
    if "variance" not in config["likelihood"]:
        return -elbo
    variance = config["likelihood"]["variance"]
    if variance == "learned":
        return None
    pixels = math.prod(config["data"]["image_shape"])
    return -elbo - pixels / 2 * math.log(2 * math.pi * variance)


def table_line(folder: Path, pictures: Path | None) -> str:
    if missing := [name for name in ("config.yaml", "summary.json", "scorecard.json") if not (folder / name).exists()]:
        raise UserError(f"{folder}: no {missing[0]}; train the run to its end, then python evaluate.py {folder}")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    card = scorecard.read_scorecard(folder / "scorecard.json")
    values = card.values
    name, elbo, precision = config["name"], values["elbo"].value, config["trainer"]["precision"]

    def cell(key: str, digits: int) -> str:
        value: Value | None = values.get(key)
        return "–" if value is None else f"{value.value:.{digits}f}"

    loss = loss_of_older_systems(elbo, config)
    grey = cell("elbo_grey", 2) if "elbo_grey" in values else cell("elbo", 2)
    cells = [
        f"![{name}](../{pictures}/{name}.png)" if pictures else "",
        f"`experiment={name}`",
        card.model["data"],
        str(summary["epochs"]),
        f"{summary['seconds'] / 60:.0f}{'' if precision == '32-true' else f', {precision}'}",
        REPORTED.get(name, ""),
        "–" if loss is None else f"{loss:.2f}",
        grey,
        cell("kl", 1),
        f"{cell('active_units', 0)} / {card.model['latent_dim']}",
        cell("class_accuracy", 3),
        cell("fid", 2),
        cell("ssim", 3),
        f"{summary['parameters']:,}",
    ]
    return f"| {' | '.join(cells)} |"


def draw_sample(model: VAE) -> np.ndarray:
    """A small picture of generated images."""
    if model.conditioning != "none" and is_written(model.classes):
        return writer.write(model, "Hello", scale=2)
    return writer.samples(model, 1, 6, scale=max(1, 28 // model.image_shape[2]))


def draw_strings(models: dict[str, VAE], text: str) -> Figure:
    """The same text written by several models, each below its name."""
    pictures = [writer.write(model, text, scale=4, width=0) for model in models.values()]
    width = max(drawn.shape[1] for drawn in pictures)
    figure = Figure(figsize=(9, len(pictures) * (9 * pictures[0].shape[0] / width + 0.3)), layout="constrained")
    for axes, name, drawn in zip(figure.subplots(len(pictures), 1, squeeze=False)[:, 0], models, pictures, strict=True):
        axes.imshow(
            np.pad(drawn, ((0, 0), (0, width - drawn.shape[1])), constant_values=1), cmap="gray", vmin=0, vmax=1
        )
        axes.set_title(name, loc="left", fontsize=10)
        axes.axis("off")
    return figure


def main(arguments: list[str]) -> None:
    parser = Parser("python experiments/compare.py", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--pictures", type=Path, help="folder for a small picture by each")
    parser.add_argument("--text", default="Hello World 2468")
    parser.add_argument("--save", type=Path, help="write TEXT with every run into this picture, and print nothing")
    args = parser.parse_args(arguments)
    models = {}
    for run in args.runs:
        model = checkpoint.load(run)
        models[model.config["name"]] = model
    if args.save:
        return save_figure(draw_strings(models, args.text), args.save, dpi=110)
    for name, model in models.items():
        if args.pictures:
            picture.save(draw_sample(model), args.pictures / f"{name}.png")
    columns = HEAD.split("|")
    lines = [table_line(run, args.pictures) for run in args.runs]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", *lines, sep="\n")


if __name__ == "__main__":
    start(main)
