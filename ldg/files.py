"""Files that are written as a whole or not at all, and tables in CSV files."""

import csv
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ldg.errors import UserError


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Write to a temporary file, then rename it: until then ``path`` keeps its old content.

    Several processes may write the same file at once; the last one to finish determines its content.

    Args:
        path: the file to write; its folder is made if it is missing

    Yields:
        A temporary path beside ``path``, with the same suffix. It is renamed to ``path`` on success and removed
        otherwise.

    Raises:
        UserError: if the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as a whole, in UTF-8.

    Args:
        path: the file to write; its folder is made if it is missing
        text: its content

    Raises:
        UserError: if the file cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Args:
        path: of the file

    Returns:
        Each row as text by column.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
