"""Resuming: what is used up, the command that a run prints, and what a stranger's checkpoint may say."""

import copy
import json
import shlex
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import ldg
from ldg.checkpoint import read
from ldg.config.compose import HOME, compose_config, resolve_config
from ldg.config.overrides import quote_texts
from ldg.config.run_config import RunConfig
from ldg.errors import UserError
from ldg.training.console import diverged, report, resume_command
from ldg.training.loggers import MetricsFile
from ldg.training.resume import resume_config
from tests.data import made
from tests.fuzz.mutations import mutations
from tests.runs import BARE, DENSE, TINY, resume, rows, train, weights

LINE = [*TINY, "scheduler=none", "test=false"]
COUNTS = ("epochs", "steps", "seconds")


def changed(folder, edit):
    """The content of the run's last checkpoint, changed and saved."""
    content = read(folder / "checkpoints" / "last.ckpt")
    edit(content)
    torch.save(content, folder / "checkpoints" / "last.ckpt")


def use_up(seconds):
    return lambda content: content["callbacks"]["Timer"]["time_elapsed"].update(train=seconds)


def advice(summary, folder, line="resume:"):
    """The arguments of a command that a run prints at its end; None if it prints none."""
    commands = [text for text in report(summary, folder).splitlines() if text.startswith(line)]
    return shlex.split(commands[0].removeprefix(line))[2:] if commands else None


NO_BETTER = ["trainer.max_epochs=50", "optimizer.lr=1e-12", "+callbacks.early_stopping.min_delta=1.0"]


@pytest.mark.parametrize(
    ("line", "edit", "done", "longer", "counts"),
    [
        # in the middle of an epoch, which is over then
        (["+trainer.max_steps=4"], None, "4 steps", "++trainer.max_steps=8", (2, 8)),
        (
            ["trainer.max_epochs=1", "trainer.max_time=00:01:00:00"],
            use_up(7000.2),
            "1 epochs and 7000 s",
            "trainer.max_epochs=2 trainer.max_time=00:03:53:21",
            (2, 12),
        ),
        (
            [*NO_BETTER, "callbacks.early_stopping.patience=1"],
            None,
            "1 epochs without a better val/elbo",
            "++callbacks.early_stopping.patience=2",
            (3, 18),
        ),
    ],
    ids=["steps", "epochs and time", "patience"],
)
def test_a_used_up_budget_is_said_with_a_larger_one_that_works(line, edit, done, longer, counts, tmp_path):
    folder, first = train(*LINE, *line, f"outputs={tmp_path}")
    if edit:
        changed(folder, edit)
    assert "val/elbo" in first["metrics"] and first["checkpoint"] == "checkpoints/best.ckpt"
    with pytest.raises(UserError) as refused:
        resume(folder)
    assert str(refused.value) == f"{folder}/checkpoints/last.ckpt: {done} are done; resume with {longer}"
    path, *overrides = advice(first, folder)
    assert (path, " ".join(overrides)) == (f"ckpt_path={folder}", longer)
    again, second = resume(folder, *overrides)
    assert again == folder
    assert (second["epochs"], second["steps"]) == counts
    assert all(second[key] >= first[key] for key in COUNTS)
    assert len(rows(folder)) == second["epochs"]


def test_counts_are_of_the_whole_run_where_nothing_is_left_to_train(tmp_path):
    """Stopped in its test, a run whose steps are used up has only the test to do."""
    folder, first = train(*LINE, "+trainer.max_steps=10", f"outputs={tmp_path}")
    before = weights(folder)
    (folder / "summary.json").unlink()
    _, second = resume(folder, "test=true")
    assert all(second[key] >= first[key] for key in ("epochs", "steps"))
    assert second["metrics"].keys() > first["metrics"].keys() >= {"val/elbo"}
    assert all(torch.equal(before[name], value) for name, value in weights(folder).items())


def test_an_end_by_steps_changes_no_number_of_the_epochs_before(tmp_path):
    whole, _ = train(*LINE, "trainer.max_epochs=3", f"outputs={tmp_path}")
    part, _ = train(*LINE, "trainer.max_epochs=null", "+trainer.max_steps=12", f"outputs={tmp_path}")
    assert rows(part) == rows(whole)[:2]
    resume(part, "++trainer.max_steps=18")
    assert rows(part) == rows(whole)


@pytest.mark.parametrize(
    ("steps", "line", "hint"),
    [
        (6, [], "only 6 steps of training, from which a model learns little: trainer.max_epochs=34 makes 200"),
        (1, ["trainer.limit_train_batches=1"], "trainer.max_epochs=200 makes 200"),
        (200, [], None),  # so many, as the summary has it
        (4, ["trainer.max_epochs=50", "+trainer.max_steps=4"], None),  # the budget was another
    ],
)
def test_a_run_of_few_steps_says_how_many_epochs_make_enough(steps, line, hint, tmp_path):
    folder, summary = train(*LINE, "trainer.max_epochs=1", *line, f"outputs={tmp_path}")
    lines = [text for text in report(summary | {"steps": steps}, folder).splitlines() if text.startswith("only ")]
    assert [text for text in lines if text.endswith(hint or "")] == lines and len(lines) == bool(hint)


@pytest.mark.parametrize(
    "line",
    [
        ["trainer.limit_val_batches=0", "data.batch_size=1000"],
        ["trainer.check_val_every_n_epoch=2", "scheduler=plateau"],
        ["trainer.num_sanity_val_steps=1000"],
        ["data.dataset.test_per_class=1", "data.dataset.per_class=2"],
    ],
)
def test_a_run_without_validation_or_with_few_images_ends_well(line, tmp_path):
    folder, summary = train(*LINE, *line, "trainer.max_epochs=1", "test=true", f"outputs={tmp_path}")
    table = report(summary, folder)
    assert "elbo" in table and not diverged(summary)
    assert f"--checkpoint {folder}" in table
    assert advice(summary, folder) == [f"ckpt_path={folder}", "trainer.max_epochs=2"]


@pytest.mark.parametrize(
    ("line", "writes", "resumes"),
    [
        (["~callbacks.checkpoint", "~callbacks.last_checkpoint"], False, False),
        (["+callbacks.checkpoint.save_weights_only=true", "~callbacks.last_checkpoint"], True, False),
        (["~callbacks.last_checkpoint"], True, True),
        (["optimizer=sgd", "optimizer.lr=1e9", "callbacks.averaging=null"], False, False),
        (["conditioning=none"], True, True),
    ],
    ids=["no checkpoint", "weights only", "the best alone", "diverged", "unconditional"],
)
def test_what_a_run_prints_at_its_end_can_be_done(line, writes, resumes, tmp_path):
    folder, summary = train(*LINE, "trainer.max_epochs=1", *line, f"outputs={tmp_path}")
    write = advice(summary, folder, "write with it:")
    assert (write is not None) == writes
    assert write is None or write == [*shlex.split(summary["example"]), "--checkpoint", str(folder)]
    assert (advice(summary, folder) is not None) == resumes
    assert diverged(summary) == ("optimizer.lr=1e9" in line)


PLACES = [
    "plain/run",
    "with space",
    "a=b",
    "it's",
    "x,y",
    "[1]",
    "{a}",
    "(b)",
    "#7",
    "2024",
    "ü",
    "$HOME",
    "a:b",
    "null",
]
PLACES += ["back\\slash", 'quote"s', "end\\", "q\\'s", "a;b", "*", "-m"]


@pytest.mark.parametrize("place", PLACES)
def test_the_command_works_in_a_shell_for_a_path_of_any_characters(place):
    override = shlex.split(resume_command(Path(place)))[2]
    (override,) = quote_texts([override])  # as train.py does
    value = OverridesParser.create().parse_override(override).value()
    assert OmegaConf.create({"ckpt_path": value}).ckpt_path == place


def test_the_command_is_one_of_this_folder(monkeypatch):
    monkeypatch.chdir(HOME)
    assert resume_command("outputs/a/b", ["trainer.max_epochs=2"]) == (
        "python train.py ckpt_path=outputs/a/b trainer.max_epochs=2"
    )


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A run whose checkpoint becomes a stranger's."""
    folder, _ = train(*LINE, "trainer.max_epochs=1", f"outputs={tmp_path_factory.mktemp('strange')}")
    return folder


@pytest.fixture
def stranger(strange, tmp_path):
    """The run in another folder, with its config changed."""

    def change(edit):
        content = copy.deepcopy(read(strange / "checkpoints" / "last.ckpt"))
        edit(content["ldg"]["config"])
        (tmp_path / "run" / "checkpoints").mkdir(parents=True)
        torch.save(content, tmp_path / "run" / "checkpoints" / "last.ckpt")
        return tmp_path / "run"

    return change


@cache
def composed(*overrides):
    return RunConfig.from_dict(resolve_config(compose_config(list(overrides))))


def resumed(folder, *overrides):
    """The config of a resumed run, which is not carried out."""
    overrides = "trainer.max_epochs=9", *overrides
    return resume_config(replace(composed(*overrides), ckpt_path=str(folder)), list(overrides))


ELSEWHERE = ["/elsewhere", "../elsewhere", "elsewhere", "~/elsewhere", "memory://elsewhere", "s3://bucket"]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_strangers_run_writes_into_its_folder_or_where_the_user_says(place, stranger, monkeypatch):
    monkeypatch.setenv("LDG_DATA", "mine")

    def edit(config):
        config["callbacks"]["checkpoint"]["dirpath"] = place
        config["callbacks"]["gallery"] = {"_target_": "ldg.callbacks.gallery.Gallery", "folder": place}
        config["logger"]["csv"]["path"] = place
        config |= {"outputs": place}
        config["data"] |= {"cache": place, "root": place}

    folder = stranger(edit)
    config = resumed(folder)
    assert config.callbacks["checkpoint"]["dirpath"] == f"{folder}/checkpoints"
    assert config.callbacks["gallery"]["folder"] == f"{folder}/gallery"
    assert config.logger["csv"]["path"] == f"{folder}/metrics.csv"
    assert (config.outputs, config.data["root"], config.folder) == ("outputs", "mine", str(folder))
    assert place not in str(config.data)


def test_a_run_on_pictures_goes_on_where_they_lie_below_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made.folder(tmp_path / "photos", ["cat", "dog"], per_class=8)
    line = [*DENSE, *BARE, "data=folder", "data.path=photos", f"outputs={tmp_path}/outputs", "trainer.max_epochs=1"]
    folder, _ = train(*line, "test=false")
    (tmp_path / "photos").rename(tmp_path / "data-photos")
    assert ldg.load(folder).sample(torch.zeros(1, dtype=torch.long)).shape == (1, 3, 16, 20)
    with pytest.raises(UserError, match=r"there is no .*photos, nor photos in data\.root="):
        resume(folder, "trainer.max_epochs=2")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data-photos").rename(tmp_path / "elsewhere" / "photos")
    _, summary = resume(folder, "trainer.max_epochs=2", "data.root=elsewhere")
    assert summary["epochs"] == 2


def test_images_are_read_where_they_were_and_nothing_is_written_there(stranger, tmp_path, monkeypatch):
    monkeypatch.delenv("LDG_DATA", raising=False)
    folder = stranger(lambda config: config["data"].update(root=str(tmp_path), download=True))
    data = resumed(folder).data
    assert (data["root"], data["download"]) == (str(tmp_path), False)


PROFILER = {"_target_": "pytorch_lightning.profilers.SimpleProfiler", "dirpath": "/elsewhere", "filename": "x"}
CALLBACK = {"_target_": "pytorch_lightning.callbacks.OnExceptionCheckpoint", "dirpath": "elsewhere"}
COMET = {"_target_": "pytorch_lightning.loggers.CometLogger", "workspace": "theirs"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["trainer"].update(profiler=PROFILER), "trainer.profiler.dirpath=/elsewhere, outside of the run's"),
        (
            lambda c: c["trainer"].update(profiler=PROFILER | {"dirpath": None, "filename": "../x"}),
            "profiler.filename=",
        ),
        (lambda c: c["trainer"].update(plugins=[PROFILER]), "trainer.plugins.dirpath=/elsewhere"),
        (
            lambda c: c["trainer"].update(default_root_dir="."),
            "trainer.default_root_dir=., outside of the run's folder",
        ),
        (lambda c: c["callbacks"].update(more=CALLBACK), "callbacks.more.dirpath=elsewhere, outside"),
        (lambda c: c["logger"].update(comet=COMET), "'pytorch_lightning.loggers.CometLogger' as a target"),
        (lambda c: c["logger"]["csv"].update(_args_=["/elsewhere"]), "_args_=['/elsewhere']"),
        (lambda c: c["logger"]["csv"].update(api_key="${oc.env:HOME}${x}"), "the interpolation '${oc.env:HOME}${x}'"),
        (lambda c: c["logger"]["csv"].update(path="${oc.env:HOME}/x"), "the interpolation '${oc.env:HOME}/x'"),
        (lambda c: c.update(tags=["${oc.env:HOME}"]), "the interpolation '${oc.env:HOME}'"),
        (lambda c: c.update(name="../../up"), "folder in outputs/, as in"),
        (lambda c: c["model"].update(latent_dim=10**12), "does not fit its own config"),
        (lambda c: c["model"]["network"].update(hidden=[10**6]), "its model is larger than its"),
        (lambda c: c["model"].update(latent_dim=5), "does not fit its own config"),
        (lambda c: c.update(trainer=None), "does not fit its own config: trainer is no part of it"),
        (lambda c: c.pop("data"), "does not fit its own config: data is no part of it"),
        (lambda c: c.pop("name"), "name: a run needs it"),
    ],
)
def test_a_strangers_config_is_refused_in_one_line(edit, message, stranger):
    with pytest.raises(UserError) as error:
        resumed(stranger(edit))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_logger_that_the_user_replaces_is_not_asked_about(stranger):
    folder = stranger(lambda config: config["logger"].update(comet=COMET))
    assert resumed(folder, "logger=csv").logger == {
        "csv": {"_target_": "ldg.training.loggers.MetricsFile", "path": f"{folder}/metrics.csv"}
    }


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_another_logger_gets_what_the_run_is(name, stranger):
    """Its name and group are those of the run and not of the choices on the command line."""
    folder = stranger(lambda config: config.update(name="mine", tags=["first"]))
    call = resumed(folder, f"logger={name}").logger[name]
    assert (call["name"], call["group"]) == ("mine", "first")


def test_a_run_named_as_its_folder_keeps_its_name(strange, stranger):
    def edit(config):
        config |= {"name": "old", "folder": "old", "tags": ["old"]}
        config["callbacks"]["checkpoint"]["dirpath"] = "old/checkpoints"

    folder = stranger(edit)
    config = resumed(folder)
    assert (config.name, config.tags, config.folder) == ("old", ["old"], str(folder))
    assert config.callbacks["checkpoint"]["dirpath"] == f"{folder}/checkpoints"


@pytest.mark.parametrize("name", ["metrics.csv", "summary.json", "config.yaml"])
def test_a_damaged_file_in_the_folder_is_no_obstacle_or_one_line(name, strange, tmp_path):
    whole = (strange / name).read_bytes()
    for number, (what, data) in enumerate(mutations(whole, 8)):
        folder = tmp_path / str(number)
        shutil.copytree(strange, folder)
        (folder / name).write_bytes(data)
        try:
            MetricsFile(resumed(folder).logger["csv"]["path"])
        except UserError as error:
            assert "\n" not in str(error) and name in str(error), what


def test_a_summary_of_fewer_steps_does_not_make_a_run_finished(stranger):
    """Resumed with more epochs and stopped in its test: the summary is of the first time."""
    folder = stranger(lambda config: None)
    for steps, finished in ((6, True), (5, False), ("6", False)):
        (folder / "summary.json").write_text(json.dumps({"steps": steps}), encoding="utf-8")
        if finished:
            with pytest.raises(UserError, match="1 epochs are done"):
                resumed(folder, "trainer.max_epochs=1")
        else:
            resumed(folder, "trainer.max_epochs=1")


def test_a_checkpoint_from_elsewhere_is_the_best_until_there_is_a_better_one(strange, tmp_path, monkeypatch):
    """Those of its run that are better may lie anywhere."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(strange / "checkpoints" / "last.ckpt", "x.ckpt")
    folder, summary = resume("x.ckpt", "trainer.max_epochs=2", "++trainer.limit_val_batches=0")
    assert folder.is_relative_to("outputs/" + read("x.ckpt")["ldg"]["config"]["name"])
    elbo = read("x.ckpt")["ldg"]["metrics"]["val/elbo"]
    assert (summary["epochs"], summary["metrics"]["val/elbo"]) == (2, elbo)
    assert (folder / "checkpoints" / "best.ckpt").read_bytes() == Path("x.ckpt").read_bytes()


def test_a_logger_of_an_older_run_is_taken_as_it_is(stranger):
    """Without an id, and with a checkpoint that is logged or not."""
    old = {"_target_": "ldg.training.loggers.WandbRun", "project": "ldg", "mode": "auto", "log_model": True}
    assert resumed(stranger(lambda config: config["logger"].update(wandb=old))).logger["wandb"] == old
