"""Carrying out a plan: which runs are left, who launches them, what is said meanwhile and at the end."""

import shlex
import shutil
import sys
import threading
import time
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict
from tqdm import tqdm

from ldg.errors import UserError
from ldg.sweeps import plan as plans
from ldg.sweeps.ledger import ENDED, Ledger
from ldg.sweeps.report.results import Results, shown

HOME = Path(__file__).resolve().parents[2]
DRY_RUN, RETRY = "--dry-run", "--retry"
asked: set[str] = set()  # which of these flags were given


def take_flags(arguments: list[str]) -> list[str]:
    """A command line without ldg's own flags for sweeps, which Hydra does not know; they are remembered."""
    asked.update({DRY_RUN, RETRY} & set(arguments))
    if asked and not {"-m", "--multirun"} & set(arguments):
        raise UserError(f"{' '.join(sorted(asked))} goes with a sweep; add -m")
    return [argument for argument in arguments if argument not in (DRY_RUN, RETRY)]


def sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: list[str]) -> None:
    """Carry out the sweep of a command line; ends the process with status 1 if a run failed, 2 for bad input."""
    try:
        status = _sweep(config, context, task, arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    if status:
        sys.exit(status)


def _sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: list[str]) -> int:
    plan = plans.make(config, arguments)
    names = [plan.run_name(index) for index in range(len(plan.runs))]
    if DRY_RUN in asked:
        return _tell(plan, names)
    ledger = Ledger.open(plan, shlex.join(["python", "train.py", *sys.argv[1:]]), HOME)
    if plan.study is not None:
        from ldg.sweeps.study import Study

        try:
            Study(ledger.facts, ledger.folder)  # a storage that cannot be used is told before anything runs
        except UserError:
            if not ledger.rows():
                shutil.rmtree(ledger.folder)
            raise
    ledger.settle()
    over = ENDED[:2] if RETRY in asked else ENDED
    done = {row["run"] for row in ledger.rows() if row["state"] in over}
    jobs = [
        [*overrides, f"run='{name}'", f"sweep_name='{plan.name}'"]
        for name, overrides in zip(names, plan.runs, strict=True)
        if name not in done
    ]
    if done:
        print(f"{len(done)} of {len(names)} runs are done; {len(jobs)} to go", file=sys.stderr)
    if jobs:
        with open_dict(config):
            config.sweep_name = plan.name
        launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
        with Watch(ledger, len(names)):
            try:
                launcher.launch(jobs, initial_job_idx=0)
            except Exception as error:
                # a worker was killed, say; what the runs left is safe
                print(f"the launcher broke: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        ledger.settle()
    return _conclude(ledger, len(names))


def _tell(plan: plans.Plan, names: list[str]) -> int:
    """Print the runs and do nothing."""
    for name, overrides in zip(names, plan.runs, strict=True):
        print(f"{name}  {shlex.join(overrides)}")
    if plan.study is not None:
        print("each trial draws " + ", ".join(f"{key} from {text}" for key, text in plan.parameters.items()))
    print(f"{len(names)} runs in {plan.folder}")
    return 0


class Watch:
    """As a context manager: a line for every run that ends, and a bar with the best so far and the time left."""

    def __init__(self, ledger: Ledger, total: int, every: float = 0.5) -> None:
        self.ledger, self.total, self.every = ledger, total, every
        self.stamp: object = None
        self.seen = {row["run"] for row in ledger.rows() if row["state"] in ENDED}
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self.bar = tqdm(
            total=self.total, initial=len(self.seen), unit="run", dynamic_ncols=True, disable=not sys.stderr.isatty()
        )
        self.start, self.at_start = time.monotonic(), len(self.seen)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self.bar.close()

    def _watch(self) -> None:
        while not self.done.wait(self.every):
            self._look()
        self._look()

    def _look(self) -> None:
        path = self.ledger.folder / "runs.csv"
        stamp = path.stat().st_mtime_ns if path.exists() else None
        if stamp == self.stamp:
            self.bar.refresh()
            return
        self.stamp = stamp
        results = Results(self.ledger.folder)
        for row in self.ledger.rows():
            if row["state"] in ENDED and row["run"] not in self.seen:
                self.seen.add(row["run"])
                self.bar.update()
                value = row["error"] or f"{results.objective} {shown(results.number(row['run']))}"
                line = f"[{len(self.seen)}/{self.total}] {row['run']}  {row['state']}  {value}"
                if results.best:
                    best = f"best: {results.best.name} {shown(results.number(results.best.name))}"
                    line += f"  ({best})"
                    self.bar.set_postfix_str(best)
                self.bar.write(line + self._left(), file=sys.stderr)

    def _left(self) -> str:
        new, rest = len(self.seen) - self.at_start, self.total - len(self.seen)
        if not rest:
            return ""
        seconds = (time.monotonic() - self.start) / new * rest
        return f"  about {seconds / 60:.0f} min left" if seconds >= 90 else f"  about {seconds:.0f} s left"


def _conclude(ledger: Ledger, total: int) -> int:
    """The last lines; the exit status."""
    from ldg.sweeps import report

    rows = ledger.rows()
    counts = {state: sum(row["state"] == state for row in rows) for state in (*ENDED, "interrupted")}
    said = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    missing = total - sum(counts.values())
    print(f"\n{ledger.facts['name']}: {said or 'nothing ran'}{f', {missing} not begun' if missing else ''}")
    results = Results(ledger.folder)
    if found := results.best:
        values = ", ".join(f"{key}={value}" for key, value in found.choices.items())
        print(
            f"best:    {results.objective} {shown(results.number(found.name))} with {values}\n         {found.folder}"
        )
    for path in report.write(ledger.folder):
        print(f"report:  {path}")
    if counts["failed"] or counts["interrupted"] or missing:
        failed = next((row for row in rows if row["state"] == "failed"), None)
        if failed:
            print(f"failed:  {failed['run']}: {failed['error']}  (the same command with {RETRY} tries it again)")
        else:
            print("the same command goes on with what is left")
        return 1
    return 0
