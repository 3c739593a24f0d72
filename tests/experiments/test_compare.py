"""The table of experiments: its units and its pictures."""

import math

import numpy as np
from PIL import Image

from ldg.evaluation import scorecard
from ldg.evaluation.elbo import Elbo
from ldg.evaluation.latent import Latent
from tests.processes import call
from tests.runs import TINY, train


def test_a_line_has_a_run_in_the_units_of_its_time(tmp_path):
    squared = ["likelihood=gaussian", "likelihood.variance=0.125", "likelihood.activation=tanh"]
    folder, _ = train(*TINY, *squared, "trainer.max_epochs=1", "name=ldg_v1", f"outputs={tmp_path}")
    status, out, err = call(tmp_path, str(folder), script="experiments/compare.py")
    assert (status, out) == (2, "") and "no scorecard.json" in err
    card, _ = scorecard.evaluate_checkpoint(folder, {"elbo": Elbo(), "latent": Latent(probe=60)})
    (folder / "scorecard.json").write_text("{}")
    status, out, err = call(tmp_path, str(folder), script="experiments/compare.py")
    assert (status, out) == (2, "") and "scorecard.json is damaged" in err
    card.save(folder)
    arguments = [str(folder), "--pictures", "pictures"]
    status, out, err = call(tmp_path, *arguments, script="experiments/compare.py")
    assert status == 0, err
    cells = [cell.strip() for cell in out.splitlines()[2].strip("|").split("|")]
    values = card.values
    # the squared error on [-1, 1] and the KL, without the Gaussian's constant
    expected = -values["elbo"].value - 392 * math.log(2 * math.pi * 0.125)
    assert cells[1:4] == ["`experiment=ldg_v1`", "Strokes", "1"]
    assert cells[5:7] == ["57.98 (10 epochs)", f"{expected:.2f}"]
    assert cells[7] == f"{values['elbo_grey'].value:.2f}" and cells[9].endswith("/ 4")
    assert np.asarray(Image.open(tmp_path / "pictures" / "ldg_v1.png")).min() < 128
    status, _, err = call(tmp_path, str(folder), "--save", "all.png", script="experiments/compare.py")
    assert status == 0 and Image.open(tmp_path / "all.png").width == 990, err
