"""The command line of train.py: one run, or a sweep over all values that it gives."""

import re
from pathlib import Path

from hydra._internal.utils import get_args_parser  # Hydra has no public one

from ldg.config.check import check_config, check_folder
from ldg.config.compose import compose_config, prepare_hydra, resolve_config
from ldg.errors import UserError, suggestion
from ldg.sweeps.plan import example_overrides, make_plan, parse_overrides, split_overrides

# short forms of settings of the sweeper
FLAGS = {"--dry-run": "hydra.sweeper.dry_run=true", "--retry": "hydra.sweeper.retry=true"}


def replace_flags(arguments: list[str]) -> list[str]:
    """Replace ldg's flags, which Hydra does not know, by the overrides they are short for.

    Args:
        arguments: without the program's name

    Returns:
        Arguments that Hydra can parse.

    Raises:
        UserError: for a flag without ``-m``.
    """
    for flag in FLAGS:
        if flag in arguments and not {"-m", "--multirun"} & set(arguments):
            raise UserError(f"{flag} goes with a sweep; add -m")
    return [FLAGS.get(argument, argument) for argument in arguments]


def check_command_line(arguments: list[str]) -> None:
    """Check a command line of train.py before anything is loaded.

    Args:
        arguments: Hydra's options and the overrides, without the program's name

    Raises:
        UserError: for the first thing that is wrong with it.
    """
    parser = get_args_parser()
    options, unknown = parser.parse_known_args(arguments)
    if wrong := next((argument for argument in unknown if argument.startswith("-")), None):
        known = [*FLAGS, *re.findall(r"--[\w-]+", parser.format_usage())]
        raise UserError(f"unknown option {wrong!r}{suggestion(wrong, known)}; see python train.py --help")
    prepare_hydra()
    if options.help or options.hydra_help or options.info or options.shell_completion:
        return
    fixed, varied = split_overrides(options.overrides)
    if varied and not options.multirun:
        raise UserError(f"{varied[0].input_line}: several values need a sweep; add -m")
    for override in parse_overrides(options.overrides):
        if override.key_or_group == "sweep" and override.value() is not None:
            if override in varied:
                raise UserError(f"{override.input_line}: one sweep at a time")
            if not options.multirun:
                raise UserError(f"{override.input_line}: a sweep needs -m")
    name = options.config_name or "train"
    trials = [fixed]
    if options.multirun:
        trials = example_overrides(make_plan(compose_config(fixed, name), options.overrides))
    for trial in trials:
        config = resolve_config(compose_config(trial, name))
        check_config(config)
        check_folder(Path(config["outputs"]))
        if options.multirun and "ddp" in str(config["trainer"].get("strategy", "")):
            raise UserError("trainer=ddp: its processes would each repeat the whole sweep; start the runs one by one")
