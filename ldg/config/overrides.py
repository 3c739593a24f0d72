"""Overrides, as a user types them: parsed by Hydra, and quoted where Hydra needs quotes and the user left them out."""

import contextlib
import os
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException

from ldg.errors import UserError
from ldg.files import shorten

# arguments whose values are paths, and keys whose values are text: a number or a bracket there is text as well
PATHS = ("ckpt_path", "outputs", "folder", "root", "cache", "save_dir", "dirpath", "path")
# those of data, which composing has looked at
READ_ONLY = ("data.path", "data.dataset.path")
_RUN = ("project", "name", "group")
_WANDB = (*_RUN, "entity", "notes", "id", "job_type")
_LOGGERS = {"wandb": _WANDB, "trackio": _RUN, "mlflow": _RUN}
_LOGGED = [f"logger.{logger}.{key}" for logger, keys in _LOGGERS.items() for key in keys]
TEXTS = ("name", "sweep_name", "run", "callbacks.gallery.text", *_LOGGED)
_OVERRIDE = re.compile(r"([+~]*)([\w$./@:-]+)=(.*)", re.DOTALL | re.ASCII)
# characters that build lists, dicts, functions and sweeps; what has none of them can only be a text
_STRUCTURE = re.compile(r"""[][(){},"']""")


def quote(text: str) -> str:
    """A text as a value that Hydra reads as this text, in quotes where it needs them."""
    with contextlib.suppress(HydraException):
        if _parse(f"key={text}")[0].value() == text:
            return text
    return QuotedString(text, Quote.double).with_quotes()


def quote_texts(overrides: Sequence[str]) -> list[str]:
    """Quote the values that can only be a text, where Hydra would not read them as one.

    A value of a key that holds a path or a text is one unless it is a sweep of several, an interpolation or null; any
    other value is one if Hydra cannot read it and it has no brackets, commas or quotes. ``~`` at the beginning of a
    path is the user's home, as in a shell.

    Args:
        overrides: of a command line

    Returns:
        The overrides as Hydra reads them.
    """
    return [_quote_text(override) for override in overrides]


def _quote_text(override: str) -> str:
    match = _OVERRIDE.fullmatch(override)
    if match is None or "${" in override:
        return override
    prefix, key, value = match.groups()
    is_path = key.rpartition(".")[2] in PATHS
    if is_path and value.startswith("~"):
        value = os.path.expanduser(value)  # noqa: PTH111  (leaves the rest as it is)
    rewritten = f"{prefix}{key}={value}"
    try:
        (parsed,) = _parse(rewritten)
        if not (is_path or key in TEXTS) or parsed.is_sweep_override() or isinstance(parsed.value(), str | None):
            return rewritten
    except HydraException:
        if not (is_path or key in TEXTS) and _STRUCTURE.search(value):
            return rewritten
    return f"{prefix}{key}={QuotedString(value, Quote.double).with_quotes()}"


def _parse(*overrides: str) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except ValueError:  # Python's own
        raise UserError(f"{shorten(max(overrides, key=len))}: a number has too many digits") from None


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides as Hydra does.

    Args:
        overrides: of a command line

    Returns:
        Hydra's objects, one for each override.

    Raises:
        UserError: for the first one that is no override, with the character that needs quotes.
    """
    try:
        return _parse(*overrides)
    except HydraException as error:
        raise UserError(explain_override(error, overrides)) from None


def explain_override(error: HydraException, overrides: Sequence[str]) -> str:
    """What is wrong with an override that Hydra cannot parse, in one line with the form that works in a shell.

    Args:
        error: of Hydra's parser
        overrides: that it has parsed
    """
    override = str(error.override) if isinstance(error, OverrideParseException) else " ".join(overrides)
    match, short = _OVERRIDE.fullmatch(override), shorten(override) or "''"
    if match is None:
        return f"{short}: cannot be read as an override; write key=value"
    start, value = match.start(3), match[3]
    if value.endswith(","):
        return f"{short}: ends with a comma; several values have no space between them, as in {match[2]}=1,2 with -m"
    if function := re.search(r"Error while evaluating '.*': (.*)", str(error)):
        return f"{short}: {function[1].strip().rstrip('.')}"
    if function := re.search(r"Unknown function '(\w+)'", str(error)):
        return f"{short}: there is no function {function[1]}; a text with ( needs quotes: {_quoted(override, start)}"
    for pair in ("()", "[]", "{}"):
        if value.count(pair[0]) != value.count(pair[1]):
            return f"{short}: not as many {pair[0]} as {pair[1]}; a text needs quotes: {_quoted(override, start)}"
    place = _place(str(error), override, start)
    return f"{short}: {override[place]} needs quotes: {_quoted(override, start, place)}"


def _place(message: str, override: str, start: int) -> int:
    """Where in an override Hydra stopped reading, by its message."""
    if caret := re.search(r"^ +\^$", message, re.MULTILINE):
        return len(caret[0]) - 1 - len("LexerNoViableAltException: ")
    read = re.search(r"input '(.*?)' expecting|input '(.*)'$", message, re.MULTILINE)
    text = read and (read[1] or read[2])
    found = override.find(text, start) if text else -1
    return len(override) - 1 if found < 0 else found + len(text or "") - 1


def _quoted(override: str, start: int, place: int | None = None) -> str:
    """The override for a shell, with quotes around its value from ``start`` on or around the item at ``place``."""
    end = len(override)
    if place is not None and override[start] in "[{":
        start = max(override.rfind(mark, start, place) for mark in "[{(,:") + 1
        end = min((index for mark in "]}),:" if (index := override.find(mark, place + 1)) > 0), default=end)
    text = QuotedString(override[start:end].strip(), Quote.double).with_quotes()
    return shorten(shlex.quote(override[:start] + text + override[end:]))
