"""Checkpoints: from a run back to its model, and one line for every file that is not what it should be."""

import json
import os
import pickle
import shutil
import time
import zipfile
from unittest import mock

import pytest
import torch

import ldg
from ldg import checkpoint
from ldg.checkpoint import build, newest_run, read
from ldg.commands.export import export
from ldg.data.strokes import LETTERS
from ldg.errors import UserError
from tests.fuzz.mutations import mutations
from tests.runs import TINY, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, _ = train(*TINY, "trainer.max_epochs=1", f"outputs={tmp_path_factory.mktemp('outputs')}")
    return folder


@pytest.fixture
def changed(run, tmp_path):
    """The run's checkpoint with something in it changed."""

    def change(edit):
        content = read(run)
        edit(content)
        torch.save(content, tmp_path / "changed.ckpt")
        return tmp_path / "changed.ckpt"

    return change


def complaint(path):
    with pytest.raises(UserError) as error:
        ldg.load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_a_run_becomes_the_model_that_was_trained(run):
    content = read(run / "checkpoints" / "best.ckpt")
    trained = build(content["ldg"]["config"]["model"])
    trained.load_state_dict({name.removeprefix("model."): value for name, value in content["state_dict"].items()})
    z, labels = torch.randn(62, 4), torch.arange(62)
    expected = trained.eval().decode(z, labels)
    for path in (run, str(run), run / "checkpoints" / "best.ckpt"):
        model = ldg.load(path)
        assert torch.equal(model.decode(z, labels), expected)
        assert not model.training
        assert model.classes == tuple(LETTERS)
        assert model.config == content["ldg"]["config"]
    picture = ldg.write("Hello", str(run))
    for model in (run, ldg.load(run)):
        assert (picture == ldg.write("Hello", model)).all()


def test_a_run_without_a_best_checkpoint_gives_its_last(run, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes((run / "checkpoints" / "last.ckpt").read_bytes())
    assert checkpoint.find(tmp_path / "run") == tmp_path / "run" / "checkpoints" / "last.ckpt"


class Code:
    """Runs a command when it is unpickled by the ordinary pickle."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_code_in_a_pickle_is_not_run(place, run, tmp_path):
    content = read(run) if place == "inside" else {}
    content["more"] = Code(f"touch {tmp_path}/taken")
    torch.save(content, tmp_path / "hostile.ckpt")
    assert "holds posix.system, which no checkpoint of ldg has" in complaint(tmp_path / "hostile.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(content))
    assert "plain.ckpt" in complaint(tmp_path / "plain.ckpt")
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "ldg.models.vae.torch.load",
        "ldg.models.vae.Callable",
        "ldg.models.vae.Any",
        "ldg.models.vae.nn.Module",
        "ldg.checkpoint.importlib.import_module",
        "torch.load",
        "eval",
        "ldg.data.download.urlopen",
        "ldg.checkpoint.load",
        "ldg.models.nothing.Thing",
        "",
        None,
    ],
)
@pytest.mark.parametrize("place", ["model", "network"])
def test_a_target_outside_the_list_is_refused_by_name(target, place, changed, tmp_path):
    def edit(content):
        node = content["ldg"]["config"]["model"]
        node = node if place == "model" else node["network"]
        node.clear()
        node |= {"_target_": target, "command": f"touch {tmp_path}/taken"}

    with pytest.raises(UserError) as error:
        ldg.load(changed(edit))
    assert repr(target) in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "taken").exists()


def test_classes_of_the_users_are_built_if_they_derive_from_ldgs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_base.py").write_text("from ldg.models.likelihoods import Bernoulli as B\nclass Base(B): pass\n")
    (tmp_path / "mine_good.py").write_text("from mine_base import Base\nclass Mine(Base): pass\n")
    (tmp_path / "mine_round.py").write_text("class Circle(Ring): pass\nclass Ring(Circle): pass\n")
    (tmp_path / "mine_bad.py").write_text(
        "from mine_good import Mine\nopen('taken', 'w')\nclass Other: pass\ndef Bernoulli(): pass\n"
    )
    assert type(build({"_target_": "mine_good.Mine", "binarize": "dynamic"})).__name__ == "Mine"
    for name in ("mine_bad.Other", "mine_bad.Mine", "mine_bad.Bernoulli", "mine_round.Ring", "mine_good.Base", "mine"):
        with pytest.raises(UserError, match=f"{name!r} as a target; only classes of ldg"):
            build({"_target_": name})
    with pytest.raises(UserError, match="only classes of ldg"):
        build({"_target_": f"mine_good.{tmp_path}/mine_good.Mine"})
    assert not (tmp_path / "taken").exists()


def test_files_that_are_none(run, tmp_path):
    whole = (run / "checkpoints" / "best.ckpt").read_bytes()
    contents = {
        "truncated": whole[: len(whole) // 2],
        "cut": whole[:-1],
        "empty": b"",
        "text": b"weights, believe me\n" * 9,
        "picture": b"\x89PNG\r\n\x1a\n" * 40,
    }
    for name, data in contents.items():
        path = tmp_path / f"{name}.ckpt"
        path.write_bytes(data)
        assert complaint(path) == f"{path} is damaged or no checkpoint; give one that ldg has written"


def test_a_damaged_weight_is_noticed(run, tmp_path):
    data = bytearray((run / "checkpoints" / "best.ckpt").read_bytes())
    for at in range(len(data) // 4, len(data) // 2):
        data[at] ^= 0xFF
    (tmp_path / "damaged.ckpt").write_bytes(data)
    complaint(tmp_path / "damaged.ckpt")


def test_foreign_and_missing_files(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "weights.ckpt")
    assert "was not written by ldg" in complaint(tmp_path / "weights.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    assert "was not written by ldg" in complaint(tmp_path / "list.ckpt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.ckpt")
    assert "holds torch.nn.modules.linear.Linear" in complaint(tmp_path / "module.ckpt")
    assert "no checkpoint at" in complaint(tmp_path / "nothing.ckpt")
    assert "holds no checkpoints/best.ckpt" in complaint(tmp_path)


def _endless(content):
    """A weight that is a single number and claims to be 10^14 of them."""
    return {next(iter(content["state_dict"])): torch.zeros(1).expand(10**7, 10**7)}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["ldg"].update(version=checkpoint.FORMAT + 1), "has format 5; this ldg reads 1 to 4, update it"),
        (lambda c: c["ldg"].pop("version"), "has format None"),
        (lambda c: c["ldg"].pop("config"), "does not fit its own config: 'config'"),
        (lambda c: c["ldg"].update(config=[1]), "does not fit its own config"),
        (lambda c: c["ldg"].update(classes=None), "does not fit its own config"),
        (lambda c: c["ldg"]["config"]["model"].update(latent_dim=9), "does not fit its own config"),
        (lambda c: c["ldg"]["config"]["model"].update(latent_dim="9"), "does not fit its own config"),
        (lambda c: c["ldg"]["config"].update(model=3), "does not fit its own config"),
        (lambda c: c["ldg"]["config"]["model"].update(latent_dim=10**12), "does not fit its own config"),
        (lambda c: c["ldg"]["config"]["model"]["network"].update(hidden=[10**6]), "its model is larger than its"),
        (lambda c: c["ldg"]["config"]["model"]["network"].update(hidden=[1] * 10**6), "not made of plain values"),
        (lambda c: c["ldg"]["config"]["model"].update(num_classes=10**12), "does not fit its own config"),
        (lambda c: c["ldg"]["config"]["model"].update(image_shape=[1, 10**9, 1]), "image_shape [1, 1000000000, 1] is"),
        (lambda c: c["ldg"]["config"]["model"].update(likelihood=c["ldg"]["config"]), "does not fit its own config"),
        (lambda c: c["ldg"]["config"].update(model=c["ldg"]["config"]), "not made of plain values"),
        (lambda c: c["ldg"]["classes"].pop(), "it has 62 classes, and names for 61"),
        (lambda c: c["ldg"].update(classes=[1] * 62), "its classes have no names"),
        (lambda c: c["ldg"].update(classes="a" * 62), "its classes have no names"),
        (lambda c: c["state_dict"].update(_endless(c)), "weights that are larger than what is stored of them"),
        (lambda c: c.pop("state_dict"), "does not fit its own config: 'state_dict'"),
        (lambda c: c.update(state_dict=[1]), "does not fit its own config"),
        (lambda c: c["state_dict"].popitem(), "does not fit its own config"),
        (lambda c: c["state_dict"].update({next(iter(c["state_dict"])): "x"}), "does not fit its own config"),
        (
            lambda c: next(v for v in c["state_dict"].values() if v.is_floating_point()).fill_(float("nan")),
            "has weights that are NaN or infinite",
        ),
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit(edit, message, changed):
    assert message in complaint(changed(edit))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(root="${num_classes:${oc.create:{_target_:os.system,command:exit}}}"), "an interpolation"),
        (lambda d: d["dataset"].update(per_class="${oc.env:HOME,x}"), "an interpolation, which ldg does not resolve"),
        (
            lambda d: d.update(dataset={"_target_": "ldg.data.fashion_mnist.FashionMNIST"}, num_classes=10),
            "other classes or images",
        ),
        (lambda d: d.update(image_shape=[3, 28, 28]), "other classes or images than its model"),
        (lambda d: d.update(image_shape=5), "the checkpoint's data set cannot be made: "),
        (lambda d: d.pop("image_shape"), "the checkpoint's data set cannot be made: "),
        (lambda d: d["dataset"].update(no_argument=1), "the checkpoint's data set cannot be made: "),
        (lambda d: d.pop("dataset"), "the checkpoint names no data set"),
    ],
)
def test_a_data_set_that_does_not_fit_its_model(edit, message, changed):
    model = ldg.load(changed(lambda content: edit(content["ldg"]["config"]["data"])))
    with pytest.raises(UserError) as error:
        checkpoint.load_data(model)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_newest_run_is_the_one_that_finished_last_and_can_draw(tmp_path):
    assert newest_run(tmp_path) == checkpoint.SHIPPED
    now = time.time()
    ours = json.dumps({"example": '"Hello World"'})
    runs = {"a/20260101": 15, "b/20250101": 11, "c/20270101": 19, "judge_emnist/20260101": 10}
    for name, age in runs.items():
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "last.ckpt").touch()
        example = json.dumps({"example": None}) if name.startswith("judge") else ours
        (tmp_path / name / "summary.json").write_text(example, encoding="utf-8")
        os.utime(tmp_path / name / "summary.json", (now - age, now - age))
    (tmp_path / "d" / "unfinished" / "checkpoints").mkdir(parents=True)
    # newer, and nothing to write with: a run that has kept no checkpoint, other programs' files, damaged ones
    foreign = {"kept-none": ours.encode(), "list": b"[1]", "number": b"1", "text": b'"example"', "half": b'{"exa'}
    foreign |= {"empty": b"", "latin": b'{"example": "\xe4"}', "deep": b"[" * 100_000, "other": b'{"best": 1}'}
    for name, data in foreign.items():
        (tmp_path / "e" / name / "checkpoints").mkdir(parents=True)
        (tmp_path / "e" / name / "summary.json").write_bytes(data)
    (tmp_path / "e" / "folder" / "summary.json").mkdir(parents=True)
    (tmp_path / "e" / "summary.json").symlink_to(tmp_path / "gone")
    assert newest_run(tmp_path) == tmp_path / "b" / "20250101"


def test_a_run_that_cannot_be_read_is_passed_over(tmp_path):
    lines = []
    for age, generated in ((1, 0.3), (2, 0.69), (3, 0.7)):
        folder = tmp_path / f"{generated}"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.ckpt").touch()
        summary = {"example": '"Hi"', "legibility": {"generated": generated, "real": 0.93}}
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        os.utime(folder / "summary.json", (time.time() - age, time.time() - age))
    assert newest_run(tmp_path, note=lines.append) == tmp_path / "0.7"
    assert lines == [
        f"passed over {tmp_path / '0.3'}, unless --checkpoint names it: "
        "a judge recognises 30% of its characters, and 93% of real ones"
    ]
    shutil.rmtree(tmp_path / "0.7")
    assert newest_run(tmp_path) == checkpoint.SHIPPED


def test_an_export_reads_its_checkpoint_once(run, tmp_path):
    with mock.patch("torch.load", side_effect=torch.load) as load:
        export(run, tmp_path / "small.safetensors")
    assert load.call_count == 1


def test_exported_weights_draw_the_same_and_name_no_place(run, tmp_path):
    file = tmp_path / "small.safetensors"
    export(run, file)
    full, half = ldg.load(run), ldg.load(file)
    z, labels = torch.randn(62, 4), torch.arange(62)
    torch.testing.assert_close(half.decode(z, labels), full.decode(z, labels), rtol=0, atol=2e-3)
    assert half.classes == full.classes and half.config["model"] == full.config["model"]
    assert str(run.parent) not in str(half.config)
    other = tmp_path / "other"
    other.touch()
    assert file.stat().st_mode == other.stat().st_mode  # whoever reads the user's files reads this one
    parameters = sum(p.numel() for p in full.parameters())
    assert file.stat().st_size < 2.2 * parameters + 20_000
    file.write_bytes(file.read_bytes()[:-100])
    assert "damaged" in complaint(file)
    wrong = {"small.safetensors/x.safetensors": "cannot write", "x.pt": "ends in", "small.safetensors": "exists"}
    for name, message in wrong.items():
        with pytest.raises(UserError, match=message):
            export(run, tmp_path / name)


def test_an_archive_that_grows_when_it_is_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_MAX_INFLATED", 2**16)
    with zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(2**20))
    with pytest.raises(ValueError, match="1048576 bytes in a file of"):
        checkpoint._refuse_inflated(tmp_path / "bomb.ckpt")
    assert "is damaged or no checkpoint" in complaint(tmp_path / "bomb.ckpt")


FILES = {"best.ckpt": 20, "small.safetensors": 20, "summary.json": 10}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, run, tmp_path):
    if name == "best.ckpt":
        shutil.copy(run / "checkpoints" / name, tmp_path / name)
    elif name == "small.safetensors":
        export(run, tmp_path / name)
    else:
        shutil.copytree(run, tmp_path / "run")
    file = next(tmp_path.rglob(name))
    for what, data in mutations(file.read_bytes(), int(os.environ.get("LDG_FUZZ", FILES[name]))):
        file.write_bytes(data)
        try:
            ldg.load(newest_run(tmp_path) if name == "summary.json" else file)
        except UserError as error:
            assert "\n" not in str(error), what
        except Exception as error:
            pytest.fail(f"{what}: {error!r}")


def test_the_shipped_weights_are_small_and_write():
    assert checkpoint.SHIPPED.stat().st_size <= 4_000_000
    model = ldg.load(checkpoint.SHIPPED)
    assert model.classes == tuple(LETTERS) and "root" not in model.config["data"]
    picture = ldg.write("Hello World", model)
    assert picture.shape[1] > 4 * picture.shape[0]
    ink = (picture < 0.5).mean()
    assert 0.05 < ink < 0.3
