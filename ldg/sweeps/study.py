"""Optuna 5 under a sweep: every job asks the study for its trial when it begins, and reports the result when it ends.

No trial waits for a batch of others, whichever launcher carries the jobs out, and machines that share a database share
the study.
"""

import contextlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl
from filelock import FileLock
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ldg.errors import UserError
from ldg.sweeps.ledger import Sweep
from ldg.sweeps.plan import parse_overrides

# draws by the index of the trial, which a different seed for each trial would undo
ONE_SEED = ("QMCSampler", "GridSampler", "BruteForceSampler")


def parse_distribution(key: str, text: str) -> BaseDistribution:
    """Translate Hydra's syntax of sweeps.

    ``choice(a,b)`` and ``a,b`` are categorical; ``range(a,b,step)`` are the numbers from a on below b;
    ``interval(a,b)`` is continuous, ``int(interval(a,b))`` the whole numbers from a to b; ``tag(log, ...)`` makes the
    scale of an interval logarithmic.

    Args:
        key: of the parameter
        text: its values in Hydra's syntax

    Returns:
        Optuna's distribution.
    """
    (override,) = parse_overrides([f"{key}={text}"])
    value: Any = override.value()
    if override.is_choice_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    if override.is_range_sweep():
        values = list(value.range())
        kind = IntDistribution if all(isinstance(v, int) for v in values) else FloatDistribution
        return kind(values[0], values[-1], step=value.step)
    log = "log" in value.tags
    if isinstance(value.start, int):
        return IntDistribution(value.start, value.end, log=log)
    return FloatDistribution(value.start, value.end, log=log)


class Study:
    """The Optuna study of a sweep, as one of its jobs uses it.

    Args:
        sweep: content of ``sweep.yaml``
        folder: of the sweep; ``study.db`` is in it if the settings name no other storage
        index: of the run in this sweep, from 0

    Raises:
        UserError: if the storage cannot be used, or holds a study of this name with another search space.
    """

    def __init__(self, sweep: Sweep, folder: Path, index: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.space = {key: parse_distribution(key, str(text)) for key, text in sweep.parameters.items()}
        self.objectives = sweep.objectives
        self.settings = sweep.study or {}
        self.owner = f"{sweep.id}/{index}"
        (folder / "locks").mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(folder / "locks" / "study.lock")
        url = sweep.storage or f"sqlite:///{folder / 'study.db'}"
        space = {key: optuna.distributions.distribution_to_json(values) for key, values in self.space.items()}
        try:
            with self.lock:  # tables are made once
                self.storage = _open_storage(url)
                self.study = self._open_study(sweep, index)
                known = self.study.user_attrs.get("space")
                if known is None:
                    self.study.set_user_attr("space", space)
        except Exception as error:  # whatever a database driver raises
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise UserError(f"the study's storage {url} cannot be used: {reason}") from None
        if known not in (None, space):
            raise UserError(f"the study {sweep.name} in {url} has another space; name this one: sweep_name=...")

    def _open_study(self, sweep: Sweep, index: int) -> optuna.Study:
        sampler = dict(self.settings["sampler"] or {"_target_": "optuna.samplers.TPESampler", "seed": 0})
        if sampler.get("seed") is not None and not sampler["_target_"].endswith(ONE_SEED):
            sampler["seed"] += index  # each job makes a sampler, and one seed would give all trials the same values
        return optuna.create_study(
            storage=self.storage,
            study_name=sweep.name,
            sampler=instantiate(sampler),
            pruner=instantiate(self.settings["pruner"]) if self.has_pruner else optuna.pruners.NopPruner(),
            directions=list(self.objectives.values()),
            load_if_exists=True,
        )

    @property
    def has_pruner(self) -> bool:
        """Whether the study ends the training of poor trials early."""
        return bool(self.settings.get("pruner"))

    def begin_trial(self) -> "StudyTrial":
        """Begin the trial of this run, or continue it if it was interrupted."""
        with self.lock:
            trials = [t for t in self.study.get_trials(deepcopy=False) if t.user_attrs.get("owner") == self.owner]
            if trials and trials[-1].state != TrialState.FAIL:
                study_id = self.storage.get_study_id_from_name(self.study.study_name)
                trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trials[-1].number)
                trial = optuna.Trial(self.study, trial_id)
            else:
                trial = self.study.ask(self.space)
                trial.set_user_attr("owner", self.owner)
        return StudyTrial(self, trial)


@dataclass(frozen=True)
class StudyTrial:
    """A trial of a study, begun and not yet ended.

    Attributes:
        study: that the trial belongs to
        trial: Optuna's object
    """

    study: Study
    trial: optuna.Trial

    @property
    def overrides(self) -> list[str]:
        """The trial's values as overrides."""
        return [f"{key}={value}" for key, value in self.trial.params.items()]

    @property
    def callbacks(self) -> list[pl.Callback]:
        """The callbacks that the training of this trial needs: one that prunes it, if the study prunes."""
        return [Prune(self.trial, next(iter(self.study.objectives)))] if self.study.has_pruner else []

    @property
    def is_pruned(self) -> bool:
        """Whether the pruner has ended the training."""
        return bool(self.trial.user_attrs.get("pruned", False))

    def end(self, summary: dict[str, Any] | None) -> None:
        """Report the result to the study. A result that was reported before stays.

        Args:
            summary: of the run; None for one that failed

        Raises:
            UserError: if the summary lacks an objective.
        """
        values, state = None, None
        if summary is None:
            state = TrialState.FAIL
        elif self.is_pruned:
            state = TrialState.PRUNED
        else:
            values = [select_objective(summary, name) for name in self.study.objectives]
        self.study.study.tell(self.trial, values, state, skip_if_finished=True)


def _open_storage(url: str) -> optuna.storages.RDBStorage:
    # several processes write to one SQLite file in turns
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def select_objective(summary: dict[str, Any], name: str) -> float:
    """A number of a run's summary.

    Args:
        summary: of the run
        name: of a metric, or of a number beside the metrics, such as ``parameters``

    Returns:
        Its value.

    Raises:
        UserError: if there is none of that name.
    """
    known = {k: v for k, v in summary.items() if isinstance(v, int | float)} | summary["metrics"]
    if name not in known:
        raise UserError(f"hydra.sweeper.objectives: a run reports no {name!r}; it reports {', '.join(known)}")
    return float(known[name])


class Prune(pl.Callback):
    """Report a metric to a trial after every epoch, and end the training if the study's pruner demands it.

    Args:
        trial: of the run
        metric: its name
    """

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self.trial = trial
        self.metric = metric

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Report the metric of this epoch."""
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            return
        with contextlib.suppress(ValueError):  # NaN: the pruner has nothing to compare
            self.trial.report(float(value), trainer.current_epoch)
        if self.trial.should_prune():
            self.trial.set_user_attr("pruned", True)
            trainer.should_stop = True
