"""Write the report of a sweep, at any time.

python -m ldg.sweeps outputs/sweeps/NAME          (re)writes report.html and report.md in the sweep's folder
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from ldg.errors import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")


def main(arguments: list[str]) -> int:
    parser = Parser("python -m ldg.sweeps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a sweep's folder, outputs/sweeps/NAME")
    try:
        folder = parser.parse_args(arguments).folder
        from ldg.sweeps import report

        for path in report.write(folder):
            print(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
