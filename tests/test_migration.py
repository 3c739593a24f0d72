"""Files of format 1, which older versions wrote, work like the others.

``format1.ckpt`` is the ``last.ckpt`` of a tiny hierarchical run after two epochs, with averaged weights and a scheduler
that waits for a plateau. The expected numbers are those of the version that wrote it.
"""

import json
import shutil

import pytest
import torch
from safetensors import safe_open

import ldg
from ldg import checkpoint
from ldg.migration import FORMAT, migrate
from tests.conftest import HOME
from tests.runs import resume, rows

OLD = HOME / "tests" / "format1.ckpt"


def test_the_shipped_weights_are_of_format_1_and_write():
    with safe_open(checkpoint.SHIPPED, framework="pt") as file:
        assert json.loads(file.metadata()["ldg"])["version"] == 1
    model = ldg.load(checkpoint.SHIPPED)
    assert "encoder" not in model.config["model"] and model.config["model"]["network"]["latent_channels"] == 0
    assert float((ldg.write("Hello World", model) < 0.5).mean()) == pytest.approx(0.1803335, abs=1e-4)


def test_a_hierarchical_model_gives_the_same_samples():
    content = checkpoint.read(OLD)
    assert content["ldg"]["version"] == FORMAT
    assert content["ldg"]["config"]["scheduler"]["_target_"] == "ldg.training.schedulers.Plateau"
    samples = ldg.load(OLD).sample(torch.arange(62), generator=torch.Generator().manual_seed(0))
    assert samples.mean().item() == pytest.approx(0.5068540573, abs=1e-6)
    assert samples.std().item() == pytest.approx(0.0626178160, abs=1e-6)
    expected = torch.tensor([[0.5443, 0.3994, 0.4663], [0.4641, 0.5557, 0.4807], [0.5665, 0.4497, 0.4680]])
    torch.testing.assert_close(samples[7, 0, 10:13, 10:13], expected, atol=1e-4, rtol=0)


def test_a_run_goes_on(tmp_path):
    folder = tmp_path / "old" / "run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("last", "best"):
        shutil.copy(OLD, folder / "checkpoints" / f"{name}.ckpt")
    _, summary = resume(folder, "trainer.max_epochs=3")
    (row,) = rows(folder)
    assert (row["epoch"], row["beta"], row["lr"], summary["steps"]) == ("3", "0.75", "0.003", 9)
    for name, value in {"train/elbo": -547.45215, "train/kl": 0.67235739, "val/elbo": -539.91325}.items():
        assert float(row[name]) == pytest.approx(value, rel=1e-5)
    assert summary["metrics"]["test/elbo"] == pytest.approx(-539.76572, rel=1e-5)


def test_strokes_of_older_runs_have_no_marks():
    assert ldg.load(OLD).config["data"]["dataset"]["marks"] is False


@pytest.mark.parametrize(("conditioning", "augment"), [("none", 0.0), ("decoder", 0.5)])
def test_the_networks_of_older_models_without_labels_are_not_given_the_augmentation(conditioning, augment):
    config = {"model": {"conditioning": conditioning, "augment": 0.5}}
    content = migrate({"ldg": {"version": 3, "config": config}, "state_dict": {}})
    assert content["ldg"] == {
        "version": FORMAT,
        "config": {"model": {"conditioning": conditioning, "augment": augment}},
    }
