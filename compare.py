"""Compare runs: python compare.py --help"""

from ldg.commands.cli import start
from ldg.commands.compare import main

if __name__ == "__main__":
    start(main)
