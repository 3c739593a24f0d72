"""The command line of a training: one run, or a sweep over all values that it gives."""

import argparse
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser  # Hydra has no public one
from hydra.core.override_parser.types import Glob

from ldg.config.check import ask_for_processes, check_config
from ldg.config.compose import Sources, compose_config, prepare_hydra, resolve_config
from ldg.config.home import command
from ldg.config.loggers import check_loggers
from ldg.config.overrides import PATHS, READ_ONLY, parse_overrides, quote_texts
from ldg.config.secrets import find_secrets, move_to_environment
from ldg.errors import UserError, suggestion
from ldg.files import look
from ldg.sweeps.plan import example_overrides, make_plan, split_overrides
from ldg.training.resume import check_resumption

# short forms of settings of the sweeper
FLAGS = {"--dry-run": "hydra.sweeper.dry_run=true", "--retry": "hydra.sweeper.retry=true"}
# options of which Hydra carries out one at a time
ACTIONS = ("run", "multirun", "cfg", "info", "shell_completion")
# settings of Hydra's for what ldg does in another way
REFUSED = {
    "hydra.run.dir": "a run's folder is folder=...",
    "hydra.sweep.dir": "a sweep's folder is outputs=... with sweep_name=...",
    "hydra.sweep.subdir": "a run's folder in a sweep is named after what it varies",
    "hydra.job.chdir": "a run's folder is folder=...",
    "hydra.mode": "a sweep needs -m",
}


def prepare_arguments(arguments: list[str]) -> list[str]:
    """Bring what a user types into the form that Hydra reads.

    Options come first, in full; ldg's own become the overrides they are short for. Folders of options become absolute.
    Values that can only be a text are quoted.

    Args:
        arguments: without the program's name

    Returns:
        Arguments that Hydra can parse.

    Raises:
        UserError: for an option that is wrong.
    """
    options = _parse(arguments)
    overrides = options.pop("overrides")
    given = [(f"--{name.replace('_', '-')}", value) for name, value in options.items() if value]
    return [*(name if value is True else f"{name}={value}" for name, value in given), *overrides]


def _parse(arguments: list[str]) -> dict[str, Any]:
    """Hydra's options, and under ``overrides`` those that Hydra can read."""
    for argument in arguments:
        if re.search(r"[\ud800-\udfff]", argument):  # bytes that are no text
            raise UserError(f"{argument}: is not UTF-8; rename it, or set PYTHONUTF8=1 if the terminal writes UTF-8")
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    flags = [FLAGS[argument] for argument in arguments if argument in FLAGS]
    options, unknown = parser.parse_known_intermixed_args([a for a in arguments if a not in FLAGS])
    if unknown:
        known = [*FLAGS, *re.findall(r"--[\w-]+", parser.format_usage())]
        raise UserError(f"unknown option {unknown[0]!r}{suggestion(unknown[0], known)}; see {command('train')} --help")
    if flags and not options.multirun:
        flag = next(argument for argument in arguments if argument in FLAGS)
        raise UserError(f"{flag} goes with a sweep; add -m")
    actions = [f"--{name.replace('_', '-')}" for name in ACTIONS if getattr(options, name)]
    if len(actions) > 1:
        raise UserError(f"{actions[0]} and {actions[1]} do not go together; leave one out")
    if options.resolve and not (options.cfg or options.help):
        raise UserError("--resolve goes with --cfg job")
    if options.experimental_rerun:
        raise UserError("--experimental-rerun: a pickle may hold any code; resume a run with ckpt_path=...")
    for name in ("config_path", "config_dir"):
        folder = getattr(options, name)
        if folder is not None and not folder.startswith("pkg://"):
            setattr(options, name, _option_folder(f"--{name.replace('_', '-')}", folder))
    return vars(options) | {"overrides": quote_texts([*options.overrides, *flags])}


def _refuse(message: str) -> NoReturn:
    raise UserError(f"{message}; see {command('train')} --help")


def _option_folder(option: str, folder: str) -> str:
    path = Path(folder).expanduser().absolute()
    if not folder or look(path) != "folder":
        raise UserError(f"{option}={folder}: there is no such folder")
    return str(path)


def keep_secrets(arguments: list[str]) -> list[str]:
    """Replace the secrets of a command line by references, so that whatever keeps or shows it has none.

    Args:
        arguments: Hydra's options and the overrides, without the program's name

    Returns:
        Arguments that refer to environment variables, which are set.

    Raises:
        UserError: for several values of a secret, which would be written as the values of a parameter.
    """
    kept = []
    for argument in arguments:
        key, equals, text = argument.partition("=")
        try:
            (override,) = parse_overrides([argument])
        except UserError:  # an option, or something that the check answers
            kept.append(argument)
            continue
        if override.is_sweep_override():
            # a glob stands for names of files
            has_values = override.is_discrete_sweep() and not isinstance(override.value(), Glob)
            values = list(override.sweep_string_iterator()) if has_values else []
            if any(list(find_secrets(value, key)) for value in values):
                raise UserError(f"{key}: a secret has one value in all runs")
        else:
            text = move_to_environment(key, override.value(), text)
        kept.append(f"{key}{equals}{text}")
    return kept


def check_command_line(arguments: list[str]) -> None:
    """Check the command line of a training before anything is loaded.

    Args:
        arguments: Hydra's options and the overrides, without the program's name

    Raises:
        UserError: for the first thing that is wrong with it.
    """
    options = argparse.Namespace(**_parse(arguments))
    prepare_hydra()
    if options.hydra_help or options.shell_completion:
        return
    given = {"config_name": options.config_name, "config_path": options.config_path, "config_dir": options.config_dir}
    sources = Sources(**{name: value for name, value in given.items() if value is not None})
    fixed, varied = split_overrides(options.overrides)
    if varied and not options.multirun:
        raise UserError(f"{varied[0].input_line}: several values need a sweep; add -m, or quote a text with a comma")
    _check_settings(options)
    trials = [fixed]
    if options.multirun:
        trials = example_overrides(make_plan(compose_config(fixed, sources), options.overrides))
    for trial in trials:
        config = resolve_config(compose_config(trial, sources))
        check_config(config)
        if not (options.cfg or options.info or options.help):
            _check_paths(config, trial, options.multirun)
            check_loggers(config)
        trainer = config["trainer"]
        one = {"devices": 1} if trainer.get("devices") == "auto" else {}  # each run of a sweep has its own
        if options.multirun and (asks := ask_for_processes(trainer | one)):
            raise UserError(f"{asks}: its processes would each repeat the whole sweep; start the runs one by one")


def _check_settings(options: argparse.Namespace) -> None:
    """Refuse overrides that mean something else than they would with Hydra alone."""
    for override in parse_overrides(options.overrides):
        key = str(override.key_or_group)
        if not key:
            raise UserError(f"{override.input_line}: cannot be read as an override; write key=value")
        if key == "sweep" and override.value() is not None:
            if override.is_sweep_override():
                raise UserError(f"{override.input_line}: one sweep at a time")
            if not options.multirun and not os.environ.get("WANDB_SWEEP_ID"):  # W&B's agent gives each run its values
                raise UserError(f"{override.input_line}: a sweep needs -m")
        # Lightning gives the processes of a DDP run the folder they are in
        if key in REFUSED and override.value() not in (".", False, None):
            raise UserError(f"{override.input_line}: ldg does not use it; {REFUSED[key]}")
        if key == "ckpt_path" and options.multirun and override.value() is not None:
            raise UserError(f"{override.input_line}: one run is resumed, not a sweep; leave -m out")


def _check_paths(config: dict[str, Any], overrides: list[str], is_sweep: bool) -> None:
    """Look at the paths in a config, so that what cannot be read or made is known before anything is.

    Args:
        config: resolved and checked
        overrides: that it was composed of
        is_sweep: whether the run is one of a sweep, which decides about its folder

    Raises:
        UserError: that names the key.
    """
    check_folder("outputs", config["outputs"])
    is_started_again = os.environ.get("SLURM_RESTART_COUNT", "") not in ("", "0")  # and goes on in its folder
    if not is_sweep and is_first_process():
        if config["ckpt_path"]:
            check_resumption(config["ckpt_path"], overrides)
        elif _is_taken(config["folder"]) and not is_started_again:
            raise UserError(
                f"folder={config['folder']}: is there and not empty; leave folder= out, or resume with ckpt_path="
            )
        check_folder("folder", config["folder"])
    _check_arguments({key: value for key, value in config.items() if isinstance(value, dict)})


def is_first_process() -> bool:
    """Whether this is the first, or the only, process of a run: Lightning, torchrun and SLURM number them."""
    return {os.environ.get(name) or "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID")} == {"0"}


def _is_taken(folder: str) -> bool:
    return look(folder) == "folder" and any(Path(folder).iterdir())


def _check_arguments(node: dict[str, Any], path: str = "") -> None:
    """Check the arguments that are paths, of constructor calls within the call or calls at ``path``."""
    for key, value in node.items():
        if isinstance(value, dict):
            _check_arguments(value, f"{path}{key}.")
        elif key in PATHS and isinstance(value, str) and f"{path}{key}" not in READ_ONLY:
            check_folder(f"{path}{key}", value, is_file=key == "path", is_written=key != "root")


def check_folder(key: str, path: str, is_file: bool = False, is_written: bool = True) -> None:
    """Check that a folder, or the folder of a file, is there or can be made; writes nothing.

    Args:
        key: that names it
        path: of the folder or file
        is_file: whether it is that of a file
        is_written: whether files will be written there

    Raises:
        UserError: if a name in the path cannot be one, or the path or the closest one above it that exists is not a
            folder or is not writable.
    """
    if not path or path.startswith("~"):
        raise UserError(
            f"{key}={path}: should be a path{', without ~ for the home folder' if path else '; it is empty'}"
        )
    try:
        if is_file and look(path) == "folder":
            raise UserError(f"{path} is a folder; name a file")
        above = (Path(path), *Path(path).absolute().parents)[is_file:]
        existing, kind = next((folder, kind) for folder in above if (kind := look(folder)))
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    if kind != "folder":
        raise UserError(f"{key}={path}: {existing} is not a folder; choose another")
    if is_written and not os.access(existing, os.W_OK):
        raise UserError(f"{key}={path}: {existing} may not be written to; choose another")
