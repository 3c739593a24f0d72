"""What a run prints, and what it keeps other libraries from printing."""

import logging
import math
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldg.checkpoint import load_any
from ldg.config.home import command
from ldg.config.overrides import quote
from ldg.errors import UserError
from ldg.training.resume import find_longer

FEW = 200  # steps; after fewer, even of few images hardly more than the mean is learned

# library warnings about settings that are intended
QUIET = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*loaded checkpoint was produced with.*",
    ".*could not find the monitored key.*",
    ".*`srun` command is available.*",
    ".*conditioned on metric.*",  # in an epoch without validation
    ".*Total length of `ImageLoader` across ranks is zero.*",
    ".*sync_dist=True.*",  # they are averages over all processes already
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
    names = dict.fromkeys(key.partition("/")[2] for key in metrics)
    lines.append(f"{'nats per image' if 'elbo' in names else '':<16}{'train':>10}{'val':>10}{'test':>10}")
    for name in names:
        values = [metrics.get(f"{split}/{name}") for split in ("train", "val", "test")]
        if name != "loss":  # its weights may change with the epoch
            digits = 4 if name == "accuracy" else 2
            lines.append(f"{name:<16}" + "".join(f"{'' if v is None else f'{v:.{digits}f}':>10}" for v in values))
    if shares := summary["legibility"]:
        text = f"{shares['generated']:.0%} of its characters, and {shares['real']:.0%} of real ones"
        lines.append(f"\na judge recognises {text}")
    longer = find_longer(folder)
    steps = summary["steps"]
    if 0 < steps < FEW and any(override.startswith("trainer.max_epochs=") for override in longer or ()):
        enough = math.ceil(FEW / steps * summary["epochs"])
        lines.append(
            f"\nonly {steps} step{'s' * (steps > 1)} of training, from which a model learns little: "
            f"trainer.max_epochs={enough} makes {FEW}"
        )
    kinds = {"pictures": "gallery/*", "curves": "loss.png", "checkpoints": "checkpoints/*.ckpt"}
    kept = ", ".join(kind for kind, files in kinds.items() if any(folder.glob(files))) or "folder"
    lines.append(f"\n{kept + ':':<32}{folder}")
    if summary["example"] and _can_write(folder):
        write = command("write")
        lines.append(
            f"write with it:                  {write} {summary['example']} --checkpoint {shlex.quote(str(folder))}"
        )
    if longer is not None:
        lines.append(f"resume:                         {resume_command(folder, longer)}")
    if summary.get("sync"):
        lines.append(summary["sync"])
    lines += summary.get("show", ())
    return "\n".join(lines)


def _can_write(folder: Path) -> bool:
    try:
        load_any(folder)
    except UserError:  # no checkpoint was kept, or training diverged
        return False
    return True


def diverged(summary: dict[str, Any]) -> bool:
    """Whether a run ended with weights that compute nothing: of its best epoch, some metric is NaN or infinite."""
    return not all(map(math.isfinite, summary["metrics"].values()))


def resume_command(path: Path, overrides: Sequence[str] = ()) -> str:
    """The command that resumes a run.

    Args:
        path: a checkpoint or run folder
        overrides: further ones
    """
    return " ".join([command("train"), shlex.quote(f"ckpt_path={quote(str(path))}"), *overrides])
