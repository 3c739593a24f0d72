"""Scorecards: kept in files, set side by side, and complete about what could not be measured."""

import dataclasses
import json
import math
import os
import shutil

import pytest
import torch
from PIL import Image

from ldg.checkpoint import build, data_config, load, load_data
from ldg.config.compose import compose_measures
from ldg.data.dataset import cache_folder
from ldg.errors import UserError
from ldg.evaluation import report, scorecard, table
from ldg.evaluation.context import EvaluationContext
from ldg.evaluation.judge import compose_judge_config, load_judge, require_fitting, train_judge
from ldg.evaluation.measure import Result, Value, list_quantities
from ldg.models.classifier import Classifier
from tests.fuzz.mutations import mutations
from tests.runs import FEW, MEASURES, TINY, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    return train(*TINY, "trainer.max_epochs=1", f"outputs={outputs}")[0]


@pytest.fixture(scope="module")
def measured(folder):
    """The scorecard of a tiny run with every measure, what was measured, and the lines that were reported."""
    lines = []
    measures = scorecard.build_measures(compose_measures(FEW))
    card, context = scorecard.evaluate_checkpoint(folder, measures, judge="train", report=lines.append)
    return card, context, lines


def card(name="a", **values):
    results = {"elbo": Result("alike", {key: Value(v, 0.5, "nats", "higher") for key, v in values.items()})}
    return scorecard.Scorecard(name, f"{name}.ckpt", 0, {"data": "Strokes"}, results, made={"date": "2026-11-23"})


def test_every_measure_has_a_yaml_and_describes_its_setting(measured):
    card, _, lines = measured
    assert sorted(card.results) == MEASURES and not card.skipped and not card.problems
    assert [line.split(" ")[0] for line in lines] == list(card.results) == list(compose_measures([]))
    for name, result in card.results.items():
        assert result.setting and result.values
        declared = {quantity.name for quantity in scorecard.build_measures(compose_measures([]))[name].quantities}
        assert set(result.values) <= declared
    for name in ("class_accuracy", "class_accuracy_by_frequency", "class_accuracy_merged", "fid", "precision", "cas"):
        assert card.values[name].reference is not None and card.values[name].error is not None


def test_the_files_hold_what_was_measured(measured, folder):
    card, context, _ = measured
    assert report.publish_scorecard(card, context) == folder
    content = json.loads((folder / "scorecard.json").read_text())
    assert content["schema"] == "ldg.scorecard/1"
    assert content["results"]["elbo"]["values"]["elbo"]["value"] == card.values["elbo"].value
    assert scorecard.read_scorecard(folder / "scorecard.json") == card
    text = (folder / "scorecard.md").read_text()
    for name in card.values:
        assert list_quantities()[name].title in text
    for result in card.results.values():
        assert result.setting in text
    width, height = Image.open(folder / "scorecard.png").size
    assert width > 1500 and height > 1000
    assert {path.name for path in folder.glob("*scorecard*")} == {
        f"scorecard.{kind}" for kind in ("json", "md", "npz", "png")
    }


def test_the_elbo_is_that_of_the_test_at_the_end_of_training(measured, folder):
    reached = json.loads((folder / "summary.json").read_text())["metrics"]["test/elbo"]
    value = measured[0].values["elbo"]
    assert abs(value.value - reached) < 3 * value.error  # another draw of z


def test_the_judge_is_trained_once(folder, measured, monkeypatch):
    monkeypatch.setattr("ldg.training.run.run", lambda *_: pytest.fail("it is trained again"))
    model = load(folder)
    for device in (None, torch.device("cuda:1")):
        assert train_judge(load_data(model), data_config(model), device=device).classes == model.classes


@pytest.mark.parametrize(
    ("device", "accelerator", "devices"),
    [("cpu", "cpu", 1), ("cuda", "gpu", [0]), ("cuda:1", "gpu", [1]), ("mps", "mps", 1)],
)
def test_a_judge_is_trained_on_the_device_of_the_evaluation(folder, device, accelerator, devices):
    trainer = compose_judge_config(data_config(load(folder)), device=torch.device(device))["trainer"]
    assert (trainer["accelerator"], trainer["devices"]) == (accelerator, devices)


def test_the_judge_belongs_to_its_images(folder):
    config = data_config(load(folder))
    other = config | {"dataset": config["dataset"] | {"seed": 5}}
    prints = {build(c).fingerprint for c in (config, other, config | {"batch_size": 7})}
    assert len(prints) == 2  # other images, another judge; other batches, the same


def test_the_best_of_a_row_is_marked_only_where_it_was_measured_alike():
    first, second = card("a", elbo=-130.0), card("b", elbo=-128.0)
    assert table.best_columns([first, second], "elbo") == {1}
    assert "**-128.00 ± 0.50**" in table.format_markdown_table([first, second])
    assert r"| a\|b | b |" in table.format_markdown_table([card("a|b", elbo=-130.0), second])
    second.results["elbo"] = dataclasses.replace(second.results["elbo"], setting="otherwise")
    assert table.best_columns([first, second], "elbo") == set()
    assert table.best_columns([first], "elbo") == set()
    assert table.best_columns([card("a", elbo=1.0), card("b", elbo=math.nan), card("c", elbo=0.5)], "elbo") == {0}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(-128.7134, 0.307), "-128.71 ± 0.31"),
        (Value(0.00612, 0.0000213), "0.006120 ± 0.000021"),
        (Value(5304.2, 864.0), "5,304 ± 864"),
        (Value(668116), "668,116"),
        (Value(math.nan, 0.1), "NaN"),
        (Value(2.0, math.nan), "2"),
        (Value(2.5, math.inf), "2.500"),
        (Value(-math.inf), "-inf"),
    ],
)
def test_numbers_are_as_long_as_their_error_allows(value, text):
    assert table.format_value(value) == text


def test_nan_is_reported(tmp_path):
    broken = card("a", elbo=math.nan, kl=2.0)
    assert broken.problems == ["elbo"]
    broken.save(tmp_path)
    content = json.loads((tmp_path / "scorecard.json").read_text())
    assert content["results"]["elbo"]["values"]["elbo"]["value"] is None and content["problems"] == ["elbo"]
    assert math.isnan(scorecard.read_scorecard(tmp_path / "scorecard.json").values["elbo"].value)
    assert "a: elbo is NaN or infinite" in table.format_text([broken])
    content["schema"] = "ldg.scorecard/9"
    (tmp_path / "scorecard.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="not of the format"):
        scorecard.read_scorecard(tmp_path / "scorecard.json")


def test_a_picture_is_drawn_of_what_is_nan(measured, tmp_path):
    card, context, _ = measured
    content = json.loads(json.dumps(card.to_dict()))
    latent = content["results"]["latent"]
    latent["detail"]["kl_per_dim"][0] = latent["values"]["active_units"]["value"] = None
    content["results"]["class_accuracy"]["detail"]["per_class"][0] = None
    content["results"]["distance"]["values"]["precision"]["value"] = None
    (tmp_path / "scorecard.json").write_text(json.dumps(content))
    picture = report.picture_of(scorecard.read_scorecard(tmp_path / "scorecard.json"))
    figure, _ = picture.draw(lambda labels: context.sample(labels, "sheet"), context.model)
    figure.savefig(tmp_path / "card.png", dpi=20)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("values", "class_accuracy", "value"), "high"),
        (("values", "class_accuracy", "better"), "sideways"),
        (("detail", "confusion"), [[1, 2]]),
        (("detail", "per_class"), None),
        (("detail",), []),
        (("setting",), 3),
    ],
)
def test_a_scorecard_whose_parts_do_not_fit_together_is_damaged(measured, tmp_path, place, value):
    content = json.loads(json.dumps(measured[0].to_dict()))
    node = content["results"]["class_accuracy"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (tmp_path / "scorecard.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="is damaged"):
        scorecard.read_scorecard(tmp_path / "scorecard.json")


def test_a_judge_of_other_classes_or_images_is_refused(folder):
    model = load(folder)
    judge = Classifier((1, 28, 28), 10, channels=[4, 4])
    judge.classes = tuple("0123456789")
    with pytest.raises(UserError, match=r"--judge: it has 10 classes \(0, 1, 2, ...\), and the model 62 classes"):
        scorecard.evaluate_checkpoint(folder, {}, judge=judge)
    judge = Classifier((3, 32, 32), 62, channels=[4, 4])
    judge.classes = model.classes
    with pytest.raises(UserError, match=r"its images are \[3, 32, 32\], and the model's \[1, 28, 28\]"):
        require_fitting(judge, model)


def test_a_damaged_file_gives_a_table_or_one_line(measured, tmp_path):
    file = tmp_path / "scorecard.json"
    measured[0].save(tmp_path)
    for what, data in mutations(file.read_bytes(), int(os.environ.get("LDG_FUZZ", 40))):
        file.write_bytes(data)
        try:
            assert table.format_text([scorecard.read_scorecard(file)]), what
        except UserError as error:
            assert "\n" not in str(error), what
        except Exception as error:
            pytest.fail(f"{what}: {error!r}")


OLD = {
    "schema": "ldg.scorecard/1",
    "name": "a",
    "checkpoint": "a.ckpt",
    "seed": 0,
    "model": {"data": "EMNIST"},
    "results": {
        "reads": {
            "setting": "100 images a class",
            "values": {
                name: {"value": value, "error": 0.01, "unit": "", "better": "higher", "reference": 0.9}
                for name, value in (("reads", 0.7), ("reads_overall", 0.8), ("reads_merged", None))
            },
            "detail": {"classes": ["a"], "per_class": [0.7], "per_class_real": [0.9], "confusion": [[1]]},
        }
    },
    "skipped": {"reads": "no labels", "cas": "no labels"},
    "made": {"date": "2026-11-23"},
    "problems": ["reads_merged"],
}
NEW = ("class_accuracy", "class_accuracy_by_frequency", "class_accuracy_merged")


def test_a_file_with_the_old_names_is_read_with_the_new_ones(tmp_path):
    file = tmp_path / "scorecard.json"
    file.write_text(json.dumps(OLD))
    card = scorecard.read_scorecard(file)
    assert list(card.results) == ["class_accuracy"] and list(card.skipped) == ["class_accuracy", "cas"]
    assert tuple(card.values) == NEW and set(NEW) <= set(list_quantities())
    assert card.values["class_accuracy"] == Value(0.7, 0.01, "", "higher", 0.9)
    assert card.problems == ["class_accuracy_merged"]
    card.save(tmp_path)
    assert "reads" not in file.read_text()
    assert list(scorecard.read_scorecard(file).values) == list(card.values)
    assert report.picture_of(card).class_accuracy == OLD["results"]["reads"]["detail"]


def test_without_its_data_set_a_model_is_still_timed(folder, monkeypatch):
    model = load(folder)
    model.config = {"data": {"dataset": {"_target_": "ldg.data.emnist.EMNIST", "split": "byclass"}}}
    model.config["data"] |= {"_target_": "ldg.data.module.ImageDataModule", "image_shape": [1, 28, 28]}
    model.config["data"] |= {"num_classes": 62, "root": "/nowhere"}
    monkeypatch.delenv("LDG_DATA", raising=False)
    monkeypatch.setattr(scorecard.checkpoint, "load", lambda path, device: model)
    card, _ = scorecard.evaluate_checkpoint(folder, scorecard.build_measures(compose_measures(FEW)))
    assert sorted(card.results) == ["speed"]
    assert sorted(card.skipped) == [name for name in MEASURES if name != "speed"]
    assert all("needs the data set" in reason and "/nowhere" in reason for reason in card.skipped.values())
    assert "elbo skipped, needs the data set" in table.format_text([card])


def test_a_judge_in_the_place_of_a_run_and_the_reverse(folder, measured):
    with pytest.raises(UserError, match="a judge classifies them"):
        load_judge(folder)
    judges = cache_folder(data_config(load(folder))["cache"]).glob("judges/judge_strokes-*")
    judge = next(path for path in judges if path.is_dir())
    with pytest.raises(UserError, match="is a Classifier"):
        scorecard.evaluate_checkpoint(judge, {})


def test_a_damaged_judge_says_how_to_have_a_new_one(folder, measured, tmp_path):
    model = load(folder)
    config = data_config(model)
    cache = tmp_path / "cache"
    shutil.copytree(cache_folder(config["cache"]) / "judges", cache / "judges")
    for file in cache.glob("judges/*/checkpoints/*"):
        file.write_bytes(b"")
    with pytest.raises(
        UserError, match=rf"unusable, remove {cache}/judges/judge_strokes-\w+ and it is trained again: "
    ):
        train_judge(load_data(model), config | {"cache": str(cache)})


def test_a_context_can_be_made_by_hand(folder):
    context = EvaluationContext(load(folder))
    assert len(context.images("test")[0]) == 124
    assert torch.equal(context.images("train", 10)[1], context.images("train", 10)[1])
