"""Averaged weights: what is validated, saved and drawn."""

import copy
from dataclasses import replace

import pytorch_lightning as pl
import torch

from ldg.callbacks.averaging import Averaging
from ldg.callbacks.gallery import averaged
from ldg.training.resume import resume_config
from ldg.training.run import run
from tests.runs import TINY, configured, weights


class Watch(pl.Callback):
    """Keeps the weights at the end of an epoch: those that are trained, and those that the gallery draws."""

    def on_train_epoch_end(self, trainer, module):
        self.trained, self.drawn = (copy.deepcopy(m.state_dict()) for m in (module, averaged(trainer)))


def test_the_averaged_weights_are_those_that_are_drawn_and_saved(tmp_path):
    assert Averaging().averaged_module is None
    line = [*TINY, "callbacks=default", "callbacks.gallery=null", "callbacks.averaging.every_n_steps=2"]
    config = configured(*line, "trainer.max_epochs=1", f"folder={tmp_path}/run")
    watch = Watch()
    run(config, callbacks=[watch])
    saved = weights(tmp_path / "run", "best")
    assert all(torch.equal(watch.drawn[name], value) for name, value in saved.items())
    assert not all(torch.equal(watch.trained[name], value) for name, value in saved.items())


def test_until_the_second_update_is_due_the_weights_are_their_own_average(tmp_path):
    line = [*TINY, "callbacks=default", "callbacks.gallery=null", "callbacks.averaging.every_n_steps=100"]
    watch = Watch()
    run(configured(*line, "trainer.max_epochs=1", f"folder={tmp_path}/run"), callbacks=[watch])
    assert all(torch.equal(watch.drawn[name], value) for name, value in watch.trained.items())


def test_a_resumed_run_has_the_average_of_one_that_was_not_stopped(tmp_path):
    line = [*TINY, "callbacks=default", "callbacks.gallery=null", "callbacks.averaging.every_n_steps=2"]
    line, longer = [*line, "scheduler=none"], ["trainer.max_epochs=2"]
    run(configured(*line, "trainer.max_epochs=1", f"folder={tmp_path}/stopped"))
    run(resume_config(replace(configured(*longer), ckpt_path=f"{tmp_path}/stopped"), longer))
    run(configured(*line, *longer, f"folder={tmp_path}/whole"))
    resumed, whole = (weights(tmp_path / name, "last") for name in ("stopped", "whole"))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_without_averaging_there_is_no_second_module():
    assert averaged(pl.Trainer(logger=False, enable_checkpointing=False)) is None
