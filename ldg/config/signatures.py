"""Constructor signatures read from source text, so that a config is checked before anything heavy is imported.

Importing torch and Lightning takes seconds; parsing the one file that defines a class takes milliseconds. Annotations
are evaluated with the names of ``typing`` and ``pydantic`` and with the aliases of the module they stand in; what
cannot be evaluated that way accepts anything.
"""

import ast
import builtins
import collections.abc
import importlib
import importlib.util
import pathlib
import typing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pydantic

from ldg.errors import UserError


@dataclass(frozen=True)
class Parameter:
    """A parameter's type, and whether it has no default."""

    annotation: Any
    required: bool


@dataclass(frozen=True)
class Signature:
    """The parameters a config may give, by name; ``open`` if the constructor takes ``**kwargs``."""

    parameters: dict[str, Parameter]
    open: bool


class Constructed:
    """Stands for a class of ldg in an annotation: only a constructor call gives such an object."""


class _Names(dict[str, Any]):
    """What the names in a module's annotations mean."""

    def __init__(self, module: str) -> None:
        super().__init__(vars(builtins) | vars(collections.abc) | vars(pathlib) | vars(typing))
        self.update({name: getattr(pydantic, name) for name in ("Field", *_PYDANTIC)})
        self.module = module

    def __missing__(self, name: str) -> Any:
        definition = _find(self.module, name)
        if definition and isinstance(definition[1], ast.Assign):
            return _evaluate(definition[1].value, definition[0])
        if definition and isinstance(definition[1], ast.ClassDef) and definition[0].startswith("ldg."):
            return Constructed
        return Any


_PYDANTIC = [
    name for name in pydantic.__all__ if name.startswith(("Positive", "Negative", "NonNegative", "FiniteFloat"))
]


def _evaluate(expression: ast.expr, module: str) -> Any:
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        expression = ast.parse(expression.value, mode="eval").body
    try:
        return eval(compile(ast.Expression(expression), module, "eval"), {}, _Names(module))
    except Exception:
        return Any


@cache
def _source(module: str) -> Path | None:
    """The file of a module, found without importing the packages around it."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin)
        for part in rest:
            folder = path.parent
            path = folder / part / "__init__.py"
            if not path.exists():
                path = folder / f"{part}.py"
        return path if path.suffix == ".py" and path.exists() else None
    except (ImportError, ValueError, OSError):  # it can be the name of no module
        return None


@cache
def _tree(module: str) -> ast.Module:
    source = _source(module)
    if source is None:
        return ast.Module([], [])
    try:
        return ast.parse(
            source.read_bytes(), str(source)
        )  # in the encoding that the file declares, UTF-8 if it declares none
    except (SyntaxError, ValueError) as error:
        line, reason = getattr(error, "lineno", None) or 1, getattr(error, "msg", error)
        raise UserError(f"{source}, line {line}: {reason}") from None


def _find(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """Where a name is defined: (module, statement), through as many re-exports as it takes."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return module, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    source = node.module or ""
                    if node.level:
                        path = _source(module)
                        package = module if path and path.name == "__init__.py" else module.rpartition(".")[0]
                        for _ in range(node.level - 1):
                            package = package.rpartition(".")[0]
                        source = f"{package}.{source}".rstrip(".")
                    return _find(source, alias.name)
    return None


@cache
def read_signature(target: str) -> Signature | None:
    """Read the signature of a class or function; a class without a constructor has that of its first base.

    Args:
        target: its dotted path, ``torch.optim.Adam``

    Returns:
        The signature, None if there is no such class or function.
    """
    module, _, name = target.rpartition(".")
    try:
        definition = _find(module, name)
    except RecursionError:  # modules that import the name from each other
        return None
    if definition is None:
        return None
    where, node = definition
    if isinstance(node, ast.ClassDef):
        constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if constructor is None:
            base = node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else None
            inherited = _find(where, base) if base else None
            if inherited is None or not isinstance(inherited[1], ast.ClassDef):
                return Signature({}, open=False)
            return read_signature(f"{inherited[0]}.{inherited[1].name}")
        return _signature(constructor, where, skip=1)
    return _signature(node, where, skip=0) if isinstance(node, ast.FunctionDef) else None


def extends_ldg(target: str) -> bool:
    """Whether a name is one of ldg's models or data sets, or a class of another module that derives from one.

    It is told from the source text, and nothing is imported: what is not written for ldg is never run because a
    checkpoint names it.

    Args:
        target: its dotted path, ``mydata.Mine``
    """
    module, _, name = target.rpartition(".")
    if not all(part.isidentifier() for part in target.split(".")):
        return False
    if f"{module}.".startswith(("ldg.models.", "ldg.data.")):
        return True
    try:
        definition = _find(module, name)
        if definition is None or definition[0] != module or not isinstance(definition[1], ast.ClassDef):
            return False
        bases = [_find(module, base.id) for base in definition[1].bases if isinstance(base, ast.Name)]
        classes = [(base[0], base[1].name) for base in bases if base and isinstance(base[1], ast.ClassDef)]
        return any(extends_ldg(".".join(path)) for path in classes)
    except RecursionError:  # classes that derive from each other
        return False


def load_class(target: Any) -> type:
    """Import a class that a file names, which may be a stranger's: only one that is written for ldg.

    Args:
        target: its dotted path

    Raises:
        UserError: if it is neither one of ``ldg.models`` or ``ldg.data``, nor of the user's and derived from one.
    """
    if not extends_ldg(str(target)):
        built = "classes of ldg.models and ldg.data may be built, and those of the user's that derive from one"
        raise UserError(f"the config names {target!r} as a target; only {built}")
    module, _, name = str(target).rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(f"the config names {target!r}, which this version of ldg does not have") from None
    # only classes defined in that very module: an imported name would open the whole of Python
    if not (isinstance(made, type) and made.__module__ == module):
        raise UserError(f"the config names {target!r} as a target, which is not a class of {module}")
    return made


def _signature(function: ast.FunctionDef, module: str, skip: int) -> Signature:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args][skip:]
    required = len(positional) - len(arguments.defaults)
    parameters = {
        a.arg: Parameter(_evaluate(a.annotation, module) if a.annotation else Any, i < required)
        for i, a in enumerate(positional)
    }
    for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters[a.arg] = Parameter(_evaluate(a.annotation, module) if a.annotation else Any, default is None)
    return Signature(parameters, open=arguments.kwarg is not None)
