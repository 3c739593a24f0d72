"""The loss curves in a run's folder."""

from pathlib import Path

from ldg.files import read_csv


def draw_curves(folder: Path) -> Path:
    """Draw ``metrics.csv`` of a run as ``loss.png``.

    Args:
        folder: of the run

    Returns:
        The picture's path.
    """
    from ldg.figures.layout import save_figure
    from ldg.figures.loss_curves import draw_loss_curves

    figure = draw_loss_curves(read_csv(folder / "metrics.csv"), folder.parent.name)
    save_figure(figure, folder / "loss.png", dpi=150)
    return folder / "loss.png"
