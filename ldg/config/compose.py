"""Compose the files of ``configs/`` and overrides into one config, and resolve its interpolations."""

import importlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ldg.config import renamed
from ldg.config.check import check_calls
from ldg.errors import UserError, suggestion

HOME = Path(__file__).resolve().parents[2]  # the folder that holds configs/ and experiments/

# where the keys of a config can be seen
WHERE = {"train": "see python train.py --cfg job", "evaluate": "see configs/measure"}


def prepare_hydra() -> None:
    """Make ldg's interpolations and the folder of experiments known to Hydra; harmless when repeated."""
    os.environ["LDG_HOME"] = str(HOME)
    OmegaConf.register_new_resolver("num_classes", _num_classes, replace=True)
    if not OmegaConf.has_resolver("run_id"):
        # seconds to sort by, and a random part: two runs started in the same second never share a folder.
        # The processes of a DDP run are given the first one's.
        OmegaConf.register_new_resolver(
            "run_id",
            lambda: os.environ.get("LDG_RUN_ID") or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}",
            use_cache=True,
        )


def _num_classes(dataset: DictConfig) -> int:
    """The number of classes of a data set; 0 if it cannot be constructed, so that the check names the argument."""
    arguments: Any = OmegaConf.to_container(dataset, resolve=True)
    module, _, name = arguments.pop("_target_").rpartition(".")
    try:
        return len(getattr(importlib.import_module(module), name)(**arguments).classes)
    except UserError:
        raise
    except Exception:
        return 0


def compose_config(overrides: list[str], name: str = "train") -> DictConfig:
    """Compose a config file and overrides.

    Args:
        overrides: as on a command line, ``model.latent_dim=16``
        name: the file of ``configs/``, ``train`` or ``evaluate``

    Returns:
        The config, Hydra's part included, its interpolations not yet resolved.

    Raises:
        UserError: for an unknown key, group or choice, with the closest match.
    """
    prepare_hydra()
    with _beside_hydra_main(), initialize_config_dir(str(HOME / "configs"), version_base="1.3", job_name="train"):
        try:
            return compose(name, overrides, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_one_line(error, name)) from None


@contextmanager
def _beside_hydra_main() -> Iterator[None]:
    """Let another config be composed while hydra.main is running a job."""
    running = GlobalHydra.instance()
    main, running.hydra = running.hydra, None
    try:
        yield
    finally:
        running.hydra = main


def _one_line(error: Exception, name: str) -> str:
    """Hydra's message in one line, with the closest match."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        choices = f"{group} is one of {', '.join(error.options)}"
        return f"{group}={choice}: no such choice{suggestion(choice, error.options)}; {choices}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as an override; write key=value"
    if match := re.search(
        r"Could not (?:override|append(?: to config)?|find|delete(?: from config\.)?) '?([\w./@+~]+)'?", text
    ):
        key = match[1].strip("'")
        if new := renamed.new_key(key):
            return f"{key} is now {new}"
        known = _keys(OmegaConf.to_container(compose(name, []), resolve=False))
        return f"{key}: no such key{suggestion(key, known)}; {WHERE[name]}"
    if isinstance(error, ConfigCompositionException) and error.__cause__:
        text = str(error.__cause__)
    return " ".join(text.split())


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """The full names of all keys of a nested dict."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")


def resolve_config(config: DictConfig) -> dict[str, Any]:
    """Resolve a composed config to plain Python.

    Args:
        config: what :func:`compose_config` or ``hydra.main`` gives

    Returns:
        The config without Hydra's part, every interpolation replaced.

    Raises:
        UserError: if an interpolation cannot be resolved, or a value is missing.
    """
    try:
        if "hydra" in config:
            HydraConfig.instance().set_config(config)
        keys = [str(key) for key in config if key != "hydra"]
        whole = OmegaConf.create(OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=False))
        result = OmegaConf.to_container(whole, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        _, from_resolver, mistake = text.partition("UserError raised while resolving interpolation: ")
        raise UserError(mistake if from_resolver else f"{getattr(error, 'full_key', '') or ''}: {text}") from None
    assert isinstance(result, dict)
    return {str(key): value for key, value in result.items()}


def compose_measures(overrides: list[str]) -> dict[str, Any]:
    """The resolved config of an evaluation: those measures that ``evaluate.yaml`` lists, then the others there are.

    Args:
        overrides: settings of measures, ``marginal.samples=5000``

    Returns:
        A constructor call for each measure, by its name.

    Raises:
        UserError: for the first thing that is wrong with ``overrides``.
    """
    listed = yaml.safe_load((HOME / "configs" / "evaluate.yaml").read_text())["defaults"]
    names = {choice for entry in listed if isinstance(entry, dict) for choice in entry.values()}
    further = sorted({file.stem for file in (HOME / "configs" / "measure").glob("*.yaml")} - names)
    appended = [f"+measure@{name}={name}" for name in further]
    config = resolve_config(compose_config([*appended, *overrides], "evaluate"))
    check_calls(config)
    return config


def replace_folder(node: Any, old: str, new: str) -> Any:
    """Move a nested structure from one folder to another.

    Args:
        node: dicts and lists of plain values
        old: the folder's name until now
        new: its new name

    Returns:
        A copy with the name replaced in every path and key that begins with it.
    """
    if isinstance(node, dict):
        return {replace_folder(key, old, new): replace_folder(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [replace_folder(item, old, new) for item in node]
    inside = isinstance(node, str) and f"{node}/".startswith(f"{old}/")
    return new + node[len(old) :] if inside else node
