"""``python -m ldg.export``: see :mod:`ldg.commands.export`."""

from ldg.commands.cli import start
from ldg.commands.export import main

if __name__ == "__main__":
    start(main)
