"""Optuna 5 under a sweep: every job asks the study for its trial when it begins, and reports the result when it ends.

No trial waits for a batch of others, whichever launcher carries the jobs out, and machines that share a database share
the study.
"""

import contextlib
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import optuna
import pytorch_lightning as pl
import sqlalchemy
from filelock import FileLock
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from ldg.config.overrides import parse_overrides
from ldg.config.secrets import reveal, without_password
from ldg.errors import UserError, missing_package, one_line
from ldg.sweeps.ledger import Sweep
from ldg.sweeps.plan import Plan

# draws by the index of the trial, which a different seed for each trial would undo
ONE_SEED = ("QMCSampler", "GridSampler", "BruteForceSampler")
PATIENCE = 60.0  # seconds that a run waits for a database that is away
# a server that is gone is noticed in seconds, not in hours
CONNECTING: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": 60},  # several processes write to one file in turns
    "postgresql": {
        "client_encoding": "utf8",  # a server whose own is SQL_ASCII answers in bytes otherwise
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,  # ms
    },
    "mysql": {"connect_timeout": 10},
}

Result = TypeVar("Result")


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


def check_study(plan: Plan) -> None:
    """Try the settings of a study on two trials in memory.

    Args:
        plan: of the sweep

    Raises:
        UserError: for what Optuna refuses.
    """
    _silence()
    assert plan.study is not None
    space = {}
    for key, text in plan.parameters.items():
        with _explained(f"{key}={text}"):
            space[key] = parse_distribution(key, str(text))
    with _explained("hydra.sweeper.study.sampler"):
        sampler = make_sampler(plan.study["sampler"], 0)
        if not isinstance(sampler, BaseSampler):
            raise UserError("should be a constructor call of optuna.samplers")
    with _explained("hydra.sweeper.study.pruner"):
        pruner = instantiate(plan.study["pruner"] or None)
        if not isinstance(pruner, BasePruner | None):
            raise UserError("should be a constructor call of optuna.pruners")
    with _explained("hydra.sweeper.study"):
        study = optuna.create_study(sampler=sampler, pruner=pruner, directions=list(plan.objectives.values()))
        for _ in range(2):
            trial = study.ask(space)
            if pruner:
                trial.report(0.0, 0)
                trial.should_prune()
            study.tell(trial, [0.0] * len(plan.objectives))


def _silence() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn whatever Optuna raises into one line."""
    try:
        yield
    except Exception as error:
        raise UserError(f"{what}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """The first cause of an error in one line, without what SQLAlchemy adds to it."""
    while error.__cause__:
        error = error.__cause__
    if isinstance(error, ModuleNotFoundError) and error.name:
        return missing_package(error.name)
    return one_line(getattr(error, "orig", None) or error)[:300]


def make_sampler(settings: dict[str, Any] | None, number: int) -> BaseSampler:
    """Make the sampler of a trial.

    Every trial has a sampler of its own. One seed would give all of them the same values, so the number of the trial,
    which no other trial of the study has, is added to every seed.

    Args:
        settings: constructor call; None: TPE with seed 0
        number: of the trial in its study

    Returns:
        Optuna's object.
    """

    def seed(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        new = {key: seed(value) for key, value in node.items()}
        keeps_seed = str(node.get("_target_", "")).endswith(ONE_SEED)
        if (value := node.get("seed")) is not None and value >= 0 and not keeps_seed:  # Optuna refuses a negative one
            new["seed"] = (value + number) % 2**32
        return new

    return instantiate(seed(settings or {"_target_": "optuna.samplers.TPESampler", "seed": 0}))


class Study:
    """The Optuna study of a sweep, as one of its jobs uses it.

    Args:
        sweep: content of ``sweep.yaml``
        folder: of the sweep; ``study.db`` is in it if the settings name no other storage
        index: of the run in this sweep, from 0
        patience: seconds to wait for a database that is away when it is opened

    Raises:
        UserError: if the storage cannot be used, or holds a study of this name with another search space.
    """

    def __init__(self, sweep: Sweep, folder: Path, index: int = 0, patience: float = 0) -> None:
        _silence()
        self.space = {key: parse_distribution(key, str(text)) for key, text in sweep.parameters.items()}
        self.objectives = sweep.objectives
        self.settings = sweep.study or {}
        self.owner = f"{sweep.id}/{index}"
        (folder / "locks").mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(folder / "locks" / "study.lock")
        self.url = reveal(sweep.storage or file_url(folder / "study.db"))
        self.place = without_password(sweep.storage or str(folder / "study.db"))
        space = {key: optuna.distributions.distribution_to_json(values) for key, values in self.space.items()}
        known = self.call(lambda: self._open(sweep, space), patience)
        if known not in (None, space):
            raise UserError(f"the study {sweep.name} in {self.place} has another space; name this one: sweep_name=...")

    def _open(self, sweep: Sweep, space: dict[str, str]) -> dict[str, str] | None:
        """Open or make the study; the space that it had before."""
        with self.lock:  # tables are made once
            self.storage = open_storage(self.url)
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=sweep.name,
                pruner=instantiate(self.settings["pruner"]) if self.has_pruner else optuna.pruners.NopPruner(),
                directions=list(self.objectives.values()),
                load_if_exists=True,
            )
            known: dict[str, str] | None = self.study.user_attrs.get("space")
            if known is None:
                self.study.set_user_attr("space", space)
            return known

    def call(self, action: Callable[[], Result], patience: float = PATIENCE) -> Result:
        """Carry out an action on the study; one that a database refuses which is away is repeated for a while.

        Args:
            action: which may be repeated, whatever it got done before
            patience: seconds until it is given up

        Returns:
            What it returns.

        Raises:
            UserError: if the database stays away, or cannot be used.
        """
        deadline, pause = time.monotonic() + patience, 0.5
        while True:
            try:
                return action()
            except Exception as error:  # whatever a database driver raises
                if not (is_away(error) and time.monotonic() + pause < deadline):
                    raise UserError(f"the study's storage {self.place} cannot be used: {_reason(error)}") from None
            time.sleep(pause)
            pause *= 2

    @property
    def has_pruner(self) -> bool:
        """Whether the study ends the training of poor trials early."""
        return bool(self.settings.get("pruner"))

    def begin_trial(self) -> "StudyTrial":
        """Begin the trial of this run, or continue it if it was interrupted."""
        return StudyTrial(self, self.call(self._begin_trial))

    def _begin_trial(self) -> optuna.Trial:
        with self.lock:
            study_id = self.storage.get_study_id_from_name(self.study.study_name)
            trials = [t for t in self.study.get_trials(deepcopy=False) if t.user_attrs.get("owner") == self.owner]
            if trials and trials[-1].state != TrialState.FAIL:
                trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trials[-1].number)
            else:  # a process that is killed here leaves no trial without an owner
                new = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs={"owner": self.owner})
                trial_id = self.storage.create_new_trial(study_id, new)
            begun = self.storage.get_trial(trial_id)
            self.study.sampler = make_sampler(self.settings["sampler"], begun.number)
            trial = optuna.Trial(self.study, trial_id)
            for name, distribution in self.space.items() if begun.params.keys() != self.space.keys() else ():
                if name in begun.params and name not in trial.relative_params and not distribution.single():
                    # drawn before an interruption: the values after it continue the same random numbers
                    self.study.sampler.sample_independent(self.study, begun, name, distribution)
                trial._suggest(name, distribution)
            return trial


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

    def result(self, summary: dict[str, Any]) -> list[float] | None:
        """What the study optimises, of a run's summary; None for a pruned one.

        Raises:
            UserError: if the summary lacks an objective.
        """
        if self.is_pruned:
            return None
        return [select_objective(summary, name) for name in self.study.objectives]

    def end(self, summary: dict[str, Any] | None) -> None:
        """Report the result to the study. A result that was reported before stays.

        Args:
            summary: of the run; None for one that failed

        Raises:
            UserError: if the summary lacks an objective, or the study's storage cannot be used any more.
        """
        values, state = (None, TrialState.FAIL) if summary is None else (self.result(summary), None)
        if summary is not None and self.is_pruned:
            state = TrialState.PRUNED
        self.study.call(lambda: self.study.study.tell(self.trial, values, state, skip_if_finished=True))


def file_url(file: Path, mode: str = "rwc") -> str:
    """The URL of an SQLite file, whose name may have any characters.

    Args:
        file: its path
        mode: ``rwc`` to make it if it is missing, ``ro`` to change nothing
    """
    path = f"file:{quote(str(file.absolute()))}"
    return sqlalchemy.URL.create("sqlite", database=path, query={"mode": mode, "uri": "true"}).render_as_string()


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Connect to the database of a study, and make its tables if they are missing.

    Args:
        url: of SQLAlchemy; ``postgresql://`` uses the driver that the extra of ldg installs

    Returns:
        Optuna's storage.

    Raises:
        UserError: if there is no such kind of database.
        ModuleNotFoundError: if its driver is missing.
        SQLAlchemyError: if it cannot be reached or used.
    """
    try:
        parsed = sqlalchemy.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
        dialect = parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise UserError(
            "should be a URL as in postgresql://user@host/database, mysql://... or sqlite:///file.db"
        ) from None
    dialect.import_dbapi()
    settings = CONNECTING.get(parsed.get_backend_name(), {})
    connecting = {key: value for key, value in settings.items() if key not in parsed.query}
    return optuna.storages.RDBStorage(
        parsed.render_as_string(hide_password=False), engine_kwargs={"connect_args": connecting}
    )


def is_away(error: BaseException | None) -> bool:
    """Whether an error means that a database does not answer for now."""
    while error is not None and not isinstance(error, OperationalError):
        error = error.__cause__
    return error is not None


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
        self.unreported: dict[int, float] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Report the metric of this epoch; training goes on while the database is away."""
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            return
        self.unreported[trainer.current_epoch] = float(value)
        with contextlib.suppress(StorageInternalError, SQLAlchemyError):
            for epoch in list(self.unreported):
                with contextlib.suppress(ValueError):  # NaN: the pruner has nothing to compare
                    self.trial.report(self.unreported[epoch], epoch)
                del self.unreported[epoch]
            if self.trial.should_prune():
                self.trial.set_user_attr("pruned", True)
                trainer.should_stop = True
