"""What a run prints, and what it keeps other libraries from printing."""

import logging
import math
import warnings
from pathlib import Path
from typing import Any

# library warnings about settings that are intended
QUIET = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*loaded checkpoint was produced with.*",
    ".*could not find the monitored key.*",
    ".*it is recommended to use `Trainer\\(devices=1, num_nodes=1\\)`.*",
)


def silence_libraries() -> None:
    """Keep other libraries' tips out of the one progress bar."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in QUIET:
        warnings.filterwarnings("ignore", pattern)


def report(summary: dict[str, Any], folder: Path) -> str:
    """The table at the end of a run, and the commands that may follow.

    Args:
        summary: what :func:`ldg.training.run.run` returns
        folder: of the run

    Returns:
        Several lines of text.
    """
    metrics = summary["metrics"]
    epochs = f"{summary['epochs']} epoch{'s' if summary['epochs'] != 1 else ''}"
    lines = [f"\n{summary['name']}: {epochs} in {summary['seconds']:.0f} s, "]
    lines[0] += f"{summary['parameters'] / 1e6:.2f} M parameters"
    names = dict.fromkeys(key.rpartition("/")[2] for key in metrics if key.startswith(("val/", "test/")))
    lines.append(f"{'nats per image' if 'elbo' in names else '':<16}{'train':>10}{'val':>10}{'test':>10}")
    for name in names:
        values = [metrics.get(f"{split}/{name}") for split in ("train", "val", "test")]
        if name != "loss":  # its weights may change with the epoch
            digits = 4 if name == "accuracy" else 2
            lines.append(f"{name:<16}" + "".join(f"{'' if v is None else f'{v:.{digits}f}':>10}" for v in values))
    if not math.isfinite(metrics.get("val/elbo", 0.0)):
        lines.append("val/elbo is NaN or infinite: training diverged; try a smaller optimizer.lr")
    longer = f"trainer.max_epochs={2 * summary['epochs']}"
    lines.append(f"\npictures, curves, checkpoints:  {folder}")
    if summary["example"]:
        lines.append(f"write with it:                  python generate.py {summary['example']} --checkpoint {folder}")
    lines.append(f"resume:                         python train.py ckpt_path={folder} {longer}")
    if summary.get("sync"):
        lines.append(summary["sync"])
    return "\n".join(lines)
