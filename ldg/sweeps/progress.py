"""What is shown while a sweep runs: a line for every run that ends, and a bar."""

import sys
import threading
import time

from tqdm import tqdm

from ldg.runs.formats import format_cell, format_duration
from ldg.sweeps.ledger import ENDED, Ledger
from ldg.sweeps.report.results import Results


class SweepProgress:
    """As a context manager: prints a line for every run that ends, with the best so far and the time left.

    It looks into the ledger, since the runs may be carried out by any processes on any machines.

    Args:
        ledger: of the sweep
        interval: between two looks, in seconds
    """

    def __init__(self, ledger: Ledger, interval: float = 0.5) -> None:
        self.ledger, self.interval = ledger, interval
        self.total = ledger.read_sweep().runs
        self.ended = {row["run"] for row in ledger.read_rows() if row["state"] in ENDED}
        self.last_change: int | None = None  # of runs.csv
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "SweepProgress":
        self.bar = tqdm(
            total=self.total, initial=len(self.ended), unit="run", dynamic_ncols=True, disable=not sys.stderr.isatty()
        )
        self.start, self.ended_at_start = time.monotonic(), len(self.ended)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self.bar.close()

    def _watch(self) -> None:
        while not self.stop.wait(self.interval):
            self._show_changes()
        self._show_changes()

    def _show_changes(self) -> None:
        path = self.ledger.folder / "runs.csv"
        change = path.stat().st_mtime_ns if path.exists() else None
        if change == self.last_change:
            self.bar.refresh()
            return
        self.last_change = change
        results = Results(self.ledger.folder)
        for row in self.ledger.read_rows():
            if row["state"] in ENDED and row["run"] not in self.ended:
                self.ended.add(row["run"])
                self.bar.update()
                self.bar.write(self._line(row, results), file=sys.stderr)

    def _line(self, row: dict[str, str], results: Results) -> str:
        """The line of a run that has ended."""
        value = row["error"] or f"{results.objective} {format_cell(results.number(row['run']))}"
        line = f"[{len(self.ended)}/{self.total}] {row['run']}  {row['state']}  {value}"
        if results.best:
            best = f"best: {results.best.name} {format_cell(results.number(results.best.name))}"
            self.bar.set_postfix_str(best)
            line += f"  ({best})"
        new, left = len(self.ended) - self.ended_at_start, self.total - len(self.ended)
        if left:
            line += f"  about {format_duration((time.monotonic() - self.start) / new * left)} left"
        return line
