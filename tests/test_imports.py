"""Imports point one way, and what writes imports nothing that only training needs."""

import ast

import pytest

from tests.conftest import HOME

# a module may import its own package, and those of the lines below
FLOORS = [
    ["commands"],
    ["demo"],
    ["sweeps"],
    ["compare"],
    ["evaluation"],
    ["training"],
    ["callbacks"],
    ["figures"],
    ["generation"],
    ["runs"],
    ["checkpoint"],
    ["models", "data", "config", "migration"],
    ["artifacts", "files", "hub", "fonts", "memory", "streams"],
    ["errors"],
]
COMMANDS = ("__init__",)
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}
LIGHT = ("generation", "models", "checkpoint", "migration", "data", "files", "memory", "streams", "errors")
# a LightningDataModule, and what reads torchvision's files where a data set is one of torchvision's
HEAVY_DATA = [HOME / "ldg" / "data" / name for name in ("module.py", "torchvision.py")]
HEAVY = {"pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb", "torchvision", "matplotlib"}

FILES = sorted((HOME / "ldg").rglob("*.py"))


def package_of(module):
    """The package below ldg that a module is part of; what stands in ldg itself for users are commands."""
    first = [*module.split("."), "__init__"][1]
    return "commands" if first in COMMANDS or module.endswith(".__main__") else first


def imports(file, everywhere=True):
    """The modules that a file imports, anywhere in it or as it is imported itself, with the lines."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno} is a relative import"
            names = [f"ldg.{alias.name}" for alias in node.names] if node.module == "ldg" else [str(node.module)]
            yield from ((node.lineno, name) for name in names)


def package_of_file(file):
    return package_of(".".join(file.relative_to(HOME).with_suffix("").parts))


def upward(file, lines):
    package = package_of_file(file)
    for line, module in lines:
        if module.split(".")[0] == "ldg":
            other = package_of(module)
            if other != package and FLOOR[other] <= FLOOR[package]:
                yield f"{file.relative_to(HOME)}:{line}: {package} imports {module}, which stands no lower"


def heavy(file, lines):
    if package_of_file(file) in LIGHT and file not in HEAVY_DATA:
        for line, module in lines:
            if module.split(".")[0] in HEAVY:
                yield f"{file.relative_to(HOME)}:{line}: imports {module}"


def test_imports_point_down():
    assert [line for file in FILES for line in upward(file, imports(file))] == []


def test_what_writes_imports_nothing_that_only_training_needs():
    lines = {file: imports(file, everywhere=True) for file in FILES}
    assert [line for file in FILES for line in heavy(file, lines[file])] == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("models/vae.py", (7, "ldg.data.splits"), "ldg/models/vae.py:7: models imports ldg.data.splits"),
        ("training/run.py", (3, "ldg.sweeps.plan"), "ldg/training/run.py:3: training imports ldg.sweeps.plan"),
        ("errors.py", (1, "ldg"), "ldg/errors.py:1: errors imports ldg,"),
        ("generation/blend.py", (9, "matplotlib.figure"), "ldg/generation/blend.py:9: imports matplotlib.figure"),
    ],
)
def test_an_offence_is_named_with_file_and_line(file, line, complaint):
    (message,) = [*upward(HOME / "ldg" / file, [line]), *heavy(HOME / "ldg" / file, [line])]
    assert message.startswith(complaint)
