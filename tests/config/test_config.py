"""Every shipped YAML fits its target, and what a user can mistype is answered in one line, without torch."""

import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.utils import get_class, get_method

from ldg.config import signatures
from ldg.config.check import check_calls, check_config
from ldg.config.compose import compose_config, compose_measures, resolve_config
from ldg.config.overrides import quote, quote_texts
from ldg.config.renamed import replace_choices
from ldg.config.signatures import read_signature
from ldg.errors import UserError
from ldg.sweeps.command_line import check_command_line, prepare_arguments
from tests.conftest import HOME
from tests.data import made

FOLDERS = [folder for folder in (HOME / "configs").iterdir() if any(folder.glob("*.yaml"))]
GROUPS = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in FOLDERS}
EXPERIMENTS = sorted(f.stem for f in (HOME / "experiments" / "experiment").glob("*.yaml"))
MEASURES = GROUPS.pop("measure")
del GROUPS["base"]  # what the files of a group share
CHOICES = [f"{group}={choice}" for group, choices in GROUPS.items() for choice in choices]
CHOICES += [f"model/{f.parent.name}={f.stem}" for f in sorted((HOME / "configs/model").glob("*/*.yaml"))]
CHOICES += [f"experiment={name}" for name in EXPERIMENTS]


def test_the_groups_are_there():
    files = ["csv", "folder", "npz", "parquet"]
    assert GROUPS["data"] == sorted([*files, "emnist", "fashion_mnist", "stanford_dogs", "strokes", "torchvision"])
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
def test_every_yaml_fits_its_targets(choice, tmp_path):
    more = made.user_data(choice.removeprefix("data="), tmp_path) if choice.startswith("data=") else []
    config = resolve_config(compose_config([choice, *more]))
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
        "ldg.training.wandb.WandbRun",
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
        (["data=emnst"], "data=emnst: no such choice, did you mean emnist?; data is one of csv, emnist, "),
        (["model/kl=line"], "model/kl=line: no such choice, did you mean linear?"),
        (["model.latent_dim=-3"], "model.latent_dim=-3: should be greater than 0"),
        (["model.latent_dim=abc"], 'model.latent_dim="abc": should be a valid integer'),
        (["model.kl.beta=-1"], "model.kl.beta=-1: should be greater than or equal to 0"),
        (["model.network.channels=[8,x]"], "model.network.channels.1"),
        (["+model.network.width=3"], "model.network.width: ConvNetwork has no such argument"),
        (["model.num_classes=10"], "model.num_classes=10: the data have 81; leave it out"),
        (["model.image_shape=[1,14,14]"], "model.image_shape=[1, 14, 14]: the data have [1, 28, 28]; leave it out"),
        (["data=stanford_dogs", "data.dataset.breeds=[pug]"], "conditioning=both: the data have one class, so that"),
        (["data=folder"], "data.path: name a file or folder, as in data.path=photos"),
        (["data=torchvision", "data.name=MNST"], "data.name=\"MNST\": should be 'MNIST', 'KMNIST'"),
        (["data=torchvision", "data.resize=stretch"], "data.resize=\"stretch\": should be 'crop', 'pad', 'squeeze' or"),
        (["data=torchvision", "+data.imagesize=3"], "data.imagesize: no such key, did you mean image_size?"),
        (["data.limit=0"], "data.limit=0: should be greater than 0"),
        (["data=stanford_dogs", "data.dataset.image_size=8"], "image_size=8: should be greater than or equal to 16"),
        (["data=stanford_dogs", "data.dataset.image_size=512"], "image_size=512: should be less than or equal to 128"),
        (["data=emnist", "data.dataset.split=leters"], "data.dataset.split"),
        (["data=stanford_dogs", "data.dataset.breeds=[pugg]"], "breeds: no breed 'pugg'; did you mean 'pug'?"),
        (["data.batch_size=0"], "data.batch_size=0: should be greater than 0"),
        (["data.val_fraction=1.5"], "data.val_fraction=1.5: should be less than 1"),
        (["likelihood=gaussian", "likelihood.variance=0"], "likelihood.variance=0: should be greater than 0"),
        (["likelihood=gaussian", "likelihood.variance=-1"], "likelihood.variance=-1: should be greater than 0"),
        (["likelihood.binarize=maybe"], "should be 'none', 'dynamic' or 'static'"),
        (["optimizer.lr=-1"], "optimizer.lr=-1: should be greater than 0"),
        (["optimizer.lr=fast"], 'optimizer.lr="fast"'),
        (["model.free_bits=1e300"], "model.free_bits=1e+300: should be a smaller number, of at most 3.4e+38"),
        (["trainer.max_epochs=many"], 'trainer.max_epochs="many": should be a valid integer'),
        (["model.network.channels=16"], "model.network.channels=16: should be a list, as in [16]"),
        (["model.network.channels=wide"], 'model.network.channels="wide": should be a list, as in [16,32]'),
        (["model.network.channels=[0,a]"], "model.network.channels.0=0: should be greater than 0"),
        (["model.network.channels=[]"], "model.network.channels=[]: should be a list that is not empty"),
        (["model=hierarchical_cvae", "model.network.channels=[]"], "channels=[]: should be a list that is not empty"),
        (["model=judge", "model.channels=[]"], "model.channels=[]: should be a list that is not empty"),
        (["model.network.channels=[16,0]"], "model.network.channels.1=0: should be greater than 0"),
        (["trainer.precision=bf17"], 'trainer.precision="bf17": should be auto, 32-true, bf16-mixed or 16-mixed'),
        (["trainer.precision=64-true"], 'trainer.precision="64-true": should be auto, 32-true, bf16-mixed or 16-mixed'),
        (["trainer.precision=bf16-true"], "should be auto, 32-true, bf16-mixed or 16-mixed"),
        (["trainer.precision=64"], "should be auto, 32-true, bf16-mixed or 16-mixed"),
        (["trainer.limit_train_batches=0"], "=0: should be a number of batches, or a fraction of them up to 1.0"),
        (["trainer.limit_train_batches=1.5"], "=1.5: should be a number of batches, or a fraction of them up to 1.0"),
        (["trainer.limit_val_batches=-1"], "=-1: should be a number of batches, or a fraction of them up to 1.0"),
        (["+trainer.overfit_batches=-1"], "=-1: should be a number of batches, or a fraction of them up to 1.0"),
        (["+trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches=0: should be greater than 0"),
        (["+trainer.val_check_interval=0"], "trainer.val_check_interval=0: should be a number of batches, a fraction"),
        (["+trainer.val_check_interval=2.5"], "trainer.val_check_interval=2.5: should be a number of batches, a"),
        (["+trainer.val_check_interval=1h"], 'trainer.val_check_interval="1h": should be a number of batches, a'),
        (["trainer.check_val_every_n_epoch=0"], "trainer.check_val_every_n_epoch=0: should be greater than 0"),
        (["+trainer.log_every_n_steps=-1"], "trainer.log_every_n_steps=-1: should be greater than or equal to 0"),
        (["+trainer.max_steps=0"], "trainer.max_steps=0: should be greater than 0 or -1"),
        (["+trainer.min_epochs=-1"], "trainer.min_epochs=-1: should be greater than or equal to 0"),
        (["trainer.max_time=45"], "trainer.max_time=45: should be DD:HH:MM:SS, as in 00:00:45:00, or null"),
        (["trainer.max_time=00:45:00"], 'trainer.max_time="00:45:00": should be DD:HH:MM:SS, as in 00:00:45:00'),
        (["trainer.max_time={hours:-1}"], "should be DD:HH:MM:SS, as in 00:00:45:00, or null"),
        (
            ["+trainer.gradient_clip_algorithm=l1"],
            "trainer.gradient_clip_algorithm=\"l1\": should be 'norm' or 'value'",
        ),
        (["+trainer.num_nodes=0"], "trainer.num_nodes=0: should be greater than 0"),
        (["trainer.devices=0"], "trainer.devices=0: should be a number of devices from 1, their numbers as in [0,1]"),
        (["trainer.devices=[]"], "trainer.devices=[]: should be a number of devices from 1, their numbers as in [0,1]"),
        (["trainer.devices=-2"], "trainer.devices=-2: should be a number of devices from 1"),
        (["trainer.devices=two"], 'trainer.devices="two": should be a number of devices from 1'),
        (["trainer.accelerator=tpu"], "trainer.accelerator=\"tpu\": should be 'auto', 'cpu', 'gpu', 'cuda' or 'mps'"),
        (["+trainer.strategy=deepspeed"], "trainer.strategy=\"deepspeed\": should be 'auto', 'ddp', 'ddp_find_unused"),
        (["trainer.devices=2", "+trainer.strategy=ddp_spawn"], "should be 'auto', 'ddp', 'ddp_find_unused_parameters"),
        (["trainer=ddp", "trainer.devices='1'"], 'trainer.devices="1": ddp is for several devices'),
        (["+trainer.profiler=fast"], "trainer.profiler=\"fast\": should be 'simple', 'advanced' or 'pytorch'"),
        (["trainer.deterministic=maybe"], "trainer.deterministic=\"maybe\": should be a valid boolean or 'warn'"),
        (["callbacks.early_stopping.mode=most"], "callbacks.early_stopping.mode=\"most\": should be 'min' or 'max'"),
        (["+callbacks.checkpoint.save_top_k=-2"], "checkpoint.save_top_k=-2: should be greater than or equal to -1"),
        (["+sed=1"], "sed: no such key, did you mean seed?"),
        (["seed=-1"], "seed=-1: should be greater than or equal to 0"),
        (["seed=1,2"], "several values need a sweep; add -m"),
        (["sweep=latent_beta"], "sweep=latent_beta: a sweep needs -m"),
        (["-m", "sweep=latent_beta,speed"], "sweep=latent_beta,speed: one sweep at a time"),
        (["name=../mine"], 'name="../mine": should be the name of a folder in outputs/'),
        (["name="], 'name="": should be the name of a folder in outputs/'),
        (["--cfg", "job", "model.latent_dum=3"], "did you mean model.latent_dim?"),
        (["-m", "model.latent_dim=8,-8"], "model.latent_dim=-8"),
        (["-m", "trainer=ddp"], "trainer.strategy=ddp: its processes would each repeat the whole sweep"),
        (["-m", "trainer.devices=2"], "trainer.devices=2: its processes would each repeat the whole sweep"),
        (["-m", "trainer.devices='2'"], 'trainer.devices="2": its processes would each repeat the whole sweep'),
        (["-m", "trainer.devices=[0,1]"], "trainer.devices=[0, 1]: its processes would each repeat the whole sweep"),
        (["-m", "trainer.devices='0,1'"], 'trainer.devices="0,1": its processes would each repeat the whole sweep'),
        (["-m", "trainer.devices=-1"], "trainer.devices=-1: its processes would each repeat the whole sweep"),
        (["-m", "trainer.devices=1,2"], "trainer.devices=2: its processes would each repeat the whole sweep"),
        (["-m", "+trainer.num_nodes=2"], "trainer.num_nodes=2: its processes would each repeat the whole sweep"),
        (["not an override"], "cannot be read as an override"),
        (["sweep_name=../../x"], 'sweep_name="../../x": should be the name of a folder'),
        (["run=/x"], 'run="/x": should be the name of a folder'),
        (["name=" + "ü" * 200], "should be shorter: a file system takes names of at most 255 bytes"),
        (["name=a\nb"], "should be the name of a folder"),
        (["name=a,b"], "name=a,b: several values need a sweep; add -m, or quote a text with a comma"),
        (["outputs="], 'outputs="": should be a path; it is empty'),
        (["ckpt_path=" + "a/" * 9 + "x" * 300], "should be shorter"),
        (["data.cache=/dev/null"], "data.cache: /dev/null is a device or a pipe"),
        (["logger.csv.path=/"], "logger.csv.path: / is a folder; name a file"),
        (["data=emnist", "data.root="], "data.root=: should be a path"),
        (["name=\udcff"], "is not UTF-8"),
        (["tags=[a#b]"], """# needs quotes: 'tags=["a#b"]'"""),
        (["model.network.channels=[4,4"], "not as many [ as ]"),
        (["model.latent_dim=rang(1,2)"], "there is no function rang"),
        (["seed=choice()"], "empty choice"),
        (["=3"], "write key=value"),
        (["model=null"], "model=null: should be the name of a choice"),
        (["model={}", "model._target_=a..b"], "there is no a..b"),
        (["model._target_=__main__.x"], "there is no __main__.x"),
        (["data.image_shape=[28,28]"], "data.image_shape=[28, 28]: should be a longer list"),
        (["hydra.sweeper.n_trials=5"], "hydra.sweeper.n_trials is now hydra.sweeper.study.trials"),
        (["hydra.lancher=x"], "hydra.lancher: no such key, did you mean hydra.launcher?"),
        (["beta=2"], "did you mean model.kl.beta?"),
        (["kl=linear"], "did you mean model/kl=linear?"),
        (["model.kl.warmup_epochs=3"], "no such key with this choice; model/kl=capacity or linear has it"),
        (["hydra.run.dir=x"], "hydra.run.dir=x: ldg does not use it"),
        (["hydra.job.chdir=true"], "hydra.job.chdir=true: ldg does not use it"),
        (["hydra.mode=MULTIRUN"], "a sweep needs -m"),
        (["hydra.searchpath=[file:///nowhere]"], "path=/nowhere is not available"),
        (["-c"], "expected one argument"),
        (["--resolve"], "--resolve goes with --cfg"),
        (["-m", "--cfg", "job"], "--multirun and --cfg do not go together"),
        (["--experimental-rerun", "x"], "a pickle may hold any code"),
        (["--config-dir", "nowhere"], "--config-dir=nowhere: there is no such folder"),
        (["--config-name", "x" * 300], "File name too long"),
        (["-m", "seed=1,2", "ckpt_path=x"], "one run is resumed, not a sweep"),
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
        (["model.network.blocks=1001"], "blocks=1001: should be less than or equal to 1000 or 0"),
        (["seed=1" + "0" * 5000], "0000: a number has too many digits"),
        (["seed=1" + "0" * 4000], "should be less than 4294967296"),
        (["model.network.blocks=9223372036854775808"], "should be less than or equal to 1000 or a smaller number"),
        (["model/prior=flow", "model.prior.couplings=1001"], "couplings=1001: should be less than or equal to 1000"),
        (
            ["-m", "seed=1,2", "launcher=joblib", "launcher.runs_per_machine=0"],
            "launcher.runs_per_machine=0: should be",
        ),
        (["model.lr=abc"], "model.lr: no such key, did you mean optimizer.lr?"),
        (["logger.wandb.offline=true"], "logger.wandb.offline: no such key; see"),
        (["logger.wandb.grups=x"], "did you mean logger.wandb.group?"),
        (["trainer.max_epochs=2,", "3"], "ends with a comma; several values have no space between them"),
        (["model.kl=[]"], "Error merging override model.kl=[]"),
        (["model.likelihood=[]"], "model.likelihood=[]: should be a constructor call"),
        (["model.likelihood=null"], "model.likelihood=null: should be a constructor call"),
        (["model.network=3"], "model.network=3: should be a constructor call"),
        (["trainer.devices=1000000"], "trainer.devices=1000000: a process for each; this machine should have at most"),
        (["trainer.devices='1000000'"], 'trainer.devices="1000000": a process for each'),
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


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_RESTART_COUNT"])
def test_a_folder_that_is_there_is_that_of_another_process_or_of_an_earlier_start(name, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UserError, match="is there and not empty; leave folder= out"):
        check_command_line([f"folder={tmp_path}"])
    monkeypatch.setenv(name, "")
    with pytest.raises(UserError, match="is there and not empty"):
        check_command_line([f"folder={tmp_path}"])
    monkeypatch.setenv(name, "1")
    check_command_line([f"folder={tmp_path}"])


def test_a_variable_set_to_nothing_is_not_set(monkeypatch):
    for name in ("LDG_DATA", "LDG_CACHE", "LDG_RUN_ID"):
        monkeypatch.setenv(name, "")
    check_command_line(["data=emnist"])
    assert resolve_config(compose_config(["data=emnist"]))["data"]["root"] == "data"


def test_a_defaults_list_that_overrides_what_is_not_there(tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults:\n  - override foo: bar\n")
    with pytest.raises(UserError, match=r"foo: no such key or group; see the defaults list of mine\.yaml"):
        check_command_line([f"--config-path={tmp_path}", "--config-name=mine"])


def test_a_good_command_line_is_accepted():
    check_command_line(["data=emnist", "model=beta_vae", "model/kl=capacity", "model.latent_dim=10", "optimizer.lr=1"])
    check_command_line(["-m", "model=vanilla_cvae,conv_cvae", "seed=range(3)"])
    for devices in ("1", "'1'", "[1]", "'1,'", "auto"):  # of each run in a sweep
        check_command_line(["-m", "seed=1,2", f"trainer.devices={devices}"])
    times = ["trainer.max_time=00:00:45:00", "trainer.max_time={minutes:45}", "+trainer.val_check_interval=00:00:10:00"]
    check_command_line(times[:1])
    check_command_line(times[1:])
    check_command_line(
        ["+trainer.val_check_interval=0.5", "trainer.limit_val_batches=0.5", "trainer.precision=16-mixed"]
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ckpt_path", "outputs/x/checkpoints/epoch=3-step=100.ckpt"),
        ("name", "2024"),
        ("name", "bob's (1) [new] {x} #3: größer & <b> 100% ~ -x"),
        ("sweep_name", '"half'),
        ("sweep_name", "true"),
        ("outputs", "a=b"),
        ("logger.wandb.group", "[first]"),
        ("logger.wandb.project", "it's 1, 2 or 3"),
        ("callbacks.gallery.text", "Hello, World!"),
        ("callbacks.gallery.text", "a b"),
    ],
)
def test_a_text_needs_no_quotes_of_hydras(key, value):
    (override,) = quote_texts([f"{key}={value}"])
    node = compose_config([override])
    for part in key.split("."):
        node = node[part]
    assert node == value


def test_texts_are_quoted_only_where_that_is_needed():
    kept = ["name=mine", "seed=1,2", "name=a,b", "name=${seed}", "name=null", 'name="a,b"', "tags=[a,b]", "~logger"]
    kept += ["sweep_name=choice(a,b)", "model.network.channels=[4,4]", "hydra.sweeper.params={seed:1}"]
    assert quote_texts(kept) == kept
    assert quote_texts(["outputs=~/x"]) == [f"outputs={Path.home()}/x"]
    assert [quote(text) for text in ("trial-000", "1", "it's", "a,b", "")] == [
        "trial-000",
        '"1"',
        '"it\'s"',
        '"a,b"',
        "",
    ]


def test_a_number_names_a_folder():
    config = resolve_config(compose_config(["name=2024", "tags=[1,mine]"]))
    assert (config["name"], config["tags"], config["logger"]["wandb"]["name"]) == ("2024", ["1", "mine"], "2024")
    check_config(config)


def test_options_may_stand_anywhere_and_be_shortened():
    line = ["seed=1", "--mult", "data=emnist", "--config-dir", "tests"]
    assert prepare_arguments(line) == [
        "--multirun",
        f"--config-dir={Path('tests').absolute()}",
        "seed=1",
        "data=emnist",
    ]


GLOBAL = "# @package _global_\n"
FIRST_LINE = "mine.yaml: its first line should be '# @package _global_'"
FILES = [
    (f"{GLOBAL}seed:\n\t- 1\n", "mine.yaml, line 3: found character '\\t' that cannot start any token"),
    (f"{GLOBAL}name: 'a\n", "while scanning a quoted scalar that begins in line 2"),
    (f"{GLOBAL}seed: 1\nseed: 2\n", "mine.yaml, line 3: found duplicate key seed"),
    (f"{GLOBAL}# x\nname: \xe9\n".encode("latin-1"), "mine.yaml, line 3: not UTF-8; save the file as UTF-8"),
    (f"{GLOBAL}seed: 1\n".encode("utf-16"), "line 1: not UTF-8"),
    (f"{GLOBAL}a: &a [*a]\n", "mine.yaml: an anchor contains itself"),
    (
        GLOBAL + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9 if i else '1')}]\n" for i in range(9)),
        "its aliases stand",
    ),
    (f"{GLOBAL}x: &a [1]\nname: mine\ntags: *a\n", "x: no such key"),
    (GLOBAL + "#" * 2**20, "mine.yaml: too large for a config"),
    (f"{GLOBAL}- a\n", "mine.yaml: holds a list"),
    ("seed: 7\n", FIRST_LINE),
    ("", FIRST_LINE),
    ("# @package experiment\nseed: 7\n", FIRST_LINE),
    ("\ufeff" + f"{GLOBAL}seed: 7\n", "begins with a byte order mark"),
    (f"{GLOBAL}sed: 3\n", "sed: no such key, did you mean seed?"),
    (f"{GLOBAL}1: 3\n", "1: no such key"),
    (f"{GLOBAL}defaults:\n  - mine\n", "name each other in a circle"),
    (f"{GLOBAL}defaults:\n  model: x\n", "mine.yaml: defaults should be a list"),
    (f"{GLOBAL}defaults:\n  - 3\n", "mine.yaml: defaults should be a list"),
    (f"{GLOBAL}defaults:\n  - nothing\n", "Could not load 'experiment/nothing'"),
    (f"{GLOBAL}defaults:\n  - /model: vanilla_cvae\n", "To override a value use 'override model: vanilla_cvae'"),
    (f"{GLOBAL}defaults:\n  - override /modl: x\n", "modl: no such key, did you mean model?"),
    (f"{GLOBAL}name: ${{nothing.there}}\n", "'nothing.there' not found"),
    (f"{GLOBAL}name: ${{name}}\n", "Recursive interpolation"),
    (f"{GLOBAL}outputs: ~/x\n", "should be a path, without ~"),
    (f"{GLOBAL}model: {{hidden: 3}}\n_target_: x\n", "_target_: no such key"),
    (f"{GLOBAL}seed: 7\n".replace("\n", "\r\n"), None),
    (f"{GLOBAL}name: 2024\n", None),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_a_file_of_ones_own_is_used_or_what_is_wrong_in_it_named(content, message, tmp_path):
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = ["--config-dir", str(tmp_path), "experiment=mine"]
    if message is None:
        return check_command_line(line)
    with pytest.raises(UserError) as error:
        check_command_line(line)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_worker_process_may_register_hydras_own_source_of_files():
    compose_config([])
    SourcesRegistry.instance().register(FileConfigSource)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"mine\.yaml is a link to nowhere, which does not exist"):
        check_command_line([f"--config-dir={tmp_path}", "model=mine"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"class A:\n    def __init__(self) -> None:\n        x = (\n", "mine_module.py, line 3: '(' was never closed"),
        (b"x = '\xe9'\nclass A:\n    pass\n", "mine_module.py, line 1: (unicode error)"),
        (b"class B:\n    pass\n", "there is no mine_module.A"),
        (b"from mine_module import A\n", "there is no mine_module.A"),
    ],
)
def test_a_module_of_ones_own_that_cannot_be_read_is_named(source, message, tmp_path, monkeypatch):
    (tmp_path / "mine_module.py").write_bytes(source)
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (signatures._source, signatures._tree, signatures.read_signature):
        cached.cache_clear()
    with pytest.raises(UserError) as error:
        read_signature("mine_module.A") or check_calls({"_target_": "mine_module.A"})
    assert message in str(error.value)


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
    assert sum(line.startswith(f"python {HOME}/train.py ") for line in done.stdout.splitlines()) >= 5


def test_a_run_says_which_of_many_data_sets_it_is_of(tmp_path):
    made.folder(tmp_path / "my photos", ["cat", "dog"])
    for line, which in [
        (["data=torchvision", "data.name=KMNIST"], "torchvision-KMNIST"),
        (["data=folder", f"data.path='{tmp_path}/my photos/'"], "folder-my_photos"),
        ([], "strokes"),
    ]:
        config = resolve_config(compose_config(line))
        assert config["name"].startswith(f"{which}-conv_cvae") and config["tags"][0] == which
        assert config["logger"]["wandb"]["group"] == which
