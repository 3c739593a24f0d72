"""What loggers need is refused before a run begins, in one line."""

from types import SimpleNamespace

import pytest

from ldg.config.check import check_calls
from ldg.config.compose import compose_config
from ldg.config.loggers import check_loggers
from ldg.errors import UserError
from ldg.sweeps.command_line import check_command_line
from ldg.sweeps.job import _configure


def refusal(check, *arguments):
    with pytest.raises(UserError) as error:
        check(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "limit"),
    [
        ("project", "my/project", "text without any of / \\ # ? % :"),
        ("project", "p" * 129, "text of at most 128 characters"),
        ("project", "", "text of at least 1 character"),
        ("tags", ["first", ""], "text of at least 1 character"),
        ("tags", ["t" * 65], "text of at most 64 characters"),
        ("tags", "mine", "a list, as in [mine]"),
        ("group", "g" * 129, "text of at most 128 characters"),
        ("log_model", "some", "best, all or false"),
        ("register", "a/b/c", "the name of a collection, as in letters or REGISTRY/letters"),
        ("aliases", ["a:b"], "text without any of / :"),
        ("id", "a:b", "text without any of : ; , # ? / '"),
        ("mode", "off", "'auto', 'online', 'offline' or 'disabled'"),
        ("mode", "", "'auto', 'online', 'offline' or 'disabled'"),
    ],
)
def test_wandb_takes_no_other_arguments(key, value, limit):
    message = refusal(check_calls, {"_target_": "ldg.training.wandb.WandbRun", key: value}, "logger.wandb.")
    assert message.startswith(f"logger.wandb.{key}") and message.endswith(f": should be {limit}")


def test_wandb_takes_arguments_at_its_limits():
    arguments = {"project": "p" * 128, "tags": ["t" * 64, "ü"], "group": "g" * 128, "id": "i-1_2", "mode": "auto"}
    arguments |= {"log_model": True, "register": "REGISTRY/letters", "aliases": ["a"]}
    check_calls({"_target_": "ldg.training.wandb.WandbRun"} | arguments)


@pytest.fixture
def config(tmp_path):
    logger = {"wandb": {"_target_": "ldg.training.wandb.WandbRun", "save_dir": str(tmp_path)}}
    return {"outputs": str(tmp_path), "logger": logger}


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MODE", "off", "=off: should be 'online', 'offline', 'shared', 'disabled', 'dryrun' or 'run'"),
        ("BASE_URL", "http://here:port", "=http://here:port: should be a valid URL, invalid port number"),
        ("BASE_URL", "here", "=here: should be a valid URL, relative URL without a base"),
        ("BASE_URL", "http://me:secret@here:port", ": should be a valid URL, invalid port number"),
        ("TAGS", "a,,b", "=a,,b: Tag at index 1 is empty. Tags must be between 1 and 64 characters"),
        ("INIT_TIMEOUT", "soon", "=soon: should be a valid number, unable to parse string as a number"),
        ("API_KEY", "secret ", ": API key cannot start or end with whitespace"),
        ("JOB_TYPE", "j" * 65, f"={'j' * 65}: should be text of at most 64 characters"),
    ],
)
def test_wandb_variables(variable, value, message, config, monkeypatch):
    check_loggers(config)
    monkeypatch.setenv(f"WANDB_{variable}", value)
    assert refusal(check_loggers, config) == f"WANDB_{variable}{message}"
    check_loggers(config | {"logger": {"wandb": None}})


def test_folders(tmp_path):
    (tmp_path / "file").touch()
    message = refusal(check_command_line, [f"logger.wandb.save_dir={tmp_path}/file"])
    assert message == f"logger.wandb.save_dir={tmp_path}/file: {tmp_path}/file is not a folder; choose another"
    message = refusal(check_command_line, [f"logger.csv.path={tmp_path}/file/x"])
    assert message == f"logger.csv.path={tmp_path}/file/x: {tmp_path}/file is not a folder; choose another"
    message = refusal(check_command_line, [f"logger.csv.path={tmp_path}"])
    assert message == f"logger.csv.path: {tmp_path} is a folder; name a file"


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboardX"), ("trackio", "trackio"), ("mlflow", "mlflow")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(name, package, monkeypatch):
    monkeypatch.setattr("ldg.config.loggers.find_spec", lambda name: name if name == package else None)
    check_command_line([f"logger={name}"])
    monkeypatch.setattr("ldg.config.loggers.find_spec", lambda name: None)
    message = refusal(check_command_line, [f"logger={name}"])
    missing = f'the package {name} is missing: pip install "ldg[{name}]"'
    assert message == f"logger.{name}: {missing}"


def test_a_command_line_is_checked_for_it(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "off")
    assert refusal(check_command_line, []).startswith("WANDB_MODE=off: ")


def test_a_long_name_of_a_sweep_is_shortened_for_wandb(tmp_path):
    hydra = compose_config([]).hydra
    config = _configure(SimpleNamespace(name="s" * 200), tmp_path / "run", [], hydra)
    wandb = config.logger["wandb"]
    assert (wandb["tags"][-1], wandb["group"]) == ("s" * 64, "s" * 128)
    check_calls(config.logger)


@pytest.mark.parametrize("saved", ["logger: {wandb: {id: mine}}", "logger: {csv: {}}", "]", None])
def test_a_run_of_a_sweep_goes_on_in_its_run_of_wandb(saved, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    if saved is not None:
        (tmp_path / "config.yaml").write_text(saved)
    config = _configure(SimpleNamespace(name="s"), tmp_path, [], compose_config([]).hydra)
    assert config.ckpt_path == str(tmp_path / "checkpoints" / "last.ckpt")
    assert (config.logger["wandb"]["id"] == "mine") == (saved == "logger: {wandb: {id: mine}}")
