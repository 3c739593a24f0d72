"""The galleries of a sweep's runs side by side."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops

from ldg.figures.picture import list_pictures
from ldg.sweeps.report.formats import shorten
from ldg.sweeps.report.results import MAX_TICKS, Results, Run

MAX_PIXELS = 32_000_000  # of a picture that is shown; galleries have a tenth of that
MAX_RUNS = 60  # whose pictures are shown, so that the page does not grow without bounds


@dataclass(frozen=True)
class Layout:
    """Runs in rows and columns.

    Attributes:
        columns: their names; none for a single row that wraps
        rows: a name and, for each column, the runs of this cell
    """

    columns: list[str]
    rows: list[tuple[str, list[list[Run]]]]


def list_kinds(runs: Sequence[Run]) -> dict[str, str]:
    """The titles of the pictures that some of these runs have, by name."""
    compared = (picture for picture in list_pictures().values() if picture.is_compared)
    return {
        picture.name: picture.title[0].upper() + picture.title[1:]
        for picture in compared
        if any(_files(run, picture.name) for run in runs)
    }


def arrange_runs(results: Results) -> Layout:
    """Arrange runs by their choices.

    Args:
        results: of the sweep

    Returns:
        Columns for the values of the parameter that has the fewest, rows for those of all others together. If there is
        one parameter, or one of many values, a single row in the order of its values or of rank.
    """
    keys = results.differing
    values = {key: results.values(key) for key in keys}
    if len(keys) < 2 or any(len(v) > MAX_TICKS for v in values.values()):
        runs = results.runs[:MAX_RUNS]
        if len(keys) == 1 and len(values[keys[0]]) <= MAX_TICKS:
            runs = sorted(runs, key=lambda run: _order(run, keys, values))
        return Layout([], [("", [[run] for run in runs])])
    across = min(reversed(keys), key=lambda key: len(values[key]))
    down = [key for key in keys if key != across]
    rows: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    for run in sorted(results.runs[:MAX_RUNS], key=lambda run: _order(run, down, values)):
        row = rows.setdefault(tuple(run.choices[key] for key in down), {})
        row.setdefault(run.choices[across], []).append(run)
    return Layout(
        [f"{across}={shorten(value)}" for value in values[across]],
        [
            (
                ", ".join(f"{key}={shorten(value)}" for key, value in zip(down, chosen, strict=True)),
                [row.get(value, []) for value in values[across]],
            )
            for chosen, row in rows.items()
        ],
    )


def _order(run: Run, keys: Sequence[str], values: dict[str, list[str]]) -> list[int]:
    return [values[key].index(run.choices[key]) if run.choices[key] else -1 for key in keys]


def _files(run: Run, kind: str) -> list[Path]:
    """The files of a kind of picture, the latest first."""
    return [*run.files(f"gallery/{kind}.png"), *run.files(f"gallery/epoch_*/{kind}.png")]


def read_picture(run: Run, kind: str, width: int) -> tuple[Path, bytes] | None:
    """Read the latest picture of a kind that is readable.

    Args:
        run: whose gallery it is in
        kind: name of the picture
        width: the largest, in pixels

    Returns:
        The file, and the picture as a PNG; None without one.
    """
    for file in _files(run, kind):
        try:
            with Image.open(file, formats=["PNG"]) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    continue
                picture = opened.convert("RGB")
        except Exception:  # whatever Pillow raises for a file that is half-written or was never a picture
            continue
        return file, shrink(picture, width)
    return None


def shrink(picture: Image.Image, width: int) -> bytes:
    """A picture as a small PNG: without white lines above and below, with few colours.

    Args:
        picture: in RGB
        width: the largest, in pixels

    Returns:
        The file's content.
    """
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
