"""Where ldg's YAML files lie, what is in their folders, and how its commands are spelled."""

import json
import os
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote

import yaml

PACKAGE = Path(__file__).resolve().parents[1]
# the folder that holds configs/ and experiments/: in a wheel they are part of the package
IS_INSTALLED = (PACKAGE / "configs").is_dir()
HOME = PACKAGE if IS_INSTALLED else PACKAGE.parent
# the commands that are a script in a checkout
SCRIPTS = {"train": "train.py", "write": "generate.py", "evaluate": "evaluate.py", "compare": "compare.py"}


def command(name: str) -> str:
    """How the user starts a command in the present folder, as this process was started.

    Args:
        name: of the command, as ``ldg --help`` lists it

    Returns:
        ``python train.py``, ``ldg train``, either of them with ``uv run``, or ``uvx --from FOLDER ldg train``.
    """
    started = Path(sys.argv[0])
    is_here = IS_INSTALLED or Path.cwd() == HOME
    if started.parts[-2:] == ("ldg", "__main__.py"):
        words = ["python", "-m", "ldg", name]
    elif IS_INSTALLED or started.stem == "ldg":
        words = ["ldg", name]
    elif name in SCRIPTS:
        words = ["python", SCRIPTS[name] if is_here else str(HOME / SCRIPTS[name])]
    else:
        words = ["python", "-m", "ldg", name]
    if "UV" in os.environ:
        words = words[1:] if words[1].endswith(".py") else words
        words = [*(_uvx() or ["uv", "run", *([] if is_here else ["--project", str(HOME)])]), *words]
    return shlex.join(words)


def _uvx() -> list[str]:
    """The words before a command of ldg's in the environment of a single command; none in one that lasts."""
    if not IS_INSTALLED or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return []
    from importlib.metadata import distribution  # 20 ms, which writing does not wait for

    origin = json.loads(distribution("ldg").read_text("direct_url.json") or "{}").get("url", "ldg")
    return ["uvx", "--from", unquote(origin.removeprefix("file://"))]


def list_groups(*folders: Path) -> dict[str, list[str]]:
    """The groups of choices in some folders, each with its choices.

    Args:
        folders: of YAML files, ``configs`` or one of the user's
    """
    groups: dict[str, set[str]] = {}
    for folder in folders:
        for file in folder.rglob("*.yaml"):
            groups.setdefault(file.parent.relative_to(folder).as_posix(), set()).add(file.stem)
    return {group: sorted(groups[group]) for group in sorted(groups) if group != "."}


def list_measures() -> tuple[list[str], list[str]]:
    """The measures that ``evaluate.yaml`` lists, in its order, and the others there are."""
    defaults = yaml.safe_load((HOME / "configs" / "evaluate.yaml").read_text(encoding="utf-8"))["defaults"]
    entries = [item for entry in defaults if isinstance(entry, dict) for item in entry.items()]
    listed = [choice for key, choice in entries if key.startswith("measure@")]
    return listed, [name for name in list_groups(HOME / "configs")["measure"] if name not in listed]


def show_folder(group: str) -> str:
    """The folder of a group's choices, for a message: from the working directory where it is below that.

    Args:
        group: its name
    """
    folder = HOME / "configs" / group
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
