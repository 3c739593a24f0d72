"""ldg's sweeps as W&B's: the same spaces, in command lines that ldg train accepts; runs log what varied."""

import contextlib
import functools
import io
import itertools
import json
import os
import subprocess
import sys

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args, load_sweep_config
from wandb.sdk.lib.config_util import save_config_file_from_dict

from ldg.commands.sweeps import main
from ldg.config.compose import compose_config
from ldg.config.overrides import parse_overrides
from ldg.errors import UserError
from ldg.sweeps.command_line import check_command_line
from ldg.sweeps.plan import make_plan
from tests.conftest import HOME
from tests.runs import STROKES, configured
from tests.sweeps.test_plan import SWEEPS
from tests.training.test_wandb import inspect

# type and scale of the numbers between two bounds
BOUNDED = {"uniform": (float, "linear"), "log_uniform_values": (float, "log"), "int_uniform": (int, "linear")}


@functools.cache
def define(*arguments):
    """The definition that ``ldg sweeps wandb`` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["wandb", *arguments])
    return yaml.safe_load(out.getvalue())


def values(parameter):
    """All values of a parameter, or its bounds."""
    if "values" in parameter:
        assert parameter.keys() == {"values"}
        return parameter["values"]
    assert parameter.keys() == {"distribution", "min", "max"} and parameter["distribution"] in BOUNDED
    assert parameter["min"] < parameter["max"]
    return [parameter["min"], parameter["max"]]


def combinations(definition):
    parameters = definition["parameters"]
    for chosen in itertools.product(*map(values, parameters.values())):
        yield dict(zip(parameters, chosen, strict=True))


def covering(definition):
    """Combinations that have each value at least once."""
    lists = {name: values(parameter) for name, parameter in definition["parameters"].items()}
    for index in range(max(map(len, lists.values()))):
        yield {name: choices[index % len(choices)] for name, choices in lists.items()}


def command_line(definition, chosen):
    """The command that W&B's agent makes of a definition and its parameters' values."""
    macros = create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [definition["program"]]}
    parts = map(str, create_sweep_command(list(definition["command"])))
    command = [word for part in parts for word in (macros[part[2:-1]] if part.startswith("${") else [part])]
    assert command[:5] == ["/usr/bin/env", "python", "-m", "ldg", "train"]
    return command[5:]


def space_of_definition(parameter):
    """Values, or type, scale and bounds of a parameter in W&B's syntax."""
    plain = [yaml.safe_load(str(value)) for value in values(parameter)]
    return plain if "values" in parameter else (*BOUNDED[parameter["distribution"]], *plain)


def space_of_sweep(key, text):
    """The same of a parameter in Hydra's syntax."""
    (override,) = parse_overrides([f"{key}={','.join(text) if isinstance(text, list) else text}"])
    if override.is_interval_sweep():
        interval = override.value()
        scale = "log" if "log" in interval.tags else "linear"
        return type(interval.start), scale, interval.start, interval.end
    return [yaml.safe_load(value) for value in override.sweep_string_iterator()]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_definition_is_the_sweep_of_the_same_name(name):
    definition = define(name)
    plan = make_plan(compose_config([f"sweep={name}"]), [f"sweep={name}"])
    spaces = {key: space_of_definition(parameter) for key, parameter in definition["parameters"].items()}
    assert spaces == {key: space_of_sweep(key, text) for key, text in plan.parameters.items()}
    assert (definition["name"], definition["project"]) == (name, "ldg")
    assert plan.objectives == {definition["metric"]["name"]: definition["metric"]["goal"]}
    assert definition["method"] == ("bayes" if plan.study else "grid")
    assert len(plan.runs) == definition.get("run_cap", len(list(combinations(definition))))


def test_an_optuna_study_becomes_a_bayesian_search():
    definition = define("tune_conv")
    assert definition["parameters"] == {
        "optimizer.lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 4e-2},
        "model.network.channels": {"values": ["[8,16,32]", "[16,32,64]", "[32,64,128]"]},  # text: W&B tunes no lists
        "model.latent_dim": {"values": [8, 16, 24, 32, 40, 48, 56, 64]},
        "model.kl.warmup_epochs": {"distribution": "uniform", "min": 0.5, "max": 3.0},
    }
    assert definition["early_terminate"] == {"type": "hyperband", "min_iter": 2, "eta": 2}
    sampler, pruner = "hydra.sweeper.study.sampler._target_=optuna.samplers", "hydra.sweeper.study.pruner"
    other = define("tune_conv", f"{sampler}.RandomSampler", f"{pruner}=null", "model.latent_dim=int(interval(2,9))")
    assert other["method"] == "random" and "early_terminate" not in other
    assert other["parameters"]["model.latent_dim"] == {"distribution": "int_uniform", "min": 2, "max": 9}


def test_overrides_extend_and_replace_the_sweep(tmp_path, capsys):
    line = ["latent_beta", "data=fashion_mnist", "model.latent_dim=2", "callbacks.gallery.text=a,null", "seed=1"]
    main(["wandb", *line, "logger.wandb.project=my letters", "-s", str(tmp_path / "sweep.yaml")])
    assert capsys.readouterr().out == f"{tmp_path}/sweep.yaml\n"
    definition = load_sweep_config(str(tmp_path / "sweep.yaml"))
    assert definition["parameters"] == {
        "model.kl.beta": {"values": [0.5, 1, 2]},
        "callbacks.gallery.text": {"values": ["a", "null"]},  # W&B's null would come as the text None
    }
    assert definition["project"] == "my letters" and definition["name"].startswith("latent_beta-")
    config = configured(*command_line(definition, {"model.kl.beta": 0.5, "callbacks.gallery.text": "null"}))
    assert (config.seed, config.model["latent_dim"], config.model["kl"]["beta"]) == (1, 2, 0.5)
    assert config.callbacks["gallery"]["text"] is None and config.logger["wandb"]["project"] == "my letters"


@pytest.mark.parametrize("name", SWEEPS)
def test_every_command_line_of_the_agent_is_accepted(name, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")  # as the agent sets it
    definition, names = define(name), []
    for chosen in covering(definition):
        command = command_line(definition, chosen)
        if not names:
            check_command_line(command)  # what ldg train does first: the same checks as below
        config = configured(*command).to_dict()
        wandb = config["logger"]["wandb"]
        assert (wandb["group"], wandb["tags"], wandb["project"]) == (name, [name], "ldg")
        for key, value in chosen.items():
            if key in ("model", "likelihood"):
                assert wandb["choices"][key] == value
            else:
                node = config
                for part in key.split("."):
                    node = node[part]
                assert node == (yaml.safe_load(value) if isinstance(value, str) else pytest.approx(value))
        names.append(wandb["name"])
    assert len(names) > 1
    assert set(names) == {None} if name == "tune_conv" else len(set(names)) == len(names)
    assert (config["trainer"]["max_epochs"] == 1) == (name == "speed")  # which says so for all of its runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latent_bet"], "sweep=latent_bet: no such choice, did you mean latent_beta?"),
        (["latent_beta", "model.latent_dim=0,4"], "model.latent_dim=0: should be greater than 0"),
        (["latent_beta", "model/kl=linear,half"], "model/kl: names of W&B's parameters have letters, digits and _ . -"),
        (["speed", "logger=csv"], "W&B hands out runs that log to it; choose logger=wandb"),
        (["speed", "--online"], "--online goes with a sweep's folder; leave it out"),
        (["speed", "seed=1"], "nothing varies; give several values, as in seed=1,2"),
        (["tune_conv", "+hydra.sweeper.objectives.parameters=minimize"], "W&B knows one, not val/elbo, parameters"),
        (
            ["tune_conv", "model.latent_dim=tag(log,int(interval(4,64)))"],
            "model.latent_dim=tag(log,int(interval(4,64))): W&B has no logarithmic scale of whole numbers",
        ),
        (
            ["tune_conv", "hydra.sweeper.study.sampler._target_=optuna.samplers.BruteForceSampler"],
            "W&B has no BruteForceSampler; choose one of TPESampler, ",
        ),
        (
            [
                "tune_conv",
                "hydra.sweeper.study.pruner._target_=optuna.pruners.PercentilePruner",
                "+hydra.sweeper.study.pruner.percentile=25.0",
            ],
            "W&B has no PercentilePruner; choose MedianPruner, HyperbandPruner or, for none, null",
        ),
    ],
)
def test_what_wandb_has_no_form_for_is_one_line(arguments, message, tmp_path):
    with pytest.raises(UserError) as error:
        main(["wandb", *arguments, "-s", str(tmp_path / "sweep.yaml")])
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_a_name_the_names_are_listed_at_once(tmp_path):
    heavy = "{'torch', 'pydantic', 'hydra', 'numpy'} & {*sys.modules}"
    (tmp_path / "mine" / "sweep").mkdir(parents=True)
    (tmp_path / "mine" / "sweep" / "my_own.yaml").touch()
    code = "import sys; from ldg.__main__ import main; from ldg.commands.cli import exit_status; line = sys.argv[1:]\n"
    code += f"print(exit_status(lambda: main(line)), {heavy})"
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    for options, names in (([], [*SWEEPS]), (["--config-dir", "mine"], [*SWEEPS, "my_own"])):
        line = [sys.executable, "-c", code, "sweeps", "wandb", *options]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.stdout == "2 set()\n"
        assert done.stderr.endswith(f" sweeps wandb NAME: name one of {', '.join(sorted(names))}\n")
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_a_sweep_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "sweep").mkdir(parents=True)
    text = (HOME / "experiments" / "sweep" / "latent_beta.yaml").read_text()
    (tmp_path / "mine" / "sweep" / "my_own.yaml").write_text(text)
    definition = define("my_own", "--config-dir", "mine")
    assert definition["parameters"] == define("latent_beta")["parameters"]
    command = command_line(definition, next(combinations(definition)))
    assert command[0] == "--config-dir=mine"
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    check_command_line(command)
    for line in (["wandb", "my_own"], ["wandb", "my_own", "--config-dir", "none"]):
        with pytest.raises(UserError, match=r"^(sweep=my_own|--config-dir=none): .*no such"):
            main(line)


@pytest.mark.parametrize("line", [["a", "b"], ["a", "-s", "b.yaml"], ["a", "--config-dir", "b"]], ids=" ".join)
def test_a_report_is_of_one_folder(line):
    with pytest.raises(UserError, match=r"a file for W&B is made by: .* wandb NAME"):
        main(line)


@pytest.mark.slow
def test_a_run_of_an_agent_has_usable_columns(tmp_path):
    """A sweep over ``model`` keeps that column for itself; the model's settings are there all the same."""
    definition = define("architectures")
    chosen = {"model": "vanilla_cvae", "conditioning": "decoder"}
    command = command_line(definition, chosen)
    parameters = tmp_path / "config-run1.yaml"
    save_config_file_from_dict(str(parameters), {name: {"value": value} for name, value in chosen.items()})
    # as the agent sets them
    agent = {"DIR": tmp_path, "RUN_ID": "run1", "SWEEP_ID": "sweep1", "SWEEP_PARAM_PATH": parameters}
    environment = os.environ | {f"WANDB_{name}": str(value) for name, value in agent.items()}
    environment["PYTHONPATH"] = str(HOME)
    environment.pop("WANDB_SERVICE", None)  # the agent leaves it out, too
    tiny = [*STROKES, "model.latent_dim=2", "model.network.hidden=[8]", "trainer=cpu", "debug=fast"]
    line = [*command, *tiny, "callbacks.gallery=null", "logger=wandb", "trainer.max_epochs=1"]
    done = subprocess.run(
        [sys.executable, "-m", "ldg", "train", *line],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob("outputs/wandb/offline-run-*/run-run1.wandb")
    config = json.loads(inspect(log, "--summary"))["config"]
    run = next(record["run"] for record in map(json.loads, inspect(log).splitlines()) if record["type"] == "run")
    assert (run["run_group"], run["tags"], run["sweep_id"]) == ("architectures", ["architectures"], "sweep1")
    assert (config["model"], config["conditioning"]) == ("vanilla_cvae", "decoder")
    assert config["model.latent_dim"] == 2 and config["model.network.hidden"] == [8]
    assert config["choices"]["model"] == "vanilla_cvae" and config["choices"]["latent_dim"] == 2
    assert config["optimizer"]["lr"] > 0  # nested, as in every other run
    assert "ignored update" not in done.stderr
