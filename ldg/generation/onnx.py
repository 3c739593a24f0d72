"""Writing by onnxruntime, without torch: models that ``ldg export RUN model.onnx`` has written.

A file may be anybody's. Its graph may have operators of ONNX alone, and tensors that are in the file: no functions, no
loops, no operators of others and no further files. It computes within a limit of memory.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ldg.errors import UserError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read as onnxruntime is imported; it would call Microsoft

FORMAT = 1
BATCH = 100  # images at once; more are no faster
_MEMORY = 2**32  # bytes for a batch
_MAX_FILE = 2**31  # bytes; larger ones cannot be ONNX
_MAX_METADATA = 2**20  # bytes
_MAX_PIXELS = 2**24  # of an image, in all its channels

# the fields of ONNX's messages (onnx.proto) that a file may have, with the message that is in a field
_ENTRY = dict.fromkeys([1, 2])
_TENSOR = dict.fromkeys([1, 2, 4, 5, 7, 8, 9, 10, 11, 12])  # none that names another file
_ATTRIBUTE = dict.fromkeys([1, 2, 3, 4, 7, 8, 9, 13, 20]) | {5: _TENSOR}  # no graphs
_NODE: dict[int, Any] = {1: None, 2: None, 3: None, 4: None, 5: _ATTRIBUTE, 6: None, 7: None}
_GRAPH: dict[int, Any] = {1: _NODE, 2: None, 5: _TENSOR, 10: None, 11: None, 12: None, 13: None}
_MODEL: dict[int, Any] = {**dict.fromkeys(range(1, 7)), 7: _GRAPH, 8: None, 14: _ENTRY}  # no functions
_METADATA, _DOMAIN = 14, 7  # of a model, of a node


class OnnxDecoder:
    """A :class:`ldg.generation.decoder.Decoder` in an ``.onnx`` file, on the CPU.

    Args:
        path: Of a file that ``ldg export`` has written.

    Raises:
        UserError: If it is another one, damaged, or from a newer version.
        ModuleNotFoundError: Without onnxruntime.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if self._path.stat().st_size > _MAX_FILE:
            raise UserError(f"{path} is larger than an .onnx file can be")
        content = self._path.read_bytes()
        about = self._read_metadata(content)
        try:
            channels, height, width = about["image_shape"]
            self.image_shape: tuple[int, int, int] = (channels, height, width)
            self.classes: tuple[str, ...] = tuple(about["classes"])
            self.conditioning: str = about["conditioning"]
            self.latent_dim: int = about["latent_dim"]
            self.num_classes = len(self.classes)
            sizes = (*self.image_shape, self.latent_dim, self.num_classes)
            if not all(type(size) is int and size > 0 for size in sizes) or math.prod(self.image_shape) > _MAX_PIXELS:
                raise ValueError("sizes that no model has")
            if not all(isinstance(name, str) for name in self.classes):
                raise TypeError("its classes have no names")
            if self.conditioning not in ("both", "decoder", "none"):
                raise ValueError("a conditioning that no model has")
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path} has damaged metadata: {str(error)[:200]}; export it again") from None
        self._session = _open(content)
        if self._session is None or _shapes(self._session) != {
            "latents": [self.latent_dim],
            "labels": [self.num_classes],
            "temperature": [],
            "is_style": [],
            "images": [*self.image_shape],
        }:
            raise UserError(f"{path} has a graph that does not fit its metadata; export it again")

    def _read_metadata(self, content: bytes) -> dict[str, Any]:
        """What the file says of itself.

        Raises:
            UserError: If it is not ldg's, not of this format, or has what no file of ldg has.
        """
        try:
            entries = _entries(content)
        except (ValueError, IndexError):
            raise UserError(
                f"{self._path} is damaged, or has what no .onnx file of ldg has; give one that ldg export has written"
            ) from None
        try:
            about = json.loads(entries["ldg"])
            version = about["format"]
        except (LookupError, TypeError, ValueError, RecursionError):
            raise UserError(f"{self._path} was not written by ldg export; give one that was") from None
        if version != FORMAT:
            raise UserError(f"{self._path} has format {str(version)[:20]}; this ldg reads {FORMAT}; update it")
        return about

    def write(self, styles: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
        """As :meth:`ldg.generation.decoder.Decoder.write`."""
        return self._run(styles, labels, temperature, is_style=True)

    def sample(self, noise: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """As :meth:`ldg.generation.decoder.Decoder.sample`."""
        return self._run(noise, labels, 1.0, is_style=False)

    def _run(self, latents: np.ndarray, labels: np.ndarray, temperature: float, is_style: bool) -> np.ndarray:
        options = {"temperature": np.array(temperature, np.float32), "is_style": np.array(is_style)}
        images = np.empty((len(latents), *self.image_shape), np.float32)
        try:
            for start in range(0, len(latents), BATCH):
                part = slice(start, start + BATCH)
                batch = {"latents": latents[part], "labels": labels[part]}
                (images[part],) = self._session.run(["images"], batch | options)
        except Exception as error:  # whatever onnxruntime raises: a graph that does not fit itself, or its limit
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(f"{self._path} cannot be computed: {reason[:200]}") from None
        if not np.isfinite(images).all():
            raise UserError(f"{self._path} draws images with NaN or infinite values; export another run")
        return images


def _entries(content: bytes) -> dict[str, str]:
    """The metadata of a model.

    Args:
        content: Of a file in ONNX's format.

    Raises:
        ValueError: For no ONNX, what may not be in it, or more metadata than ldg writes.
        IndexError: For a file that ends early.
    """
    entries: dict[str, str] = {}
    for number, value in _walk(memoryview(content), _MODEL):
        if number == _METADATA:
            key, text = (bytes(part) for _, part in sorted(_fields(value)))
            if len(text) > _MAX_METADATA:
                raise ValueError("too much metadata")
            entries[key.decode()] = text.decode()
    return entries


def _walk(message: memoryview, allowed: dict[int, Any]) -> Iterator[tuple[int, Any]]:
    """The fields of a message, which are checked with all below them."""
    for number, value in _fields(message):
        if number not in allowed:
            raise ValueError(f"field {number}")
        if allowed[number] is not None:
            for _ in _walk(value, allowed[number]):
                pass
        if allowed is _NODE and number == _DOMAIN and len(value):
            raise ValueError("an operator that is not ONNX's")
        yield number, value


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message of protocol buffers: numbers, and integers or bytes."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number without end")

    while place < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"no kind {kind} of a field")
        size = varint() if kind == 2 else 8 // (1 if kind == 1 else 2)
        if place + size > len(message):
            raise IndexError("the file ends early")
        yield number, message[place : place + size]
        place += size


@cache
def _limit_memory() -> None:
    """Limit the memory of sessions that ask for it, in this process."""
    import onnxruntime as ort

    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(place, ort.OrtArenaCfg({"max_mem": _MEMORY, "arena_extend_strategy": 1}))


def _open(content: bytes) -> Any:
    """A session of onnxruntime; None if it refuses the model."""
    import onnxruntime as ort

    _limit_memory()
    options = ort.SessionOptions()
    options.log_severity_level = 4  # nothing on stderr
    # said, since onnxruntime takes all cores of a machine of which a process may have few
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    options.intra_op_num_threads = cores or 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # its exceptions have no common class
        return None


def _shapes(session: Any) -> dict[str, list[int]]:
    """The shapes of inputs and outputs, without the number of images."""
    return {
        each.name: [size for size in each.shape if isinstance(size, int)]
        for each in (*session.get_inputs(), *session.get_outputs())
    }
