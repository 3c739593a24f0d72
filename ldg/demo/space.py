"""The files of a Hugging Face Space, which runs the page by itself."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ldg.config.home import PACKAGE
from ldg.errors import UserError

APP = '''"""The page of ldg demo."""

from pathlib import Path

from ldg.demo.page import launch
from ldg.demo.rendering import load_model

MODELS = {models}  # names, and files of weights

launch([load_model(Path(__file__).parent / file, name) for name, file in MODELS.items()])
'''
README = """---
title: Handwriting
emoji: ✍️
colorFrom: yellow
colorTo: gray
sdk: gradio
sdk_version: {version}
app_file: app.py
---

A conditional variational autoencoder writes, in the hand of a seed or of a photograph. Use only your own hand, or one
whose writer has agreed.

Here are `app.py`, the package `ldg` and its requirements, and the weights. `python app.py` opens the same page on your
own machine.
"""
# of torch for processors, a tenth of the size
INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"


def write_files(folder: Path, weights: Mapping[str, str]) -> None:
    """Write everything but the weights of a Space.

    Args:
        folder: Which exists.
        weights: Files below the folder, by the names of the models; the first is written with.

    Raises:
        UserError: If ldg is not installed, so that what it requires is not known.
    """
    extras = ["demo", *(["onnx"] if any(file.endswith(".onnx") for file in weights.values()) else [])]
    try:
        required = [entry.partition(";") for entry in requires("ldg") or []]
    except PackageNotFoundError:
        raise UserError("ldg is not installed, so that its requirements are not known: pip install .") from None
    chosen = [name.strip() for name, _, marker in required if not marker or _extra(marker) in extras]
    texts = {
        "app.py": APP.format(models=json.dumps(weights, ensure_ascii=False)),
        "requirements.txt": "\n".join([INDEX, *chosen, ""]),
        "README.md": README.format(version=version("gradio")),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for source in PACKAGE.rglob("*.py"):
        copy = folder / "ldg" / source.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())


def _extra(marker: str) -> str | None:
    found = re.search(r"extra == ['\"](\w+)['\"]", marker)
    return found[1] if found else None
