"""Commands are spelled as they were typed."""

import sys
from types import SimpleNamespace

import pytest

from ldg.config import home
from ldg.config.home import command
from tests.conftest import HOME


@pytest.mark.parametrize(
    ("started", "name", "with_uv", "elsewhere", "spelled"),
    [
        ("train.py", "train", False, False, "python train.py"),
        ("train.py", "write", False, False, "python generate.py"),
        ("train.py", "train", False, True, f"python {HOME}/train.py"),
        ("train.py", "train", True, False, "uv run train.py"),
        ("train.py", "train", True, True, f"uv run --project {HOME} {HOME}/train.py"),
        ("train.py", "sweeps", False, False, "python -m ldg sweeps"),
        ("compare.py", "sweeps", True, False, "uv run python -m ldg sweeps"),
        ("bin/ldg", "train", False, False, "ldg train"),
        ("bin/ldg", "sweeps", False, True, "ldg sweeps"),
        ("bin/ldg", "write", True, False, "uv run ldg write"),
        ("bin/ldg", "write", True, True, f"uv run --project {HOME} ldg write"),
        ("ldg/__main__.py", "write", False, False, "python -m ldg write"),
        ("ldg.exe", "evaluate", False, False, "ldg evaluate"),
    ],
)
def test_in_a_checkout(started, name, with_uv, elsewhere, spelled, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.chdir(tmp_path if elsewhere else HOME)
    if with_uv:
        monkeypatch.setenv("UV", "/bin/uv")
    assert command(name) == spelled


@pytest.mark.parametrize(
    ("started", "uv", "origin", "spelled"),
    [
        ("bin/ldg", {}, None, "ldg train"),
        ("ipykernel_launcher.py", {}, None, "ldg train"),
        ("bin/ldg", {"UV": "x", "VIRTUAL_ENV": sys.prefix}, None, "uv run ldg train"),
        ("bin/ldg", {"UV": "x"}, '{"url": "file:///home/me/my%20ldg"}', "uvx --from '/home/me/my ldg' ldg train"),
        ("bin/ldg", {"UV": "x"}, None, "uvx --from ldg ldg train"),
    ],
)
def test_where_it_is_installed(started, uv, origin, spelled, tmp_path, monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr(home, "IS_INSTALLED", True)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: SimpleNamespace(read_text=lambda _: origin))
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.chdir(tmp_path)
    for variable, value in uv.items():
        monkeypatch.setenv(variable, value)
    assert command("train") == spelled
