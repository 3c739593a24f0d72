"""Every shipped YAML fits its target, and what a user can mistype is answered in one line, without torch."""

import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.utils import get_class, get_method

from ldg.config.check import check_config
from ldg.config.compose import compose_config, compose_measures, resolve_config
from ldg.config.renamed import replace_choices
from ldg.config.signatures import read_signature
from ldg.errors import UserError
from ldg.sweeps.command_line import check_command_line
from tests.conftest import HOME

FOLDERS = [folder for folder in (HOME / "configs").iterdir() if any(folder.glob("*.yaml"))]
GROUPS = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in FOLDERS}
EXPERIMENTS = sorted(f.stem for f in (HOME / "experiments" / "experiment").glob("*.yaml"))
MEASURES = GROUPS.pop("measure")
del GROUPS["base"]  # what the files of a group share
CHOICES = [f"{group}={choice}" for group, choices in GROUPS.items() for choice in choices]
CHOICES += [f"model/{f.parent.name}={f.stem}" for f in sorted((HOME / "configs/model").glob("*/*.yaml"))]
CHOICES += [f"experiment={name}" for name in EXPERIMENTS]


def test_the_groups_are_there():
    assert GROUPS["data"] == ["emnist", "fashion_mnist", "stanford_dogs", "strokes"]
    assert GROUPS["model"] == ["beta_vae", "conv_cvae", "hierarchical_cvae", "judge", "reference", "vanilla_cvae"]
    assert GROUPS["conditioning"] == ["both", "decoder", "none"]
    assert GROUPS["likelihood"] == ["bernoulli", "continuous_bernoulli", "discretized_logistic", "gaussian"]


def bind(node):
    """Bind every constructor call to the real signature, as Python sees it."""
    if isinstance(node, list):
        for item in node:
            bind(item)
    if not isinstance(node, dict):
        return 0
    calls = sum(bind(value) or 0 for value in node.values())
    if "_target_" in node:
        try:
            target = get_class(node["_target_"])
        except ValueError:
            target = get_method(node["_target_"])
        signature = inspect.signature(target)
        arguments = {key: value for key, value in node.items() if not key.startswith("_")}
        (signature.bind_partial if node.get("_partial_") else signature.bind)(**arguments)
        calls += 1
    return calls


@pytest.mark.parametrize("choice", CHOICES)
def test_every_yaml_fits_its_targets(choice):
    config = resolve_config(compose_config([choice]))
    check_config(config)
    assert bind(config) >= 10


def test_every_measure_fits_its_target():
    config = compose_measures([])
    assert sorted(config) == MEASURES
    assert bind(config) == len(MEASURES)
    with pytest.raises(UserError, match=r"cas\.epochs=0: should be"):
        compose_measures(["cas.epochs=0"])


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.Adam",
        "pytorch_lightning.Trainer",
        "ldg.models.vae.VAE",
        "ldg.training.loggers.WandbRun",
        "ldg.models.schedules.Cyclical",
    ],
)
def test_a_signature_read_from_text_is_the_real_one(target):
    real = inspect.signature(get_class(target)).parameters
    read = read_signature(target)
    assert list(read.parameters) == [name for name, p in real.items() if p.kind != inspect.Parameter.VAR_KEYWORD]
    for name, parameter in read.parameters.items():
        assert parameter.required == (real[name].default is inspect.Parameter.empty)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.latent_dm=3"], "model.latent_dm: no such key, did you mean model.latent_dim?"),
        (["modl=conv_cvae"], "modl: no such key, did you mean model?"),
        (["data=emnst"], "data=emnst: no such choice, did you mean emnist?; data is one of emnist, "),
        (["model/kl=line"], "model/kl=line: no such choice, did you mean linear?"),
        (["model.latent_dim=-3"], "model.latent_dim=-3: should be greater than 0"),
        (["model.latent_dim=abc"], 'model.latent_dim="abc": should be a valid integer'),
        (["model.kl.beta=-1"], "model.kl.beta=-1: should be greater than or equal to 0"),
        (["model.network.channels=[8,x]"], "model.network.channels.1"),
        (["+model.network.width=3"], "model.network.width: ConvNetwork has no such argument"),
        (["data=stanford_dogs", "data.dataset.image_size=8"], "image_size=8: should be greater than or equal to 16"),
        (["data=stanford_dogs", "data.dataset.image_size=512"], "image_size=512: should be less than or equal to 128"),
        (["data=emnist", "data.dataset.split=leters"], "data.dataset.split"),
        (["data=stanford_dogs", "data.dataset.breeds=[pugg]"], "breeds: no breed 'pugg'; did you mean 'pug'?"),
        (["data.batch_size=0"], "data.batch_size=0: should be greater than 0"),
        (["data.val_fraction=1.5"], "data.val_fraction=1.5: should be less than 1"),
        (["likelihood=gaussian", "likelihood.variance=0"], "likelihood.variance=0: should be greater than 0"),
        (["likelihood.binarize=maybe"], "should be 'none', 'dynamic' or 'static'"),
        (["optimizer.lr=-1"], "optimizer.lr=-1: should be greater than 0"),
        (["optimizer.lr=fast"], 'optimizer.lr="fast"'),
        (["trainer.max_epochs=many"], 'trainer.max_epochs="many": should be a valid integer'),
        (["trainer.precision=bf17"], 'trainer.precision="bf17"'),
        (["trainer.limit_train_batches=0"], "trainer.limit_train_batches=0: should be greater than 0"),
        (["+sed=1"], "sed: no such key, did you mean seed?"),
        (["seed=-1"], "seed=-1: should be greater than or equal to 0"),
        (["seed=1,2"], "several values need a sweep; add -m"),
        (["sweep=latent_beta"], "sweep=latent_beta: a sweep needs -m"),
        (["-m", "sweep=latent_beta,speed"], "sweep=latent_beta,speed: one sweep at a time"),
        (["name=../mine"], "name='../mine': names a folder in outputs/"),
        (["name="], "name='': names a folder in outputs/"),
        (["--cfg", "job", "model.latent_dum=3"], "did you mean model.latent_dim?"),
        (["-m", "model.latent_dim=8,-8"], "model.latent_dim=-8"),
        (["-m", "trainer=ddp"], "trainer=ddp: its processes would each repeat the whole sweep"),
        (["not an override"], "cannot be read as an override"),
        (["experiment=nothing"], "experiment=nothing: no such choice"),
        (["model.encoder.channels=[4]"], "model.encoder.channels is now model.network.channels"),
        (["model.decoder.depths=[1,2,4]"], "model.decoder.depths is now model.network.latent_channels"),
        (["model.decoder.hidden=[4]"], "is now model.network.decoder_hidden (reference) or model.network.hidden"),
        (["model.decoder.first=4"], "model.decoder.first is now model.network.decoder_first"),
        (["model/prior=two_levels", "model.prior.depth=4"], "model.prior.depth is now model.network.latent_channels"),
        (["~nothing"], "nothing: no such key"),
        (["~model.free_bit"], "model.free_bit: no such key, did you mean model.free_bits?"),
        (["--dryrun", "-m", "seed=1,2"], "unknown option '--dryrun', did you mean --dry-run?"),
        (["model.kl=linear"], "model.kl=linear: should be a constructor call; a choice has a slash, as in model/kl"),
        (["model.prior=flow"], "model.prior=flow: should be a constructor call"),
        (["data.dataset=strokes"], "data.dataset=strokes: should be a constructor call"),
        (["callbacks.gallery=abc"], "callbacks.gallery=abc: should be a constructor call, or null"),
        (["++model.encoder.depth=2"], "model.encoder is now model.network"),
        (["model/beta=linear"], "model/beta is now model/kl"),
        (["model.beta.beta=2"], "model.beta.beta is now model.kl.beta"),
        (
            ["scheduler=plateau", "scheduler.scheduler.patience=3"],
            "scheduler.scheduler.patience is now scheduler.patience",
        ),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(arguments, message):
    with pytest.raises(UserError) as error:
        check_command_line(arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_old_choice_is_replaced_and_named(capsys):
    line = ["-m", "model=ladder_cvae,conv_cvae", "name=my_ladder_cvae"]
    assert replace_choices(line) == ["-m", "model=hierarchical_cvae,conv_cvae", "name=my_ladder_cvae"]
    assert capsys.readouterr().err == "model=ladder_cvae is now model=hierarchical_cvae\n"


def test_a_good_command_line_is_accepted():
    check_command_line(["data=emnist", "model=beta_vae", "model/kl=capacity", "model.latent_dim=10", "optimizer.lr=1"])
    check_command_line(["-m", "model=vanilla_cvae,conv_cvae", "seed=range(3)"])


def test_one_override_is_enough():
    for split, classes in {"letters": 26, "balanced": 47, "digits": 10}.items():
        config = resolve_config(compose_config(["data=emnist", f"data.dataset.split={split}"]))
        assert config["data"]["num_classes"] == config["model"]["num_classes"] == classes
    config = resolve_config(compose_config(["data=stanford_dogs", "data.dataset.image_size=32", "seed=7"]))
    assert config["model"]["image_shape"] == [3, 32, 32]
    assert config["data"]["seed"] == 7


def test_two_runs_of_the_same_second_do_not_share_a_folder():
    folders = {resolve_config(compose_config([]))["folder"] for _ in range(4)}
    assert len(folders) == 4
    assert all(Path(folder).parent == Path("outputs/strokes-conv_cvae-both-bernoulli") for folder in folders)


def test_a_mistake_is_answered_in_one_line_with_status_2_before_torch_is_imported(tmp_path):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(HOME / "train.py"), "model.latent_dim=-3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert lines == ["error: model.latent_dim=-3: should be greater than 0"]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "pytorch_lightning", "wandb", "torchvision", "matplotlib"}
    assert list(tmp_path.iterdir()) == []
    assert seconds < 15  # the promise is 1.5 s on a quiet machine; this only catches a heavy import under another name


def test_help_lists_the_groups_and_commands_worth_copying(tmp_path):
    done = subprocess.run(
        [sys.executable, str(HOME / "train.py"), "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    for group, choices in GROUPS.items():
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{group}:"))
        assert all(choice in line for choice in choices), line
    assert sum(line.strip().startswith("python train.py ") for line in done.stdout.splitlines()) >= 5
