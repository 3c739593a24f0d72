"""The resolved config of a run, as an object."""

import re
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt
from pydantic_core import PydanticCustomError

NAME_BYTES = 255  # of a file or folder, in the file systems in use


def _check_name(name: str) -> str:
    """Accept the name of a folder in another one, which may be inside of a folder of its own: ``study/mine``."""
    parts = name.split("/")
    if not name.strip() or {"", "..", "."} & set(parts) or re.search(r"[\x00-\x1f\x7f]", name):
        raise PydanticCustomError("name", "the name of a folder in outputs/, as in mine or study/mine")
    return _check_length(name)


def _check_path(path: str) -> str:
    """Accept what can be the path of a file or folder."""
    if not path:
        raise PydanticCustomError("empty", "a path; it is empty")
    if "\x00" in path or path.startswith("~"):
        raise PydanticCustomError("path", "a path, without ~ for the home folder")
    return _check_length(path)


def _check_length(path: str) -> str:
    if any(len(part.encode(errors="replace")) > NAME_BYTES for part in path.split("/")):
        raise PydanticCustomError("length", "shorter: a file system takes names of at most 255 bytes")
    return path


FolderName = Annotated[str, AfterValidator(_check_name)]
FilePath = Annotated[str, AfterValidator(_check_path)]


@dataclass
class RunConfig:
    """What ``config.yaml`` in a run's folder says: groups of constructor calls, and the keys of ``train.yaml`` itself.

    Attributes:
        data: constructor call of the data module
        model: of the model
        conditioning: ``both``, ``decoder`` or ``none``; part of ``model`` too, as is ``likelihood``
        likelihood: constructor call of the likelihood
        optimizer: of a torch optimizer that lacks its parameters
        scheduler: of a scheduler that lacks its optimizer; empty for a constant rate
        trainer: of Lightning's Trainer
        logger: constructor calls of loggers, by name
        callbacks: constructor calls of callbacks by name; None for one that is left out
        name: the run's name in ``outputs`` and in W&B
        tags: of the run in W&B
        seed: of weights, noise and the order of the images
        compile: whether ``torch.compile`` compiles the networks; ``auto``: where a trial says that it pays
        ckpt_path: the checkpoint, run folder or artifact in W&B to resume
        test: whether the best checkpoint is tested at the end
        evaluate: whether a scorecard is made after that
        outputs: the folder of all runs
        folder: the run's folder
        sweep_name: the folder of the sweep in ``outputs/sweeps``; None: named after what it varies
        run: the run's name in its sweep
        choices: what was chosen, by group; empty in runs of before it was kept
        launcher: how a sweep's runs are launched, where the launcher has settings
    """

    data: dict[str, Any]
    model: dict[str, Any]
    conditioning: str
    likelihood: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
    callbacks: dict[str, Any]
    name: FolderName
    tags: list[str]
    seed: Annotated[NonNegativeInt, Field(lt=2**32)]
    compile: bool | Literal["auto"]
    ckpt_path: FilePath | None
    test: bool
    evaluate: bool
    outputs: FilePath
    folder: FilePath
    sweep_name: FolderName | None = None
    run: FolderName | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    launcher: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Self:
        """The config that :func:`ldg.config.check.check_config` has accepted, or one of a checkpoint."""
        return cls(**config)

    def to_dict(self) -> dict[str, Any]:
        """A copy as nested dicts, with the keys in the order of ``config.yaml``."""
        config = asdict(self)
        if self.launcher is None:
            del config["launcher"]
        return config
