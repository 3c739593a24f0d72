"""Optuna's plots of its study."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ldg.config.home import command
from ldg.config.secrets import reveal, without_password
from ldg.errors import one_line
from ldg.files import is_inside
from ldg.sweeps.report.figures import Panel, encode_png
from ldg.sweeps.report.results import Results


def draw_study(results: Results, is_online: bool = False) -> list[Panel]:
    """Draw the history and the importances of each objective, and the Pareto front of several.

    Args:
        results: of the sweep
        is_online: whether a database that the sweep's file names may be contacted

    Returns:
        The plots, or the reasons why they cannot be drawn; empty if the sweep is no study.
    """
    if results.sweep.kind != "optuna":
        return []
    if results.sweep.storage and not is_online:
        where = without_password(results.sweep.storage)
        return [Panel("Optuna", None, f"The study is in {where}; {command('sweeps')} FOLDER --online reads it.")]
    with _quiet_plots() as plots:
        try:
            study = _load_study(results)
        except Exception as error:  # whatever a database driver raises
            return [Panel("Optuna", None, f"The study cannot be read: {one_line(error)[:200]}")]
        panels = []
        for index, metric in enumerate(results.objectives):
            options: dict[str, Any] = {"target_name": metric}
            if len(results.objectives) > 1:
                options["target"] = lambda trial, index=index: trial.values[index]
            panels.append(_draw_panel(f"Optuna: {metric} by trial", plots.plot_optimization_history, study, options))
            panels.append(
                _draw_panel(f"Optuna: importances for {metric}", plots.plot_param_importances, study, options)
            )
        if len(results.objectives) in (2, 3):
            options = {"target_names": list(results.objectives)}
            panels.append(_draw_panel("Optuna: Pareto front", plots.plot_pareto_front, study, options))
        return panels


@contextmanager
def _quiet_plots() -> Iterator[Any]:
    """Optuna's module of plots, without its messages; it uses pyplot and changes the style, which is restored."""
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


def _load_study(results: Results) -> Any:
    import optuna

    from ldg.sweeps.study import file_url, open_storage

    url = results.sweep.storage
    if not url:
        file = results.folder / "study.db"
        if not (file.is_file() and is_inside(file, results.folder)):
            raise FileNotFoundError(f"{file.name} is not there")
        url = file_url(file, "ro")
    return optuna.load_study(study_name=results.sweep.name, storage=open_storage(reveal(url)))


def _draw_panel(title: str, plot: Callable[..., Any], study: Any, options: dict[str, Any]) -> Panel:
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
        return Panel(title, encode_png(figure))
    except Exception as error:  # too few trials, all alike, ...: each plot has its reasons
        return Panel(title, None, f"cannot be drawn: {one_line(error)[:200]}")
