"""What does not fit into memory is refused before it is taken."""

import copy

import pytest
import torch

from ldg.checkpoint import build
from ldg.errors import UserError
from ldg.training import footprint
from tests.runs import BARE, STROKES, TINY, configured, train

CPU = torch.device("cpu")
MODELS = ["conv_cvae", "vanilla_cvae", "hierarchical_cvae", "judge"]


def make(choice):
    return build(configured(*STROKES, *BARE, f"model={choice}").model)


@pytest.mark.parametrize("choice", MODELS)
def test_a_step_is_extrapolated_from_few_images_and_leaves_the_model_alone(choice, monkeypatch):
    model = make(choice)
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    size = 3 * sum(parameter.nbytes for parameter in model.parameters()) + footprint._count_saved(model, 5)
    for free, refused in ((size + 1, False), (size - 1, True)):
        monkeypatch.setattr(footprint, "free_memory", lambda free=free: free)
        try:
            footprint.require_step(model, 5, CPU, "32-true")
        except UserError:
            assert refused
        else:
            assert not refused
    footprint.require_step(model, 5, CPU, "bf16-mixed")  # half of what is kept
    assert model.training and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("ldg.training.footprint.free_memory", "a training step with 32 images of 1x28x28 would take about 0.0 GB"),
        ("ldg.memory.free_memory", "the model, of 0.0 billion parameters or more, would take about 0.0 GB of memory"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_and_leaves_nothing(measure, message, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, lambda: 1e5)
    monkeypatch.setattr(footprint, "FEW", 1000)
    with pytest.raises(UserError) as error:
        train(*TINY, f"outputs={tmp_path}")
    assert message in str(error.value) and "choose a smaller data.image_size or model" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_needs_most_of_the_memory_is_said(monkeypatch, capsys):
    model = make("conv_cvae")
    monkeypatch.setattr(footprint, "free_memory", lambda: 40e6)
    footprint.require_step(model, 100, CPU, "32-true")
    line = "a training step with 100 images of 1x28x28 takes 0.0 GB of memory or more, of 0.0 GB\n"
    assert capsys.readouterr().err == line
    footprint.require_step(model, 1, CPU, "32-true")
    assert capsys.readouterr().err == ""
