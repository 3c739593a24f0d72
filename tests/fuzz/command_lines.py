"""Random command lines of train.py: each ends as a run or with one line, never in a traceback, a hang or a leftover.

python -m tests.fuzz.command_lines --seconds 60 --seed 0
"""

import argparse
import collections
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ldg.config.compose import compose_config, resolve_config
from tests.processes import call
from tests.runs import CONV, DENSE, STROKES

BASES = {
    "vanilla": [*DENSE],
    "conv": [*CONV],
    "hierarchical": ["model=hierarchical_cvae", "model.network.channels=[4,4,4]", "model.network.blocks=1"],
    "beta": ["model=beta_vae", "model.latent_dim=4", "model.network.channels=[4,4]", "model.network.hidden=16"],
}
# choices that bring keys of their own
CHOICES = {
    "likelihood": ["bernoulli", "gaussian", "continuous_bernoulli", "discretized_logistic"],
    "optimizer": ["adam", "adamw", "muon", "sgd"],
    "scheduler": ["cosine", "plateau", "none"],
    "conditioning": ["both", "decoder", "none"],
    "model/kl": ["constant", "weak", "linear", "cyclical", "capacity"],
    "logger": ["csv", "wandb", "none", "tensorboard", "trackio", "mlflow"],
    "callbacks": ["default", "none"],
}
STORES = {"wandb", "trackio", "mlflow", "mlflow.lock"}  # of loggers, for all runs
LIMIT = 90  # seconds until a command counts as hanging
MEMORY = 12 * 2**30  # bytes of address space beyond those of the process it is forked from
STRINGS = [
    "",
    " ",
    "ü",
    "日本",
    "a b",
    "../x",
    "/",
    "~",
    "a" * 300,
    "null",
    "1",
    "true",
    "a=b",
    "#",
    "'",
    '"',
    "\\",
    "${x}",
    "*",
]
ANY = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    0.5,
    -0.5,
    1e-320,
    1e300,
    10**9,
    10**20,
    float("nan"),
    float("inf"),
    [],
    [0],
    ["x"],
    {},
    {"a": 1},
]


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a nested dict with its value, groups of keys included."""
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")


def beside(value: Any) -> list[Any]:
    """Values of the type of a value, at and beyond its bounds."""
    if isinstance(value, bool) or value is None:
        return ANY
    if isinstance(value, int):
        return [
            value,
            value + 1,
            value - 1,
            10 * value,
            0,
            1,
            -1,
            -value,
            10**6,
            2**31,
            2**63,
            -(2**63),
            10**20,
            0.5,
            str(value),
        ]
    if isinstance(value, float):
        return [
            value,
            2 * value,
            value / 2,
            0.0,
            1.0,
            -value,
            1.0001,
            1e-30,
            1e30,
            1e300,
            float("nan"),
            float("-inf"),
            int(value),
        ]
    if isinstance(value, list):
        return [[], value[:1], value[1:], [*value, *value], value[::-1], [value], [None], [-1], [0], [10**6], *value]
    if isinstance(value, dict):
        return [{}, None, [], 0, "x"]
    return [value, value[1:], value.upper(), *STRINGS]


def write(value: Any, draw: random.Random) -> str:
    """A value as text that Hydra's grammar has for it; strings sometimes without their quotes."""
    if isinstance(value, str):
        plain = draw.random() < 0.5 and re.fullmatch(r"[\w./ -]+", value)
        return value if plain else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ",".join(write(item, draw) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{write(item, draw)}" for key, item in value.items()) + "}"
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if value in (None, True, False)
        else str(value)
    )


def make_line(draw: random.Random) -> list[str]:
    """A tiny run, with one to three keys of its config set to something else."""
    base = [
        *STROKES,
        *draw.choice(list(BASES.values())),
        "trainer=cpu",
        "logger=csv",
        "callbacks.gallery.every_n_epochs=2",
    ]
    base += ["trainer.max_epochs=1", "trainer.max_time=00:00:00:05"]
    choices = [f"{group}={draw.choice(names)}" for group, names in CHOICES.items() if draw.random() < 0.1]
    base = [one for one in base if not (one.startswith("callbacks.") and "callbacks=none" in choices)] + choices
    try:
        keys = list(leaves(resolve_config(compose_config(base))))
    except Exception:  # choices that do not go together; the command says so
        return base
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        key, value = draw.choice(keys)
        new = draw.choice(beside(value) if draw.random() < 0.7 else [*ANY, *STRINGS])
        sign = draw.choice([*[""] * 12, "+", "++", "~"])
        base.append(f"~{key}" if sign == "~" else f"{sign}{key}={write(new, draw)}")
    return base


def judge(status: int, err: str, folder: Path) -> str | None:
    """What is wrong with the outcome of a command; None if nothing is."""
    if status == -14:
        return "hangs"
    if "Traceback" in err or status not in (0, 2):
        return f"status {status}"
    if status == 0:
        return None
    lines = [line for line in err.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    if len(errors) != 1 or lines[-1] != errors[0]:
        return "not one line"
    if errors[0].startswith("error: training diverged"):  # which is known when all is done
        return None
    left = [path for path in folder.rglob("*") if path.is_file() and not STORES & set(path.parts)]
    return f"left behind: {left[0].relative_to(folder)}" if left else None


def main(arguments: list[str]) -> int:
    """Try command lines for so many seconds; the exit status is 1 if one ends as it should not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    draw, outcomes, wrong = random.Random(args.seed), collections.Counter(), 0
    end = time.monotonic() + args.seconds
    base = Path(tempfile.mkdtemp(prefix="fuzz-"))
    while time.monotonic() < end:
        line = make_line(draw)
        folder = base / "run"
        folder.mkdir()
        status, _, err = call(folder, *line, limit=LIMIT, memory=MEMORY)
        outcomes[status] += 1
        if fault := judge(status, err, folder):
            wrong += 1
            print(f"--- {fault}\n{json.dumps(line, ensure_ascii=False)}\n{err[-1500:]}", flush=True)
        shutil.rmtree(folder)
    print(f"{outcomes.total()} command lines: {outcomes[0]} runs, {outcomes[2]} refused in one line, {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
