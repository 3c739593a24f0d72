"""Train a conditional VAE: python train.py --help"""

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from ldg.errors import Interrupted, UserError
from ldg.sweeps import sweeper
from ldg.training import config as configs

HOME = Path(__file__).resolve().parent


@hydra.main(config_path=str(HOME / "configs"), config_name="train", version_base="1.3")
def train(composed: DictConfig) -> float:
    try:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            from ldg.sweeps.job import carry_out

            try:
                carry_out(composed, HydraConfig.get(), HOME, start)
            except Interrupted:
                print("stopped and saved; the same command goes on with the sweep", file=sys.stderr)
                raise
            return math.nan  # the sweep's ledger has it
        config = configs.resolved(composed)
        if config["ckpt_path"]:
            from ldg.training.resume import resumed

            config = resumed(config, list(HydraConfig.get().overrides.task))
        return fit(config)
    except UserError as error:
        stop(error)
    except Interrupted as stopped:
        sys.exit(128 + stopped.signum)


def start(config: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Carry out a run, and evaluate it if the config says so; its summary."""
    from ldg.training.run import run

    afterwards = None
    if config["evaluate"]:
        from ldg.evaluation.report import after_training
        from ldg.evaluation.scorecard import make

        measures = make(configs.accept_measures([], HOME))
        afterwards = after_training(measures, config["seed"], lambda line: print(f"  {line}", file=sys.stderr))
    return run(config, afterwards=afterwards, **options)


def fit(config: dict[str, Any]) -> float:
    """Carry out a run and say how it went; torch and Lightning load from here on, after the config was accepted."""
    from pytorch_lightning.utilities import rank_zero_only

    from ldg.training.run import report

    first = rank_zero_only.rank == 0  # of the processes of a DDP run
    try:
        summary = start(config)
    except Interrupted as stopped:
        if first and stopped.checkpoint:
            print(f"stopped and saved; go on with:  python train.py ckpt_path={stopped.checkpoint}", file=sys.stderr)
        elif first:
            print("stopped before there was anything to save", file=sys.stderr)
        raise
    if first:
        print(report(summary, Path(config["folder"])))
    return summary["metrics"].get("val/elbo", float("nan"))


def stop(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def main(arguments: list[str]) -> None:
    """What the script does with its command line."""
    try:
        sys.argv[1:] = sweeper.take_flags(arguments)
        configs.accept(sys.argv[1:], HOME)
        train()
    except UserError as mistake:
        stop(mistake)


if __name__ == "__main__":
    # there is nothing to save yet, and an exception in the middle of torch's import can abort the process
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    main(sys.argv[1:])
