"""What every test may use: programs of the system, and folders of its own for caches and Weights & Biases."""

import os
import shutil
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent

# one thread a test process: the tests run in parallel, and tiny networks gain nothing from more
os.environ.setdefault("OMP_NUM_THREADS", "1")


def program(*names):
    """The path of a program of the system, by any of its names.

    Where it is missing, the test is skipped; where LDG_TEST_PROGRAMS=required, as in .ci/run, it fails.
    """
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing = pytest.fail if os.environ.get("LDG_TEST_PROGRAMS") == "required" else pytest.skip
        missing(f"needs {names[0]}, which is not installed")
    return path


@pytest.fixture(scope="session", autouse=True)
def private_folders(tmp_path_factory):
    """No test writes to the user's caches, asks for credentials, or reaches for a network."""
    base = tmp_path_factory.mktemp("user")
    shared = Path(os.environ.get("LDG_TEST_CACHE", base / "ldg"))
    os.environ["LDG_CACHE"] = str(shared)
    os.environ["WANDB_MODE"] = "offline"
    os.environ.pop("UV", None)  # printed commands begin with python, however the tests were started
    for name in ("CACHE", "DATA", "CONFIG", "ARTIFACT"):
        os.environ[f"WANDB_{name}_DIR"] = str(base / f"wandb-{name.lower()}")
