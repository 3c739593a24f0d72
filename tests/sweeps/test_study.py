"""Optuna's side of a sweep, held against Optuna's own study."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ldg.errors import UserError
from ldg.sweeps.study import Prune, Study, distribution

SPACE = {"optimizer.lr": "tag(log,interval(1e-4,1e-1))", "model.latent_dim": "range(2,9,2)", "model": "a,b"}


def facts(folder, **settings):
    study = {
        "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 7},
        "pruner": {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1},
        "storage": None,
    }
    objectives = settings.pop("objectives", {"val/elbo": "maximize"})
    parameters = settings.pop("parameters", SPACE)
    return {
        "id": "x",
        "name": "one",
        "parameters": parameters,
        "objectives": objectives,
        "study": study | settings,
    }


def summary(value, **more):
    return {"metrics": {"val/elbo": value}, "parameters": 10} | more


def run(folder, values, **settings):
    """A whole trial for each value."""
    for slot, value in enumerate(values):
        study = Study(facts(folder, **settings), folder, slot)
        trial, _ = study.begin()
        study.end(trial, summary(value) if value is not None else None)
    return optuna.load_study(study_name="one", storage=f"sqlite:///{folder}/study.db")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("choice(a,[1,2])", CategoricalDistribution(["a", "[1,2]"])),
        ("1,2", CategoricalDistribution(["1", "2"])),
        ("range(1,8,3)", IntDistribution(1, 7, step=3)),
        ("range(0.5,2.0,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("interval(1,2)", FloatDistribution(1.0, 2.0)),
        ("tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("int(interval(1,64))", IntDistribution(1, 64)),
        ("tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
    ],
)
def test_spaces_in_hydras_words(text, expected):
    assert distribution("key", text) == expected


def test_trials_are_asked_and_told(tmp_path):
    study = run(tmp_path, [1.0, 3.0, None, 2.0])
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2 + [TrialState.FAIL, TrialState.COMPLETE]
    assert study.best_value == 3.0 and study.best_trial.number == 1
    assert study.best_trial.distributions == {key: distribution(key, text) for key, text in SPACE.items()}
    assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 4  # no seed draws the same twice


def test_the_first_trial_is_the_one_optuna_itself_would_ask(tmp_path):
    found = run(tmp_path, [1.0]).trials[0].params
    own = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7), direction="maximize")
    assert own.ask({key: distribution(key, text) for key, text in SPACE.items()}).params == found


def test_the_same_seed_gives_the_same_trials(tmp_path):
    (tmp_path / "again").mkdir()
    first, second = (run(folder, [1.0, 3.0, 2.0]) for folder in (tmp_path, tmp_path / "again"))
    assert [trial.params for trial in first.trials] == [trial.params for trial in second.trials]


def test_an_interrupted_trial_goes_on_with_its_values(tmp_path):
    trial, values = Study(facts(tmp_path), tmp_path, 3).begin()
    again, same = Study(facts(tmp_path), tmp_path, 3).begin()
    assert again.number == trial.number and same == values and len(values) == 3
    assert [value.partition("=")[0] for value in values] == list(SPACE)
    other, _ = Study(facts(tmp_path), tmp_path, 4).begin()
    assert other.number != trial.number


def test_what_was_told_stays(tmp_path):
    study = Study(facts(tmp_path), tmp_path)
    trial, _ = study.begin()
    study.end(trial, summary(1.0))
    study.end(trial, summary(2.0))
    assert study.study.best_value == 1.0


def test_several_objectives(tmp_path):
    study = Study(facts(tmp_path, objectives={"val/elbo": "maximize", "parameters": "minimize"}, pruner=None), tmp_path)
    trial, _ = study.begin()
    study.end(trial, summary(-3.0))
    assert study.study.best_trials[0].values == [-3.0, 10.0]


def test_an_objective_that_no_run_reports_is_named(tmp_path):
    study = Study(facts(tmp_path, objectives={"val/fid": "minimize"}), tmp_path)
    trial, _ = study.begin()
    with pytest.raises(UserError, match="a run reports no 'val/fid'; it reports parameters, val/elbo"):
        study.end(trial, summary(1.0))


def test_a_space_that_changed_is_refused(tmp_path):
    run(tmp_path, [1.0])
    with pytest.raises(UserError, match="has another space"):
        Study(facts(tmp_path, parameters=SPACE | {"model": "a,b,c"}), tmp_path)


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/study.db", "postgresql://nobody@127.0.0.1:1/x", "what"])
def test_a_storage_that_cannot_be_reached_is_named(tmp_path, url):
    with pytest.raises(UserError) as error:
        Study(facts(tmp_path, storage=url), tmp_path)
    assert url in str(error.value) and "cannot be used" in str(error.value) and "\n" not in str(error.value)


class Trainer:
    should_stop = False

    def __init__(self, epoch, value):
        self.current_epoch, self.callback_metrics = epoch, {"val/elbo": value}


@pytest.mark.parametrize(("value", "pruned"), [(-9.0, True), (9.0, False)])
def test_a_trial_worse_than_the_median_is_pruned(tmp_path, value, pruned):
    for slot in range(3):
        study = Study(facts(tmp_path), tmp_path, slot)
        trial, _ = study.begin()
        Prune(trial, "val/elbo").on_train_epoch_end(Trainer(0, float(slot)), None)
        study.end(trial, summary(float(slot)))
    study = Study(facts(tmp_path), tmp_path, 3)
    trial, _ = study.begin()
    trainer = Trainer(0, value)
    Prune(trial, "val/elbo").on_train_epoch_end(trainer, None)
    study.end(trial, summary(value))
    assert trainer.should_stop is pruned
    assert study.study.trials[-1].state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
