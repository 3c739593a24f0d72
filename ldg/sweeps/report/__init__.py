"""The report of a sweep: one page with numbers, plots and pictures side by side, and its table in Markdown."""

import os
from pathlib import Path

from ldg.errors import UserError
from ldg.sweeps.report import markdown, page
from ldg.sweeps.report.results import Results


def write(folder: Path) -> list[Path]:
    """Write ``report.html`` and ``report.md`` of a sweep, also while it runs, each as a whole; their paths.

    Raises:
        UserError: if the folder holds no sweep or cannot be written to.
    """
    results = Results(Path(folder))
    pages = {"report.html": page.render(results), "report.md": markdown.render(results)}
    return [_save(results.folder / name, text) for name, text in pages.items()]


def _save(path: Path, text: str) -> Path:
    partial = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return path
