"""Train a conditional VAE: one run, the rest of one, or a sweep of many.

ldg train                                              the default data (no download): minutes
ldg train data=emnist model=vanilla_cvae               another data set and architecture
ldg train model=beta_vae model/kl=cyclical model.kl.beta=4
ldg train --config-dir mine experiment=my_thing        choices of your own: mine/experiment/my_thing.yaml
ldg train -m conditioning=both,decoder,none seed=1,2   six runs, one after the other
ldg train -m sweep=latent_beta launcher=joblib         a named sweep, several runs at once
ldg train -m ... --dry-run                             print the runs of a sweep; --retry: failed ones again
ldg train ckpt_path=outputs/NAME/ID trainer.max_epochs=20   resume a run
ldg train --cfg job data=fashion_mnist                 print the config and do nothing
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.commands.cli import exit_status, spell
from ldg.commands.device import choose_device
from ldg.config.home import HOME, command, list_groups
from ldg.errors import Interrupted, UserError
from ldg.files import look

if TYPE_CHECKING:  # Hydra and pydantic take longer than --help
    from omegaconf import DictConfig

    from ldg.config.run_config import RunConfig

INNER = ("base", "hydra", "measure")  # groups that are not chosen from


def train(composed: DictConfig) -> None:
    """Carry out one job of Hydra's; ends the process if it does not succeed."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if status := exit_status(lambda: _train_in_sweep(composed) if is_sweep else _train_one(composed)):
        sys.exit(status)


def _train_in_sweep(composed: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from ldg.sweeps.job import run_job
    from ldg.training.slurm import requeue

    try:
        run_job(composed, HydraConfig.get(), train_and_evaluate)  # type: ignore[arg-type]
    except Interrupted as stopped:
        if not requeue(stopped, OmegaConf.select(composed, "launcher.requeues", default=float("inf"))):
            print("stopped and saved; the same command resumes the sweep", file=sys.stderr)
        raise


def _train_one(composed: DictConfig) -> None:
    from ldg.config.compose import resolve_config
    from ldg.config.run_config import RunConfig
    from ldg.sweeps.command_line import is_first_process

    config = RunConfig.from_dict(resolve_config(composed))
    if is_first_process():
        print(f"{_describe_run(config)}; loading PyTorch", file=sys.stderr)
    # torch and Lightning load from here on, after the config was accepted
    from hydra.core.hydra_config import HydraConfig
    from pytorch_lightning.utilities import rank_zero_only

    from ldg.training.console import diverged, report, resume_command
    from ldg.training.slurm import continue_job, requeue, use_cores

    if config.ckpt_path:
        from ldg.training.resume import resume_config

        config = resume_config(config, list(HydraConfig.get().overrides.task))
    config = continue_job(config, sys.argv[1:])
    use_cores()
    is_first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # of the processes of a DDP run
    try:
        summary = train_and_evaluate(config)
    except Interrupted as stopped:
        if is_first and requeue(stopped):
            pass
        elif is_first and stopped.checkpoint:
            print(f"stopped and saved; resume with:  {resume_command(stopped.checkpoint)}", file=sys.stderr)
        elif is_first:
            print("stopped before there was anything to save", file=sys.stderr)
        raise
    if is_first:
        print(report(summary, Path(config.folder)))
    if diverged(summary):
        raise UserError("training diverged, its numbers are NaN or infinite; try a smaller optimizer.lr")


def _describe_run(config: RunConfig) -> str:
    """What a run trains, by its config alone."""
    if config.ckpt_path:
        return f"resuming {config.ckpt_path}"
    shape, count = "x".join(map(str, config.data["image_shape"])), config.data["num_classes"]
    epochs = config.trainer.get("max_epochs")
    parts = [f"images of {shape}", f"{count:,} class{'es' * (count != 1)}"]
    parts += [f"{epochs:,} epoch{'s' * (epochs != 1)}"] if epochs and epochs > 0 else []
    return f"training {config.name}: {', '.join(parts)}"


def train_and_evaluate(config: RunConfig, **options: Any) -> dict[str, Any]:
    """Carry out a run, and evaluate it if the config says so.

    Args:
        config: of the run
        options: further arguments of :func:`ldg.training.run.run`

    Returns:
        The run's summary.
    """
    from ldg.evaluation.legibility import measure_legibility
    from ldg.training.run import run

    afterwards = None
    if config.evaluate:
        from ldg.config.compose import compose_measures
        from ldg.evaluation.report import after_training
        from ldg.evaluation.scorecard import build_measures

        measures = build_measures(compose_measures([]))
        device = _trained_on(config.trainer)
        afterwards = after_training(measures, config.seed, lambda line: print(f"  {line}", file=sys.stderr), device)
    return run(config, afterwards=afterwards, legibility=measure_legibility, **options)


def _trained_on(trainer: dict[str, Any]) -> str:
    """The device of a run, of several the first: a GPU by its number if the config gives one."""
    device = "cpu" if trainer.get("accelerator") == "cpu" else choose_device("auto")
    devices = trainer.get("devices")
    if isinstance(devices, str) and "," in devices:  # Lightning reads "1," as [1]
        devices = re.findall(r"\d+", devices)
    return f"cuda:{devices[0]}" if device == "cuda" and isinstance(devices, list) and devices else device


def main(arguments: list[str]) -> None:
    """Check a command line and carry it out.

    Args:
        arguments: Hydra's options and the overrides, without the program's name

    Raises:
        UserError: for the first thing that is wrong with the command line.
    """
    if {"-h", "--help"} & set(arguments):
        return print(_describe(arguments))
    if {"-sc", "--shell-completion"} & set(arguments) and "COMP_LINE" in os.environ:
        arguments = [*arguments, *_options_to_complete()]
    import hydra

    from ldg.config.renamed import replace_choices
    from ldg.sweeps.command_line import check_command_line, keep_secrets, prepare_arguments

    sys.argv[1:] = keep_secrets(prepare_arguments(replace_choices(arguments)))
    check_command_line(sys.argv[1:])
    hydra.main(config_path=str(HOME / "configs"), config_name="train", version_base="1.3")(train)()


def _split_config_dir(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The user's folder of choices that a command line names, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", nargs="?")
    options, others = parser.parse_known_args(arguments)
    return options.config_dir, others


def _options_to_complete() -> list[str]:
    """Leave the overrides and -m in the line that a shell has Hydra complete; the options that say what they mean."""
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  (the line is not finished, and may be wrong)
    mine, words = _split_config_dir(os.environ["COMP_LINE"].split(" "))
    os.environ["COMP_LINE"] = " ".join(word for word in words if word == "--multirun" or not word.startswith("--"))
    return [f"--config-dir={mine}"] if mine else []


def _describe(arguments: list[str]) -> str:
    """The text of ``--help``: what there is to choose from, in the user's folder too."""
    mine, _ = _split_config_dir(arguments)
    if mine and look(mine) != "folder":
        raise UserError(f"--config-dir={mine}: there is no such folder")
    groups = list_groups(HOME / "configs", HOME / "experiments", *([Path(mine)] if mine else []))
    names = [name for name in groups if name.split("/")[0] not in INNER]
    title, _, examples = spell(__doc__ or "", "train").partition("\n")
    lines = [textwrap.fill(f"{name}: {', '.join(groups[name])}", 100, subsequent_indent="  ") for name in names]
    return f"""\
usage: {command("train")} [GROUP=CHOICE | KEY=VALUE ...]

{title}
{examples}
Groups and their choices (sweep goes with -m):

{chr(10).join(lines)}

Every key of the config can be set: {command("train")} model.latent_dim=16 trainer.max_epochs=3"""
