"""``ldg``, or ``python -m ldg``: a command for each thing that ldg does."""

import ast
import importlib
import os
from importlib.metadata import version

from ldg.commands.cli import start
from ldg.config.home import PACKAGE
from ldg.errors import UserError, suggestion

# the module of each command in ldg/commands; the first line of its text says what the command does
COMMANDS = {
    "train": "train",
    "write": "generate",
    "font": "font",
    "demo": "demo",
    "evaluate": "evaluate",
    "runs": "runs",
    "compare": "compare",
    "sweeps": "sweeps",
    "export": "export",
    "push": "push",
    "dashboard": "dashboard",
    "schema": "schema",
}


def main(arguments: list[str]) -> int | None:
    """Carry out a command with its arguments.

    Args:
        arguments: the command's name and its arguments

    Returns:
        The exit status of the command.

    Raises:
        UserError: if there is no such command, or as the command does.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        return print(_describe())
    if arguments[0] == "--version":
        return print(f"ldg {version('ldg')}")
    if arguments[0] in ("-sc", "--shell-completion"):
        return _complete(arguments)
    name, *rest = arguments
    if name not in COMMANDS:
        if "LOCAL_RANK" not in os.environ:
            raise UserError(f"there is no command {name!r}{_hint(name)}; see ldg --help")
        name, rest = "train", arguments  # a process that Lightning starts has the arguments of the first one's training
    return importlib.import_module(f"ldg.commands.{COMMANDS[name]}").main(rest)


def _describe() -> str:
    lines = ["usage: ldg COMMAND [ARGUMENTS]", ""]
    for name, module in COMMANDS.items():
        text = ast.get_docstring(ast.parse((PACKAGE / "commands" / f"{module}.py").read_text(encoding="utf-8"))) or ""
        lines.append(f"  {name:<11}{text.partition(chr(10))[0]}")
    return "\n".join([*lines, "", "ldg COMMAND --help says more."])


def _complete(arguments: list[str]) -> int | None:
    """What Hydra's completion of a shell asks for: the script that it installs, or the words for a command line."""
    program, *words = os.environ.get("COMP_LINE", "ldg train ").split(" ")
    if len(words) < 2:
        return print(*COMMANDS)
    if words[0] == "train":  # of the others the shell completes names of files
        os.environ["COMP_LINE"] = " ".join([program, *words[1:]])
        return main(["train", *arguments])
    return None


def _hint(name: str) -> str:
    """The command that was nearly typed, or that a script of a checkout is."""
    if "=" in name:
        return f", did you mean train {name}?"
    scripts = {module: command for command, module in COMMANDS.items()}
    stem = name.removesuffix(".py")
    return f", did you mean {scripts[stem]}?" if stem in scripts else suggestion(name, COMMANDS)


def run() -> None:
    """Carry out the command line of this process, and end the process."""
    start(main)


if __name__ == "__main__":
    run()
