"""Compose the files of ``configs/`` and overrides into one config, and resolve its interpolations."""

import os
import re
import secrets
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path  # Hydra has no public way to --config-dir
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ldg.config import renamed
from ldg.config.check import check_calls
from ldg.config.home import HOME, command, list_measures, show_folder
from ldg.config.overrides import explain_override, parse_overrides
from ldg.config.secrets import keep_references
from ldg.config.signatures import load_class
from ldg.config.sources import FileConfigSource
from ldg.errors import UserError, suggestion
from ldg.files import look, shorten

# what composing raises: Hydra's own exceptions, those of what is below it, and a warning that is treated as an error
COMPOSER_ERRORS = (
    HydraException,
    OmegaConfBaseException,
    OSError,
    ValueError,
    AssertionError,
    RecursionError,
    UserWarning,
)


def prepare_hydra() -> None:
    """Make ldg's interpolations and the folder of experiments known to Hydra; harmless when repeated."""
    os.environ["LDG_HOME"] = str(HOME)
    for name in ("LDG_DATA", "LDG_CACHE", "LDG_RUN_ID"):
        if os.environ.get(name) == "":
            del os.environ[name]  # set to nothing is not set
    FileConfigSource.register()
    # cached in the config, since each of many references would look into the files again
    OmegaConf.register_new_resolver("num_classes", _num_classes, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("image_shape", _image_shape, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("data_name", _data_name, replace=True)
    if not OmegaConf.has_resolver("run_id"):
        # seconds to sort by, and a random part: two runs started in the same second never share a folder.
        # The processes of a DDP run are given the first one's.
        OmegaConf.register_new_resolver(
            "run_id",
            lambda: os.environ.get("LDG_RUN_ID") or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}",
            use_cache=True,
        )


def _data_name(*, _root_: DictConfig) -> str:
    """The choice of ``data``, and where it stands for many data sets which of them: ``folder-photos``."""
    choice = HydraConfig.get().runtime.choices["data"]
    which = OmegaConf.select(_root_, "data.name") or OmegaConf.select(_root_, "data.path")
    if not isinstance(which, str):
        return choice
    return f"{choice}-" + re.sub(r"[^\w.-]+", "_", Path(which).resolve().stem)[:40]  # W&B's tags have at most 64


def _num_classes(dataset: DictConfig, root: str = "data", cache: str | None = None) -> int:
    """The number of classes of a data set; 0 if it cannot be constructed, so that the check names the argument."""
    return len(getattr(_inspect(dataset, root, cache), "classes", ()))


def _image_shape(dataset: DictConfig, root: str = "data", cache: str | None = None) -> ListConfig:
    """(C, H, W) of a data set's images; empty if it cannot be constructed."""
    return OmegaConf.create(list(getattr(_inspect(dataset, root, cache), "image_shape", ())))


def _inspect(dataset: DictConfig, root: str, cache: str | None) -> Any:
    """A data set that has looked into its files; None if the check of the config will refuse an argument."""
    if not isinstance(dataset, DictConfig):
        return None
    call = OmegaConf.to_container(dataset, resolve=True)
    try:
        check_calls(call)
    except UserError:
        return None
    built = _construct(call)
    built.inspect(root, cache)
    return built


def _construct(node: Any) -> Any:
    """The object of a constructor call of a data set, nested calls first; what is none as it is."""
    if not isinstance(node, dict):
        return node
    arguments = {key: _construct(value) for key, value in node.items()}
    return load_class(arguments.pop("_target_"))(**arguments) if "_target_" in arguments else arguments


@dataclass(frozen=True)
class Sources:
    """Where a config is composed from: Hydra's options of these names.

    Attributes:
        config_name: the main file, ``train`` or ``evaluate``, or one of the user's
        config_path: the folder it is in
        config_dir: a folder of the user's with further choices; None if there is none
    """

    config_name: str = "train"
    config_path: str = field(default_factory=lambda: str(HOME / "configs"))
    config_dir: str | None = None

    @classmethod
    def of_job(cls, hydra: DictConfig) -> Self:
        """Those that a job of Hydra's was composed from.

        Args:
            hydra: Hydra's part of the job's config
        """
        folders = {source.provider: source.path for source in hydra.runtime.config_sources}
        return cls(hydra.job.config_name, folders["main"], folders.get("command-line"))


def compose_config(overrides: Sequence[str], sources: Sources | None = None) -> DictConfig:
    """Compose a config file and overrides.

    Args:
        overrides: as on a command line, ``model.latent_dim=16``
        sources: the config file, and the folders with its groups; None: train.yaml and ldg's

    Returns:
        The config, Hydra's part included, its interpolations not yet resolved.

    Raises:
        UserError: for a wrong file, or an unknown key, group or choice, with the closest match.
    """
    sources = sources or Sources()
    with _hydra_of(sources):
        try:
            return compose(sources.config_name, list(overrides), return_hydra_config=True)
        except COMPOSER_ERRORS as error:
            raise UserError(_one_line(error, list(overrides), sources)) from None


def list_choices(group: str, hydra: DictConfig) -> list[str]:
    """The choices that a job of Hydra's has for a group, ``model`` or ``model/kl``.

    Args:
        group: its name
        hydra: Hydra's part of the job's config
    """
    sources = Sources.of_job(hydra)
    with _hydra_of(sources) as composer:
        loader: Any = composer.config_loader
        return loader.get_group_options(group, ObjectType.CONFIG, sources.config_name, list(hydra.overrides.hydra))


@contextmanager
def _hydra_of(sources: Sources) -> Iterator[Hydra]:
    """Hydra, ready to compose, also while hydra.main is running a job."""
    prepare_hydra()
    version.setbase("1.3")
    folders = create_config_search_path(sources.config_path)
    if sources.config_dir is not None:  # in the place that hydra.main gives it
        folders.prepend("command-line", f"file://{sources.config_dir}", SearchPathQuery(provider="schema"))
    running = GlobalHydra.instance()
    main, running.hydra = running.hydra, None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*is not available", UserWarning)  # a folder of the search path
            yield Hydra.create_main_hydra2("train", folders)
    finally:
        running.hydra = main


def _one_line(error: Exception, overrides: list[str], sources: Sources) -> str:
    """Hydra's message in one line, with the closest match."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{shorten(Path(str(error.filename)).stem)}: {error.strerror}"
    if isinstance(error, RecursionError):
        return "the defaults lists of some files name each other in a circle; leave one of the entries out"
    if isinstance(error, MissingConfigException):
        for folder in filter(None, (sources.config_path, sources.config_dir)):
            look(Path(folder, f"{error.missing_cfg_file}.yaml"))  # names a link that leads nowhere
        text = re.split(r"(?:Config s|S)earch path:", text)[0]
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        choices = f"{group} is one of {', '.join(error.options)}"
        return f"{group}={shorten(choice)}: no such choice{suggestion(choice, error.options)}; {choices}"
    if "Config group override must be" in text:
        groups = compose(sources.config_name, [], return_hydra_config=True).hydra.runtime.choices
        named = [o for o in parse_overrides(overrides) if o.key_or_group in groups]
        wrong = next((o for o in named if not isinstance(o.value(), str | list)), None)
        return f"{wrong.input_line if wrong else ' '.join(overrides)}: should be the name of a choice"
    if isinstance(error, OverrideParseException):
        return explain_override(error, overrides)
    if match := re.search(r"An item is already at '([^']+)'", text):
        return f"+{match[1]}: the key is there already; leave the + out"
    if match := re.search(
        r"Could not (?:override|append(?: to config)?|find|delete(?: from config\.)?) '?([\w./@+~]+)'?", text
    ):
        return _unknown_key(match[1].strip("'"), overrides, sources)
    cause = str(error.__cause__ or "").splitlines()  # the lines after the first repeat what is in it
    return " ".join(" ".join([*text.splitlines(), *cause[:1]]).split()) or type(error).__name__


def _unknown_key(key: str, overrides: list[str], sources: Sources) -> str:
    """What to say about a key that is none: its new name, or the closest one among those of the chosen groups."""
    if new := renamed.new_key(key):
        return f"{key} is now {new}"
    chosen = [override for override in overrides if "." not in override.partition("=")[0]]
    for choices in (chosen, []):  # the chosen ones may be what is wrong
        with suppress(*COMPOSER_ERRORS):
            config = compose(sources.config_name, choices, return_hydra_config=True)
            break
    else:
        return f"{key}: no such key or group; see the defaults list of {sources.config_name}.yaml"
    groups = [group for group in config.hydra.runtime.choices if not group.startswith("hydra/")]
    value = next((o.partition("=")[2] for o in overrides if o.partition("=")[0].lstrip("+~") == key), "")
    for group in groups:
        if group.endswith(f"/{key}") and re.fullmatch("[a-z]\\w*", value):
            return f"{key}: no such key, did you mean {group}={value}?"
    known = list(_keys(OmegaConf.to_container(config, resolve=False)))
    if not key.startswith("hydra."):
        known = [name for name in known if not name.startswith("hydra")]
    where = f"{command('train')} --cfg {'hydra' if key.startswith('hydra.') else 'job'}"
    if sources.config_name == "evaluate":
        where = show_folder("measure")
    parent, _, leaf = key.rpartition(".")
    elsewhere = [name for name in known if name.endswith(f".{leaf}")]
    hint = _other_choices(key, groups)
    if not hint and elsewhere and (not parent or len(elsewhere) == 1):
        hint = f", did you mean {elsewhere[0]}?"
    hint = hint or _similar(key, known)
    return f"{key}: no such key{hint}; see {where}"


def _similar(key: str, known: list[str]) -> str:
    """The end of a message about an unknown key: the most similar one beside it, or of all if there are none."""
    parent, _, leaf = key.rpartition(".")
    beside = [name.removeprefix(f"{parent}.") for name in known if name.rpartition(".")[0] == parent]
    if not parent or not beside:
        return suggestion(key, known)
    return suggestion(leaf, beside).replace("mean ", f"mean {parent}.")


def _other_choices(key: str, groups: list[str]) -> str:
    """Which other choices of a key's group have it; empty if there are none."""
    for group in groups:
        prefix = group.replace("/", ".") + "."
        rest = key.removeprefix(prefix)
        if rest == key:
            continue
        files = sorted((HOME / "configs" / group).glob("*.yaml"))
        having = [file.stem for file in files if rest in _keys_of(file)]
        if having:
            return f" with this choice; {group}={' or '.join(having)} has it"
    return ""


def _keys_of(file: Path) -> set[str]:
    """The full names of the keys in a file and in those of ``configs/base`` that it includes."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    keys = set(_keys(content))
    for entry in content.get("defaults") or []:
        if isinstance(entry, str) and entry.startswith("/base/"):
            keys |= _keys_of(HOME / "configs" / f"{entry[1:].removesuffix('@_here_')}.yaml")
    return keys


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
        The config without Hydra's part, every interpolation replaced but those that stand for secrets.

    Raises:
        UserError: if an interpolation cannot be resolved, or a value is missing.
    """
    try:
        if "hydra" in config:
            HydraConfig.instance().set_config(config)
        keys: Any = [key for key in config if key != "hydra"]
        unresolved: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=False)
        unresolved |= {
            key: _as_text(unresolved[key]) for key in ("name", "sweep_name", "run", "tags") if key in unresolved
        }
        result = OmegaConf.to_container(OmegaConf.create(unresolved), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0]
        _, from_resolver, mistake = text.partition("UserError raised while resolving interpolation: ")
        raise UserError(mistake if from_resolver else f"{getattr(error, 'full_key', '') or ''}: {text}") from None
    assert isinstance(result, dict)
    return {str(key): value for key, value in keep_references(result, unresolved).items()}


def _as_text(value: Any) -> Any:
    """A name as text, though it may be a number to YAML."""
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def compose_measures(overrides: list[str]) -> dict[str, Any]:
    """The resolved config of an evaluation: those measures that ``evaluate.yaml`` lists, then the others there are.

    Args:
        overrides: settings of measures, ``marginal.samples=5000``

    Returns:
        A constructor call for each measure, by its name.

    Raises:
        UserError: for the first thing that is wrong with ``overrides``.
    """
    appended = [f"+measure@{name}={name}" for name in list_measures()[1]]
    config = resolve_config(compose_config([*appended, *overrides], Sources("evaluate")))
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
