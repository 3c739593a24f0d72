"""The writing script as a user runs it: what it leaves on disk, what it says, and how fast it refuses."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import generate
from ldg import checkpoint
from ldg.commands.cli import exit_status
from ldg.data.splits import ImageSubset

ROOT = Path(generate.__file__).parent
CHARACTERS = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

CUT = ["--style-from", "binary", "--style-text", "abc", "--style-cut"]


def leave_run(folder, classes=CHARACTERS, conditioning="both", image_shape=(1, 12, 12), data=None):
    """A finished run with an untrained model."""
    config = {
        "model": {
            "_target_": "ldg.models.vae.VAE",
            "image_shape": list(image_shape),
            "num_classes": len(classes),
            "latent_dim": 2,
            "conditioning": conditioning,
            "network": {"_target_": "ldg.models.dense.DenseNetwork", "_partial_": True, "hidden": [16]},
            "likelihood": {"_target_": "ldg.models.likelihoods.Bernoulli"},
        },
        "data": data,
    }
    torch.manual_seed(0)
    weights = {f"model.{name}": value for name, value in checkpoint.build(config["model"]).state_dict().items()}
    metadata = {"version": checkpoint.FORMAT, "config": config, "classes": list(classes)}
    (folder / "checkpoints").mkdir(parents=True)
    torch.save({"ldg": metadata, "state_dict": weights}, folder / "checkpoints" / "best.ckpt")
    about = {"example": "Hello World", "classes": list(classes), "conditioning": conditioning}
    (folder / "summary.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leave_run(tmp_path / "outputs" / "letters" / "1")
    return tmp_path


def run(capsys, *arguments):
    """Exit status, output and error output of a command line."""
    status = exit_status(lambda: generate.main(list(arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def script(*arguments, cwd, flags=()):
    return subprocess.run(
        [sys.executable, *flags, str(ROOT / "generate.py"), *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_as_a_script(workplace):
    done = script("Hello World 2468", cwd=workplace)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello-world-2468.png\n", "with outputs/letters/1\n")
    with Image.open(workplace / "hello-world-2468.png") as image:
        assert image.mode == "L" and image.height == 106 + 2 * 20 and image.width > 500


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["Hi"], "hi.png"),
        (["--interpolate", "0", "1"], "interpolate-0-1.png"),
        (["class 3+class 40", "--checkpoint", "words"], "class-3-class-40.png"),
    ],
)
def test_writing_imports_nothing_heavy_but_torch(workplace, arguments, name):
    data = {
        "dataset": {"_target_": "ldg.data.strokes.Strokes", "per_class": 2, "test_per_class": 1, "marks": False},
        "image_shape": [1, 28, 28],
        "num_classes": 62,
        "cache": str(workplace / "cache"),
    }
    leave_run(workplace / "outputs" / "strokes", image_shape=(1, 28, 28), data=data)
    leave_run(workplace / "words", [f"class {number}" for number in range(62)], image_shape=(1, 28, 28), data=data)
    code = (
        f"import sys, generate; generate.main({arguments}); "
        "heavy = {'pytorch_lightning', 'lightning', 'hydra', 'omegaconf', 'wandb', 'torchvision', 'matplotlib'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to write: give a text"),
        ([""], "the text is empty"),
        (["Hi", "-t", "1.5"], "-t/--threshold: must be a number from 0 to 1, got '1.5'"),
        (["Hi", "-t", "nan"], "must be a number from 0 to 1, got 'nan'"),
        (["Hi", "--stile", "word"], "unknown argument '--stile': did you mean --style?"),
        (["Hello", "World"], "unknown argument 'World': a text with spaces needs quotes"),
        (["Hi", "--style", "wild"], "choose from"),
        (["Hi", "--mix", "0.3"], "--mix goes with a blend: 'a+b'"),
        (["a+b", "--steps", "5", "--rows", "2"], "--steps does not go with --rows"),
        (["a+b", "--steps", "5", "--mix", "0.3"], "--steps does not go with --mix"),
        (["a+b", "--along", "label", "--columns", "2"], "--along does not go with --columns"),
        (["a", "--to", "a+b", "--along", "label"], "--to does not go with --along"),
        (["a+b", "--steps", "5", "-s", "way.gif"], "--steps draws all steps into one picture: give a .png"),
        (["Hi", "-s", "file/hi"], "cannot write file/hi.png"),
        (["Hi", "-s", "file"], "file.png exists: use --force"),
        (["Hi", "-s", "hi.eps"], "cannot write .eps files: use one of .png, "),
        (["Hi", "--to", "Yo", "-s", "hi.svg"], "--to goes with a picture of pixels, as .png"),
        (["--rows", "2", "-s", "hi.svg"], "--rows goes with a picture of pixels, as .png"),
        (["Hi", "-s", "hi.svg", "--show"], "--show goes with a picture of pixels, as .png"),
        (["Hi", "--height", "10mm"], "--height goes with -s with .svg or .pdf"),
        (["Hi", "--strokes", "-s", "hi"], "--strokes goes with -s with .svg or .pdf"),
        (["Hi", "--page", "A4", "-s", "hi.svg"], "--page goes with -s with .pdf, which has pages"),
        (["Hi", "--page", "A4", "-s", "hi.pdf", "--width", "9"], "--page does not go with --width"),
        (["Hi", "--height", "9mm", "-s", "hi.pdf", "--scale", "9"], "--height does not go with --scale"),
        (["Hi", "--height", "10", "-s", "hi.svg"], "--height: must be a number and mm, cm, in, pt, px, as in 10mm"),
        (["Hi", "--height", "3feet", "-s", "hi.svg"], "must be a number and mm, cm, in, pt, px, as in 10mm"),
        (["Hi", "--height", "0mm", "-s", "hi.svg"], "--height: must be from 0.5mm to 1000mm, got '0mm'"),
        (["Hi", "--height", "9e9in", "-s", "hi.svg"], "--height: must be from 0.5mm to 1000mm, got '9e9in'"),
        (["Hi", "--height", "nanmm", "-s", "hi.svg"], "--height: must be from 0.5mm to 1000mm, got 'nanmm'"),
        (["Hi", "--ink", "bluish"], "--ink: must be a colour, as navy or #1a2b3c, got 'bluish'"),
        (["Hi", "--paper", "#12345678"], "--paper: must be a colour, as navy or #1a2b3c, got '#12345678'"),
        (["Hi", "--ink", "rgb(300,0,0)"], "--ink: must be a colour, as navy or #1a2b3c, got 'rgb(300,0,0)'"),
        (["Hi", "--ink", "hsl(0,200%,25%)"], "--ink: must be a colour, as navy or #1a2b3c, got 'hsl(0,200%,25%)'"),
        (["Hi", "--pen", "9"], "--pen: must be a number from 0.5 to 2.0, got '9'"),
        (["Hi", "--line-height", "0"], "--line-height: must be a number from 0.3 to 10.0, got '0'"),
        (["Hi", "--to", "Yo", "--ruled"], "--to does not go with --ruled"),
        (["--rows", "2", "--letter-spacing", "2"], "--letter-spacing goes with a text"),
        (["--file", "nowhere.txt"], "cannot read nowhere.txt: "),
        (["--file", "."], "cannot read .: there is no such file"),
        (["--file", "/dev/zero"], "/dev/zero is a device or a pipe; name a file or a folder"),
        (["--file", "long"], "long is too long: --file takes a text of at most 1 MiB"),
        (["Hi", *CUT, "me.png", "-s", "me.png"], "me.png is written as well: give another name with --style-cut"),
        (["Hi", *CUT, "cuts/"], "'cuts/' names no file: give a file name with --style-cut"),
        (["--file", "binary"], "binary is no text: --file takes a UTF-8 text file"),
        (["--file", "file"], "file is empty: give a character to write"),
        (["Hi", "--file", "binary"], "--file does not go with a text"),
        (["Hi", "--frames", "3"], "--frames goes with --to"),
        (["Hi", "--interpolate", "1", "2"], "--interpolate does not go with a text"),
        (["Hi", "--to", ""], "the text after --to is empty"),
        (["Hi", "--rows", "0"], "--rows: must be a whole number from 1 to 100, got '0'"),
        (["Hi", "--device", "gpu"], "--device gpu: should be auto, cpu, cuda, cuda:1 (and so on) or mps"),
        (["Hi", "--checkpoint", "nowhere"], "no checkpoint at nowhere"),
        (["Hi", "-s", "n" * 300], "is too long"),
    ],
)
def test_bad_arguments_are_refused_at_once_in_one_line(tmp_path, arguments, message):
    (tmp_path / "file").touch()
    (tmp_path / "file.png").write_text("mine")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "long").write_bytes(bytes(b"all is well\n" * 100_000))
    done = script(*arguments, cwd=tmp_path, flags=["-X", "importtime"])
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ldg" in imported and not imported & {"torch", "matplotlib"}
    assert (done.returncode, done.stdout) == (2, "")
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert files(tmp_path) == ["binary", "file", "file.png", "long"] and (tmp_path / "file.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hé^llo!"], "error: cannot write 'é' and '^': this model knows 0123456789ABC"),
        (["é"], "(the model was outputs/letters/1; --checkpoint names another, "),
        (["Hi", "--checkpoint", "broken.ckpt"], "error: broken.ckpt is damaged"),
        (["--interpolate", "0", "1"], "error: the checkpoint names no data set"),
        (["Hi", "--checkpoint", "n" * 300], "is too long"),
        (["Hi", "--checkpoint", ""], "no checkpoint"),
        (["Hi", "-s", "broken.ckpt/"], "'broken.ckpt/' names no file"),
        (["--interpolate", "1", "2", "-s", "broken.ckpt/"], "broken.ckpt is a file: give another folder"),
        (["Hi", "--temperature", "1e308"], "must be a number from 0 to 10, got '1e308'"),
        (["Hi", "--seed", "1" + "0" * 20], "must be a whole number from 0 to"),
        (["Hello" * 20, "--scale", "50", "--width", "0", "-s", "a.webp"], "is at most 16,383 pixels wide and tall"),
        (["--columns", "99", "--scale", "50", "-s", "a.webp"], "and this picture has 59,800 x 608 pixels"),
        (["Hi", "--to", "Yo" * 130, "--scale", "50", "--width", "0", "-s", "a.gif"], "at most 65,535 pixels"),
        (["Hi" * 99999, "--scale", "50"], "GB of memory, more than half of the"),
        (["Hi", "--rows", "100", "--columns", "100", "--scale", "50"], "GB of memory, more than half of the"),
        (["Hi", "--to", "Yo", "--frames", "500", "--scale", "50"], "GB of memory, more than half of the"),
        (["--rows", "100", "--columns", "100", "--scale", "50"], "GB of memory, more than half of the"),
    ],
)
def test_bad_input_leaves_nothing_behind(workplace, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr("ldg.memory.free_memory", lambda: 4e9)
    (workplace / "broken.ckpt").write_bytes(b"PK\x03\x04 half")
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and message in err and err.count("\n") == 1
    assert files(workplace) == ["broken.ckpt"]


def test_before_any_training_the_shipped_weights_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "Hello World")
    assert (status, out) == (0, "hello-world.png\n") and err == f"with {checkpoint.SHIPPED.with_suffix('.onnx')}\n"


@pytest.mark.parametrize(
    ("arguments", "taken", "reason"),
    [
        (["Hello"], "outputs/letters/1", "no class is called 'Hello': the model knows cat, dog"),
        (["Dog"], "outputs/photos/1", None),
        (["Hi", "--to", "dog"], "outputs/letters/1", "no class is called 'Hi': the model knows cat, dog"),
        (["42", "--checkpoint", "outputs/plain/1"], None, "this model was trained without labels"),
        (["--columns", "2"], "outputs/photos/1", None),
    ],
)
def test_a_run_that_has_no_class_for_the_text_is_passed_over(workplace, capsys, arguments, taken, reason):
    for age, (name, classes, conditioning) in enumerate(
        [
            ("photos", ("cat", "dog"), "both"),
            ("plain", CHARACTERS, "none"),
            ("digits", CHARACTERS[:10], "both"),
        ]
    ):
        summary = leave_run(workplace / "outputs" / name / "1", classes, conditioning) / "summary.json"
        os.utime(summary, (time.time() + 10 - age,) * 2)
    status, _, err = run(capsys, *arguments, "-s", "x.gif" if "--to" in arguments else "x.png")
    if taken is None:
        assert status == 2 and reason in err and err.count("\n") == 1
    elif reason is None:
        assert (status, err) == (0, f"with {taken}\n")
    else:
        note = f"passed over outputs/photos/1, unless --checkpoint names it: {reason}"
        assert (status, err) == (0, f"{note}\nwith {taken}\n")
    assert run(capsys, "7", "-s", "seven")[2].endswith("with outputs/digits/1\n")  # not without labels


def test_what_nobody_can_write_is_an_error_of_the_newest_run(workplace, capsys):
    (workplace / "outputs/letters/1/summary.json").write_text('{"example": "Hello World", "classes": [1]}')
    leave_run(workplace / "outputs" / "photos" / "1", ("cat", "dog"))
    status, out, err = run(capsys, "é")
    assert (status, out) == (2, "") and err.startswith("error: no class is called 'é'") and err.count("\n") == 1
    status, out, err = run(capsys, "Hi")
    assert (status, out) == (0, "hi.png\n") and "unless --checkpoint names it: no class is called 'Hi'" in err


def test_default_names_never_collide_and_given_names_ask(workplace, capsys):
    assert run(capsys, "Hi")[1] == "hi.png\n"
    assert run(capsys, "Hi")[1] == "hi-2.png\n"
    assert run(capsys, "Hi", "-s", "hi")[::2] == (
        2,
        "error: hi.png exists: use --force to write over it, or another name\n",
    )
    assert run(capsys, "Hi", "-s", "hi", "--force")[0] == 0
    assert files(workplace) == ["hi-2.png", "hi.png"]


def test_seed_threshold_and_newline(workplace, capsys):
    for name, extra in {"a": [], "b": [], "c": ["--seed", "1"], "t": ["-t", "0.5"], "n": []}.items():
        text = r"Hi\nyou" if name == "n" else "Hi you"
        assert run(capsys, text, "-s", name, "--temperature", "2", *extra)[0] == 0
    pictures = {name: np.asarray(Image.open(f"{name}.png")) for name in "abctn"}
    assert np.array_equal(pictures["a"], pictures["b"])
    assert pictures["a"].shape != pictures["c"].shape or (pictures["a"] != pictures["c"]).any()
    assert set(np.unique(pictures["t"])) == {0, 255}
    assert pictures["n"].shape[0] > pictures["a"].shape[0] + 150


@pytest.mark.parametrize("extra", [["-t", "1"], ["-t", "0", "--layout", "tiles"], ["-t", "1", "--to", "Yo"]])
def test_a_blank_picture_is_said(workplace, capsys, extra):
    status, _, err = run(capsys, "Hi", *extra)
    warning = f"warning: the picture is blank at --threshold {extra[1]}: try one closer to 0.5"
    assert (status, err) == (0, f"{warning}\nwith outputs/letters/1\n")


def test_the_device_is_chosen_by_itself(workplace, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name, device in (("a", []), ("b", ["--device", "auto"]), ("c", ["--device", "cpu"])):
        assert run(capsys, "Hi", "-s", name, *device)[0] == 0
    assert len({Path(f"{name}.png").read_bytes() for name in "abc"}) == 1
    assert run(capsys, "Hi", "--device", "cuda")[2] == "error: --device cuda: this machine has cpu\n"


def test_sheet(workplace, capsys):
    run(capsys, "Hi", "--temperature", "0", "-s", "one")
    run(capsys, "Hi", "--temperature", "0", "-s", "six", "--rows", "2", "--columns", "3")
    one, six = (np.asarray(Image.open(f"{name}.png")) for name in ("one", "six"))
    assert np.array_equal(six, np.tile(one, (2, 3)))


def test_morph_as_gif_and_as_a_column_of_frames(workplace, capsys):
    assert run(capsys, "Hello", "--to", "gyp", "--frames", "4")[1] == "hello-to-gyp.gif\n"
    with Image.open("hello-to-gyp.gif") as image:
        assert image.n_frames == 4 + 2
        width, height = image.size
    assert run(capsys, "Hello", "--to", "gyp", "--frames", "4", "-s", "morph.png")[0] == 0
    assert Image.open("morph.png").size == (width, 4 * height)


def test_named_classes(workplace, capsys):
    leave_run(workplace / "dogs", classes=("Chihuahua", "Shih-Tzu", "pug"), image_shape=(3, 16, 16))
    run(capsys, "chihuahua", "--checkpoint", "dogs", "-s", "parent", "--temperature", "0")
    assert np.array(Image.open("parent.png")).shape[2] == 3
    assert run(capsys, "pugg", "--checkpoint", "dogs")[2] == "error: no class is called 'pugg': did you mean 'pug'?\n"


def test_blends(workplace, capsys, monkeypatch):
    leave_run(workplace / "dogs", classes=("Chihuahua", "Shih-Tzu", "pug"), image_shape=(3, 16, 16))
    status, _, err = run(capsys, "Chihuahua+pug", "--checkpoint", "dogs")
    assert (status, err) == (
        2,
        "error: a blend mixes the codes of images: the checkpoint names no data set\n",
    )
    images = torch.randint(256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = ImageSubset(images, torch.arange(12) % 3, torch.arange(12))
    data = SimpleNamespace(train=train, test=train, prepare_data=lambda: None)
    monkeypatch.setattr(checkpoint, "load_data", lambda model: data)

    def drawn(*arguments):
        assert run(capsys, *arguments, "--checkpoint", "dogs", "-s", "x", "--force")[0] == 0
        return np.array(Image.open("x.png"))

    # above the names, without the margins
    half, zero, one, pair, mean = (
        picture[:120, (picture[:120] < 255).any((0, 2))]
        for picture in (
            drawn("Chihuahua+pug"),
            drawn("Chihuahua+pug", "--mix", "0"),
            drawn("Chihuahua+pug", "--mix", "1"),
            drawn("Chihuahua+Shih-Tzu", "--mix", "0", "--temperature", "1"),
            drawn("Chihuahua+pug", "--temperature", "0"),
        )
    )
    assert np.array_equal(zero, pair) and not np.array_equal(zero, one)
    assert not np.array_equal(half, one) and not np.array_equal(half, mean)
    both, three = (drawn("Chihuahua+pug", "--steps", "5", *more) for more in (["--along", "both"], []))
    assert three.shape[0] > 2.5 * both.shape[0] and three.shape[1] == both.shape[1] > 5 * 128


def test_a_model_without_labels(workplace, capsys):
    leave_run(workplace / "plain", conditioning="none")
    status, _, err = run(capsys, "Hello", "--checkpoint", "plain")
    assert status == 2 and "trained without labels" in err
    assert run(capsys, "--checkpoint", "plain", "--rows", "2", "--columns", "3", "--scale", "1")[1] == "samples.png\n"
    assert Image.open("samples.png").size == (3 * 16 + 4, 2 * 16 + 4)


def test_interpolation_as_summary_animation_and_folder(workplace, capsys, monkeypatch):
    from ldg.generation import interpolate

    images = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(interpolate, "read_test_images", lambda model, indices: (images, torch.tensor(indices)))
    arguments = ("--interpolate", "3", "14", "--steps", "4", "--scale", "2")
    assert run(capsys, *arguments)[1] == "interpolate-3-14.png\n"
    assert run(capsys, *arguments, "-s", "i.gif")[0] == 0
    assert run(capsys, *arguments, "-s", "frames/")[0] == 0
    assert files(workplace / "frames") == [*(f"frame-0{number}.png" for number in range(4)), "summary.png"]
    assert Image.open("frames/frame-00.png").size == (24, 24)
    assert Image.open("i.gif").n_frames == 4 + 2
    summary = np.asarray(Image.open("interpolate-3-14.png"))
    assert np.array_equal(summary, np.asarray(Image.open("frames/summary.png")))
    assert run(capsys, *arguments, "-s", "frames/")[2].startswith("error: frames exists: use --force")


def test_in_a_text_of_characters_plus_is_a_mark(workplace, capsys):
    (workplace / "sum.txt").write_text("1+1=2\\n\n")
    assert run(capsys, "1+1=2", "-s", "usual")[0] == run(capsys, "1+1=2", "-s", "half", "--temperature", "0.5")[0] == 0
    assert Path("usual.png").read_bytes() == Path("half.png").read_bytes()
    for option in (["--steps", "5"], ["--mix", "0.3"], ["--along", "label"]):
        status, _, err = run(capsys, "1+1", *option, "--checkpoint", "outputs/letters/1")
        message = "goes with a blend 'a+b' of classes that are words, and those of the model are characters\n"
        assert (status, err) == (2, f"error: {option[0]} {message}")
    assert "cannot write '\\\\'" in run(capsys, "--file", "sum.txt")[2]  # a file has lines of its own
    leave_run(workplace / "outputs" / "sums" / "1", ("1", "3"))
    leave_run(workplace / "outputs" / "words" / "1", ("one", "two"))
    os.utime(workplace / "outputs" / "words" / "1" / "summary.json", (1, 1))
    err = run(capsys, "one+two", "--mix", "0.3", "--rows", "1")[2]
    assert "outputs/sums/1, unless --checkpoint names it: --mix goes with a blend" in err and err.endswith(
        "with outputs/words/1\n"
    )


def test_a_letter_from_a_file_on_paper(workplace, capsys, monkeypatch):
    (workplace / "letter.txt").write_text("Dear you\n\n" + "all is well here " * 30 + "\n", encoding="utf-8-sig")
    assert run(capsys, "--file", "letter.txt", "--page", "A5", "-s", "letter.pdf")[:2] == (0, "letter.pdf\n")
    assert (workplace / "letter.pdf").read_bytes().count(b"/Type /Page ") == 2
    assert run(capsys, "--file", "letter.txt")[:2] == (0, "letter.png\n")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"Hi\r\n\tyou\n")))
    assert run(capsys, "--file", "-", "--margins", "0", "--ink", "navy")[:2] == (0, "hi-you.png\n")
    with Image.open("hi-you.png") as image:
        assert image.mode == "RGB" and image.getpixel((0, image.height - 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Cat", "-s", "a.svg"], ".svg files hold outlines of written characters, and this model draws pictures"),
        (["Cat", "--ink", "red"], "ink is a setting of written characters, and this model draws pictures"),
        (["Cat+dog", "--slant", "5"], "slant is a setting of written characters, and this model draws pictures"),
        (["Hi", "--layout", "tiles", "--pen", "2"], "pen does not go with layout tiles, which sets whole images"),
        (["Hi", "--layout", "tiles", "-s", "a.svg"], "layout tiles sets images of pixels: use .png"),
        (["Hi", "--page", "A5", "--height", "20cm", "-s", "a.pdf"], "leave no room on A5"),
        (["Hi" * 30, "--height", "1000mm", "-s", "a.pdf"], "a PDF page is at most 508 cm long"),
    ],
)
def test_what_vector_graphics_and_settings_are_not_for(workplace, capsys, arguments, message):
    leave_run(workplace / "outputs" / "photos" / "1", ("cat", "dog"))
    model = "outputs/photos/1" if arguments[0].startswith("Cat") else "outputs/letters/1"
    status, out, err = run(capsys, *arguments, "--checkpoint", model)
    assert (status, out) == (2, "") and message in err and err.count("\n") == 1
    assert files(workplace) == []
