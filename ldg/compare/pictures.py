"""The pictures of runs for a page: small, and each once."""

import base64
import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from PIL import Image, ImageChops

from ldg.figures.picture import list_pictures
from ldg.runs.run import Run

MAX_PIXELS = 32_000_000  # of a picture that is shown; galleries have a tenth of that
MAX_RUNS = 60  # whose pictures are shown
MAX_EPOCHS = 12  # of a run whose pictures are shown
MAX_PICTURES = 400  # of a page
BUDGET = 8_000_000  # bytes of all of them, the newest ones first: a page of 20 runs stays below 20 MB
WIDTHS = (900, 600, 400, 300)  # pixels, of 1200 in a gallery: the first with which all keep to the budget
BYTES_PER_SQUARE = 0.04  # of a picture by the square of its width, measured on strokes, EMNIST, clothes and dogs


class Album:
    """The pictures of runs over the epochs.

    Args:
        runs: whose galleries are shown
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.images: list[dict[str, object]] = []
        self._places: dict[bytes, int] = {}
        self._size = 0
        self.kinds: dict[str, str] = {}
        self.shown: dict[str, list[list[tuple[int, int]]]] = {}
        compared = [picture for picture in list_pictures().values() if picture.is_compared]
        files = {picture.name: [_list_epochs(run, picture.name) for run in runs[:MAX_RUNS]] for picture in compared}
        for picture in compared:
            if any(files[picture.name]):
                self.add(picture.name, picture.title[0].upper() + picture.title[1:], [[] for _ in runs])
        series = sum(map(bool, chain(*files.values())))
        most = max(1, min(MAX_EPOCHS, MAX_PICTURES // max(1, series)))
        some = {kind: [choose_epochs(epochs, most) for epochs in files[kind]] for kind in self.kinds}
        # the newest epoch of every run and kind first
        chosen = [
            (kind, index, *epochs[rank])
            for rank in range(most)
            for kind in self.kinds
            for index, epochs in enumerate(some[kind])
            if rank < len(epochs)
        ]
        width = next((w for w in WIDTHS if len(chosen) * w * w * BYTES_PER_SQUARE < BUDGET), WIDTHS[-1])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = pool.map(lambda place: read_picture(place[-1], width), chosen)
            for (kind, index, epoch, _), data in zip(chosen, made, strict=True):
                if data is not None and self._size + len(data) <= BUDGET:
                    self.shown[kind][index].append((epoch, self._store(data)))
        for of_kind in self.shown.values():
            for epochs_of_run in of_kind:
                epochs_of_run.sort()

    def add(self, kind: str, title: str, pictures: Sequence[Sequence[tuple[int, bytes]]]) -> None:
        """Add a kind of picture.

        Args:
            kind: its name
            title: what people read
            pictures: epochs and files in a browser's format, for each run
        """
        self.kinds[kind] = title
        self.shown[kind] = [[(epoch, self._store(data)) for epoch, data in of_run] for of_run in pictures]

    def _store(self, data: bytes) -> int:
        """The place of a picture, of equal ones that of the first."""
        if data not in self._places:
            with Image.open(io.BytesIO(data)) as opened:
                width, height, form = *opened.size, (opened.format or "").lower()
            source = f"data:image/{form};base64,{base64.b64encode(data).decode()}"
            self._places[data] = len(self.images)
            self._size += len(data)
            self.images.append({"src": source, "width": width, "height": height})
        return self._places[data]


def _list_epochs(run: Run, kind: str) -> list[tuple[int, Path]]:
    """Epochs and files of a kind of picture, the newest first."""
    files = []
    for file in run.files(f"gallery/epoch_*/{kind}.png"):
        if match := re.fullmatch(r"epoch_(\d{1,9})", file.parent.name):
            files.append((int(match[1]), file))
    return sorted(files, reverse=True) or [(0, file) for file in run.files(f"gallery/{kind}.png")]


def choose_epochs(epochs: Sequence[tuple[int, Path]], most: int) -> list[tuple[int, Path]]:
    """Choose from pictures of a run at equal distances.

    Args:
        epochs: the newest first
        most: so many are chosen at most

    Returns:
        The newest, then the others from the first on.
    """
    if most < 2 or not epochs:
        return list(epochs[:most])
    places = {round(i * (len(epochs) - 1) / (most - 1)) for i in range(most)}
    newest, *older = (epochs[place] for place in sorted(places))
    return [newest, *reversed(older)]


def read_picture(file: Path, width: int) -> bytes | None:
    """Read a picture and make it small: without white lines above and below.

    Args:
        file: a PNG
        width: the largest, in pixels; the largest height is ten times that

    Returns:
        A WebP; None if the file is half-written, or no picture.
    """
    try:
        with Image.open(file, formats=["PNG"]) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return None
            picture = opened.convert("RGB")
    except Exception:  # whatever Pillow raises for a file that is half-written or was never a picture
        return None
    edges = ImageChops.invert(picture.convert("L")).getbbox()
    if edges:
        picture = picture.crop((0, max(0, edges[1] - 6), picture.width, min(picture.height, edges[3] + 6)))
    picture.thumbnail((width, 10 * width), reducing_gap=1.0)  # to a half or a third in a tenth of the time
    return encode(picture)


def encode(picture: Image.Image) -> bytes:
    """A picture as the content of a WebP file."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=2)
    return buffer.getvalue()
