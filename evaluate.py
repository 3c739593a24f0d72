"""Measure trained models: python evaluate.py --help"""

from ldg.commands.cli import start
from ldg.commands.evaluate import main

if __name__ == "__main__":
    start(main)
