"""The table of experiments: a line has a run in the units of its time."""

import math
import re

import pytest

from ldg.commands.cli import exit_status
from ldg.commands.compare import main
from ldg.evaluation import scorecard
from ldg.evaluation.elbo import Elbo
from ldg.evaluation.latent import Latent
from tests.conftest import HOME
from tests.runs import TINY, train

TABLE = str(HOME / "experiments" / "table.yaml")


def table(capsys, *line):
    """The cells of the lines below the head."""
    main(list(line))
    _, rule, *lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\|( -+:? \|)+", rule)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_line_has_a_run_in_the_units_of_its_time(tmp_path, capsys):
    squared = ["likelihood=gaussian", "likelihood.variance=0.125", "likelihood.activation=tanh"]
    folder, summary = train(*TINY, *squared, "trainer.max_epochs=1", "name=ldg_v1", f"outputs={tmp_path}")
    (cells,) = table(capsys, str(folder), "--table", TABLE)
    # the squared error on [-1, 1] and the KL, without the Gaussian's constant; a scorecard has nothing yet
    constant = 392 * math.log(2 * math.pi * 0.125)
    assert cells[:6] == ["ldg_v1", "strokes", "1", "0", "32-true", "57.98 (10 epochs)"]
    assert cells[6] == f"{-summary['metrics']['test/elbo'] - constant:.2f}"
    assert cells[10:] == ["–", "–", "–", f"{summary['parameters']:,}"]
    card, _ = scorecard.evaluate_checkpoint(folder, {"elbo": Elbo(), "latent": Latent(probe=60)})
    card.save(folder)
    (cells,) = table(capsys, str(folder), "--table", TABLE)
    values = card.values
    assert cells[6] == f"{-values['elbo'].value - constant:.2f}"
    assert cells[7:10] == [
        f"{values['elbo_grey'].value:.2f}",
        f"{values['kl'].value:.1f}",
        f"{values['active_units'].value:.0f}",
    ]
    (tmp_path / "x.yaml").write_text("columns: [{title: n, keys: [epochs], factor: 2, digits: 1, plus: seconds}]")
    (cells,) = table(capsys, str(folder), "--table", str(tmp_path / "x.yaml"))
    assert cells == [f"{2 + summary['seconds']:.1f}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ldg_v1", "x.yaml"]  # no page is written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("", "the file: Input should be a valid dictionary"),
        ("columns: []", "columns: List should have at least 1 item"),
        ("columns: [{title: a}]", "columns.0.keys: Field required"),
        ("columns: [{title: a, keys: [x], digits: 99}]", "columns.0.digits: "),
        ("columns: [{title: a, keys: [x], width: 3}]", "columns.0.width: Extra inputs are not permitted"),
        ("columns: [", "cannot be read as YAML"),
        ("columns: &a [*a]", "cannot be read as YAML"),
        ('columns: !!int ""', "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_table(text, message, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("name: x")
    if text is not None:
        (tmp_path / "t.yaml").write_text(text)
    assert exit_status(lambda: main([str(run), "--table", str(tmp_path / "t.yaml")])) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --table: ") and message in err and err.count("\n") == 1
