"""Secrets in a config: found by key and form, kept by reference, and in no file of a run."""

import os

import pytest
import yaml

from ldg.commands.cli import print_error
from ldg.config.check import check_config
from ldg.config.compose import compose_config, resolve_config
from ldg.config.secrets import find_secrets, mask, reveal, without_password
from ldg.errors import UserError
from ldg.sweeps.command_line import keep_secrets
from ldg.sweeps.plan import make_plan
from ldg.training.loggers import MetricsFile
from tests.processes import call
from tests.runs import DENSE, STROKES

SECRET = "swordfish-2"


class Service(MetricsFile):
    """A logger that needs a key, as those of services do."""

    def __init__(self, path, api_key):
        super().__init__(path)
        assert api_key == SECRET


@pytest.mark.parametrize(
    ("key", "value", "secret"),
    [
        ("a.password", "x", "x"),
        ("a.password", 123, "123"),
        ("a.api_key", "x", "x"),
        ("apikey", "x", "x"),
        ("a.access_token", "x", "x"),
        ("client-secret", "x", "x"),
        ("hydra.key", "x", "x"),
        ("passwords.db_pwd", "x", "x"),
        ("url", "mysql://u:p:q@w@h/x", "p:q@w"),
        ("url", "https://:t@h", "t"),
        ("url", "postgresql://u@h/db?password=zz&x=1", "zz"),
        ("token", ["x"], "x"),
        ("token", 3, None),
        ("use_token", True, None),
        ("password", None, None),
        ("password", "", None),
        ("password", "${oc.env:X}", None),
        ("url", "https://host:80/path", None),
        ("url", "postgresql://user@host/db", None),
        ("monkey", "x", None),
        ("tokens", "x", None),
        ("keys", "x", None),
    ],
)
def test_what_is_a_secret(key, value, secret):
    assert [found for _, found in find_secrets({key: value})] == ([secret] if secret else [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@w@h/db, no", "postgresql://u:***@h/db, no"),
        ("+a.api_key=abc, x", "+a.api_key=***, x"),
        ('{"password": "abc"}', '{"password": "***"}'),
        ("PGPASSWORD=abc psql", "PGPASSWORD=*** psql"),
        ("a.key=abc", "a.key=***"),
        ("write key=value", "write key=value"),
        ("u://u:${oc.env:X}@h", "u://u:${oc.env:X}@h"),
        ("a.token=${oc.env:X}", "a.token=${oc.env:X}"),
        ("https://h:80/x and a@b", "https://h:80/x and a@b"),
    ],
)
def test_a_text_without_its_secrets(text, shown, capsys):
    assert mask(text) == shown
    print_error(UserError(text))
    assert capsys.readouterr().err == f"error: {shown}\n"


def test_a_url_without_its_password():
    assert without_password("postgresql://u:p@h/db") == "postgresql://u@h/db"
    assert without_password("postgresql://u@h/db?x=1&password=zz") == "postgresql://u@h/db?x=1"


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        (f"+logger.x.api_key={SECRET}", "+logger.x.api_key=${oc.env:LDG_SECRET_LOGGER_X_API_KEY}"),
        (f"+logger.x={{b:1,token:{SECRET}}}", "+logger.x={b:1,token:${oc.env:LDG_SECRET_LOGGER_X_TOKEN}}"),
        ("a.b=db://ldg:ldg@h/ldg", "a.b=db://ldg:${oc.env:LDG_SECRET_A_B}@h/ldg"),
        ("a.password='a b'", "a.password='${oc.env:LDG_SECRET_A_PASSWORD}'"),
        ("a.b=3", "a.b=3"),
        ("seed=1,2", "seed=1,2"),
        ("seed=range(1,3)", "seed=range(1,3)"),
        ("optimizer.lr=interval(0.1,1)", "optimizer.lr=interval(0.1,1)"),
        ("model=glob(*_cvae)", "model=glob(*_cvae)"),
        ("--help", "--help"),
    ],
)
def test_a_command_line_keeps_references(override, kept, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert keep_secrets([override]) == [kept]
    if kept != override:
        assert reveal(kept) == override


def test_a_secret_is_not_swept():
    with pytest.raises(UserError, match="a secret has one value in all runs") as error:
        keep_secrets(["a.password=one,two"])
    assert "one," not in str(error.value)


def test_only_secrets_stay_references(monkeypatch):
    monkeypatch.setenv("LDG_TEST_SECRET", SECRET)
    monkeypatch.setenv("LDG_TEST_URL", f"https://me:{SECRET}@host")
    logger = {"api_key": "${oc.env:LDG_TEST_SECRET}", "url": "${oc.env:LDG_TEST_URL}", "name": "${oc.env:USER,nobody}"}
    overrides = [f"+logger.x.{key}='{value}'" for key, value in logger.items()]
    resolved = resolve_config(compose_config(overrides))["logger"]["x"]
    assert resolved == logger | {"name": os.environ.get("USER", "nobody")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"api_key": SECRET},
            "logger.x.api_key: a secret would be copied into files; write logger.x.api_key='${oc.env:",
        ),
        ({"url": f"https://me:{SECRET}@host"}, "logger.x.url: a secret would be copied"),
        ({"api_key": "${oc.env:LDG_NOT_SET}"}, "the environment variable LDG_NOT_SET is not set"),
        ({"name": "${oc.env:HOME}"}, "logger.x.name=${oc.env:HOME}: should be a value"),
    ],
)
def test_a_config_with_secrets_is_refused(change, message):
    config = resolve_config(compose_config([]))
    config["logger"]["x"] = change
    with pytest.raises(UserError) as error:
        check_config(config)
    assert message in str(error.value) and SECRET not in str(error.value)


def test_a_secret_in_the_file_of_a_sweep_is_refused():
    config = compose_config(["hydra/sweeper=optuna"])
    config.hydra.sweeper.study.storage = f"postgresql://u:{SECRET}@h/x"
    with pytest.raises(UserError, match=r"^hydra.sweeper.study.storage: a secret would be copied"):
        make_plan(config, ["hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)"])


@pytest.mark.slow
def test_a_key_on_the_command_line_is_in_no_file_of_a_run(tmp_path):
    line = [*STROKES, *DENSE, "trainer=cpu", "callbacks.gallery=null", "trainer.max_epochs=1", "name=one"]
    target = "+logger.x._target_=tests.config.test_secrets.Service"
    status, out, err = call(tmp_path, *line, target, "+logger.x.path=x.csv", f"+logger.x.api_key={SECRET}")
    assert status == 0, err
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 8 and [file for file in files if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in out + err
    (folder,) = (tmp_path / "outputs/one").iterdir()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["logger"]["x"]["api_key"] == "${oc.env:LDG_SECRET_LOGGER_X_API_KEY}"
    (run,) = (tmp_path / "outputs/wandb").glob("offline-run-*")
    assert list(run.rglob("*.wandb"))
