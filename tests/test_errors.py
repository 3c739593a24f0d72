"""What libraries refuse, as users read it: one line where they can mend it, else nothing."""

import errno
import re
import tomllib

import optuna
import pytest
import sqlalchemy
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from wandb.errors import CommError

from ldg.errors import _EXTRAS, UserError, explain, missing_package
from tests.conftest import HOME


def raised(action):
    """The exception that an action ends with."""
    with pytest.raises(Exception) as error:
        action()
    return error.value


def missing(name):
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def of_target(target, **arguments):
    return lambda: instantiate({"group": {"_target_": target, **arguments}})


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("one line"), "one line"),
        (MisconfigurationException("two\nlines"), "trainer: two lines"),
        (
            MisconfigurationException("No supported gpu backend found!"),
            "trainer: No supported gpu backend found! trainer=auto takes what there is.",
        ),
        (raised(lambda: Trainer(limit_val_batches=7.5)), "trainer: You have passed invalid value 7.5 for limit_val_b"),
        (CommError("no such entity"), "W&B: no such entity"),
        (optuna.exceptions.StorageInternalError("down"), "the study's storage: down"),
        (sqlalchemy.exc.NoSuchModuleError("no dialect"), "the study's storage: no dialect"),
        (raised(lambda: yaml.safe_load("a: 'b")), "<unicode string>:1: found unexpected end of stream"),
        (raised(lambda: OmegaConf.to_container(OmegaConf.create({"a": "${b}"}), resolve=True)), "Interpolation key"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device; free some space, or"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded; free some space, or write elsewhere"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied; check its permissions"),
        (OSError(errno.EROFS, "Read-only file system", "a"), "a: Read-only file system; write elsewhere"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a"), "a: File name too long; give a shorter name"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", b"a"), "a: Too many levels of symbolic links; its"),
        (MemoryError(), "out of memory; lower data.batch_size"),
        (raised(lambda: torch.empty(2**50)), "out of memory, 4194304.0 GiB more were needed; lower data.batch_size"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.50 GiB."), "out of memory, 3.50 GiB more"),
        (missing("tensorboard"), 'the package tensorboard is missing: pip install "ldg[tensorboard]"'),
        (missing("rich.progress"), "the package rich is missing: pip install rich"),
        (missing("wandb_workspaces.workspaces"), 'package wandb_workspaces is missing: pip install "ldg[dashboard]"'),
        (missing("MySQLdb"), "the package MySQLdb is missing: pip install mysqlclient (or pymysql,"),
        (missing("psycopg2"), "the package psycopg2 is missing: pip install psycopg2"),  # the extra has psycopg 3
        (ModuleNotFoundError("`tensorboardX` is not available"), 'is missing: pip install "ldg[tensorboard]"'),
        (ModuleNotFoundError("`rich` is not available"), "`rich` is not available"),
        (raised(lambda: compile("class A\n", "mine.py", "exec")), "mine.py:1: expected ':'"),
        (
            raised(lambda: exec(compile("\nfrom ldg import no", "mine.py", "exec"))),
            "mine.py:2: cannot import name 'no'",
        ),
        (raised(of_target("ldg.errors.suggestion", word=1)), "group: suggestion() missing 1 required positional"),
        (raised(of_target("pytorch_lightning.callbacks.ModelCheckpoint", save_top_k=2)), "save_top_k=2, monitor=None"),
    ],
)
def test_what_a_user_can_put_right_is_a_line(error, message):
    line = str(explain(error))
    assert message in line and "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of ours"),
        RuntimeError("of ours"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
        missing("ldg.nothing"),
        raised(lambda: exec("from ldg.files import gone")),
        raised(lambda: torch.zeros(2) + torch.zeros(3)),
        raised(of_target("ldg.files.read_csv", path="nothing/there")),
    ],
)
def test_what_is_to_be_mended_in_ldg_keeps_its_traceback(error):
    assert explain(error) is None


def test_how_an_extra_is_installed_is_said_in_one_way(monkeypatch):
    extras = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*_EXTRAS.values()} <= extras.keys()
    assert missing_package("trackio") == 'the package trackio is missing: pip install "ldg[trackio]"'
    monkeypatch.setenv("UV", "/bin/uv")
    assert missing_package("trackio.x") == 'the package trackio is missing: uv pip install "ldg[trackio]"'
    files = [HOME / "README.md", *(HOME / "docs").glob("*.md")]
    files += [file for name in ("configs", "experiments", "ldg") for file in (HOME / name).rglob("*.*")]
    for file in files:
        if file.suffix in (".md", ".yaml", ".py"):
            text = file.read_text()
            assert not re.search(r"--extra\b(?!-)|pip install .*\.\[", text), file
            for named in re.findall(r"ldg\[([a-z,]+)\]", text):
                assert {*named.split(",")} <= extras.keys(), file
                assert f'pip install "ldg[{named}]"' in text or "needs ldg[" in text, file
