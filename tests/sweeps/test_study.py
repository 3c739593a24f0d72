"""Optuna's side of a sweep, compared with Optuna's study."""

import sys

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ldg.config.compose import compose_config
from ldg.errors import UserError
from ldg.sweeps.ledger import Sweep
from ldg.sweeps.plan import make_plan, split_overrides
from ldg.sweeps.study import Study, check_study, make_sampler, parse_distribution

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


def test_the_seeds_of_samplers_in_samplers_differ_too():
    inner = {"_target_": "optuna.samplers.RandomSampler", "seed": 2**32 - 1}
    fixed = {"_target_": "optuna.samplers.PartialFixedSampler", "fixed_params": {}, "base_sampler": inner}
    grid = {"_target_": "optuna.samplers.QMCSampler", "seed": 0, "independent_sampler": inner}
    distribution = FloatDistribution(0, 1)
    for settings in (fixed, grid):
        studies = [optuna.create_study(sampler=make_sampler(settings, number)) for number in (0, 1, 2)]
        drawn = [study.sampler.sample_independent(study, study.ask(), "x", distribution) for study in studies]
        assert len(set(drawn)) == 3
    assert {make_sampler(grid, number)._seed for number in (0, 1, 2)} == {0}


def test_a_trial_that_was_killed_between_two_values_draws_the_rest_as_if_it_was_not(tmp_path):
    whole = run(tmp_path, [1.0, 2.0]).trials[1].params
    folder = tmp_path / "killed"
    run(folder, [1.0])
    study = Study(sweep(), folder, 1)
    new = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs={"owner": "x/1"})
    study.storage.create_new_trial(study.storage.get_study_id_from_name("one"), new)
    assert study.begin_trial().trial.params == whole
    run(tmp_path / "half", [1.0])
    study = Study(sweep(), tmp_path / "half", 1)
    trial = study.storage.create_new_trial(study.storage.get_study_id_from_name("one"), new)
    key = "optimizer.lr"
    study.storage.set_trial_param(trial, key, whole[key], study.space[key])
    assert study.begin_trial().trial.params == whole


CHECKS = {
    "+hydra.sweeper.study.heartbeat=60": "study.heartbeat: study_settings has no such argument; it takes trials,",
    "hydra.sweeper.study.trials=0": "hydra.sweeper.study.trials=0: should be greater than 0",
    "hydra.sweeper.study=3": "hydra.sweeper.study=3: should be the settings of a study",
    "hydra.sweeper.objectives=val/elbo": "hydra.sweeper.objectives=val/elbo: should be KEY: VALUE pairs",
    "hydra.sweeper.study.sampler=TPE": 'hydra.sweeper.study.sampler="TPE": should be',
    "hydra.sweeper.study.sampler._target_=optuna.samplers.None_": "there is no optuna.samplers.None_",
    "hydra.sweeper.study.sampler._target_=optuna.samplers.GridSampler": "sampler.search_space: GridSampler needs it",
    "hydra.sweeper.study.sampler._target_=optuna.samplers.BruteForceSampler": "study: FloatDistribution.step must be",
    "hydra.sweeper.study.sampler._target_=optuna.pruners.NopPruner": "sampler.seed: NopPruner has no such argument",
    "hydra.sweeper.study.sampler.seed=-1": "hydra.sweeper.study.sampler: Seed must be between 0 and 2**32 - 1",
    "hydra.sweeper.study.pruner.n_startup_trials=-1": "hydra.sweeper.study.pruner: Number of startup trials cannot be",
    "~hydra.sweeper.study.pruner._target_": "n_warmup_steps': 1}: should be a constructor call, or null",
    "optimizer.lr=interval(1,inf)": "optimizer.lr=interval(1,inf): the interval is empty",
}


@pytest.mark.parametrize(("override", "message"), CHECKS.items())
def test_what_optuna_refuses_is_said_before_a_sweep_starts(override, message):
    line = ["hydra/sweeper=optuna", override]
    line += [] if override.startswith("optimizer") else ["optimizer.lr=interval(0.1,0.2)"]
    fixed, _ = split_overrides(line)
    with pytest.raises(UserError) as error:
        check_study(make_plan(compose_config(fixed), line))
    assert message in str(error.value) and "\n" not in str(error.value)


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


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all/study.db", "postgresql://nobody@127.0.0.1:1/x", "what", "redis://h/0", "a.log"]
)
def test_a_storage_that_cannot_be_reached_is_named(tmp_path, url):
    with pytest.raises(UserError) as error:
        Study(sweep(storage=url), tmp_path)
    assert url in str(error.value) and "cannot be used" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql+pymysql://u:hunter2@h/x", "the package pymysql is missing: pip install pymysql"),
        ("mysql://u:hunter2@h/x", "the package MySQLdb is missing: pip install mysqlclient (or pymysql,"),
        ("postgresql+psycopg2://u:hunter2@h/x", "the package psycopg2 is missing: pip install psycopg2"),
        ("postgresql://u:hunter2@h:port/x", "should be a URL as in postgresql://user@host/database"),
        ("postgresql://u@127.0.0.1:1/x?password=hunter2", "onnection refused"),
    ],
)
def test_a_storage_says_what_is_missing_and_no_password(tmp_path, url, message):
    with pytest.raises(UserError) as error:
        Study(sweep(storage=url), tmp_path)
    assert message in str(error.value) and "hunter2" not in str(error.value)


def test_the_driver_of_postgresql_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r'cannot be used: .*pip install "ldg\[postgresql\]"'):
        Study(sweep(storage="postgresql://u@h/x"), tmp_path)


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
