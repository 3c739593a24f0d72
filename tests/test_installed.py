"""ldg as it is installed: a wheel in an environment that does not see the checkout, and a folder elsewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ldg.__main__ import COMMANDS
from tests.conftest import HOME, program
from tests.test_readme import blocks, commands

SHORT = ["logger=csv", "trainer=cpu", "callbacks.gallery=null", "trainer.max_epochs=1", "trainer.limit_train_batches=2"]
PAGE = HOME / "docs" / "install.md"


@pytest.fixture(scope="session")
def bin(tmp_path_factory):
    """The folder of programs of an environment with ldg's wheel, and the packages that it needs from this one."""
    uv, base = program("uv"), tmp_path_factory.mktemp("installed")

    def carry_out(*line):
        subprocess.run(line, check=True, capture_output=True, cwd=base)

    carry_out(uv, "build", "-q", "--wheel", str(HOME), "-o", str(base))
    carry_out(uv, "venv", "-q", "--python", sys.executable, str(base / "venv"))
    python = base / "venv" / "bin" / "python"
    (wheel,) = base.glob("*.whl")
    carry_out(uv, "pip", "install", "-q", "--no-deps", "--python", str(python), str(wheel))
    (packages,) = base.glob("venv/lib/*/site-packages")
    # a folder in a .pth file is searched, but its own .pth files, which name the checkout, are not read
    (packages / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    return python.parent


@pytest.fixture
def here(tmp_path):
    """A user's folder, with the data set and the YAML files of the page."""
    for kind in ("python", "yaml"):
        for block in blocks(PAGE, kind):
            first, _, content = block.partition("\n")
            if first.endswith((".py", ".yaml")):
                file = tmp_path / first.removeprefix("# ")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
    return tmp_path


def start(line, folder, **environment):
    """The finished process of a command, which does not see the checkout."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LDG_HOME", "UV")}
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, env=inherited | environment)


def test_it_is_the_wheel(bin, tmp_path):
    done = start([bin / "python", "-c", "import ldg; print(ldg.__file__)"], tmp_path)
    assert Path(done.stdout).is_relative_to(bin.parent)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_takes_no_time_and_names_the_command(bin, tmp_path, name):
    done = start([bin / "python", "-X", "importtime", bin / "ldg", name, "--help"], tmp_path)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: ldg {name} ")
    assert not re.search(r"python|\.py\b|uv run", done.stdout)
    *lines, last = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in (*lines, last)}
    assert not imported & {"torch", "pytorch_lightning", "hydra", "omegaconf", "pydantic", "wandb", "matplotlib"}
    seconds = sum(int(line.split(":")[1].split("|")[0]) for line in lines if "|" in line and "self" not in line) / 1e6
    assert seconds < 2  # the promise is half a second for all of it, on a quiet machine


def test_the_commands_are_listed(bin, tmp_path):
    for line in ([bin / "ldg"], [bin / "ldg", "--help"], [bin / "python", "-m", "ldg", "-h"]):
        done = start(line, tmp_path)
        assert done.returncode == 0
        listed = re.findall(r"^  (\w+) +[A-Z].*\.$", done.stdout, re.M)
        assert listed == list(COMMANDS) and max(map(len, done.stdout.splitlines())) <= 110


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "there is no command 'trian', did you mean train?"),
        ("generate.py", "there is no command 'generate.py', did you mean write?"),
        ("data=emnist", "there is no command 'data=emnist', did you mean train data=emnist?"),
        ("zzz", "there is no command 'zzz'"),
    ],
)
def test_a_command_that_is_none(bin, tmp_path, word, hint):
    done = start([bin / "ldg", word], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {hint}; see ldg --help\n")


def test_what_comes_with_it_is_found(bin, here):
    (package,) = bin.parent.glob("lib/*/site-packages/ldg")
    folders = ("configs", "experiments/experiment", "experiments/sweep")
    shipped = {file.relative_to(HOME) for folder in folders for file in (HOME / folder).rglob("*.yaml")}
    assert {file.relative_to(package) for file in package.rglob("*.yaml")} == shipped
    done = start([bin / "ldg", "train", "--config-dir", "mine", "experiment=my_thing", "--cfg", "job"], here)
    assert done.returncode == 0 and "_target_: mydata.Mine" in done.stdout
    done = start([bin / "ldg", "train", "--config-dir", "mine", "--help"], here)
    assert re.search(r"^experiment: .*handwriting,.* my_thing", done.stdout, re.M | re.S)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["train", "modle=vanilla_cvae"], "modle: no such key, did you mean model?; see ldg train --cfg job"),
        (
            ["train", "--confg-dir=x"],
            "unknown option '--confg-dir=x', did you mean --config-dir?; see ldg train --help",
        ),
        (["train", "--help", "--config-dir", "yours"], "--config-dir=yours: there is no such folder"),
        (["schema", "--config-dir", "yours"], "--config-dir=yours: there is no such folder"),
        (["write"], 'nothing to write: give a text, as in: ldg write "Hello World"'),
        (["evaluate", "x", "elbow.samples=2"], "there is no measure 'elbow', did you mean elbo?; choose from elbo, "),
        (
            ["train", "--config-dir", "mine", "experiment=my_thing", "data.dataset.count=x"],
            'data.dataset.count="x": should be a valid integer',
        ),
        (
            ["train", "--config-dir", "mine", "data=mine", "data.dataset._target_=mydata.Yours"],
            "data.dataset._target_: there is no mydata.Yours",
        ),
    ],
)
def test_messages_name_the_command(bin, here, line, message):
    done = start([bin / "ldg", *line], here)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1


COMPLETE = """
eval "$(ldg -sc install=bash)"
complete -p ldg
complete_line() {
    COMP_LINE=$1; COMP_POINT=${#1}; COMP_CWORD=$2; COMPREPLY=()
    hydra_bash_completion
    echo "${COMPREPLY[*]}"
}
"""


@pytest.mark.parametrize(
    ("lines", "replies"),
    [
        (
            ["ldg ", "ldg tr", "ldg write Hel"],
            [" ".join(COMMANDS), "train", ""],
        ),
        (
            ["ldg train model=v", "ldg train -m --dry-run model=vanilla_cvae model.network.h"],
            ["model=vanilla_cvae", "model.network.hidden."],
        ),
        (["ldg train --config-dir mine experiment=my"], ["experiment=my_thing"]),
    ],
)
def test_bash_completes_a_line(bin, here, lines, replies):
    calls = [f"complete_line {shlex.quote(line)} {len(line.split(' ')) - 1}" for line in lines]
    script = "\n".join([COMPLETE, *calls])
    path = os.pathsep.join([str(bin), os.environ["PATH"]])
    done = start([program("bash"), "--norc", "-c", script], here, PATH=path)
    first, *rest = done.stdout.splitlines()
    assert done.stderr == "" and first.endswith("-F hydra_bash_completion ldg")
    assert rest == replies


def test_bash_completes_scripts_of_a_checkout(tmp_path):
    names = ["train.py model=v", "generate.py zz", "evaluate.py zz"]  # no file begins with zz
    calls = [f'complete_line "python {name}" 2' for name in names]
    script = "\n".join([COMPLETE.replace("ldg", "python").replace("python -sc", "python train.py -sc"), *calls])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = start([program("bash"), "--norc", "-c", script], HOME, PATH=path, PYTHONPATH=str(HOME))
    assert done.stderr == "" and done.stdout.splitlines()[1:] == ["model=vanilla_cvae", "", ""]


@pytest.mark.slow
def test_it_trains_writes_and_evaluates(bin, here):
    def ldg(*line):
        done = start([bin / "ldg", *line], here, LDG_DATA=str(here / "data"))
        assert done.returncode == 0, done.stderr
        return done.stdout

    first, *lines = commands(PAGE, "ldg")
    printed = ldg(*first, *SHORT)
    for line in lines:
        ldg(*line)
    assert (here / "ldg.schema.json").exists()
    (run,) = here.glob("outputs/my_thing/*")
    again = re.search(r"^resume: +ldg (.*)", printed, re.M)
    then = re.search(r"^write with it: +ldg (.*)", printed, re.M)
    assert again and then
    ldg(*shlex.split(again[1]))
    assert json.loads((run / "summary.json").read_text())["epochs"] == 2
    assert ldg(*shlex.split(then[1])) == "circle-square.png\n"
    assert "ELBO" in ldg("evaluate", str(run), "--only", "elbo")
    assert (run / "scorecard.png").exists()
    ldg("export", str(run), "mine.safetensors")
    assert ldg("write", "square", "--checkpoint", "mine.safetensors", "-s", "square") == "square.png\n"
    # with what comes with ldg alone; two processes, the second of which Lightning starts
    few = ["data.dataset.per_class=4", "data.dataset.test_per_class=2"]
    ldg("train", "model=vanilla_cvae", *SHORT, *few, "trainer=ddp", "trainer.accelerator=cpu", "outputs=others")
    assert len(list(here.glob("others/*/*/summary.json"))) == 1
    assert ldg("train", "-m", "sweep=latent_beta", "--dry-run").count("latent_dim=") == 12
    ldg("train", "-m", "model=vanilla_cvae", "seed=1,2", *SHORT, *few, "sweep_name=seeds")
    assert "report.html" in ldg("sweeps", "outputs/sweeps/seeds")
    command = re.search(r"^command: (.*)", (here / "outputs/sweeps/seeds/sweep.yaml").read_text(), re.M)
    assert command and command[1].startswith("ldg train --multirun model=vanilla_cvae")
