"""Write the report of a sweep, also while it runs.

python -m ldg.sweeps outputs/sweeps/NAME          writes report.html and report.md in the sweep's folder
"""

from pathlib import Path

from ldg.commands.cli import Parser


def main(arguments: list[str]) -> None:
    """Write the report of a command line, and print its files.

    Args:
        arguments: without the program's name

    Raises:
        UserError: for a wrong command line, or a folder that holds no sweep or cannot be written to.
    """
    parser = Parser("python -m ldg.sweeps", __doc__)
    parser.add_argument("folder", type=Path, help="a sweep's folder, outputs/sweeps/NAME")
    folder = parser.parse_args(arguments).folder
    from ldg.sweeps.report import write_report  # loads torch

    for path in write_report(folder):
        print(path)
