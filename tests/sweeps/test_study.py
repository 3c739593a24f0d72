"""Optuna's side of a sweep, compared with Optuna's study."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ldg.errors import UserError
from ldg.sweeps.ledger import Sweep
from ldg.sweeps.study import Study, parse_distribution

SPACE = {"optimizer.lr": "tag(log,interval(1e-4,1e-1))", "model.latent_dim": "range(2,9,2)", "model": "a,b"}


def sweep(**settings):
    study = {
        "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 7},
        "pruner": {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1},
        "storage": None,
    }
    objectives = settings.pop("objectives", {"val/elbo": "maximize"})
    parameters = settings.pop("parameters", SPACE)
    return Sweep(
        name="one",
        id="x",
        command="",
        kind="optuna",
        parameters=parameters,
        objectives=objectives,
        study=study | settings,
        storage=settings.get("storage"),
        runs=4,
        started="",
        commit=None,
        versions={},
        identity={},
    )


def summary(value, **more):
    return {"metrics": {"val/elbo": value}, "parameters": 10} | more


def run(folder, values, **settings):
    """A whole trial for each value."""
    for index, value in enumerate(values):
        trial = Study(sweep(**settings), folder, index).begin_trial()
        trial.end(summary(value) if value is not None else None)
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
def test_spaces_in_hydras_syntax(text, expected):
    assert parse_distribution("key", text) == expected


def test_trials_have_the_states_of_their_runs(tmp_path):
    study = run(tmp_path, [1.0, 3.0, None, 2.0])
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2 + [TrialState.FAIL, TrialState.COMPLETE]
    assert study.best_value == 3.0 and study.best_trial.number == 1
    assert study.best_trial.distributions == {key: parse_distribution(key, text) for key, text in SPACE.items()}
    assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 4  # no seed draws the same twice


def test_the_first_trial_is_the_one_optuna_itself_would_ask(tmp_path):
    params = run(tmp_path, [1.0]).trials[0].params
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7), direction="maximize")
    assert study.ask({key: parse_distribution(key, text) for key, text in SPACE.items()}).params == params


def test_the_same_seed_gives_the_same_trials(tmp_path):
    (tmp_path / "again").mkdir()
    first, second = (run(folder, [1.0, 3.0, 2.0]) for folder in (tmp_path, tmp_path / "again"))
    assert [trial.params for trial in first.trials] == [trial.params for trial in second.trials]


def test_an_interrupted_trial_goes_on_with_its_values(tmp_path):
    first, again, other = (Study(sweep(), tmp_path, index).begin_trial() for index in (3, 3, 4))
    assert again.trial.number == first.trial.number and again.overrides == first.overrides
    assert [override.partition("=")[0] for override in first.overrides] == list(SPACE)
    assert other.trial.number != first.trial.number


def test_what_was_reported_stays(tmp_path):
    study = Study(sweep(), tmp_path)
    trial = study.begin_trial()
    trial.end(summary(1.0))
    trial.end(summary(2.0))
    trial.end(None)
    assert study.study.best_value == 1.0


def test_several_objectives(tmp_path):
    study = Study(sweep(objectives={"val/elbo": "maximize", "parameters": "minimize"}, pruner=None), tmp_path)
    trial = study.begin_trial()
    assert trial.callbacks == []
    trial.end(summary(-3.0))
    assert study.study.best_trials[0].values == [-3.0, 10.0]


def test_an_objective_that_no_run_reports_is_named(tmp_path):
    trial = Study(sweep(objectives={"val/fid": "minimize"}), tmp_path).begin_trial()
    with pytest.raises(UserError, match="a run reports no 'val/fid'; it reports parameters, val/elbo"):
        trial.end(summary(1.0))


def test_a_space_that_changed_is_refused(tmp_path):
    run(tmp_path, [1.0])
    with pytest.raises(UserError, match="has another space"):
        Study(sweep(parameters=SPACE | {"model": "a,b,c"}), tmp_path)


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/study.db", "postgresql://nobody@127.0.0.1:1/x", "what"])
def test_a_storage_that_cannot_be_reached_is_named(tmp_path, url):
    with pytest.raises(UserError) as error:
        Study(sweep(storage=url), tmp_path)
    assert url in str(error.value) and "cannot be used" in str(error.value) and "\n" not in str(error.value)


class Trainer:
    should_stop = False

    def __init__(self, epoch, value):
        self.current_epoch, self.callback_metrics = epoch, {"val/elbo": value}


@pytest.mark.parametrize(("value", "pruned"), [(-9.0, True), (9.0, False)])
def test_a_trial_worse_than_the_median_is_pruned(tmp_path, value, pruned):
    for index, number in enumerate([0.0, 1.0, 2.0, value]):
        study = Study(sweep(), tmp_path, index)
        trial = study.begin_trial()
        trainer = Trainer(0, number)
        (prune,) = trial.callbacks
        prune.on_train_epoch_end(trainer, None)
        trial.end(summary(number))
    assert trainer.should_stop is trial.is_pruned is pruned
    assert study.study.trials[-1].state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
