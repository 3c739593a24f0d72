"""Optuna 5 under a sweep: every trial asks the study as it begins and tells it as it ends.

A trial that is asked for in the job itself waits for no batch, whichever launcher carries the jobs out, and machines
that share a database share the study.
"""

import contextlib
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl
from filelock import FileLock
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ldg.errors import UserError
from ldg.sweeps.plan import parse

# draws by the index of the trial, which a seed of its own would undo
ONE_SEED = ("QMCSampler", "GridSampler", "BruteForceSampler")


def distribution(key: str, text: str) -> BaseDistribution:
    """Optuna's distribution for a sweep in Hydra's words.

    ``choice(a,b)`` and ``a,b`` are categorical; ``range(a,b,step)`` are the numbers from a on below b;
    ``interval(a,b)`` is continuous, ``int(interval(a,b))`` the whole numbers from a to b; ``tag(log, ...)`` makes the
    scale of an interval logarithmic.
    """
    (override,) = parse([f"{key}={text}"])
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
    """The Optuna study of a sweep, as one of its jobs sees it.

    Args:
        facts: the sweep's ``sweep.yaml``
        folder: the sweep's folder, in which ``study.db`` is if the settings name no other storage
        slot: the number of the trial in this sweep
    """

    def __init__(self, facts: dict[str, Any], folder: Path, slot: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        settings = facts["study"]
        self.space = {key: distribution(key, text) for key, text in facts["parameters"].items()}
        self.objectives: dict[str, str] = facts["objectives"]
        self.owner = f"{facts['id']}/{slot}"
        (folder / "locks").mkdir(parents=True, exist_ok=True)
        self.guard = FileLock(folder / "locks" / "study.lock")
        sampler = dict(settings["sampler"] or {"_target_": "optuna.samplers.TPESampler", "seed": 0})
        if sampler.get("seed") is not None and not sampler["_target_"].endswith(ONE_SEED):
            sampler["seed"] += slot  # a sampler made anew for each trial would draw the same each time
        url = settings.get("storage") or f"sqlite:///{folder / 'study.db'}"
        try:
            with self.guard:  # tables are made once
                self.study = optuna.create_study(
                    storage=_storage(url),
                    study_name=facts["name"],
                    sampler=instantiate(sampler),
                    pruner=instantiate(settings["pruner"]) if settings.get("pruner") else optuna.pruners.NopPruner(),
                    directions=list(self.objectives.values()),
                    load_if_exists=True,
                )
                space = {key: optuna.distributions.distribution_to_json(found) for key, found in self.space.items()}
                known = self.study.user_attrs.get("space")
                if known is None:
                    self.study.set_user_attr("space", space)
        except Exception as error:  # whatever a database driver raises
            said = " ".join(str(error.__cause__ or error).split())[:200]
            raise UserError(f"the study's storage {url} cannot be used: {said}") from None
        if known not in (None, space):
            raise UserError(f"the study {facts['name']} in {url} has another space; name this one: sweep_name=...")

    def begin(self) -> tuple[optuna.Trial, list[str]]:
        """The trial of this slot, gone on with if it was interrupted, and its values as overrides."""
        with self.guard:
            own = [t for t in self._trials() if t.user_attrs.get("owner") == self.owner]
            if own and own[-1].state != TrialState.FAIL:
                trial = optuna.Trial(self.study, own[-1]._trial_id)
            else:
                trial = self.study.ask(self.space)
                trial.set_user_attr("owner", self.owner)
        return trial, [f"{key}={value}" for key, value in trial.params.items()]

    def end(self, trial: optuna.Trial, summary: dict[str, Any] | None) -> None:
        """Tell how a trial went; None for one that failed. What was told before stays."""
        if self.study._storage.get_trial(trial._trial_id).state.is_finished():
            return
        if summary is None:
            self.study.tell(trial, state=TrialState.FAIL)
        elif trial.user_attrs.get("pruned"):
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, [value_of(summary, name) for name in self.objectives])

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(deepcopy=False)


def _storage(url: str) -> optuna.storages.RDBStorage:
    # several processes write to one SQLite file in turns
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def value_of(summary: dict[str, Any], name: str) -> float:
    """A metric of a run's summary; UserError if it has none of that name."""
    known = {k: v for k, v in summary.items() if isinstance(v, int | float)} | summary["metrics"]
    if name not in known:
        raise UserError(f"hydra.sweeper.objectives: a run reports no {name!r}; it reports {', '.join(known)}")
    return float(known[name])


class Prune(pl.Callback):
    """Reports ``metric`` to a trial after every epoch, and ends the training if the study's pruner says so."""

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self.trial = trial
        self.metric = metric

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            return
        with contextlib.suppress(ValueError):  # no number: the pruner has nothing to compare
            self.trial.report(float(value), trainer.current_epoch)
        if self.trial.should_prune():
            self.trial.set_user_attr("pruned", True)
            trainer.should_stop = True
