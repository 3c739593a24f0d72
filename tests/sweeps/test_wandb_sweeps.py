"""W&B's sweep definitions: the spaces of ldg's sweeps, in command lines that train.py accepts; runs log what varied."""

import itertools
import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args, load_sweep_config
from wandb.sdk.lib.config_util import save_config_file_from_dict

from ldg.config.compose import compose_config, replace_folder, resolve_config
from ldg.config.overrides import parse_overrides
from ldg.sweeps.command_line import check_command_line
from ldg.sweeps.plan import make_plan
from tests.conftest import HOME
from tests.runs import STROKES, configured
from tests.training.test_wandb import inspect

DEFINITIONS = {path.stem: path for path in sorted((HOME / "experiments" / "wandb").glob("*.yaml"))}
# type and scale of the numbers between two bounds
BOUNDED = {"uniform": (float, "linear"), "log_uniform_values": (float, "log"), "int_uniform": (int, "linear")}


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
    return [word for part in parts for word in (macros[part[2:-1]] if part.startswith("${") else [part])]


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


def config_of(*overrides):
    """The config of a run, without what the sweep and W&B's agent set."""
    config = resolve_config(compose_config(list(overrides)))
    config = replace_folder(config, config["folder"], "folder")
    return {key: value for key, value in config.items() if key not in ("logger", "tags", "name")}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_is_the_sweep_of_the_same_name(name):
    definition = load_sweep_config(str(DEFINITIONS[name]))
    plan = make_plan(compose_config([f"sweep={name}"]), [f"sweep={name}"])
    spaces = {key: space_of_definition(parameter) for key, parameter in definition["parameters"].items()}
    assert spaces == {key: space_of_sweep(key, text) for key, text in plan.parameters.items()}
    assert plan.objectives == {definition["metric"]["name"]: definition["metric"]["goal"]}
    assert len(plan.runs) == definition.get("run_cap", len(list(combinations(definition))))
    fixed = [part for part in definition["command"] if "=" in part]
    assert config_of(*fixed) == config_of(f"sweep={name}")


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_has_what_a_sweep_needs(name):
    definition = load_sweep_config(str(DEFINITIONS[name]))
    assert definition["name"] == name
    assert (HOME / definition["program"]).is_file()
    assert definition["metric"] == {"name": "val/elbo", "goal": "maximize"}
    assert definition["method"] in ("grid", "bayes")
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", key) for key in definition["parameters"])  # W&B's schema
    if definition["method"] == "bayes":
        assert definition["run_cap"] > 0 and definition["early_terminate"]["type"] == "hyperband"
    else:
        assert all(parameter.keys() == {"values"} for parameter in definition["parameters"].values())


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_command_line_of_the_agent_is_accepted(name):
    definition = load_sweep_config(str(DEFINITIONS[name]))
    seen = set()
    for chosen in covering(definition):
        command = command_line(definition, chosen)
        assert command[:3] == ["/usr/bin/env", "python", "train.py"]
        if not seen:
            check_command_line(command[3:])  # what train.py does first: the same checks as below
        config = configured(*command[3:]).to_dict()
        wandb = config["logger"]["wandb"]
        assert (wandb["group"], wandb["tags"], wandb["project"]) == (name, [name], definition["project"])
        for key, value in chosen.items():
            if key in ("model", "likelihood"):
                assert wandb["choices"][key] == value
            else:
                node = config
                for part in key.split("."):
                    node = node[part]
                assert node == (yaml.safe_load(value) if isinstance(value, str) else pytest.approx(value))
        seen.add(json.dumps(chosen))
    assert len(seen) > 1


@pytest.mark.slow
def test_a_run_of_an_agent_has_usable_columns(tmp_path):
    """A sweep over ``model`` keeps that column for itself; the model's settings are there all the same."""
    definition = load_sweep_config(str(DEFINITIONS["architectures"]))
    chosen = {"model": "vanilla_cvae", "conditioning": "decoder"}
    command = command_line(definition, chosen)
    parameters = tmp_path / "config-run1.yaml"
    save_config_file_from_dict(str(parameters), {name: {"value": value} for name, value in chosen.items()})
    # as the agent sets them
    agent = {"DIR": tmp_path, "RUN_ID": "run1", "SWEEP_ID": "sweep1", "SWEEP_PARAM_PATH": parameters}
    environment = os.environ | {f"WANDB_{name}": str(value) for name, value in agent.items()}
    environment.pop("WANDB_SERVICE", None)  # the agent leaves it out, too
    tiny = [*STROKES, "model.latent_dim=2", "model.network.hidden=[8]", "trainer=cpu", "debug=fast"]
    line = [*command[3:], *tiny, "callbacks.gallery=null", "logger=wandb", "trainer.max_epochs=1"]
    done = subprocess.run(
        [sys.executable, str(HOME / command[2]), *line],
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
