"""The judges that come with ldg: which data sets they fit, how they are named, and what their card says."""

import hashlib
import json
import re
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open

from experiments import judge_card
from ldg.checkpoint import SHIPPED
from ldg.commands.export import export
from ldg.data.emnist import EMNIST
from ldg.evaluation import report, scorecard, table
from ldg.evaluation.class_accuracy import ClassAccuracy
from ldg.evaluation.distance import Distance
from ldg.evaluation.judge import find_judge, find_shipped_judge, load_judge
from tests.runs import STROKES, TINY, train

SHAPE = (1, 28, 28)
CLASSES = EMNIST().classes  # those of the tests' strokes, too


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run of a tiny judge."""
    line = ["experiment=judge", *STROKES, "model.channels=[4,8]", "trainer=cpu", "logger=csv", "trainer.max_epochs=1"]
    return train(*line, f"outputs={tmp_path_factory.mktemp('outputs')}")[0]


@pytest.fixture
def shipped(trained, tmp_path, monkeypatch):
    """The file of this judge, where those lie that come with ldg; none can be trained."""
    file = tmp_path / "judge_strokes.safetensors"
    export(trained, file)
    monkeypatch.setattr("ldg.evaluation.judge.SHIPPED", tmp_path / "handwriting.safetensors")
    monkeypatch.setattr("ldg.training.run.run", lambda *_: pytest.fail("a judge is trained"))
    return file


@pytest.mark.parametrize(
    ("target", "classes", "shape", "fits"),
    [
        ("strokes.Strokes", CLASSES, SHAPE, True),
        ("strokes.Strokes", CLASSES[::-1], SHAPE, False),
        ("strokes.Strokes", CLASSES[:-1], SHAPE, False),
        ("strokes.Strokes", CLASSES, (1, 32, 32), False),
        ("emnist.EMNIST", CLASSES, SHAPE, False),  # although there is a file of this name
        ("fashion_mnist.FashionMNIST", CLASSES, SHAPE, False),
    ],
)
def test_a_judge_that_comes_with_ldg_is_for_its_own_kind_of_data(target, classes, shape, fits, shipped):
    shipped.with_name("judge_emnist.safetensors").write_bytes(shipped.read_bytes())
    data = SimpleNamespace(classes=classes, image_shape=shape)
    judge = find_shipped_judge(data, {"dataset": {"_target_": f"ldg.data.{target}"}})
    assert (judge is not None) == fits


def test_a_scorecard_names_the_judge_and_its_hash(shipped, tmp_path):
    folder, _ = train(*TINY, "trainer.max_epochs=1", f"outputs={tmp_path}/outputs")
    name = f"judge_strokes {hashlib.sha256(shipped.read_bytes()).hexdigest()[:12]} ({len(CLASSES)} classes, 8 f"
    measures = {"class_accuracy": ClassAccuracy(1), "distance": Distance(1)}
    card, context = scorecard.evaluate_checkpoint(folder, measures)
    report.publish_scorecard(card, context)
    content = json.loads((folder / "scorecard.json").read_text())
    for measure in measures:
        assert name in content["results"][measure]["setting"] and name in (folder / "scorecard.md").read_text()
    figure, _ = report.picture_of(card).draw(lambda labels: context.sample(labels, "sheet"), context.model)
    assert figure.get_supxlabel().count(name) == 1
    assert scorecard.read_scorecard(folder / "scorecard.json") == card
    content["results"]["distance"]["detail"]["features"] = ["?"]
    (folder / "scorecard.json").write_text(json.dumps(content))
    with pytest.raises(scorecard.UserError, match="damaged"):
        scorecard.read_scorecard(folder / "scorecard.json")
    other = scorecard.Scorecard("b", "b.ckpt", 0, card.model, {**card.results}, made=card.made)
    other.results["distance"] = Distance(1)(scorecard.EvaluationContext(context.model, judge=load_judge(shipped)))
    assert len(table.best_columns([card, other], "fid")) > 0  # by the same judge
    other.results["distance"].setting = other.results["distance"].setting.replace("judge_strokes ", "judge_strokes 0")
    assert not table.best_columns([card, other], "fid")


def test_whoever_wants_a_judge_of_this_machine_gets_one(shipped, monkeypatch):
    monkeypatch.setattr("ldg.evaluation.judge.train_judge", lambda *_, device: f"trained on {device}")
    data = SimpleNamespace(classes=CLASSES, image_shape=SHAPE)
    model = SimpleNamespace(device="cpu", config={"data": {"dataset": {"_target_": "ldg.data.strokes.Strokes"}}})
    assert find_judge(model, data, "train") == "trained on cpu"
    assert find_judge(model, data).title == load_judge(shipped).title
    shipped.unlink()
    assert find_judge(model, data) == "trained on cpu"


def test_the_file_of_a_judge_is_in_half_precision_and_recognises_the_same(shipped, trained, capsys):
    with safe_open(shipped, framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys() if "running_" not in name}  # noqa: SIM118
    assert kinds == {torch.float16, torch.int64}  # the batches that batch norm has counted
    judge_card.main([str(trained), str(shipped)])
    head, _, line = ([cell.strip() for cell in row.split("|")[1:-1]] for row in capsys.readouterr().out.splitlines())
    row = dict(zip(head, line, strict=True))
    check_row(row, shipped)
    assert row["test images"] == str(2 * len(CLASSES)) and int(row["changed"]) <= 2
    assert abs(float(row["accuracy"][:-1]) - float(row["in half precision"][:-1])) < 2


def check_row(row, file):
    """A line of the card is about this file."""
    judge = load_judge(file)
    assert row["judge"] == f"`{file.stem}`"
    assert row["SHA-256"] == f"`{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}`"
    assert int(row["parameters"].replace(",", "")) == sum(p.numel() for p in judge.parameters())
    assert int(row["classes"]) == len(judge.classes)
    assert float(row["MB"]) == pytest.approx(file.stat().st_size / 1e6, abs=0.006)


def test_the_card_describes_the_judges_that_come_with_ldg():
    text = SHIPPED.with_name("JUDGES.md").read_text()
    columns = judge_card.HEAD.split("|")
    _, _, rest = text.partition(f"| {' | '.join(columns)} |\n")
    rows = re.findall(r"^\| (`judge_.*) \|$", rest, re.M)
    rows = [dict(zip(columns, row.split(" | "), strict=True)) for row in rows]
    files = sorted(SHIPPED.parent.glob("judge_*.safetensors"))
    assert sorted(row["judge"].strip("`") for row in rows) == [file.stem for file in files]
    for row in rows:
        file = SHIPPED.with_name(f"{row['judge'].strip('`')}.safetensors")
        check_row(row, file)
        assert file.stat().st_size < 3_000_000 and f"| `{file.stem}` |" in text.partition("## What")[0]
