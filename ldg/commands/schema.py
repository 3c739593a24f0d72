"""Write a JSON schema, by which an editor completes and checks YAML files.

ldg schema > ldg.schema.json                      of the files that come with ldg, and of any like them
ldg schema --config-dir mine > ldg.schema.json    with classes of your own that the files in a folder name

In a YAML file, this line says where the schema is:  # yaml-language-server: $schema=../ldg.schema.json
"""

import json
from pathlib import Path

from ldg.commands.cli import Parser
from ldg.config.home import HOME
from ldg.errors import UserError
from ldg.files import look, write_text


def main(arguments: list[str]) -> None:
    """Print the schema.

    Args:
        arguments: without the program's name

    Raises:
        UserError: for a wrong command line, or a file that cannot be read or written.
    """
    parser = Parser("schema", __doc__)
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="a folder with YAML files of your own")
    parser.add_argument("-s", "--save", type=Path, metavar="FILE", help="write the schema to a file")
    args = parser.parse_args(arguments)
    folders = [HOME / "configs", HOME / "experiments"]
    if args.config_dir:
        if look(args.config_dir) != "folder":
            raise UserError(f"--config-dir={args.config_dir}: there is no such folder")
        folders.append(args.config_dir)
    from ldg.config.schema import make_schema  # reads a hundred files

    text = json.dumps(make_schema(folders), indent=1)
    if args.save:
        write_text(args.save, text + "\n")
        print(args.save)
    else:
        print(text)
