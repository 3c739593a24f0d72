"""W&B's sweep definitions: its own agent makes command lines of them that train.py accepts; runs log what varied."""

import itertools
import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from wandb import wandb_agent
from wandb.sdk.launch.sweeps.utils import load_sweep_config

from ldg.training.config import accept
from tests.conftest import HOME
from tests.runs import STROKES, configured
from tests.training.test_wandb import inspect

DEFINITIONS = {path.stem: path for path in sorted((HOME / "experiments" / "wandb").glob("*.yaml"))}
BOUNDED = {"uniform", "log_uniform_values", "int_uniform"}


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


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """From a definition and its parameters' values to the command and the environment that W&B's agent starts."""
    for name in ("RUN_ID", "SWEEP_PARAM_PATH"):
        monkeypatch.setenv(f"WANDB_{name}", "")  # the agent sets them: undone after the test
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    started = []
    monkeypatch.setattr(wandb_agent, "AgentProcess", lambda **process: started.append(process) or type("P", (), {})())

    def start(definition, chosen):
        one = wandb_agent.Agent(api=None, queue=None, sweep_id="sweep1")
        one._sweep_command = list(definition["command"])
        arguments = {name: {"value": value} for name, value in chosen.items()}
        one._command_run({"run_id": "run1", "program": definition["program"], "args": arguments})
        return started[-1]["command"], started[-1]["env"]

    return start


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
def test_every_command_line_of_the_agent_is_accepted(name, agent):
    definition = load_sweep_config(str(DEFINITIONS[name]))
    seen = set()
    for chosen in combinations(definition):
        command, _ = agent(definition, chosen)
        assert command[:3] == ["/usr/bin/env", "python", "train.py"]
        if not seen:
            accept(command[3:], HOME)  # what train.py does first: the same checks as below
        config = configured(*command[3:])
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
    assert len(seen) == len(list(combinations(definition))) > 1


def test_a_run_of_an_agent_has_usable_columns(agent, tmp_path):
    """A sweep over ``model`` keeps that column for itself; the model's settings are there all the same."""
    definition = load_sweep_config(str(DEFINITIONS["architectures"]))
    command, env = agent(definition, {"model": "vanilla_cvae", "conditioning": "decoder"})
    tiny = [*STROKES, "model.latent_dim=2", "model.encoder.hidden=[8]", "trainer=cpu", "debug=fast"]
    line = [*command[3:], *tiny, "callbacks.gallery=null", "logger=wandb", "trainer.max_epochs=1"]
    done = subprocess.run(
        [sys.executable, str(HOME / command[2]), *line],
        cwd=tmp_path,
        env={key: value for key, value in env.items() if key != "WANDB_SERVICE"},  # the agent leaves it out, too
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
    assert config["model.latent_dim"] == 2 and config["model.encoder.hidden"] == [8]
    assert config["choices"]["model"] == "vanilla_cvae" and config["choices"]["latent_dim"] == 2
    assert config["optimizer"]["lr"] > 0  # nested, as in every other run
    assert "ignored update" not in done.stderr


def test_the_environment_is_left_as_it_was():
    assert not {"WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"} & os.environ.keys()
