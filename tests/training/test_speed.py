"""What is chosen for speed: the precision that a machine is fast in, and whether the networks are compiled."""

import json

import pytest
import torch
import yaml

from ldg.training import speed
from tests.runs import TINY, rows, train

LINE = [*TINY, "trainer.max_epochs=1", "test=false"]


@pytest.mark.parametrize(
    ("capabilities", "cuda", "accelerator", "chosen"),
    [
        ({"avx512_bf16": True}, None, "auto", "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": True}, None, "cpu", "bf16-mixed"),
        ({"avx512_bf16": False}, None, "auto", "32-true"),
        ({}, True, "auto", "bf16-mixed"),
        ({"avx512_bf16": True}, False, "gpu", "32-true"),
        ({"avx512_bf16": False}, True, "cpu", "32-true"),
    ],
)
def test_auto_is_bfloat16_where_the_device_has_it(capabilities, cuda, accelerator, chosen, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: cuda)
    assert speed.choose_precision({"precision": "auto", "accelerator": accelerator}) == chosen
    assert speed.choose_precision({"precision": "16-mixed", "accelerator": accelerator}) == "16-mixed"


def test_a_run_in_auto_is_one_in_what_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    line = [*LINE, f"outputs={tmp_path}"]
    values = [train(*line, f"trainer.precision={name}")[0] for name in ("auto", "bf16-mixed", "32-true")]
    auto, half, full = (rows(folder)[0]["train/elbo"] for folder in values)
    assert auto == half != full
    # and goes on in it, on a machine without as well
    assert yaml.safe_load((values[0] / "config.yaml").read_text())["trainer"]["precision"] == "bf16-mixed"


@pytest.fixture
def decide(tmp_path, monkeypatch, capsys):
    """Trains with compile=auto where steps take the seconds given; whether it was compiled, and what was printed."""

    def decide(*seconds, line=()):
        times, compiled = iter(seconds), []

        def time_step(*_):
            if isinstance(value := next(times), Exception):
                raise value
            return value

        monkeypatch.setattr(speed, "time_step", time_step)
        monkeypatch.setattr(torch.nn.Module, "compile", lambda self, *a: compiled.append(self.training))
        line = [*LINE, *line, "compile=auto", f"outputs={tmp_path}", f"data.cache={tmp_path / 'cache'}"]
        _, summary = train(*line)
        assert next(times, None) is None  # each was asked for
        printed = [text for text in capsys.readouterr().err.splitlines() if text.startswith("compile=auto: ")]
        # encoder and decoder of the trial, and of the model
        of_model = len(compiled) - 2 * (len(seconds) == 2)
        assert summary["compiled"] == (of_model == 2)
        return of_model, printed

    return decide


def test_a_long_run_is_compiled_if_a_trial_is_faster_and_a_short_one_is_not_tried(decide, tmp_path):
    step = speed.PAYS_FROM / 6  # of six
    assert decide(0.9 * step) == (0, [])
    assert decide(1.1 * step, 1.1 * step) == (
        0,
        ["compile=auto: a step takes 110000 ms, compiled 110000 ms: not compiled"],
    )
    assert decide() == (0, [])  # remembered
    (kept,) = (tmp_path / "cache" / "compile").iterdir()
    assert json.loads(kept.read_text()) == {"eager": 1.1 * step, "compiled": 1.1 * step}
    kept.write_text("{")
    assert decide(1.1 * step, step) == (2, ["compile=auto: a step takes 110000 ms, compiled 100000 ms: compiled"])
    assert decide() == (2, [])
    assert decide(line=["trainer.limit_train_batches=1"]) == (0, [])  # too short
    # another batch is another trial; of one step it is not made
    assert decide(1.1 * step, line=["trainer.limit_train_batches=1", "data.batch_size=31"]) == (0, [])
    # another model is another trial
    assert decide(0.9 * step, line=["model.network.hidden=[8]"]) == (0, [])


def test_where_nothing_can_be_compiled_a_line_says_so(decide):
    compiled, printed = decide(speed.PAYS_FROM, RuntimeError("no compiler\nhere"))
    assert compiled == 0 and printed == ["compile=auto: not compiled; no compiler here"]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_trial_changes_no_number_of_a_run(precision, tmp_path, monkeypatch):
    line = [*LINE, f"trainer.precision={precision}", f"outputs={tmp_path}", f"data.cache={tmp_path / 'cache'}"]
    plain, _ = train(*line)
    monkeypatch.setattr(speed, "PAYS_FROM", 0)
    monkeypatch.setattr(speed, "GAIN", 0)  # tried, and not taken
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, *a: None)
    tried, _ = train(*line, "compile=auto")
    assert len(list((tmp_path / "cache" / "compile").iterdir())) == 1
    assert (tried / "metrics.csv").read_text() == (plain / "metrics.csv").read_text()
