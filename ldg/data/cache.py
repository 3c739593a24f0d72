"""Entries of the cache of decoded images: where they are, what they are keyed by, and whether they are intact."""

import ast
import json
import sys
import zlib
from functools import cache
from pathlib import Path

from ldg.data.paths import expand, list_files, open_regular

# modules of ldg.data that leave images as they are
NEUTRAL = ("cache.py", "dataset.py", "download.py", "paths.py")


def cache_folder(cache: str | None) -> Path:
    """The folder of decoded arrays.

    Args:
        cache: its path; None: the user's cache folder

    Returns:
        The path with ``~`` expanded; the folder may not exist.
    """
    from platformdirs import user_cache_dir

    return expand(cache or user_cache_dir("ldg"))


def fingerprint(paths: list[Path]) -> list[tuple[str, int, int]]:
    """Describe files by what changes when they are replaced.

    Args:
        paths: files or folders; folders are searched

    Returns:
        Path below the folder, size in bytes and time of modification in ns of each file.
    """
    described = []
    for path in paths:
        start = len(str(path)) - len(path.name)
        for file in [path] if path.is_file() else list_files(path):
            try:
                info = file.stat()
            except OSError:  # a link to nothing counts as well: reading it is an error only if it is needed
                info = file.lstat()
            described.append((str(file)[start:], info.st_size, info.st_mtime_ns))
    return described


def is_intact(entry: Path) -> bool:
    """Whether an entry of the cache is complete and as it was written.

    Args:
        entry: its folder

    Returns:
        False also if there is no such entry.
    """
    try:
        written = json.loads((entry / "checksums.json").read_text(encoding="utf-8"))
        return written == compute_checksums(entry, *fingerprint([entry]))
    except (OSError, ValueError):
        return False


@cache
def compute_checksums(entry: Path, *about: tuple[str, int, int]) -> dict[str, int]:
    """Compute the CRC-32 of an entry's files, once in a process as long as they do not change.

    Args:
        entry: its folder
        about: as ``fingerprint`` describes its files

    Returns:
        The number of each file.
    """
    sums = dict.fromkeys(("images.bin", "labels.npy", "shape.json"), 0)
    for name in sums:
        with open_regular(entry / name) as file:
            while block := file.read(1 << 20):
                sums[name] = zlib.crc32(block, sums[name])
    return sums


def read_code(kind: type) -> str:
    """Read the text of the modules on which images may depend.

    These are the modules of a class and of those that it derives from, and what they import from files beside them or
    from ``ldg.data``.

    Args:
        kind: a data set, or a class of one of its arguments

    Returns:
        The name of the class and the texts; a class of a notebook has none of its own.
    """
    modules = {base.__module__ for base in kind.__mro__}
    modules = {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}
    waiting = [Path(file) for name in modules if (file := getattr(sys.modules.get(name), "__file__", None))]
    here = Path(__file__).parent
    texts: dict[Path, str] = {}
    while waiting:
        file = waiting.pop()
        if file in texts:
            continue
        try:
            texts[file] = file.read_text(encoding="utf-8")
            names = list_imports(texts[file])
        except (OSError, ValueError, SyntaxError):
            continue
        for name in names:
            folders = [file.parent, *([here] if name.startswith("ldg.data.") else [])]
            beside = [folder / f"{name.rpartition('.')[2]}.py" for folder in folders]
            waiting += [path for path in beside if path.is_file()]
    code = sorted(text for file, text in texts.items() if file.parent != here or file.name not in NEUTRAL)
    return "".join([f"{kind.__module__}.{kind.__qualname__}", *code])


@cache
def list_imports(text: str) -> list[str]:
    """List what the text of a module imports.

    Args:
        text: of a module

    Returns:
        Dotted names, of ``from a import b`` both ``a`` and ``a.b``, which may be a module.

    Raises:
        SyntaxError: if it is no Python.
    """
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(f"{node.module or ''}.{alias.name}" for alias in node.names)]
    return names
