"""Secrets of a config: passwords, keys and tokens, which are kept by reference and never written or printed.

``${oc.env:NAME}`` refers to an environment variable. Files, screens and other services get the reference; whoever needs
the secret calls :func:`reveal`, or lets Hydra's ``instantiate`` resolve the reference.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

from ldg.errors import UserError

_LONG = "password|passwd|passphrase|secret|credentials?|token|api[_-]?key"
_KEY = re.compile(rf"(?:{_LONG}|(?:^|[._-])(?:pwd|key))$", re.IGNORECASE)
_QUERY = rf"[?&;]\w*(?:{_LONG}|pwd)="
# the password of a URL: before its last @, or in its query
_IN_URL = re.compile(rf"://[^\s:/@]*:(.+)@|{_QUERY}([^&\s]+)", re.IGNORECASE | re.DOTALL)
# what looks like a secret in any text; ``write key=value`` does not
_IN_TEXT = re.compile(
    rf"(?P<where>://[^\s:/@]*:)(?!\$\{{oc\.env:\w+\}}@)\S+@"
    rf"|(?P<what>{_QUERY}|\b[\w.+-]*(?:{_LONG}|[._]key)(?:=['\"]?|['\"]:\s*['\"]))(?!\$\{{oc\.env:\w+\}})[^\s'\",&}}]+",
    re.IGNORECASE,
)
# the same in source code and YAML files: a name, a colon or an equals sign, and a literal
_IN_CODE = re.compile(
    rf"(?P<what>[\w.+-]*(?:{_LONG}|[._]key)['\"]?[ \t]*[:=][ \t]*(?:Bearer )?['\"]?|\bBearer )"
    rf"(?!\$\{{oc\.env:\w+\}})[^\s'\",&(){{}}\[\]]{{4,}}(?=['\"\s,;]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_REFERENCE = re.compile(r"\$\{oc\.env:(\w+)\}")


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The plain values of a nested config with their full names; the items of a list have that of the list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, path)
    else:
        yield path, node


def _secret(path: str, value: Any) -> str | None:
    """What is secret in a value, by its form or key."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    if match := _IN_URL.search(str(value)):
        return match[1] or match[2]
    # the number of a token or key is one of a vocabulary or a generator
    is_number = isinstance(value, int) and path.lower().endswith(("key", "token"))
    return str(value) if _KEY.search(path) and not is_number else None


def find_secrets(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Find the secrets in a nested config that are there themselves, not by reference.

    Args:
        node: dicts, lists and plain values
        path: the full name of ``node``

    Yields:
        The full name of a value, and what is secret in it.
    """
    for name, value in _leaves(node, path):
        secret = _secret(name, value)
        if secret and _REFERENCE.sub("", secret):
            yield name, secret


def check_secrets(config: dict[str, Any], path: str = "") -> None:
    """Check that the secrets of a resolved config are there by reference, and nothing else is.

    Args:
        config: what is going to be written to files
        path: its full name

    Raises:
        UserError: for a secret itself, a variable that is not set, or an interpolation of anything else.
    """
    for name, _ in find_secrets(config, path):
        raise UserError(f"{name}: a secret would be copied into files; write {name}='${{oc.env:NAME}}', and set NAME")
    for name, value in _leaves(config, path):
        if isinstance(value, str) and "${" in value and _secret(name, reveal(value)) is None:
            raise UserError(f"{name}={value}: should be a value; only a secret refers to the environment")


def keep_references(config: Any, unresolved: Any, path: str = "") -> Any:
    """Put references back in the place of secrets that were resolved from the environment.

    Args:
        config: a nested config whose interpolations are resolved
        unresolved: the same with its interpolations
        path: the full name of ``config``

    Returns:
        A copy in which such a secret is ``${oc.env:NAME}`` again.
    """
    names = {os.environ.get(name): name for name in re.findall(r"\$\{oc\.env:(\w+)", str(unresolved))}
    values = sorted(filter(None, names), key=len, reverse=True)
    if not values:
        return config

    def put_back(node: Any, path: str) -> Any:
        if isinstance(node, dict):
            return {key: put_back(value, f"{path}.{key}") for key, value in node.items()}
        if isinstance(node, list):
            return [put_back(value, path) for value in node]
        secret = _secret(path, node)
        used = [value for value in values if secret and value in str(node) and (value in secret or secret in value)]
        pattern = "|".join(map(re.escape, used))
        return re.sub(pattern, lambda match: f"${{oc.env:{names[match[0]]}}}", str(node)) if used else node

    return put_back(config, path)


def move_to_environment(key: str, value: Any, text: str) -> str:
    """Move the secrets of an override into environment variables, which the processes that it starts inherit.

    Args:
        key: of the override
        value: its value
        text: the value as it was typed

    Returns:
        The text with references to the variables.

    Raises:
        UserError: if the text does not have a secret as it is.
    """
    for path, secret in find_secrets(value, key):
        name = "LDG_SECRET_" + re.sub(r"\W+", "_", path.lstrip("+")).upper()
        before, text = text, text.replace(f":{secret}@", f":${{oc.env:{name}}}@")
        if text == before:  # no URL
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", f"${{oc.env:{name}}}", text)
        if text == before:
            raise UserError(
                f"{path}: this secret cannot be moved out of the command line; "
                f"write {path}='${{oc.env:NAME}}', and set NAME"
            )
        os.environ[name] = secret
    return text


def reveal(text: str) -> str:
    """A text with the secrets that it refers to.

    Raises:
        UserError: if an environment variable is not set.
    """
    for name in _REFERENCE.findall(text):
        if name not in os.environ:
            raise UserError(f"${{oc.env:{name}}}: the environment variable {name} is not set")
    return _REFERENCE.sub(lambda match: os.environ[match[1]], text)


def without_references(text: str) -> str:
    """A text without its references; what is left of ``${`` is another interpolation."""
    return _REFERENCE.sub("", text)


def is_reference(path: str, value: str) -> bool:
    """Whether a value is a secret by reference, as :func:`check_secrets` leaves it in a config.

    Args:
        path: its full name
        value: a text
    """
    return "${" not in without_references(value) and _secret(path, value) is not None


def mask(text: str) -> str:
    """A text for files and screens, with ``***`` in the place of what looks like a secret."""
    return _IN_TEXT.sub(lambda match: f"{match['where']}***@" if match["where"] else f"{match['what']}***", text)


def mask_code(text: str) -> str:
    """As :func:`mask`, of source code or a patch of it: what a name of a secret is set to is masked as well."""
    return _IN_CODE.sub(lambda match: f"{match['what']}***", mask(text))


def without_password(url: str) -> str:
    """A URL that says where something is, but not the password."""
    return _IN_URL.sub(lambda match: match[0].replace(f":{match[1]}@", "@") if match[1] else "", url)
