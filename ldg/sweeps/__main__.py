"""``python -m ldg.sweeps`` is ``ldg sweeps``: the report of a sweep."""

from ldg.commands.cli import start
from ldg.commands.sweeps import main

if __name__ == "__main__":
    start(main)
