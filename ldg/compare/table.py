"""A table of runs in Markdown whose columns a YAML file describes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ldg.errors import UserError
from ldg.files import look
from ldg.runs.formats import escape_markdown, markdown_table, parse_number
from ldg.runs.run import Run, load_yaml
from ldg.runs.select import values

MAX_SIZE = 1 << 20  # bytes


class TableColumn(BaseModel):
    """A column.

    Attributes:
        title: of the column
        keys: values of a run as conditions name them, or what the file says of it; the first that it has is shown
        digits: decimals of a number; None: as it is
        factor: by which a number is multiplied
        plus: a key of what the file says of the run, whose number is added then
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    keys: Annotated[list[str], Field(min_length=1)]
    digits: Annotated[int, Field(ge=0, le=20)] | None = None
    factor: float = 1.0
    plus: str | None = None


class TableFile(BaseModel):
    """The content of the file.

    Attributes:
        columns: from left to right
        runs: what is known of runs besides, by name
    """

    model_config = ConfigDict(extra="forbid")

    columns: Annotated[list[TableColumn], Field(min_length=1)]
    runs: dict[str, dict[str, str | float]] = {}


def read_table(path: Path) -> TableFile:
    """Read the file that describes a table.

    Raises:
        UserError: if it cannot be read, or says something else.
    """
    if look(path) != "file":
        raise UserError(f"--table: there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_SIZE else ""
        return TableFile.model_validate(load_yaml(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"--table: {path}: {place}: {first['msg']}; see experiments/table.yaml") from None
    except (OSError, ValueError):
        raise UserError(f"--table: {path} cannot be read as YAML") from None


def format_table(runs: Sequence[Run], table: TableFile) -> str:
    """The table in Markdown, a line for each run.

    Args:
        runs: in the order of the lines
        table: its columns
    """
    lines = [[column.title for column in table.columns]]
    for run in runs:
        known = values(run) | table.runs.get(run.name, {})
        lines.append([_cell(column, known) for column in table.columns])
    words = [all(parse_number(line[i].replace(",", "")) is None for line in lines[1:]) for i in range(len(lines[0]))]
    cells = [[escape_markdown(cell) for cell in line] for line in lines]
    return "\n".join(markdown_table(cells, words.index(False) if False in words else len(words)))


def _cell(column: TableColumn, known: dict[str, Any]) -> str:
    value = next((known[key] for key in column.keys if key in known), None)
    if value is None:
        return "–"
    number = parse_number(str(value))
    if number is None or isinstance(value, bool):
        return str(value)
    number = column.factor * number + (parse_number(str(known.get(column.plus))) or 0.0 if column.plus else 0.0)
    return f"{number:,.{column.digits}f}" if column.digits is not None else f"{number:g}"
