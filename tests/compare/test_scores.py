"""Scorecards side by side: differences, their standard errors, and where there are none."""

import math

import numpy as np
import pytest

from ldg.compare.scores import Scores
from ldg.evaluation.measure import Value
from ldg.runs.run import Run
from tests.compare import made

RNG = np.random.default_rng(0)
A = RNG.normal(-100, 20, 50)
B = A + RNG.normal(1, 1, 50)


def rows(*folders):
    return {row.name: row for row in Scores([Run(folder) for folder in folders]).rows()}


@pytest.fixture
def two(tmp_path):
    return made.run(tmp_path, "a", 0), made.run(tmp_path, "b", 1)


def test_a_paired_difference_is_that_of_each_image(two):
    for folder, elbos in zip(two, (A, B), strict=True):
        made.scorecard(folder, elbos)
    row = rows(*two)["elbo"]
    difference = B.astype(np.float32) - A.astype(np.float32).astype(float)
    error = difference.std(ddof=1) / math.sqrt(50)
    assert row.title == "ELBO, nats" and row.differences[0] is None and row.best == {1}
    mine = row.differences[1]
    assert mine.is_paired and mine.better == "higher" and mine.is_better is True
    assert mine.value == pytest.approx(difference.mean(), rel=1e-9) and mine.error == pytest.approx(error, rel=1e-9)
    assert mine.significance == pytest.approx(difference.mean() / error, rel=1e-9)
    assert row.texts[1] == f"{B.mean():.1f} ± {B.std(ddof=1) / math.sqrt(50):.1f}"
    _, back = rows(*reversed(two))["elbo"].differences
    assert back.value == pytest.approx(-mine.value) and back.is_better is False


def test_the_first_run_with_a_scorecard_is_the_baseline(two, tmp_path):
    without = made.run(tmp_path, "c", 2)
    for folder, elbos in zip(two, (A, B), strict=True):
        made.scorecard(folder, elbos)
    assert [difference is None for difference in rows(without, *two)["elbo"].differences] == [True, True, False]


@pytest.mark.parametrize("case", ["no numbers", "another number", "unknown images", "NaN", "others"])
def test_an_unpaired_difference_has_the_errors_of_both(two, case):
    kinds = {"unknown images": {"images": ""}, "no numbers": {"per_image": False}}
    first = made.scorecard(two[0], A)
    second = made.scorecard(two[1], B[:30] if case == "another number" else B, **kinds.get(case, {}))
    if case == "unknown images":
        first = made.scorecard(two[0], A, images="")
    if case == "NaN":
        np.savez(two[1] / "scorecard.npz", elbo=np.where(np.arange(50) == 3, np.nan, B))
    if case == "others":  # of an earlier scorecard
        np.savez(two[1] / "scorecard.npz", elbo=B + 1)
    one, other = first.values["elbo"], second.values["elbo"]
    mine = rows(*two)["elbo"].differences[1]
    assert not mine.is_paired and mine.value == pytest.approx(other.value - one.value)
    assert mine.error == pytest.approx(math.hypot(one.error, other.error))
    assert mine.is_better is None  # by less than two standard errors


def test_a_difference_without_an_error_is_not_significant(two):
    for folder, seconds in zip(two, (1.0, 2.0), strict=True):
        made.scorecard(folder, A, speed=Value(seconds, None, "ms", "lower"), count=Value(3.0, 0.5, ""))
    row = rows(*two)
    mine = row["speed"].differences[1]
    assert (mine.value, mine.error, mine.significance, mine.is_better) == (1.0, None, None, None)
    assert row["count"].differences[1].is_better is None  # neither direction is good


def test_what_is_small_is_better_where_that_is_good(two):
    for folder, fid in zip(two, (10.0, 7.0), strict=True):
        made.scorecard(folder, A, fid=Value(fid, 0.3, "", "lower"))
    mine = rows(*two)["fid"].differences[1]
    assert mine.significance == pytest.approx(-3 / math.hypot(0.3, 0.3)) and mine.is_better is True


@pytest.mark.parametrize("other", ["data", "images", "unit", "setting", "NaN", "missing", "damaged"])
def test_what_does_not_compare_has_no_difference(two, other):
    made.scorecard(two[0], A, fid=Value(1.0, 0.1, "", "lower"))
    kinds = {"data": {"data": "EMNIST"}, "images": {"images": "def"}}
    value = Value(math.nan if other == "NaN" else 2.0, 0.1, "px" if other == "unit" else "", "lower")
    card = made.scorecard(two[1], A, **kinds.get(other, {}), **({} if other == "missing" else {"fid": value}))
    if other == "setting":
        card.results["more"].setting = "with another judge"
        card.save(two[1])
    if other == "damaged":
        (two[1] / "scorecard.json").write_text('{"schema": "ldg.scorecard/1"}')
    row = rows(*two)["fid"]
    assert row.differences == [None, None] and row.best == set()
    assert row.texts[1] == {"NaN": "NaN", "missing": "", "damaged": ""}.get(other, "2.00 ± 0.10")


def test_values_stand_in_the_order_of_the_measures_with_what_real_images_reach(two):
    made.scorecard(two[0], A, zzz=Value(1.0), kl=Value(2.0, None, "nats"))
    assert list(rows(two[0])) == ["elbo", "kl", "class_accuracy", "zzz"]
    assert rows(*two)["class_accuracy"].reference == "0.9000"
    assert rows(two[1]) == {}


def test_confusions_are_those_of_the_same_classes(two, tmp_path):
    third = made.run(tmp_path, "c", 2)
    for folder in (*two, third):
        card = made.scorecard(folder, A)
    card.results["class_accuracy"].detail["classes"] = ["a", "b", "c"]
    card.save(third)
    scores = Scores([Run(folder) for folder in (*two, third)])
    assert list(scores.confusions()) == [0, 1]
    assert scores.confusions()[1]["confusion"][2] == [2, 0, 2]
