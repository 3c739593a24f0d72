"""Train a conditional VAE: python train.py --help"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from ldg.errors import UserError
from ldg.training import config as configs

HOME = Path(__file__).resolve().parent


@hydra.main(config_path="configs", config_name="train", version_base="1.3")
def train(composed: DictConfig) -> float:
    from ldg.training.resume import resumed  # torch and Lightning load from here on, after the config was accepted
    from ldg.training.run import Interrupted, report, run

    config = configs.resolved(composed)
    try:
        if config["ckpt_path"]:
            config = resumed(config, list(hydra.core.hydra_config.HydraConfig.get().overrides.task))
        summary = run(config)
    except UserError as error:
        stop(error)
    except Interrupted as stopped:
        print(f"\nstopped and saved; go on with:  python train.py ckpt_path={stopped.checkpoint}", file=sys.stderr)
        sys.exit(128 + stopped.signum)
    print(report(summary, Path(config["folder"])))
    return summary["metrics"].get("val/elbo", float("nan"))


def stop(error: UserError) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    try:
        configs.accept(sys.argv[1:], HOME)
    except UserError as mistake:
        stop(mistake)
    train()
