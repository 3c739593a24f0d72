"""Exceptions that users are meant to read, and what those of libraries mean to users."""

import difflib
import errno
import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class UserError(Exception):
    """Something the user can put right. The message is one line: what is wrong, and what would be right.

    Commands print it as ``error: <message>`` and exit with status 2; anything else is a bug and keeps its traceback.
    """


class Interrupted(BaseException):
    """A signal has stopped the run.

    Derives from BaseException, like KeyboardInterrupt, so that `except Exception` does not catch it.

    Args:
        signum: the number of the signal
        checkpoint: the file to resume the run from; None if nothing has been saved yet
        has_trained: whether at least a step was trained since the process began
    """

    def __init__(self, signum: int, checkpoint: Path | None, has_trained: bool = False) -> None:
        super().__init__(signum, checkpoint, has_trained)
        self.signum = signum
        self.checkpoint = checkpoint
        self.has_trained = has_trained


def suggestion(word: str, choices: Iterable[str], cutoff: float = 0.5) -> str:
    """The end of a message about an unknown word.

    Args:
        word: what the user typed
        choices: what would have been valid
        cutoff: how similar a choice has to be, from 0 to 1

    Returns:
        ``", did you mean X?"`` with the closest choice, or an empty string if none is close.
    """
    lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=cutoff)
    return f", did you mean {lower[close[0]]}?" if close else ""


@contextmanager
def explained() -> Iterator[None]:
    """Raise UserError in the place of an exception that :func:`explain` knows.

    Raises:
        UserError: for what a library refuses and the user can put right.
    """
    try:
        yield
    except Exception as error:
        explanation = explain(error)
        if explanation is None or explanation is error:
            raise
        raise explanation from error


def explain(error: BaseException) -> UserError | None:
    """Say in one line what a user can put right about an exception.

    Args:
        error: of ldg or a library

    Returns:
        The error itself if it is a UserError, one for what a library refuses; None for what is to be mended in ldg.
    """
    if isinstance(error, UserError):
        return error
    for base in type(error).__mro__:
        for prefix, names, describe in _EXPLANATIONS:
            is_listed = f"{base.__module__}.".startswith(prefix) and base.__name__ in (names or [base.__name__])
            if is_listed and (text := describe(error)):
                return UserError(text)
    return explain(error.__cause__) if error.__cause__ is not None else None


def one_line(error: BaseException) -> str:
    """The message of an exception without its line breaks; the name of its class if it has no message."""
    text = str(error).partition("Exception raised from")[0]  # where in torch's C++
    return " ".join(text.split()) or type(error).__name__


def describe_os_error(error: OSError) -> str:
    """What the operating system refuses, in a few words: ``No space left on device``."""
    return error.strerror or one_line(error)


def missing_package(name: str) -> str:
    """The message about a package that is not installed, with the command that installs it.

    Args:
        name: of the package or a module in it
    """
    top = name.partition(".")[0]
    packages = f'"ldg[{_EXTRAS[top]}]"' if top in _EXTRAS else _INSTALLED_BY.get(top, top)
    return f"the package {top} is missing: {'uv ' if 'UV' in os.environ else ''}pip install {packages}"


# what a user can put right about files, beside a missing one, which may be a fault of ldg's
_FILE_ERRORS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "write elsewhere",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "its links point at each other",
    errno.ENOTDIR: "a folder of this path is a file",
    errno.EISDIR: "name a file",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk is damaged or away",
    errno.ESTALE: "the disk is damaged or away",
    errno.ETXTBSY: "another program uses it",
}
# packages that are installed with ldg only if one asks for it: the extra of each
_EXTRAS = {
    "tensorboard": "tensorboard",
    "tensorboardX": "tensorboard",
    "wandb_workspaces": "dashboard",
    "pythae": "benchmark",
    "pyarrow": "parquet",
    "psycopg": "postgresql",
    "trackio": "trackio",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "huggingface_hub": "hub",
    "gradio": "demo",
}
# modules that are not named like their package
_INSTALLED_BY = {"MySQLdb": "mysqlclient (or pymysql, and write mysql+pymysql://)"}


def _explain_file(error: OSError) -> str | None:
    advice = _FILE_ERRORS.get(error.errno or 0)
    if advice is None:
        return None
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
    return f"{'' if file is None else f'{file}: '}{describe_os_error(error)}; {advice}"


def _explain_memory(error: BaseException) -> str | None:
    wanted = re.search(r"allocate:? (?:([\d.]+ ?[KMGT]i?B)|(\d+) bytes)", str(error))
    size = f", {wanted[1] or f'{int(wanted[2]) / 2**30:.1f} GiB'} more were needed" if wanted else ""
    return f"out of memory{size}; lower data.batch_size or the sizes of the model, or of a picture --scale, --rows, ..."


def _explain_runtime(error: BaseException) -> str | None:
    """Out of memory on a CPU, and on some accelerators, for which torch has no class; or what Lightning refuses."""
    if re.search(r"DefaultCPUAllocator|out of memory", str(error)):
        return _explain_memory(error)
    return _explain_refusal(error)


def _explain_missing_package(error: BaseException) -> str | None:
    name = getattr(error, "name", None)
    if name is None:  # a library that looks for another one, and says it in a sentence
        name = next((package for package in _EXTRAS if package in str(error)), None)
        return missing_package(name) if name else one_line(error)
    return None if name.partition(".")[0] == "ldg" else missing_package(name)


def _explain_import(error: BaseException) -> str | None:
    # a module of ldg that lacks a name is a fault of ldg's; what ldg itself exports is for users
    if isinstance(error, ModuleNotFoundError) or (getattr(error, "name", None) or "").startswith("ldg."):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if not frame.filename.startswith("<")), None)
    return f"{f'{frame.filename}:{frame.lineno}: ' if frame else ''}{one_line(error)}"


def _explain_syntax(error: SyntaxError) -> str:
    return f"{error.filename}:{error.lineno}: {error.msg}"


def _explain_yaml(error: BaseException) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"YAML: {one_line(error)}"
    return f"{mark.name}:{mark.line + 1}: {getattr(error, 'problem', None) or 'no YAML'}"


def _explain_refusal(error: BaseException) -> str | None:
    """What Lightning itself raises is about its arguments; an exception from further inside is not."""
    frames = [*traceback.walk_tb(error.__traceback__)]
    raised_in = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return f"trainer: {one_line(error)}" if raised_in.startswith(_LIGHTNING) else None


def _explain_compiler(error: BaseException) -> str:
    reason = one_line(error).partition(" Set TORCHDYNAMO")[0]
    return f"compile: {reason}; compile=false trains without a compiler"


def _explain_instantiation(error: BaseException) -> str | None:
    """What a constructor says of the arguments in the config; another exception in it is not about them."""
    cause = error.__cause__
    if explanation := explain(cause) if cause else None:
        return str(explanation)
    key = re.search(r"full_key: (\S+)", str(error))
    is_refusal = cause is None or isinstance(cause, ValueError | TypeError)
    return f"{f'{key[1]}: ' if key else ''}{one_line(cause or error)}" if is_refusal else None


def _explain_trainer(error: BaseException) -> str:
    advice = " trainer=auto takes what there is." if "backend found" in str(error) else ""
    return f"trainer: {one_line(error)}{advice}"


def _after(prefix: str) -> Callable[[Any], str]:
    return lambda error: f"{prefix}{one_line(error)}"


_LIGHTNING = ("pytorch_lightning.", "lightning_fabric.")
# exceptions by the beginning of their module and by name (all of a module if none is given), and what they mean.
# Classes are named, not imported, since most of them take seconds to import.
_EXPLANATIONS: list[tuple[str, list[str], Callable[[Any], str | None]]] = [
    ("builtins.", ["MemoryError"], _explain_memory),
    ("builtins.", ["ModuleNotFoundError"], _explain_missing_package),
    ("builtins.", ["ImportError"], _explain_import),
    ("builtins.", ["SyntaxError"], _explain_syntax),
    ("builtins.", ["OSError"], _explain_file),
    ("builtins.", ["RuntimeError"], _explain_runtime),
    ("builtins.", ["ValueError", "TypeError"], _explain_refusal),
    ("lightning_fabric.", ["MisconfigurationException"], _explain_trainer),
    ("wandb.", [], _after("W&B: ")),
    ("yaml.", ["YAMLError"], _explain_yaml),
    ("sqlalchemy.exc.", [], _after("the study's storage: ")),
    ("optuna.", ["StorageInternalError"], _after("the study's storage: ")),
    ("hydra.errors.", ["InstantiationException"], _explain_instantiation),
    ("hydra.errors.", ["OverrideParseException", "ConfigCompositionException"], _after("")),
    ("omegaconf.errors.", ["OmegaConfBaseException"], _after("")),
    ("torch._inductor.", [], _explain_compiler),
    ("torch._dynamo.", [], _explain_compiler),
]
