"""The galleries of a sweep's runs side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ldg.sweeps.report.results import FEW, Results, Run, brief

if TYPE_CHECKING:  # it takes a while to import
    from PIL import Image

KINDS = {
    "strings": "Samples",
    "reconstructions_val": "Reconstructions",
    "interpolations": "Between images",
    "interpolations_labels": "Between labels",
    "latent_map": "Latent map",
    "manifold": "Latent plane",
}
MOST = 60  # runs that are shown, so that the page stays a page


@dataclass(frozen=True)
class Layout:
    """Runs by place: a name and cells of runs for each row; without ``columns``, one row that wraps."""

    columns: list[str]
    rows: list[tuple[str, list[list[Run]]]]


def kinds(runs: Sequence[Run]) -> list[str]:
    """The kinds of pictures that some run has."""
    return [kind for kind in KINDS if any(_files(run, kind) for run in runs)]


def layout(results: Results) -> Layout:
    """Columns are the values of the parameter that has the fewest, rows those of all others together.

    Where there is one parameter, or one of many values, the runs follow each other by value or by rank.
    """
    keys = results.differing
    values = {key: results.values(key) for key in keys}
    if len(keys) < 2 or any(len(found) > FEW for found in values.values()):
        runs = results.runs[:MOST]
        if len(keys) == 1 and len(values[keys[0]]) <= FEW:
            runs = sorted(runs, key=lambda run: _place(run, keys, values))
        return Layout([], [("", [[run] for run in runs])])
    across = min(reversed(keys), key=lambda key: len(values[key]))
    down = [key for key in keys if key != across]
    rows: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    for run in sorted(results.runs[:MOST], key=lambda run: _place(run, down, values)):
        row = rows.setdefault(tuple(run.choices[key] for key in down), {})
        row.setdefault(run.choices[across], []).append(run)
    return Layout(
        [f"{across}={brief(value)}" for value in values[across]],
        [
            (
                ", ".join(f"{key}={brief(value)}" for key, value in zip(down, chosen, strict=True)),
                [row.get(value, []) for value in values[across]],
            )
            for chosen, row in rows.items()
        ],
    )


def _place(run: Run, keys: Sequence[str], values: dict[str, list[str]]) -> list[int]:
    return [values[key].index(run.choices[key]) if run.choices[key] else -1 for key in keys]


def _files(run: Run, kind: str) -> list[Path]:
    """The newest picture first."""
    gallery = run.folder / "gallery"
    newest = gallery / f"{kind}.png"
    return [*([newest] if newest.exists() else []), *sorted(gallery.glob(f"epoch_*/{kind}.png"), reverse=True)]


def read(run: Run, kind: str, width: int) -> tuple[Path, bytes] | None:
    """The newest picture of a kind that can be read, and as a PNG of ``width`` pixels at the most; None without one."""
    from PIL import Image

    for file in _files(run, kind):
        try:
            with Image.open(file) as opened:
                picture = opened.convert("RGB")
        except (OSError, SyntaxError):  # half-written
            continue
        return file, small(picture, width)
    return None


def small(picture: Image.Image, width: int) -> bytes:
    """A Pillow picture as a small PNG: no white lines above and below, few colours."""
    from PIL import Image, ImageChops

    edges = ImageChops.invert(picture.convert("L")).getbbox()
    if edges:
        picture = picture.crop((0, max(0, edges[1] - 6), picture.width, min(picture.height, edges[3] + 6)))
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    red, green, blue = picture.split()
    is_grey = not ImageChops.difference(red, green).getbbox() and not ImageChops.difference(red, blue).getbbox()
    buffer = io.BytesIO()
    octree = Image.Quantize.FASTOCTREE
    (red.convert("RGB").quantize(16, octree) if is_grey else picture.quantize(128, octree)).save(buffer, "PNG")
    return buffer.getvalue()
