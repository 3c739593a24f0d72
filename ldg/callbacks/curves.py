"""The loss curves of a run, from its metrics.csv."""

import csv
from pathlib import Path

PANELS = {
    "elbo": ("ELBO", "nats per image"),
    "log_likelihood": ("log-likelihood", "nats per image"),
    "kl": ("KL divergence", "nats per image"),
    "accuracy": ("accuracy", ""),
    "loss": ("loss", "nats per image"),
}


def read_curve(rows: list[dict[str, str]], key: str) -> tuple[list[float], list[float]]:
    """Epochs and values of one column, where it has any."""
    found = [(float(row["epoch"]), float(row[key])) for row in rows if row.get(key) and row.get("epoch")]
    return [epoch for epoch, _ in found], [value for _, value in found]


def draw_curves(folder: Path) -> Path:
    """Draw ``metrics.csv`` of a run folder as ``loss.png``: a panel for the loss and each of its parts."""
    from matplotlib.figure import Figure

    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    panels = {name: panel for name, panel in PANELS.items() if any(row.get(f"train/{name}") for row in rows)}
    lines = (len(panels) + 1) // 2
    figure = Figure(figsize=(10, 3 * lines), layout="constrained")
    grid = figure.subplots(lines, 2, sharex=True).flat
    for axes, (name, (title, unit)) in zip(grid, panels.items(), strict=False):
        for split, colour in (("train", "tab:blue"), ("val", "tab:orange")):
            epochs, values = read_curve(rows, f"{split}/{name}")
            axes.plot(epochs, values, marker=".", label=split, color=colour)
        axes.set(title=title, ylabel=unit)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
    figure.axes[0].legend(frameon=False)
    figure.suptitle(folder.parent.name)
    path = folder / "loss.png"
    figure.savefig(path, dpi=150)
    return path
