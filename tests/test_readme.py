"""The commands and the code of README.md and docs/, as written; what is appended makes long ones short."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import yaml

import evaluate
import ldg
from ldg.config.compose import compose_config
from ldg.data.strokes import Strokes, draw_characters
from ldg.evaluation.measure import list_quantities
from ldg.sweeps.command_line import check_command_line
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.plan import make_plan, split_overrides
from tests.conftest import HOME
from tests.data import made
from tests.generation.pages import photograph
from tests.processes import FORKING, call
from tests.runs import carry_out, configured

TUTORIAL = HOME / "docs" / "adding.md"
PAGES = [HOME / "README.md", *sorted(set((HOME / "docs").glob("*.md")) - {TUTORIAL})]
DOCUMENTS = [*PAGES, TUTORIAL, *(HOME / name for name in ("ARCHITECTURE.md", "experiments/README.md"))]
DOCUMENTS += [HOME / name for name in ("ldg/weights/README.md", "ldg/weights/JUDGES.md", "outputs/README.md")]
CONFIGS = sorted(path for folder in ("configs", "experiments") for path in (HOME / folder).rglob("*.yaml"))


def blocks(page, kind):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.S | re.M)


def commands(page, *start):
    """The arguments of a page's commands that begin with these words."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines() if line]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[len(start) :] for line in words if line[: len(start)] == list(start)]


def everywhere(*start):
    """The commands of all pages, each once."""
    return [list(line) for line in dict.fromkeys(tuple(line) for page in PAGES for line in commands(page, *start))]


TRAIN = everywhere("uv", "run", "train.py")
SWEEPS = [command[1:] for command in TRAIN if command[:1] == ["-m"]]
TRAIN = [command for command in TRAIN if command[:1] != ["-m"]]
EVALUATE = everywhere("uv", "run", "evaluate.py")
GENERATE = everywhere("uv", "run", "generate.py")
FONT = everywhere("uv", "run", "ldg", "font")
REPORT = everywhere("uv", "run", "ldg", "sweeps")  # tests/test_installed.py carries out those of docs/install.md
WANDB = [command for command in REPORT if "wandb" in command]  # of a sweep, for W&B
REPORT = [command for command in REPORT if command not in WANDB]
COMPARE = [[name, *line] for name in ("runs", "compare") for line in everywhere("uv", "run", "ldg", name)]
SHORT = [
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
]
FEW = ["data.dataset.per_class=4", "data.dataset.test_per_class=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with tiny data sets, a finished run on strokes and one on Fashion-MNIST."""
    base = tmp_path_factory.mktemp("readme")
    made.emnist(base / "data", "byclass", 124)
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
        made.idx_pair(base / "data/FashionMNIST/raw", part, images, np.arange(40) % 10)
    made.folder(base / "data" / "photos", ["cats", "dogs"], per_class=12)
    made.folder(base / "data", ["faces"], per_class=12)
    made.npz(base / "data" / "pathmnist.npz", {"train": 24, "val": 6, "test": 6})
    made.csv(base / "data" / "digit-recognizer" / "train.csv", 40, side=8)
    made.idx_pair(base / "data/KMNIST/raw", "train", np.zeros((40, 28, 28)), np.arange(40) % 10, packed=False)
    made.idx_pair(base / "data/KMNIST/raw", "t10k", np.zeros((40, 28, 28)), np.arange(40) % 10, packed=False)
    before = os.environ.get("LDG_DATA")
    os.environ["LDG_DATA"] = str(base / "data")
    try:
        for data in ("fashion_mnist", "strokes"):
            run([f"data={data}", f"folder={base}/outputs/{data}/1"])
        yield base
    finally:
        os.environ.pop("LDG_DATA") if before is None else os.environ.update(LDG_DATA=before)


def shortened(overrides):
    """What makes a run take a second: a batch of few images, and neither W&B nor gallery unless they are chosen."""
    added = list(SHORT)
    added += [] if any(o.startswith("logger") for o in overrides) else ["logger=csv"]
    added += [] if any(o.startswith("callbacks.gallery") for o in overrides) else ["callbacks.gallery=null"]
    is_strokes = not any(o.startswith(("data=", "experiment=")) and o != "data=strokes" for o in overrides)
    return added + (FEW if is_strokes else [])


def run(overrides):
    return carry_out(configured(*overrides, *shortened(overrides)))[1]


def test_there_is_something_to_test():
    assert len(TRAIN) >= 10 and len(SWEEPS) >= 5 and len(GENERATE) >= 6 and len(EVALUATE) >= 4 and len(REPORT) >= 1
    assert ["data=fashion_mnist", "model=vanilla_cvae", "conditioning=decoder", "likelihood=gaussian"] in TRAIN
    assert commands(HOME / "README.md", "uv", "run", "--group", "dev", "pytest") == [[]]


@pytest.mark.parametrize("command", TRAIN, ids=" ".join)
def test_train_command(command, folder, tmp_path):
    if any(o.startswith("ckpt_path") for o in command):  # tests/test_train.py resumes runs
        return check_command_line(["--cfg", "job", *command])  # without a look at the run, which is not there
    if "data=parquet" in command:
        pytest.importorskip("pyarrow")
        made.shard(folder / "data" / "hub" / "train-00000-of-00001.parquet", 24, ["cat", "dog", "owl"])
    check_command_line(command)
    summary = run([*command, f"outputs={tmp_path}"])
    assert summary["epochs"] == 1
    assert np.isfinite(summary["metrics"]["test/accuracy" if "experiment=judge" in command else "test/elbo"])
    assert len(list(tmp_path.glob("*/*/checkpoints/best.ckpt"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("command", SWEEPS, ids=" ".join)
def test_sweep_command(command, folder):
    overrides = [o for o in command if not o.startswith("--")]
    check_command_line(["-m", *overrides])  # of every run
    fixed, _ = split_overrides(overrides)
    assert len(make_plan(compose_config(fixed), overrides).runs) > 1


@pytest.mark.parametrize("command", REPORT, ids=" ".join)
def test_report_command(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ledger.open(make_plan(compose_config(["sweep=latent_beta"]), ["sweep=latent_beta"]), "")
    arguments = ["sweeps", *(argument.replace("sweeps/NAME", "sweeps/latent_beta") for argument in command)]
    status, out, err = call(tmp_path, *arguments, script="ldg/__main__.py")
    assert status == 0, err
    assert "outputs/sweeps/latent_beta/report.html" in out


@pytest.mark.parametrize("command", COMPARE, ids=" ".join)
def test_compare_command(command, folder):
    names = {"outputs/NAME/ID": "outputs/strokes/1", "outputs/NAME2/ID2": "outputs/fashion_mnist/1"}
    arguments = [names.get(argument, argument).replace("data=emnist", "data=strokes") for argument in command]
    status, out, err = call(folder, *arguments, script="ldg/__main__.py")
    assert status == 0, err
    assert "outputs/compare.html" in out if command[0] == "compare" else "best val/elbo" in out or "no run match" in out


@pytest.mark.parametrize("command", WANDB, ids=" ".join)
def test_wandb_sweep_command(command, tmp_path):
    status, out, err = call(tmp_path, "sweeps", *command, script="ldg/__main__.py")
    assert status == 0, err
    text = (tmp_path / command[-1]).read_text() if "-s" in command else out
    assert yaml.safe_load(text)["name"].startswith(command[1])


@pytest.mark.slow
@pytest.mark.parametrize("command", EVALUATE, ids=" ".join)
def test_evaluate_command(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names = {"outputs/NAME/ID": "outputs/strokes/1", "outputs/NAME2/ID2": "outputs/fashion_mnist/1"}
    line = [names.get(argument, argument) for argument in command]
    short = ["marginal.samples=4", "latent.probe=60", "class_accuracy.per_class=2", "cas.epochs=1", "distance.rounds=1"]
    assert evaluate.main([*line, *short]) == 0, capsys.readouterr().err
    assert "better" in capsys.readouterr().out  # the head of the table
    written = {name for name in names.values() if (folder / name / "scorecard.png").exists()}
    assert written >= {argument for argument in line if argument.startswith("outputs/")}


@pytest.mark.parametrize("command", GENERATE, ids=" ".join)
def test_generate_command(command, folder):
    (folder / "letter.txt").write_text("Dear friend,\n\nall is well.\n")
    given = command[command.index("--style-text") + 1] if "--style-text" in command else "a"
    labels = np.array([Strokes.classes.index(c) for c in given if c != " "])
    photograph([draw_characters(labels, (0,), 2.8, 0.1)[:, 0] / 255]).save(folder / "me.png")
    before = set(folder.glob("*.*"))
    arguments = [argument.replace("outputs/NAME/ID", "outputs/strokes/1") for argument in command]
    status, out, err = call(folder, *arguments, script="generate.py")
    assert status == 0, err
    (new,) = set(folder.glob("*.*")) - before - {folder / "cut.png", folder / "me.png"}
    assert new.name in out


@pytest.mark.parametrize("command", FONT, ids=" ".join)
def test_font_command(command, tmp_path):
    status, out, err = call(tmp_path, "font", *command, script="ldg/__main__.py")
    assert status == 0, err
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png", ".ttf"] and out.endswith(".ttf\n")


@pytest.mark.parametrize("page", ["README.md", "docs/writing.md"])
def test_the_python_that_writes(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (code,) = [block for block in blocks(HOME / page, "python") if "ldg.load" in block]
    names: dict = {}
    exec(code.replace("outputs/NAME/ID", "outputs/strokes/1"), names)
    assert names["picture"].ndim == 2 and 0 <= names["picture"].min() < names["picture"].max() <= 1
    seed = 3 if "seed=3" in code else 0
    np.testing.assert_array_equal(names["picture"], ldg.write("Hello", "outputs/strokes/1", style="varied", seed=seed))


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(HOME)))
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


def test_every_extra_is_described():
    extras = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = (HOME / "docs" / "install.md").read_text().partition("| extra |")[2].partition("## ")[0]
    assert sorted(re.findall(r"`(\w+)`(?=[^|]*\|.*\|$)", table, re.M)) == sorted(extras)


@pytest.mark.parametrize("page", DOCUMENTS + CONFIGS, ids=lambda page: str(page.relative_to(HOME)))
def test_lines_fit_on_a_screen(page):
    assert not [line for line in page.read_text().splitlines() if len(line) > 120]


def test_every_quantity_is_defined():
    text = (HOME / "docs" / "evaluation.md").read_text()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines() if "|" in line]
    defined = {row[0].strip("`"): row for row in rows if row[0].startswith("`")}
    quantities = list_quantities()
    assert defined.keys() == quantities.keys()
    for name, quantity in quantities.items():
        _, title, unit, better, definition = defined[name]
        assert title == quantity.title and better == (quantity.better or "") and definition
        assert quantity.unit in unit  # some depend on the run


def test_the_readme_is_short():
    assert len((HOME / "README.md").read_text().splitlines()) <= 200


class Project:
    """A copy of the project without its weights, and a process that runs its scripts in forks of itself."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("ldg", "configs", "experiments", "hydra_plugins"):
            ignored = shutil.ignore_patterns("__pycache__", "weights", "benchmarks")
            shutil.copytree(HOME / name, folder / name, ignore=ignored)
        for name in ("train.py", "evaluate.py", "generate.py", "compare.py"):
            shutil.copy(HOME / name, folder)

    def __enter__(self):
        # data, caches and home are those of the copy, whatever the caller's are
        environment = {name: value for name, value in os.environ.items() if name not in ("LDG_DATA", "LDG_HOME")}
        environment["PYTHONPATH"] = str(self.folder)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, "-c", FORKING]
        self.process = subprocess.Popen(command, text=True, cwd=self.folder, env=environment, **pipes)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def run(self, script, *arguments):
        """The output of a script, which must succeed."""
        files = [self.folder / "stdout", self.folder / "stderr"]
        order = {"folder": str(self.folder), "environment": {}, "files": list(map(str, files))}
        order["line"] = [str(self.folder / script), *arguments]
        print(json.dumps(order), file=self.process.stdin, flush=True)
        self.process.stdout.readline()  # the child's id
        status = int(self.process.stdout.readline())
        assert status == 0, f"{script} {shlex.join(arguments)}\n{files[1].read_text()}"
        return files[0].read_text()


def added_files():
    """Path and content of each file that the tutorial adds."""
    for kind in ("python", "yaml"):
        for block in blocks(TUTORIAL, kind):
            first, _, content = block.partition("\n")
            yield first.removeprefix("# "), content


def test_the_tutorial_adds_one_file_and_one_yaml_for_each_thing():
    sections = re.split(r"^## ", TUTORIAL.read_text(), flags=re.M)[1:]
    titles = [section.partition("\n")[0] for section in sections]
    things = ["architecture", "hierarchical architecture", "likelihood", "prior", "measure", "picture", "data set"]
    things += ["logger", "launcher"]
    assert titles.pop(0) == "Classes of your own"
    assert titles == [f"{'An' if thing == 'architecture' else 'A'} {thing}" for thing in things]
    for section in sections[1:]:
        files = re.findall(r"^```(python|yaml)\n# (\S+)$", section, re.M)
        assert 1 <= len(files) <= 2 and len({kind for kind, _ in files}) == len(files), files
    paths = [path for path, _ in added_files()]
    assert paths and not [path for path in paths if (HOME / path).exists()]


@pytest.mark.slow
def test_the_tutorial(tmp_path):
    project = Project(tmp_path / "project")
    for path, content in added_files():
        (project.folder / path).write_text(content)
    kmnist = project.folder / "data" / "kmnist"
    kmnist.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        np.savez(kmnist / f"kmnist-{split}-imgs.npz", rng.integers(0, 256, (40, 28, 28), dtype=np.uint8))
        np.savez(kmnist / f"kmnist-{split}-labels.npz", np.arange(40) % 10)
    seen, newest = set(), None
    with project:
        for script, *arguments in commands(TUTORIAL, "uv", "run"):
            line = [argument.replace("outputs/NAME/ID", str(newest)) for argument in arguments]
            if script == "train.py":
                project.run(script, *line, *shortened(line), "trainer=cpu", "data.batch_size=16")
                new = {path.parent for path in project.folder.glob("outputs/**/summary.json")} - seen
                assert new, line
                for newest in new:
                    metrics = json.loads((newest / "summary.json").read_text())["metrics"]
                    assert np.isfinite(metrics["test/elbo"])
                    assert (newest / "checkpoints" / "best.ckpt").exists()
                seen |= new
            else:
                project.run(script, *line)
    (sweep,) = project.folder.glob("outputs/sweeps/*/runs.csv")
    with sweep.open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["finished", "finished"]
    assert list(project.folder.glob("outputs/*/*/gallery/class_means.png"))
    (card,) = project.folder.glob("outputs/*/*/scorecard.json")
    assert "ink" in json.loads(card.read_text())["results"]
    (page,) = project.folder.glob("outputs/*/*/page.html")
    assert 'src="gallery/data.png"' in page.read_text()
    assert (project.folder / "hello.png").exists()
