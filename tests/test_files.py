"""Paths that cannot be paths are named in one line, and text files are UTF-8 whatever the locale."""

import ast
import os

import pytest

from ldg.checkpoint import find
from ldg.errors import UserError
from ldg.files import look, whole, write_text
from tests.conftest import HOME
from tests.processes import call

SOURCES = [f for part in ("ldg", "experiments", "hydra_plugins") for f in sorted((HOME / part).rglob("*.py"))]
SOURCES += [HOME / "train.py", HOME / "tests" / "runs.py", HOME / "tests" / "processes.py"]
BINARY = ("Image", "tarfile", "gzip", "zipfile", "packed", "os", "webbrowser", "Ledger")  # whose open() opens no text


def texts_in_the_encoding_of_the_locale(file):
    for node in ast.walk(ast.parse(file.read_bytes())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = getattr(getattr(node.func, "value", None), "id", "")
        words = {keyword.arg: keyword.value for keyword in node.keywords}
        is_binary = any("b" in str(getattr(part, "value", "")) for a in node.args for part in ast.walk(a))
        opens = name in ("read_text", "write_text", "open") and owner not in BINARY and not is_binary
        # ldg.files.write_text; and the text of a distribution has a name, that of a file an encoding
        has_encoding = "encoding" in words or (owner, name) == ("", "write_text") or (name == "read_text" and node.args)
        if (opens and not has_encoding) or ("text" in words and name in ("run", "Popen", "check_output")):
            yield f"{file.relative_to(HOME)}:{node.lineno}"


def test_every_text_file_is_opened_as_utf_8():
    assert [line for file in SOURCES for line in texts_in_the_encoding_of_the_locale(file)] == []


def test_a_locale_of_ascii_changes_nothing(tmp_path):
    line = ["--cfg", "job", "--package", "name", 'name="größer"']
    status, _, err = call(tmp_path, *line, PYTHONIOENCODING="ascii")
    assert (status, err) == (0, ""), err


@pytest.fixture
def strange(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_what_lies_at_a_path(strange):
    (strange / "link").symlink_to("folder")
    names = ("file", "folder", "link", "nothing", "file/below", "nothing/below", "")
    assert [look(name) for name in names] == ["file", "folder", "folder", None, None, None, None]


STRANGE = [
    ("x" * 300, "cannot be used as a path: it is too long; a name has at most 255 bytes"),
    ("a/" * 3000, "it is too long"),
    ("loop", "loop cannot be used as a path: its links lead in a circle"),
    ("loop/below", "its links lead in a circle"),
    ("dangling", "dangling is a link to nowhere, which does not exist"),
    ("pipe", "pipe is a device or a pipe"),
    ("/dev/null", "/dev/null is a device or a pipe"),
    ("a\0b", "'a\\x00b' cannot be a path: it has a NUL character"),
    ("a\ud800b", "cannot be a path: it is not UTF-8"),
]


@pytest.mark.parametrize("use", [look, find, lambda path: write_text(path, "")], ids=["look", "find", "write"])
@pytest.mark.parametrize(("path", "message"), STRANGE)
def test_a_path_that_cannot_be_one_is_named_in_one_line(use, path, message, strange):
    before = sorted(strange.iterdir())
    with pytest.raises(UserError) as error:
        use(path)
    text = str(error.value)
    assert message in text and "\n" not in text and len(text) < 250
    assert sorted(strange.iterdir()) == before


def test_a_file_is_not_written_over_a_folder_and_may_have_the_longest_name(strange):
    with pytest.raises(UserError, match="cannot write folder: a folder is there; give the name of a file"):
        write_text("folder", "")
    with whole("x" * 251 + ".txt") as path:
        path.write_text("whole", encoding="utf-8")
    assert (strange / ("x" * 251 + ".txt")).read_text(encoding="utf-8") == "whole"
