"""The W&B workspace: built without network, and of names that runs really log."""

import builtins
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ldg.commands.cli import exit_status
from ldg.commands.dashboard import main
from ldg.config.compose import compose_measures
from ldg.evaluation.measure import list_quantities
from ldg.evaluation.report import after_training
from ldg.evaluation.scorecard import build_measures
from ldg.training.run import run
from tests.runs import DENSE, FEW, STROKES, configured
from tests.training.test_wandb import account, inspect, log_of, server  # noqa: F401  # fixtures, too

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside wandb-workspaces
LINE = [
    *STROKES,
    *DENSE,
    "trainer=cpu",
    "model.latent_dim=2",
    "trainer.max_epochs=2",
    "likelihood=discretized_logistic",
]
WITHOUT_A_JUDGE = ["elbo", "marginal", "latent", "reconstruction", "speed"]
BY_A_JUDGE = {"class_accuracy", "class_accuracy_by_frequency", "class_accuracy_merged"}
BY_A_JUDGE |= {"fid", "kid", "precision", "recall", "cas"}
BY_A_JUDGE |= {"style_accuracy", "style_pen", "style_slant", "style_size"}


def dashboard(*arguments):
    """The exit status of the command."""
    return exit_status(lambda: main(list(arguments)))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """The summary and the config of a tiny offline run with a gallery and most of a scorecard, as in its log."""
    measures = build_measures(compose_measures(FEW), WITHOUT_A_JUDGE)
    score = after_training(measures, 0, lambda line: None)
    log = log_of(run(configured(*LINE, f"outputs={tmp_path_factory.mktemp('outputs')}"), afterwards=score))
    content = json.loads(inspect(log, "--summary"))
    return content["summary"], content["config"]


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    """The panels' settings by section, as the saved file has them."""
    file = tmp_path_factory.mktemp("dashboard") / "dashboard.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ldg.commands.dashboard.has_credentials", lambda: False)
        assert dashboard("--save", str(file)) == 0
    bank = json.loads(file.read_text())["section"]["panelBankConfig"]
    return {section["name"]: section["panels"] for section in bank["sections"]}


def settings(panels, name):
    return [value for panel in panels for value in panel["config"].get(name, [])]


def test_the_sections(sections):
    kinds = {name: {panel["viewType"] for panel in panels} for name, panels in sections.items()}
    assert kinds == {
        "ELBO": {"Run History Line Plot"},
        "Choices": {"Parallel Coordinates Plot"},
        "Scorecard": {"Media Browser", "Bar Chart"},
        "Gallery": {"Media Browser"},
    }


def test_every_curve_is_logged(sections, logged):
    summary, _ = logged
    names = set(settings(sections["ELBO"], "metrics"))
    assert {panel["config"]["xAxis"] for panel in sections["ELBO"]} == {"epoch"}
    assert {*names, "epoch"} <= summary.keys()
    numbers = {key for key in summary if key.startswith(("train/", "val/"))} | {"beta", "lr"}
    assert numbers - names == {"train/loss", "val/loss"}  # its weights may change with the epoch


def test_the_scorecard_is_what_an_evaluation_adds(sections, logged):
    summary, _ = logged
    names = {name.removeprefix("test/") for name in settings(sections["Scorecard"], "metrics")}
    assert names == set(list_quantities())
    assert {name for name in names if f"test/{name}" not in summary} == BY_A_JUDGE
    assert settings(sections["Scorecard"], "mediaKeys") == ["scorecard_picture"]
    assert summary["scorecard_picture"]["_type"] == "images/separated"


def test_the_gallery_is_complete(sections, logged):
    summary, _ = logged
    assert set(settings(sections["Gallery"], "mediaKeys")) == {key for key in summary if key.startswith("gallery/")}


def test_the_coordinates_are_columns_of_a_run(sections, logged):
    summary, config = logged
    columns = [column["accessor"] for column in settings(sections["Choices"], "columns")]
    *chosen, score = columns
    assert sorted(accessor.removeprefix("config:choices.value.") for accessor in chosen) == sorted(config["choices"])
    assert score == "summary:val/elbo.max" and "max" in summary["val/elbo"]
    assert config["choices"]["model"] == "vanilla_cvae" and config["choices"]["latent_dim"] == 2


def test_without_an_account_the_error_says_what_to_do(sections, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ldg.commands.dashboard.has_credentials", lambda: False)
    assert dashboard() == 2
    assert capsys.readouterr().err == "error: no one is logged in to W&B: wandb login, or --save FILE.json\n"
    assert dashboard("--save", str(tmp_path / "a.json")) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'a.json'}\n"
    assert err == "W&B: no one is logged in (wandb login), so the file alone is written\n"
    assert dashboard("--save", str(tmp_path / "a.json" / "b.json")) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_with_an_account_it_is_saved_in_wandb(sections, monkeypatch, capsys):
    saved = []
    monkeypatch.setattr("ldg.commands.dashboard.has_credentials", lambda: True)
    monkeypatch.setattr("wandb.Api", lambda timeout: SimpleNamespace(viewer=SimpleNamespace(entity="me")))
    monkeypatch.setattr("wandb_workspaces.workspaces.Workspace.save", lambda view: saved.append(view))
    assert dashboard("--entity", "team", "--project", "mine") == 0
    (view,) = saved
    assert (view.entity, view.project) == ("team", "mine")


@pytest.mark.parametrize(("mode", "reason"), [("401", "user is not logged in"), ("garbage", "invalid character '<'")])
def test_a_server_that_refuses_is_named_in_one_line(mode, reason, server, capsys):  # noqa: F811
    server.mode = mode
    capsys.readouterr()
    assert dashboard("--entity", "team") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: W&B: ") and reason in err and err.count("\n") == 1
    assert err.endswith("; --save FILE.json does without it\n")


def test_after_save_the_advice_is_not_given_again(monkeypatch, capsys, tmp_path):
    def refused():
        raise ValueError("the key is\nno key")

    monkeypatch.setattr("ldg.commands.dashboard.has_credentials", refused)
    assert dashboard("--save", str(tmp_path / "a.json")) == 2
    assert capsys.readouterr().err == f"error: W&B: the key is no key; the view is in {tmp_path / 'a.json'}\n"


def test_a_fault_of_the_view_keeps_its_traceback(monkeypatch):
    def broken(entity, project):
        if entity:  # the view may be built without one as well
            raise KeyError(entity)

    monkeypatch.setattr("ldg.commands.dashboard.has_credentials", lambda: True)
    monkeypatch.setattr("wandb.Api", lambda timeout: SimpleNamespace(viewer=SimpleNamespace(entity="me")))
    monkeypatch.setattr("ldg.commands.dashboard.build_workspace", broken)
    with pytest.raises(KeyError):
        dashboard("--entity", "team")


def test_a_missing_package_is_named(monkeypatch, capsys):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("wandb_workspaces"):
            raise ModuleNotFoundError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert dashboard("--save", "dashboard.json") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and 'pip install "ldg[dashboard]"' in err and err.count("\n") == 1


def test_the_file_is_written_without_what_only_training_needs(tmp_path):
    code = "import sys; from ldg.commands.dashboard import main; main(['--save', 'a.json'])"
    code += "; print({'pytorch_lightning', 'torchvision', 'torchmetrics'} & {*sys.modules})"
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "a.json\nset()\n", done.stderr


def test_a_report_compares_the_runs_that_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ldg.commands.dashboard.has_credentials", lambda: False)
    monkeypatch.chdir(tmp_path)
    for name, wandb in (("one", "id1"), ("two", "id2"), ("three", None)):
        folder = tmp_path / "outputs" / name / "1"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"name: {name}\n")
        (folder / "summary.json").write_text(json.dumps({"wandb": wandb}))
    (tmp_path / "notes.md").write_text("the **hypothesis**")
    line = ["outputs", "--title", "which prior", "--notes", "notes.md", "--save", "report.json"]
    assert dashboard(*line) == 0, capsys.readouterr().err
    text = (tmp_path / "report.json").read_text()
    grids = [block for block in json.loads(text)["blocks"] if block["type"] == "panel-grid"]
    for grid in grids:
        (runs,) = grid["metadata"]["runSets"]
        (chosen,) = runs["filters"]["filters"]
        assert chosen["key"]["name"] == "name" and chosen["value"] == ["id1", "id2"]
    kinds = [panel["viewType"] for grid in grids for panel in grid["metadata"]["panelBankSectionConfig"]["panels"]]
    assert {"Run Comparer", "Run History Line Plot", "Parallel Coordinates Plot", "Bar Chart", "Media Browser"} <= {
        *kinds
    }
    assert "the **hypothesis**" in text and "val/elbo" in text and "gallery/strings" in text
    assert dashboard("outputs/three", "--save", "none.json") == 2
    assert "is known to W&B" in capsys.readouterr().err and not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("condition", ["state=failed", ""])
def test_conditions_are_those_of_a_report(condition, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "one" / "1").mkdir(parents=True)
    (tmp_path / "outputs" / "one" / "1" / "config.yaml").write_text("name: one\n")
    (tmp_path / "outputs" / "one" / "1" / "summary.json").write_text("{}")
    assert dashboard("--where", condition, "--save", "a.json") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: no run matches --where state=failed; " if condition else "error: ")
    assert err.count("\n") == 1 and not (tmp_path / "a.json").exists()
