"""The resolved config of a run, as an object."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt


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
        compile: whether ``torch.compile`` compiles the networks
        ckpt_path: the checkpoint or run folder to resume
        test: whether the best checkpoint is tested at the end
        evaluate: whether a scorecard is made after that
        outputs: the folder of all runs
        folder: the run's folder
        sweep_name: the folder of the sweep in ``outputs/sweeps``; None: named after what it varies
        run: the run's name in its sweep
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
    name: str
    tags: list[str]
    seed: Annotated[NonNegativeInt, Field(lt=2**32)]
    compile: bool
    ckpt_path: str | None
    test: bool
    evaluate: bool
    outputs: str
    folder: str
    sweep_name: str | None = None
    run: str | None = None
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
