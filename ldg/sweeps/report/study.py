"""Optuna's own view of a sweep."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ldg.sweeps.report.figures import Panel, png
from ldg.sweeps.report.results import Results


def panels(results: Results) -> list[Panel]:
    """History and importances of each objective, and the Pareto front of several; a reason in place of what cannot be.

    Nothing if the sweep is no study.
    """
    if results.facts["kind"] != "optuna":
        return []
    with _quiet() as plots:
        try:
            study = _load(results)
        except Exception as error:  # whatever a database driver raises
            return [Panel("Optuna", None, f"The study cannot be read: {_line(error)}")]
        found = []
        for index, metric in enumerate(results.objectives):
            options: dict[str, Any] = {"target_name": metric}
            if len(results.objectives) > 1:
                options["target"] = lambda trial, index=index: trial.values[index]
            found.append(_panel(f"Optuna: {metric} by trial", plots.plot_optimization_history, study, options))
            found.append(_panel(f"Optuna: importances for {metric}", plots.plot_param_importances, study, options))
        if len(results.objectives) in (2, 3):
            options = {"target_names": list(results.objectives)}
            found.append(_panel("Optuna: Pareto front", plots.plot_pareto_front, study, options))
        return found


@contextmanager
def _quiet() -> Iterator[Any]:
    """Optuna's plots, which draw with pyplot and in a style of their own; both are put back."""
    import matplotlib
    import optuna

    matplotlib.use("Agg")
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings(), matplotlib.rc_context():
            warnings.simplefilter("ignore")
            import optuna.visualization.matplotlib as plots

            yield plots
    finally:
        optuna.logging.set_verbosity(verbosity)


def _load(results: Results) -> Any:
    import optuna

    url = results.facts.get("storage")
    if not url:
        file = results.folder / "study.db"
        if not file.exists():  # opening it would make it
            raise FileNotFoundError(f"{file.name} is not there")
        url = f"sqlite:///{file}"
    return optuna.load_study(study_name=results.facts["name"], storage=url)


def _panel(title: str, plot: Callable[..., Any], study: Any, options: dict[str, Any]) -> Panel:
    from matplotlib import pyplot
    from optuna.trial import TrialState

    complete = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    if complete < 2:
        return Panel(title, None, f"{complete} of its trials are complete; two are needed")
    try:
        figure = plot(study, **options).figure
        pyplot.close(figure)
        for side in ("left", "center"):
            figure.axes[0].set_title("", loc=side)
        figure.set_size_inches(6.4, 3.8)
        figure.set_layout_engine("tight")
        return Panel(title, png(figure))
    except Exception as error:  # too few trials, all alike, ...: each plot has reasons of its own
        return Panel(title, None, f"cannot be drawn: {_line(error)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
