"""Carry out a plan: launch the runs that are left, show their progress, and conclude with a report."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ldg.config.home import command
from ldg.config.overrides import quote
from ldg.errors import UserError, one_line
from ldg.sweeps.ledger import ENDED, Ledger
from ldg.sweeps.parent import end_with_parent
from ldg.sweeps.plan import Plan, make_plan


def sweep(
    config: DictConfig,
    context: HydraContext,
    task: TaskFunction,
    arguments: list[str],
    dry_run: bool = False,
    retry: bool = False,
) -> int:
    """Carry out the sweep of a command line, or what is left of it.

    Args:
        config: composed from the overrides with one value, Hydra's part included
        context: Hydra's
        task: carries out one run
        arguments: all overrides of the command line
        dry_run: whether the runs are printed and nothing is done
        retry: whether failed runs are tried again

    Returns:
        The exit status: 1 if a run failed or is left.

    Raises:
        UserError: if the sweep's folder or the study's storage cannot be used.
    """
    plan = make_plan(config, arguments)
    if dry_run:
        _print_plan(plan)
        return 0
    if plan.study is not None:
        from ldg.sweeps.study import check_study

        check_study(plan)
    ledger = Ledger.open(plan, f"{command('train')} {shlex.join(sys.argv[1:])}")
    with _no_remains(ledger):
        if plan.study is not None:
            _check_storage(ledger)
        ledger.mark_interrupted()
        if retry:
            ledger.reopen()
        if jobs := _list_jobs(plan, ledger):
            with open_dict(config):
                config.sweep_name = plan.name
            try:
                _launch(config, context, task, jobs, ledger)
            finally:
                ledger.mark_interrupted()
    return _conclude(ledger)


@contextmanager
def _no_remains(ledger: Ledger) -> Iterator[None]:
    """Remove the folder of a sweep that is refused before a run of it was begun or submitted."""
    try:
        yield
    except UserError:
        if not ledger.read_rows() and not (ledger.folder / "jobs.csv").exists():
            shutil.rmtree(ledger.folder)
            with suppress(OSError):  # unless it holds other sweeps
                ledger.folder.parent.rmdir()
                ledger.folder.parent.parent.rmdir()
        raise


def _print_plan(plan: Plan) -> None:
    for index, overrides in enumerate(plan.runs):
        print(f"{plan.run_name(index)}  {shlex.join(overrides)}")
    if plan.study is not None:
        print("each trial draws " + ", ".join(f"{key} from {text}" for key, text in plan.parameters.items()))
    print(f"{len(plan.runs)} runs in {plan.folder}")


def _check_storage(ledger: Ledger) -> None:
    """Raise UserError before any run starts if the study's storage cannot be used."""
    from ldg.sweeps.study import Study

    Study(ledger.read_sweep(), ledger.folder)


def _list_jobs(plan: Plan, ledger: Ledger) -> dict[str, list[str]]:
    """The overrides of the runs that are left, by their names."""
    done = {row["run"] for row in ledger.read_rows() if row["state"] in ENDED}
    names = [plan.run_name(index) for index in range(len(plan.runs))]
    jobs = {
        name: [*overrides, f"run={quote(name)}", f"sweep_name={quote(plan.name)}", f"hydra.sweeper.index={index}"]
        for index, (name, overrides) in enumerate(zip(names, plan.runs, strict=True))
        if name not in done
    }
    if done:
        print(f"{len(done)} of {len(names)} runs are done; {len(jobs)} to go", file=sys.stderr)
    return jobs


def _launch(
    config: DictConfig, context: HydraContext, task: TaskFunction, jobs: dict[str, list[str]], ledger: Ledger
) -> None:
    from ldg.sweeps.progress import SweepProgress

    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
    kind = type(launcher).__name__
    if kind == "SlurmLauncher":
        # Hydra's waits for results, which need accounting, and for all of them, also of a job that was cancelled
        from ldg.sweeps import slurm

        slurm.submit(launcher, jobs, ledger)
    if kind == "JoblibLauncher":
        launcher.joblib["initializer"] = end_with_parent  # type: ignore[attr-defined]
    with SweepProgress(ledger):
        if kind == "SlurmLauncher":
            return slurm.watch(ledger, list(jobs))
        try:
            launcher.launch(list(jobs.values()), initial_job_idx=0)
        except Exception as error:
            # for example, a worker was killed; what the runs have saved is safe
            print(f"the launcher broke: {one_line(error)[:300]}", file=sys.stderr)


def _conclude(ledger: Ledger) -> int:
    """Print the outcome and write the report; the exit status."""
    from ldg.runs.formats import format_cell
    from ldg.sweeps.report import write_report
    from ldg.sweeps.report.results import Results

    sweep, rows = ledger.read_sweep(), ledger.read_rows()
    counts = {state: sum(row["state"] == state for row in rows) for state in (*ENDED, "interrupted", "running")}
    missing = sweep.runs - sum(counts.values())
    words = [f"{number} {state}" for state, number in counts.items() if number] or ["nothing ran"]
    print(f"\n{sweep.name}: {', '.join([*words, *([f'{missing} not begun'] if missing else [])])}")
    results = Results(ledger.folder)
    if best := results.best:
        values = ", ".join(f"{key}={value}" for key, value in best.choices.items())
        print(f"best:    {results.objective} {format_cell(best.numbers[results.objective])} with {values}")
        print(f"         {best.folder}")
    for path in write_report(ledger.folder, is_online=True):
        print(f"report:  {path}")
    if sum(counts[state] for state in ("finished", "pruned")) == sweep.runs:
        return 0
    if sweep.study is not None and counts["failed"] >= sweep.study["max_failures"]:
        print(f"no further trials begin after {counts['failed']} failures: hydra.sweeper.study.max_failures")
    if failed := next((row for row in rows if row["state"] == "failed"), None):
        print(f"failed:  {failed['run']}: {failed['error']}  (the same command with --retry tries it again)")
    else:
        print("the same command resumes the sweep")
    return 1
