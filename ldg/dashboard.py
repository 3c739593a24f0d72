"""``python -m ldg.dashboard``: see :mod:`ldg.commands.dashboard`."""

from ldg.commands.cli import start
from ldg.commands.dashboard import main

if __name__ == "__main__":
    start(main)
