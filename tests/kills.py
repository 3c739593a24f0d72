"""Kill random processes of joblib sweeps, go on with the same command, and compare with a sweep left alone.

    python -m tests.kills --kills 100

Nothing may be lost or doubled: after every kill all processes of the sweep end by themselves, every file is whole, and
what was finished stays untouched; at the end rows, metrics and weights equal those of the sweep left alone.
"""

import argparse
import collections
import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from ldg.checkpoint import read
from ldg.sweeps.ledger import Ledger
from tests.conftest import HOME
from tests.runs import DENSE, STROKES, weights

LINE = [*STROKES, *DENSE, "trainer=cpu", "callbacks.gallery=null", "logger=csv", "trainer.max_epochs=60"]
LINE = ["-m", *LINE, "seed=1,2,3,4", "launcher=joblib", "launcher.n_jobs=2"]


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """The sweep, in a session of its own."""
    with (folder / "output.txt").open("ab") as output:
        command = [sys.executable, str(HOME / "train.py"), *LINE, f"sweep_name={name}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        return subprocess.Popen(command, cwd=folder, start_new_session=True, **quiet)


def processes(session: int) -> dict[int, str]:
    """The processes of a session that are alive: the program each runs, by its id."""
    alive = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
            state, _, _, of_session = fields.split()[:4]
            if int(of_session) == session and state != "Z":
                words = (stat.parent / "cmdline").read_bytes().decode(errors="replace").split("\0")
                alive[int(stat.parent.name)] = kind(words)
    return alive


def kind(words: list[str]) -> str:
    """What a command line of the sweep's tree is."""
    line = " ".join(words)
    known = {"popen_loky": "worker", "resource_tracker": "tracker", "train.py": "head"}
    return next((name for part, name in known.items() if part in line), Path(words[0]).name or "fork")


def check_files(folder: Path) -> None:
    """Raise if a file of the sweep is not whole."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith("."):  # a process that was killed leaves its temporary file
            continue
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text(encoding="utf-8")), path
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                assert all(None not in row and None not in row.values() for row in csv.DictReader(file)), path
        elif path.suffix == ".ckpt":
            assert read(path)["state_dict"], path


def wait_for(condition, seconds: float, what: str) -> float:
    """Wait until a condition holds; how long it took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise AssertionError(what)
        time.sleep(0.1)
    return time.monotonic() - begun


def comparable(ledger: Ledger) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "wandb")} for row in ledger.read_rows()]


def compare(one: Path, other: Path) -> None:
    """Raise if two sweeps differ in rows, metrics or weights."""
    assert comparable(Ledger(one)) == comparable(Ledger(other))
    runs = {path.name for path in one.iterdir() if (path / "config.yaml").exists()}
    assert runs == {row["run"] for row in Ledger(one).read_rows()}
    for run in runs:
        assert (one / run / "metrics.csv").read_text() == (other / run / "metrics.csv").read_text(), run
        pairs = zip(weights(one / run).values(), weights(other / run).values(), strict=True)
        assert all((a == b).all() for a, b in pairs), run


def main() -> None:
    """Carry out the kills, and print what was killed and how long the others took to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw, folder = random.Random(args.seed), Path(tempfile.mkdtemp(prefix="kills-"))
    begun = time.monotonic()
    reference = start(folder, "whole")
    assert reference.wait() == 0, (folder / "output.txt").read_text()
    whole = time.monotonic() - begun
    sweeps, killed, slowest, number, sweep = folder / "outputs/sweeps", collections.Counter(), 0.0, 0, None
    while killed.total() < args.kills:
        if sweep is None:
            number += 1
            sweep, done = sweeps / f"killed{number}", {}
        head = start(folder, sweep.name)
        time.sleep(draw.uniform(0.2, whole))
        if alive := processes(head.pid):
            victim, what = draw.choice(sorted(alive.items()))
            with contextlib.suppress(ProcessLookupError):  # it was faster
                os.kill(victim, signal.SIGKILL)
                killed[what] += 1
        status = head.wait(timeout=300)
        slowest = max(slowest, wait_for(lambda: not processes(head.pid), 60, f"left over: {processes(head.pid)}"))  # noqa: B023
        check_files(sweep) if sweep.exists() else None
        now = {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}
        assert done.items() <= now.items(), "a finished run was touched again"
        done = now
        if status == 0:
            compare(sweep, sweeps / "whole")
            sweep = None
        print(
            f"{killed.total()}/{args.kills}  {dict(killed)}  sweeps {number}  slowest end {slowest:.1f} s", flush=True
        )
    while sweep is not None and start(folder, sweep.name).wait() != 0:
        pass
    if sweep is not None:
        compare(sweep, sweeps / "whole")
    print(f"{killed.total()} kills in {number} sweeps: nothing lost or doubled, no half file, no process left")


if __name__ == "__main__":
    main()
