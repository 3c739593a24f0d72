"""The report of a sweep: one page with numbers, plots and pictures side by side, and its table in Markdown."""

from pathlib import Path

from ldg.files import write_text
from ldg.sweeps.report.markdown import render_markdown
from ldg.sweeps.report.page import render_page
from ldg.sweeps.report.results import Results


def write_report(folder: Path, is_online: bool = False) -> list[Path]:
    """Write ``report.html`` and ``report.md`` of a sweep, also while it runs.

    Args:
        folder: of the sweep
        is_online: whether a database that the sweep's file names may be contacted; the file may be somebody else's

    Returns:
        The paths of both files.

    Raises:
        UserError: if the folder holds no sweep or cannot be written to.
    """
    results = Results(Path(folder))
    texts = {"report.html": render_page(results, is_online), "report.md": render_markdown(results)}
    paths = [results.folder / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths
