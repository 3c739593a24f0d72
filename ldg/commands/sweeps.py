"""Write the report of a sweep, also while it runs.

ldg sweeps outputs/sweeps/NAME            writes report.html and report.md in the sweep's folder
ldg sweeps outputs/sweeps/NAME --online   also with the study that lies in a database elsewhere
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
    parser = Parser("sweeps", __doc__)
    parser.add_argument("folder", type=Path, help="a sweep's folder, outputs/sweeps/NAME")
    parser.add_argument("--online", action="store_true", help="contact the database that the sweep's file names")
    options = parser.parse_args(arguments)
    from ldg.sweeps.report import write_report  # loads torch

    for path in write_report(options.folder, options.online):
        print(path)
