"""Runs on the Hugging Face Hub: what is pushed there, and how it comes back."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import constants
from PIL import Image

import ldg
from ldg import checkpoint
from ldg.__main__ import main
from ldg.commands.cli import exit_status
from ldg.errors import UserError
from ldg.evaluation.report import scorecard_folder
from ldg.evaluation.scorecard import Result, Scorecard, Value
from tests.conftest import HOME
from tests.hub_server import TOKEN, serving
from tests.test_generate import leave_run
from tests.test_readme import commands

NAME = "somebody/hand"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with somebody logged in, and an empty cache and working directory."""
    with serving() as hub:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def command(capsys, *arguments):
    status = exit_status(lambda: main(list(arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_what_is_pushed_comes_back(hub, capsys, tmp_path):
    made = {"date": "2026-11-29", "machine": "x86_64", "torch": "2.13"}
    card = Scorecard("handwriting", str(checkpoint.SHIPPED), 0, {"data": "EMNIST"}, made=made)
    values = {"elbo": Value(-125.12, 0.34, "nats", "higher"), "kl": Value(float("nan"))}
    card.results["elbo"] = Result("one draw", values, {})
    card.save(tmp_path / "outputs" / "handwriting")
    status, out, err = command(capsys, "push", NAME, str(checkpoint.SHIPPED), "--private")
    assert (status, err) == (0, "") and out == f"{hub.url}/{NAME}/commit/{'0' * 40}\n"
    files = hub.repositories[NAME]["main"]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "picture.png"]
    assert hub.private == {NAME}
    assert json.loads(files["config.json"])["classes"] == [
        *"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    ]
    _, metadata, text = files["README.md"].decode().split("---\n", 2)
    (model,) = yaml.safe_load(metadata)["model-index"]
    (result,) = model["results"]
    assert model["name"] == "hand" and result["dataset"] == {"name": "EMNIST", "type": "emnist", "split": "test"}
    assert [(each["type"], each["value"]) for each in result["metrics"]] == [("elbo", -125.12)]
    assert "| -125.12 ± 0.34 |" in text and f"--checkpoint hf://{NAME}" in text and "kl is NaN" in text
    (tmp_path / "picture.png").write_bytes(files["picture.png"])
    assert Image.open(tmp_path / "picture.png").width > 300
    np.testing.assert_array_equal(ldg.write("Hi", f"hf://{NAME}"), ldg.write("Hi", checkpoint.SHIPPED))
    assert command(capsys, "write", "Hi", "--checkpoint", f"hf://{NAME}") == (0, "hi.png\n", f"with hf://{NAME}\n")
    assert str(scorecard_folder(checkpoint.find(f"hf://{NAME}"))) == "outputs/hand"
    assert command(capsys, "push", NAME, str(checkpoint.SHIPPED))[0] == 0  # again
    hub.status = 500  # what is in the cache is enough
    assert ldg.load(f"hf://{NAME}").classes == ldg.load(checkpoint.SHIPPED).classes


def test_a_revision(hub, capsys):
    assert command(capsys, "push", NAME, str(checkpoint.SHIPPED), "--revision", "v2")[0] == 0
    branches = hub.repositories[NAME]
    assert not branches["main"] and "It was not measured" in branches["v2"]["README.md"].decode()
    assert ldg.load(f"hf://{NAME}@v2").num_classes == 62
    for reference, reason in {
        f"hf://{NAME}": "the model has no model.safetensors; name one that ldg push has written",
        f"hf://{NAME}@v3": "the model has no such revision",
        "hf://somebody/else": "there is no such model, or it is private: hf auth login",
        "hf://hand": "write hf://OWNER/NAME or hf://OWNER/NAME@REVISION, as in hf://me/handwriting",
        "hf://some body/hand": "",
    }.items():
        with pytest.raises(UserError) as error:
            ldg.load(reference)
        assert str(error.value).startswith(f"{reference}: {reason}") and "\n" not in str(error.value)


def test_a_model_of_pictures(hub, capsys, tmp_path):
    run = leave_run(tmp_path / "run", ("cat", "dog"), image_shape=(3, 12, 12), data={})
    assert command(capsys, "push", NAME, str(run))[0] == 0
    files = hub.repositories[NAME]["main"]
    assert f"ldg write --rows 4 --columns 8 --checkpoint hf://{NAME}" in files["README.md"].decode()
    assert ldg.load(f"hf://{NAME}").classes == ("cat", "dog") and len(files["picture.png"]) > 1000


def test_what_is_no_model_of_ldg(hub):
    hub.repositories[NAME] = {"main": {"model.safetensors": b"\x08\0\0\0\0\0\0\0{}      "}}
    with pytest.raises(UserError, match="is damaged or no checkpoint; give one that ldg has written"):
        ldg.load(f"hf://{NAME}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hand", str(checkpoint.SHIPPED)], "error: hand: write OWNER/NAME, as in me/handwriting"),
        ([NAME, "absent"], "error: no checkpoint at absent; name a run folder, or a .ckpt, .safetensors or .onnx file"),
        ([NAME], "error: the following arguments are required: RUN (see --help)"),
    ],
)
def test_mistakes(hub, capsys, arguments, message):
    assert command(capsys, "push", *arguments) == (2, "", f"{message}\n")
    assert hub.requests == []


def test_the_hub_refuses(hub, capsys, monkeypatch):
    line = ["push", NAME, str(checkpoint.SHIPPED)]
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert command(capsys, *line) == (2, "", f"error: {NAME}: the Hub does not take the token: hf auth login\n")
    hub.status = 403
    assert command(capsys, *line) == (2, "", f"error: {NAME}: the token may not write there\n")
    monkeypatch.delenv("HF_TOKEN")
    said = "error: no one is logged in to the Hugging Face Hub: hf auth login, or set HF_TOKEN\n"
    assert command(capsys, *line) == (2, "", said)


def test_nobody_answers(hub, capsys, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:1/{repo_id}/{revision}/{filename}")
    said = f"error: hf://{NAME}: the Hub does not answer, and nothing of it is in the cache; try later\n"
    assert command(capsys, "evaluate", f"hf://{NAME}") == (2, "", said)
    status, _, err = command(capsys, "push", NAME, str(checkpoint.SHIPPED))
    assert status == 2 and err.startswith(f"error: {NAME}: ") and err.count("\n") == 1


def test_without_the_package(hub, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    status, _, err = command(capsys, "write", "Hi", "--checkpoint", f"hf://{NAME}")
    assert status == 2 and "huggingface_hub is missing: " in err and 'pip install "ldg[hub]"' in err


@pytest.mark.slow
def test_the_commands_of_the_page(hub, capsys):
    for line in commands(HOME / "docs" / "sharing.md", "uv", "run", "ldg"):
        arguments = [str(checkpoint.SHIPPED) if each == "outputs/NAME/ID" else each for each in line]
        status, out, err = command(capsys, *arguments)
        assert (status, bool(out)) == (0, True), err
    assert sorted(file.name for file in Path().glob("*.*")) == [
        *("hello-2.png", "hello-3.png", "hello.png", "model.onnx", "model.safetensors")
    ]
    assert set(hub.repositories["me/handwriting"]) == {"main", "v2"}
