"""Hydra's source of YAML files, which names the file and line of what is wrong in one of them."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source  # Hydra has no public ones
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ldg.config.run_config import RunConfig
from ldg.errors import UserError, one_line

# groups whose files set keys of the whole config
GLOBAL_GROUPS = ("experiment", "debug", "launcher", "sweep")
# files that were read, by path, time and size: a sweep composes hundreds of configs of the same ones
_loaded: dict[tuple[str, int, int], ConfigResult] = {}
MAX_NODES = 100_000  # of a file whose aliases are written out
MAX_BYTES = 2**20  # of a file; PyYAML reads less than a megabyte in a second


class FileConfigSource(file_config_source.FileConfigSource):
    """A folder of the search path.

    It has the name of Hydra's own, which a worker process registers beside it: the registry takes them for the same.
    """

    @classmethod
    def register(cls) -> None:
        """Take the place of Hydra's own; harmless when repeated."""
        Plugins.instance()  # registers Hydra's
        SourcesRegistry.instance().types[cls.scheme()] = cls

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file.

        Args:
            config_path: of the file in this folder, as a defaults list names it

        Raises:
            UserError: for a file that is not YAML in UTF-8, is no dict, or lacks the line that says where its keys go.
        """
        path = Path(self.path) / self._normalize_file_name(config_path)
        try:
            status = path.stat()
            version = (str(path), status.st_mtime_ns, status.st_size)
            if version in _loaded:
                return deepcopy(_loaded[version])
            if status.st_size > MAX_BYTES:
                raise UserError(f"{path}: too large for a config; a file has at most 1 MB")
            _refuse_endless(path)
            result = super().load_config(config_path)
        except yaml.MarkedYAMLError as error:
            mark, began = error.problem_mark or error.context_mark, error.context_mark
            line = f", line {mark.line + 1}" if mark else ""
            context = f" {error.context} that begins in line {began.line + 1}" if error.context and began else ""
            raise UserError(f"{path}{line}: {error.problem}{context}") from None
        except UnicodeDecodeError:
            raise UserError(f"{path}, line {_undecodable_line(path)}: not UTF-8; save the file as UTF-8") from None
        except RecursionError:
            raise UserError(f"{path}: an anchor contains itself; write the values out") from None
        except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{path}: {one_line(error)}") from None
        if not isinstance(result.config, DictConfig):
            raise UserError(f"{path}: holds a list; a config has lines of KEY: VALUE")
        content: Any = OmegaConf.to_container(result.config)
        defaults = content.get("defaults", [])
        if not isinstance(defaults, list) or not all(map(_is_default, defaults)):
            raise UserError(f"{path}: defaults should be a list, each entry a file or one GROUP: CHOICE")
        if config_path.lstrip("/").split("/")[0] in GLOBAL_GROUPS:
            _check_package(path, result.header["package"])
        _loaded[version] = deepcopy(result)
        return result


def _refuse_endless(path: Path) -> None:
    """Raise ValueError for a file whose aliases, written out, have more nodes than any config."""
    text = path.read_text(encoding="utf-8")
    if "*" not in text:
        return
    sizes: dict[int, int] = {}  # of a node that an alias repeats once

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            pairs = [part for child in children for part in (child if isinstance(child, tuple) else [child])]
            sizes[id(node)] = 1 + sum(map(size, pairs))
        return sizes[id(node)]

    if (root := yaml.compose(text, yaml.SafeLoader)) is not None and size(root) > MAX_NODES:
        raise ValueError(f"its aliases stand for more than {MAX_NODES} values; write out those that are needed")


def _is_default(entry: Any) -> bool:
    """Whether a defaults list may have an entry."""
    if isinstance(entry, dict):
        return len(entry) == 1 and all(isinstance(choice, str | list | None) for choice in entry.values())
    return isinstance(entry, str)


def _undecodable_line(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    lines = path.read_bytes().splitlines()
    return next(number for number, line in enumerate(lines, 1) if "\ufffd" in line.decode(errors="replace"))


def _check_package(path: Path, package: str | None) -> None:
    """Raise UserError if the keys of a file would land where no run looks for them."""
    if package is not None and package.split(".")[0] in ("_global_", "hydra", *RunConfig.__dataclass_fields__):
        return
    if path.read_bytes().startswith(b"\xef\xbb\xbf"):
        raise UserError(f"{path}: begins with a byte order mark; save the file as UTF-8 without one")
    raise UserError(f"{path}: its first line should be '# @package _global_', so that its keys are those of a run")
