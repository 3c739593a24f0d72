"""The loss curves of a run."""

from matplotlib.figure import Figure

PANELS = {
    "elbo": ("ELBO", "nats per image"),
    "log_likelihood": ("log-likelihood", "nats per image"),
    "kl": ("KL divergence", "nats per image"),
    "accuracy": ("accuracy", ""),
    "loss": ("loss", "nats per image"),
}


def draw_loss_curves(rows: list[dict[str, str]], caption: str) -> Figure:
    """A panel for the loss and each of its parts, over the epochs.

    Args:
        rows: of ``metrics.csv``, as text by column
        caption: the run's name

    Returns:
        The figure, titled.
    """
    panels = {name: panel for name, panel in PANELS.items() if any(row.get(f"train/{name}") for row in rows)}
    lines = (len(panels) + 1) // 2
    figure = Figure(figsize=(10, 3 * lines), layout="constrained")
    grid = figure.subplots(lines, 2, sharex=True).flat
    for axes, (name, (title, unit)) in zip(grid, panels.items(), strict=False):
        for split, colour in (("train", "tab:blue"), ("val", "tab:orange")):
            epochs, values = select_curve(rows, f"{split}/{name}")
            axes.plot(epochs, values, marker=".", label=split, color=colour)
        axes.set(title=title, ylabel=unit)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
    figure.axes[0].legend(frameon=False)
    figure.suptitle(caption)
    return figure


def select_curve(rows: list[dict[str, str]], key: str) -> tuple[list[float], list[float]]:
    """One column of ``metrics.csv``.

    Args:
        rows: as text by column
        key: the column

    Returns:
        Epochs and values, where it has any.
    """
    points = [(float(row["epoch"]), float(row[key])) for row in rows if row.get(key) and row.get("epoch")]
    return [epoch for epoch, _ in points], [value for _, value in points]
