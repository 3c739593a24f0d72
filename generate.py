"""Write a text with a trained model: python generate.py --help"""

from ldg.commands.cli import start
from ldg.commands.generate import main

if __name__ == "__main__":
    start(main)
