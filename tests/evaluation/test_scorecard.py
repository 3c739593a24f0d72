"""Scorecards: kept in files, set side by side, and honest about what could not be measured."""

import dataclasses
import json
import math

import pytest
import torch
from PIL import Image

from ldg.checkpoint import load
from ldg.data.module import ImageDataModule
from ldg.errors import UserError
from ldg.evaluation import judge as judges
from ldg.evaluation import report, scorecard, table
from ldg.evaluation.measure import Result, Value
from ldg.evaluation.subject import Subject, data_config, data_of
from ldg.training.config import accept_measures
from tests.conftest import HOME
from tests.runs import TINY, train

FEW = ["marginal.samples=2", "marginal.images=20", "reads.per_class=1", "distance.rounds=2", "latent.probe=60"]
FEW += ["speed.repeats=1", "cas.epochs=1"]
MEASURES = sorted(file.stem for file in (HOME / "configs/measure").glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    return train(*TINY, "trainer.max_epochs=1", f"outputs={outputs}")[0]


@pytest.fixture(scope="module")
def measured(folder):
    """The scorecard of a tiny run, every measure on it, and what was told meanwhile."""
    told = []
    chosen = scorecard.make(accept_measures(FEW, HOME))
    card, subject = scorecard.evaluate(folder, chosen, tell=told.append)
    return card, subject, told


def card(name="a", **values):
    results = {"elbo": Result("alike", {key: Value(v, 0.5, "nats", "higher") for key, v in values.items()})}
    return scorecard.Scorecard(name, f"{name}.ckpt", 0, {"data": "Strokes"}, results, made={"date": "2026-11-23"})


def test_every_measure_has_a_yaml_and_says_how_it_was_made(measured):
    card, _, told = measured
    assert sorted(card.results) == MEASURES and not card.skipped and not card.problems
    assert [line.split(" ")[0] for line in told] == list(card.results)
    assert set(card.values) <= set(table.TITLES)
    for result in card.results.values():
        assert result.setting and result.values
    for name in ("reads", "reads_overall", "reads_merged", "fid", "precision", "cas"):
        assert card.values[name].reference is not None and card.values[name].error is not None


def test_the_files_hold_what_was_measured(measured, folder):
    card, subject, _ = measured
    assert report.publish(card, subject) == folder
    content = json.loads((folder / "scorecard.json").read_text())
    assert content["schema"] == "ldg.scorecard/1"
    assert content["results"]["elbo"]["values"]["elbo"]["value"] == card.values["elbo"].value
    assert scorecard.read(folder / "scorecard.json") == card
    text = (folder / "scorecard.md").read_text()
    for name in card.values:
        assert table.TITLES[name] in text
    for result in card.results.values():
        assert result.setting in text
    width, height = Image.open(folder / "scorecard.png").size
    assert width > 1500 and height > 1000
    assert not list(folder.glob("*.part"))


def test_the_elbo_is_that_of_the_test_at_the_end_of_training(measured, folder):
    reached = json.loads((folder / "summary.json").read_text())["metrics"]["test/elbo"]
    value = measured[0].values["elbo"]
    assert abs(value.value - reached) < 3 * value.error  # another draw of z


def test_the_judge_is_trained_once(folder, measured):
    model = load(folder)
    (cached,) = [
        p for p in judges.cache_folder(data_config(model)["cache"]).glob("judges/judge_strokes-*") if p.is_dir()
    ][:1]
    before = (cached / "checkpoints/best.ckpt").stat().st_mtime_ns
    again = judges.find(data_of(model), data_config(model))
    assert (cached / "checkpoints/best.ckpt").stat().st_mtime_ns == before
    assert again.classes == model.classes


def test_the_judge_belongs_to_its_images(folder):
    config = data_config(load(folder))
    other = config | {"dataset": config["dataset"] | {"seed": 5}}
    prints = {ImageDataModule.fingerprint.fget(judges_data(c)) for c in (config, other, config | {"batch_size": 7})}
    assert len(prints) == 2  # other images, another judge; other batches, the same


def judges_data(config):
    from ldg.checkpoint import build

    return build(config)


def test_the_best_of_a_row_is_marked_only_where_it_was_measured_alike():
    first, second = card("a", elbo=-130.0), card("b", elbo=-128.0)
    assert table.best([first, second], "elbo") == {1}
    assert "**-128.00 ± 0.50**" in table.markdown_rows([first, second])
    second.results["elbo"] = dataclasses.replace(second.results["elbo"], setting="otherwise")
    assert table.best([first, second], "elbo") == set()
    assert table.best([first], "elbo") == set()
    assert table.best([card("a", elbo=1.0), card("b", elbo=math.nan), card("c", elbo=0.5)], "elbo") == {0}


def test_numbers_are_as_long_as_their_error_allows():
    assert table.cell(Value(-128.7134, 0.307)) == "-128.71 ± 0.31"
    assert table.cell(Value(0.00612, 0.0000213)) == "0.006120 ± 0.000021"
    assert table.cell(Value(5304.2, 864.0)) == "5,304 ± 864"
    assert table.cell(Value(668116)) == "668,116"
    assert table.cell(Value(math.nan, 0.1)) == "no number"


def test_what_is_no_number_is_reported(tmp_path):
    broken = card("a", elbo=math.nan, kl=2.0)
    assert broken.problems == ["elbo"]
    broken.save(tmp_path)
    content = json.loads((tmp_path / "scorecard.json").read_text())
    assert content["results"]["elbo"]["values"]["elbo"]["value"] is None and content["problems"] == ["elbo"]
    assert math.isnan(scorecard.read(tmp_path / "scorecard.json").values["elbo"].value)
    assert "a: elbo is no number" in table.console([broken])
    content["schema"] = "ldg.scorecard/9"
    (tmp_path / "scorecard.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="not of the format"):
        scorecard.read(tmp_path / "scorecard.json")


def test_without_its_data_set_a_model_is_still_timed(folder, monkeypatch):
    model = load(folder)
    model.config = {"data": {"dataset": {"_target_": "ldg.data.emnist.EMNIST", "split": "digits"}}}
    model.config["data"] |= {"_target_": "ldg.data.module.ImageDataModule", "image_shape": [1, 28, 28]}
    model.config["data"] |= {"num_classes": 10, "root": "/nowhere"}
    monkeypatch.delenv("LDG_DATA", raising=False)
    monkeypatch.setattr(scorecard.checkpoint, "load", lambda path: model)
    found, _ = scorecard.evaluate(folder, scorecard.make(accept_measures(FEW, HOME)))
    assert sorted(found.results) == ["speed"]
    assert sorted(found.skipped) == [name for name in MEASURES if name != "speed"]
    assert all("needs the data set" in reason and "/nowhere" in reason for reason in found.skipped.values())
    assert "elbo skipped, needs the data set" in table.console([found])


def test_a_judge_in_the_place_of_a_run_and_the_reverse(folder, measured):
    with pytest.raises(UserError, match="a judge reads them"):
        judges.load_judge(folder)
    cache = judges.cache_folder(data_config(load(folder))["cache"])
    judge = next(p for p in cache.glob("judges/judge_strokes-*") if p.is_dir())
    with pytest.raises(UserError, match="is a Classifier, which reads images"):
        scorecard.evaluate(judge, {})


def test_a_subject_can_be_made_by_hand(folder):
    subject = Subject(load(folder))
    assert len(subject.images("test")[0]) == 124
    assert torch.equal(subject.images("train", 10)[1], subject.images("train", 10)[1])
