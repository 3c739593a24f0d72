"""Write the report of a sweep, also while it runs, or a named sweep as a file for W&B.

ldg sweeps outputs/sweeps/NAME            writes report.html and report.md in the sweep's folder
ldg sweeps outputs/sweeps/NAME --online   also with the study that lies in a database elsewhere
ldg sweeps wandb NAME                     prints W&B's file of a sweep in experiments/sweep, for wandb sweep FILE
ldg sweeps wandb NAME data=emnist -s FILE writes it, with overrides as of ldg train -m sweep=NAME
ldg sweeps wandb NAME --config-dir mine   a sweep of your own, mine/sweep/NAME.yaml
"""

from collections.abc import Sequence
from pathlib import Path

from ldg.commands.cli import Parser
from ldg.config.home import HOME, command, list_groups
from ldg.errors import UserError
from ldg.files import look, write_text


def main(arguments: list[str]) -> None:
    """Write the report of a command line, and print its files; or print or write the file for W&B.

    Args:
        arguments: without the program's name

    Raises:
        UserError: for a wrong command line, a folder that holds no sweep or cannot be written to, or a sweep that W&B
            has no form for.
    """
    parser = Parser("sweeps", __doc__)
    parser.add_argument("folder", metavar="FOLDER | wandb", help="a sweep's folder, outputs/sweeps/NAME")
    parser.add_argument("sweep", nargs="*", metavar="NAME", help="after wandb: a named sweep, and overrides")
    parser.add_argument("--online", action="store_true", help="contact the database that the sweep's file names")
    parser.add_argument("-s", "--save", type=Path, metavar="FILE", help="after wandb: write the file")
    parser.add_argument("--config-dir", metavar="DIR", help="after wandb: a folder with further choices")
    options = parser.parse_args(arguments)
    if options.folder == "wandb":
        if options.online:
            raise UserError("--online goes with a sweep's folder; leave it out")
        text = _describe_to_wandb(options.sweep, options.config_dir)
        if options.save:
            write_text(options.save, text)
            print(options.save)
        else:
            print(text, end="")
        return
    if options.sweep or options.save or options.config_dir:
        raise UserError(f"a file for W&B is made by: {command('sweeps')} wandb NAME")
    from ldg.sweeps.report import write_report  # loads torch

    for path in write_report(Path(options.folder), options.online):
        print(path)


def _describe_to_wandb(words: Sequence[str], config_dir: str | None) -> str:
    """The text of W&B's file for the sweep and with the overrides that are given, once every value is checked."""
    mine = [] if config_dir is None else [f"--config-dir={config_dir}"]
    if config_dir is not None and look(config_dir) != "folder":
        raise UserError(f"{mine[0]}: there is no such folder")
    if not words:
        groups = list_groups(HOME / "experiments", *([Path(config_dir)] if config_dir else []))
        raise UserError(f"{command('sweeps')} wandb NAME: name one of {', '.join(groups['sweep'])}")
    name, *overrides = words
    import yaml
    from omegaconf import OmegaConf

    from ldg.config.compose import Sources, compose_config
    from ldg.config.renamed import replace_choices
    from ldg.sweeps.command_line import check_command_line, keep_secrets, prepare_arguments
    from ldg.sweeps.plan import make_plan, split_overrides
    from ldg.sweeps.wandb import make_definition

    line = keep_secrets(prepare_arguments(replace_choices([*mine, "-m", f"sweep={name}", *overrides])))
    check_command_line(line)
    line = line[1 + len(mine) :]  # without the options
    sources = Sources(config_dir=None if config_dir is None else str(Path(config_dir).absolute()))
    config = compose_config(split_overrides(line)[0], sources)
    project = OmegaConf.select(config, "logger.wandb.project")
    if project is None:
        raise UserError("W&B hands out runs that log to it; choose logger=wandb")
    definition = make_definition(make_plan(config, line), project, config.hydra.runtime.choices, mine)
    return yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=1000)
