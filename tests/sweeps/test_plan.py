"""Which runs a command line asks for."""

import pytest

from ldg.config.check import check_config
from ldg.config.compose import compose_config, resolve_config
from ldg.errors import UserError
from ldg.sweeps.command_line import check_command_line, prepare_arguments
from ldg.sweeps.plan import example_overrides, make_plan, split_overrides
from tests.conftest import HOME

SWEEPS = sorted(file.stem for file in (HOME / "experiments/sweep").glob("*.yaml"))


def make(*overrides):
    fixed, _ = split_overrides(overrides)
    return make_plan(compose_config(fixed), overrides)


def test_a_grid_is_the_product_of_its_values():
    plan = make("data=emnist", "model=vanilla_cvae,conv_cvae", "model.latent_dim=range(4,13,4)")
    assert plan.runs == [
        ["data=emnist", f"model={model}", f"model.latent_dim={size}"]
        for model in ("vanilla_cvae", "conv_cvae")
        for size in (4, 8, 12)
    ]
    assert plan.run_name(0) == "000-vanilla_cvae-latent_dim4" and plan.run_name(5) == "005-conv_cvae-latent_dim12"


@pytest.mark.parametrize(
    ("name", "number"), {"architectures": 9, "latent_beta": 12, "likelihoods": 4, "speed": 4, "tune_conv": 20}.items()
)
def test_named_sweeps(name, number):
    plan = make(f"sweep={name}")
    assert len(plan.runs) == number and plan.folder.parts[-3:] == ("outputs", "sweeps", name)
    assert len({plan.run_name(index) for index in range(number)}) == number
    for overrides in example_overrides(plan):
        check_config(resolve_config(compose_config(overrides)))


def test_every_named_sweep_is_known_here():
    assert SWEEPS == ["architectures", "latent_beta", "likelihoods", "speed", "tune_conv"]


def test_the_command_line_comes_before_the_named_values():
    plan = make("sweep=latent_beta", "model.latent_dim=2,3", "seed=1,2")
    assert plan.parameters == {"model.kl.beta": ["0.5", "1", "2"], "model.latent_dim": ["2", "3"], "seed": ["1", "2"]}
    assert make("sweep=latent_beta", "model.latent_dim=2").parameters == {"model.kl.beta": ["0.5", "1", "2"]}


def test_the_name_depends_on_what_the_runs_are():
    names = [make(*line).name for line in (["seed=1,2"], ["seed=1,3"], ["seed=1,2", "data=emnist"])]
    assert len(set(names)) == 3 and all(name.startswith("seed-") for name in names)
    assert make("seed=1,2", "launcher=joblib", "logger=csv", "outputs=elsewhere").name == names[0]
    assert make("sweep=speed").name == "speed" != make("sweep=speed", "trainer.max_epochs=2").name
    assert make("seed=1,2", "sweep_name=mine").folder.name == "mine"


def test_a_glob_is_the_choices_that_match():
    models = ["conv_cvae", "hierarchical_cvae", "vanilla_cvae"]
    assert make("model=glob(*_cvae)").parameters == {"model": models}
    assert make("model=glob([*_cvae,judge],exclude=conv*)").parameters == {
        "model": ["hierarchical_cvae", "judge", models[2]]
    }
    assert make("hydra/sweeper=optuna", "model=glob(*_cvae)").parameters == {"model": ",".join(models)}


@pytest.mark.parametrize(
    ("text", "counts_up"),
    [
        ("range(8,2,-2)", "range(4,9,2)"),
        ("range(3,0,-1)", "range(1,4,1)"),
        ("range(0.5,0.1,-0.25)", "range(0.25,0.625,0.25)"),
        ("range(2,9,2)", "range(2,9,2)"),
        ("choice(8,2)", "choice(8,2)"),
    ],
)
def test_optuna_counts_upwards(text, counts_up):
    assert make("hydra/sweeper=optuna", f"model.latent_dim={text}").parameters == {"model.latent_dim": counts_up}
    assert make("seed=range(8,2,-2)").parameters == {"seed": ["8", "6", "4"]}  # a grid keeps Hydra's order


def test_a_shuffled_sweep_has_the_same_order_at_every_start():
    orders = [make(f"seed=shuffle(range({n}))").parameters["seed"] for n in (20, 20)]
    assert orders[0] == orders[1] != sorted(orders[0], key=int) and sorted(orders[0], key=int) == list(
        map(str, range(20))
    )


def test_a_sweep_file_may_choose_the_sweeper():
    study = make("sweep=tune_conv", "hydra.sweeper.study.trials=3").study
    assert study["trials"] == 3 and study["sampler"]["_target_"] == "optuna.samplers.TPESampler"


def test_settings_of_the_sweep_are_not_those_of_its_runs():
    plan = make("seed=1,2", "hydra.sweeper.dry_run=true", "+hydra.sweeper.objectives.parameters=minimize")
    assert plan.runs == [["seed=1"], ["seed=2"]]


def test_flags_are_short_forms_of_settings():
    line = ["-m", "seed=1,2", "--dry-run", "--retry"]
    flags = ["hydra.sweeper.dry_run=true", "hydra.sweeper.retry=true"]
    assert prepare_arguments(line) == ["--multirun", "seed=1,2", *flags]
    assert prepare_arguments(["seed=1"]) == ["seed=1"]
    with pytest.raises(UserError, match="--retry goes with a sweep; add -m"):
        prepare_arguments(["seed=1", "--retry"])


@pytest.mark.parametrize(("launcher", "runs"), {"joblib": 2, "local": 1, "slurm": 1, "slurm_local": None}.items())
def test_a_launcher_says_how_many_runs_share_a_machine(launcher, runs):
    settings = resolve_config(compose_config([f"launcher={launcher}"])).get("launcher") or {}
    assert settings.get("runs_per_machine", 1) == runs


def test_what_a_sweep_is_does_not_depend_on_where_it_runs():
    there = make("seed=1,2", "launcher=joblib", "launcher.n_jobs=3", "data.cache=/c", "hydra.verbose=true")
    assert there.identity == make("seed=1,2").identity


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["model.latent_dim=range(3,3)"], "model.latent_dim=range(3,3): the range is empty"),
        (["seed=1,1"], "seed=1,1: 1 is given twice"),
        (
            ["optimizer.lr=interval(0.1,0.2)"],
            "a grid needs single values; give some",
        ),
        (["hydra/sweeper=optuna", "optimizer.lr=interval(0.2,0.1)"], "the interval is empty"),
        (["hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(0.0,0.1))"], "a log scale begins above 0"),
        (["hydra/sweeper=optuna"], "nothing to tune"),
        (["hydra/sweeper=optuna", "model.latent_dim=range(0,3)"], "model.latent_dim=0: should be greater than 0"),
        (
            ["hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.objectives={val/elbo:up}"],
            "is to be maximize or minimize",
        ),
        (["seed=1,2", "hydra.sweeper.retry=maybe"], "hydra.sweeper.retry=maybe: should be true or false"),
        (["seed=range(0,20000)"], "this sweep has 20,000 runs; 10,000 are the most"),
        (["model.latent_dimm=1,2"], "model.latent_dimm: no such key, did you mean model.latent_dim?"),
        (["model=conv_cvae,cnn"], "model=cnn: no such choice"),
        (["hydra.verbose=true,false"], "Hydra's own settings cannot be swept"),
        (["sweep=latent"], "sweep=latent: no such choice, did you mean latent_beta?"),
        (["model=glob(x*)"], "model=glob(x*): no choice of model matches"),
        (["seed=range(1,5,0)"], "a step that is not 0"),
        (["seed=range(5,1)"], "the range is empty"),
        (["optimizer.lr=range(0.1,inf)"], "a range needs finite ends"),
        (["hydra/sweeper=optuna", "seed=range(1000000)"], "has 1,000,000 values; give an interval"),
        (["hydra/sweeper=optuna", "optimizer.lr=interval(0.1,inf)"], "the interval is empty"),
        (["hydra/sweeper=optuna", "seed=tag(log,range(1,3))"], "a log scale needs an interval"),
        (["hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.study.trials=0"], "should be greater than 0"),
        (["hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.study.max_failures=-1"], "should be greater than 0"),
        (["hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.study.sampler=TPE"], "should be a dictionary"),
        (["hydra/sweeper=optuna", "seed=1,2", "+hydra.sweeper.study.sampler.x=1"], "TPESampler has no such argument"),
        (["hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.objectives=null"], "should be KEY: VALUE pairs"),
        (["hydra/sweeper=basic", "seed=1,2"], "hydra/sweeper is grid or optuna"),
        (["seed=1,2", "launcher=joblib", "launcher.n_jobs=0"], "launcher.n_jobs=0: should be a number of runs"),
        (["seed=1,2", "hydra.sweep.dir=/x"], "hydra.sweep.dir=/x: ldg does not use it"),
        (["seed=1,2", "trainer=ddp", "trainer.devices=2"], "its processes would each repeat the whole sweep"),
    ],
)
def test_a_mistake_is_answered_before_anything_is_made(line, message):
    with pytest.raises(UserError) as error:
        check_command_line(["-m", *line])
    assert message in str(error.value) and "\n" not in str(error.value)
