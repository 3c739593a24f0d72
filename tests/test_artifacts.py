"""What may be wrong with a checkpoint that is an artifact in W&B; tests/training/test_wandb.py loads good ones."""

import pytest
import wandb

import ldg
from ldg.errors import UserError
from ldg.sweeps.command_line import check_command_line
from tests.wandb_server import log_in, serving

REFERENCE = "wandb://someone/ldg/model-1:best"
SILENT = ": the server does not answer; try again later, or name a file"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with three artifacts, none of which is a checkpoint."""
    with serving("works") as server:
        log_in(monkeypatch, tmp_path, server.url)
        monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
        for name, files in {"none": ["a.txt"], "two": ["a.ckpt", "b.ckpt"], "text": ["model.ckpt"]}.items():
            server.add_artifact(name, dict.fromkeys(files, b"no checkpoint"))
        yield server
        wandb.teardown()


def refusal(function, *arguments):
    """The one line that a function answers with."""
    with pytest.raises(UserError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_artifact_that_is_no_checkpoint(server):
    form = "write wandb://ENTITY/PROJECT/ARTIFACT:ALIAS, as in wandb://me/ldg/model-1:best"
    for reference in ("wandb://ldg/model-1:best", "wandb://someone/ldg/model-1", "wandb:/x", "wandb://"):
        assert refusal(ldg.load, reference) == f"{reference}: {form}"
    for name, reason in {
        "absent": "artifact membership 'absent:latest' not found in 'someone/ldg'",
        "none": "the artifact has no .ckpt or .safetensors file; name one with a single checkpoint",
        "two": "the artifact has a.ckpt, b.ckpt; name one with a single checkpoint",
    }.items():
        assert refusal(ldg.load, f"wandb://someone/ldg/{name}:latest") == f"wandb://someone/ldg/{name}:latest: {reason}"
    message = refusal(ldg.load, "wandb://someone/ldg/text:latest")
    assert message.endswith("someone-ldg-text-v0/model.ckpt is damaged or no checkpoint; give one that ldg has written")


def test_a_server_that_gives_no_checkpoint(server, monkeypatch, tmp_path):
    resumed = [f"ckpt_path={REFERENCE}", f"outputs={tmp_path}"]
    server.mode = "401"
    assert refusal(check_command_line, resumed).startswith(f"{REFERENCE}: ")
    assert refusal(check_command_line, resumed).endswith(": user is not logged in")
    monkeypatch.setattr("ldg.artifacts.PATIENCE", 2)
    server.mode = "500"
    assert refusal(check_command_line, resumed) == REFERENCE + SILENT
    server.mode, server.held = "works", "/artifactsV2/"  # in the middle of it
    assert refusal(ldg.load, "wandb://someone/ldg/text:latest") == f"wandb://someone/ldg/text:latest{SILENT}"


def test_an_artifact_needs_a_login(server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    assert refusal(ldg.load, REFERENCE) == f"{REFERENCE}: no one is logged in to W&B (wandb login)"
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
    assert refusal(ldg.load, REFERENCE) == f"{REFERENCE}: WANDB_MODE is offline; unset it"
    assert server.requests == []
