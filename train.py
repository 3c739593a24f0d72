"""Train a conditional VAE: python train.py --help"""

from ldg.commands.cli import start
from ldg.commands.train import main

if __name__ == "__main__":
    start(main)
