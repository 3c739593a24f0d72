"""Save a view of ldg's runs in W&B, or a report of some: curves, scorecards, pictures, choices.

ldg dashboard                              a view of the project ldg
ldg dashboard --entity TEAM --project NAME a view of another project
ldg dashboard outputs/sweeps/NAME --title "Which prior" --notes notes.md    a report of a sweep's runs
ldg dashboard RUN RUN --save report.json   the view or the report as a file, which needs no account
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ldg.artifacts import has_credentials
from ldg.commands.cli import Parser
from ldg.commands.compare import read_notes
from ldg.commands.runs import add_filters, require_runs
from ldg.config.home import HOME
from ldg.errors import UserError, one_line
from ldg.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

    from ldg.runs.run import Run


def list_media() -> dict[str, str]:
    """The titles of the gallery's panels, by their keys in W&B."""
    from ldg.figures.picture import list_pictures

    media = {}
    for picture in list_pictures().values():
        media[f"gallery/{picture.name}"] = picture.title
        if picture.is_animated:
            media[f"gallery/{picture.name}_moving"] = f"{picture.title} over the epochs"
    return media


SHOWN = ("elbo", "log_likelihood", "kl")  # the weights of the loss may change with the epoch


def list_curves() -> dict[str, list[str]]:
    """The metrics of each line plot, by its title."""
    from ldg.figures.loss_curves import PANELS

    losses = {title: [f"train/{name}", f"val/{name}"] for name, (title, _) in PANELS.items() if name in SHOWN}
    return losses | {"active units": ["val/active_units"], "beta": ["beta"], "learning rate": ["lr"]}


def _curves() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.LinePlot(title=title, x="epoch", y=list(names)) for title, names in list_curves().items()]


def _scores() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    from ldg.evaluation.measure import list_quantities

    bars = [wr.BarPlot(title=quantity.title, metrics=[f"test/{name}"]) for name, quantity in list_quantities().items()]
    return [wr.MediaBrowser(title="scorecard", num_columns=1, media_keys=["scorecard_picture"]), *bars]


def _choices() -> Any:
    """The choices of all runs against their best ELBO."""
    import wandb_workspaces.reports.v2 as wr

    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(f"choices.{name}"), display_name=name.replace("_", " "))
        for name in yaml.safe_load((HOME / "configs" / "train.yaml").read_text(encoding="utf-8"))["choices"]
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("val/elbo.max"), display_name="best val/elbo"))
    return wr.ParallelCoordinatesPlot(title="choices and the ELBO", columns=columns)


def build_workspace(entity: str, project: str) -> Workspace:
    """The view, not yet saved.

    Args:
        entity: user or team
        project: name of the project

    Raises:
        ModuleNotFoundError: if wandb-workspaces is not installed.
    """
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    pictures: list[Any] = [
        wr.MediaBrowser(title=title, num_columns=1, media_keys=[key]) for key, title in list_media().items()
    ]
    one_a_row = ws.SectionLayoutSettings(columns=1, rows=1)
    return ws.Workspace(
        entity=entity,
        project=project,
        name="ldg",
        sections=[
            ws.Section(name="ELBO", panels=_curves(), is_open=True),
            ws.Section(name="Choices", panels=[_choices()], is_open=True, layout_settings=one_a_row),
            ws.Section(name="Scorecard", panels=_scores(), is_open=True),
            ws.Section(name="Gallery", panels=pictures, is_open=True),
        ],
    )


def build_report(entity: str, project: str, ids: Sequence[str], title: str, notes: str = "") -> Report:
    """A report of some runs, not yet saved.

    Args:
        entity: user or team
        project: of the runs
        ids: of the runs in W&B
        title: of the report
        notes: Markdown that stands first

    Raises:
        ModuleNotFoundError: if wandb-workspaces is not installed.
    """
    import wandb_workspaces.expr as expr
    import wandb_workspaces.reports.v2 as wr

    def grid(*panels: Any) -> Any:
        # of the report's own project: W&B would be asked for another
        chosen = wr.Runset(name=title, filters=[expr.Metric("ID").isin(list(ids))])
        return wr.PanelGrid(runsets=[chosen], panels=list(panels))

    wide = wr.Layout(w=24, h=12)
    pictures: list[Any] = [
        wr.MediaBrowser(title=name, media_keys=[key], mode="grid", grid_x_axis="step", grid_y_axis="run", layout=wide)
        for key, name in list_media().items()
        if not key.endswith("_moving")
    ]
    sections: dict[str, list[Any]] = {
        "What differs": [wr.RunComparer(diff_only="split", layout=wide)],
        "Curves": _curves(),
        "Choices": [_choices()],
        "Scorecards": _scores(),
        "Pictures over the steps": pictures,
    }
    blocks: list[Any] = [wr.MarkdownBlock(notes)] if notes.strip() else []
    for name, panels in sections.items():
        blocks += [wr.H2(name), grid(*panels)]
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def find_ids(runs: Sequence[Run], project: str | None) -> tuple[list[str], str]:
    """The W&B ids of runs, and their project.

    Args:
        runs: of which those that W&B does not know are named on stderr
        project: the one that is asked for; None: that of the runs

    Raises:
        UserError: if W&B knows none of them, or they are in several projects.
    """
    from ldg.runs.select import label_runs

    ids, projects, others = [], set(), []
    for run, label in zip(runs, label_runs(runs), strict=True):
        of_run = run.flat_config.get("logger.wandb.project", "ldg")
        if isinstance(run.summary.get("wandb"), str) and project in (None, of_run):
            ids.append(run.summary["wandb"])
            projects.add(of_run)
        else:
            others.append(label)
    where = f" in the project {project}" if project else ""
    if not ids:
        raise UserError(f"none of the runs is known to W&B{where}; finish runs with logger=wandb")
    if len(projects) > 1:
        raise UserError(f"the runs are in several projects of W&B; choose one: --project {min(projects)}")
    if others:
        print(f"left out, W&B does not know them{where}: {', '.join(others)}", file=sys.stderr)
    return ids, projects.pop()


def save(view: Workspace | Report) -> None:
    """Save a view or report in W&B, which prints its address; each time a new one.

    Args:
        view: to be saved; without an entity it goes to the user's default one

    Raises:
        Exception: of W&B's, if the server does not answer within seconds, or refuses the key or the view.
    """
    import wandb

    account = wandb.Api(timeout=10).viewer
    view.entity = view.entity or account.entity or ""
    view.save()


def main(arguments: list[str]) -> None:
    """Make the view of a command line.

    Args:
        arguments: without the program's name

    Raises:
        UserError: if it can be saved neither in W&B nor as a file.
    """
    parser = Parser("dashboard", __doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="of a report: runs, sweeps or patterns")
    add_filters(parser)
    parser.add_argument("--title", help="of a report (default: Comparison)")
    parser.add_argument("--notes", type=Path, metavar="FILE.md", help="a text in Markdown that a report begins with")
    parser.add_argument("--entity", help="user or team (default: that of the account)")
    parser.add_argument("--project", help="name of the project (default: ldg; of a report: that of its runs)")
    parser.add_argument("--save", type=Path, metavar="FILE.json", help="write it to a file as well")
    args = parser.parse_args(arguments)
    view: Workspace | Report
    if args.runs or any(each is not None for each in (args.where, args.name, args.latest)):
        notes = read_notes(args.notes) if args.notes else ""
        ids, project = find_ids(require_runs(args), args.project)
        view = build_report(args.entity or "", project, ids, args.title or "Comparison", notes)
    elif args.title or args.notes:
        raise UserError("--title and --notes are those of a report: name its runs, or choose them with --where")
    else:
        view = build_workspace(args.entity or "", args.project or "ldg")
    if args.save:
        spec = view._to_model().spec
        write_text(args.save, spec.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
    try:
        if is_logged_in := has_credentials():
            save(view)
    except Exception as error:  # whatever W&B raises: the key cannot be one, the server does not answer, ...
        end = f"the view is in {args.save}" if args.save else "--save FILE.json does without it"
        raise UserError(f"W&B: {one_line(error)}; {end}") from None
    if not args.save and not is_logged_in:
        raise UserError("no one is logged in to W&B: wandb login, or --save FILE.json")
    if not is_logged_in:
        print("W&B: no one is logged in (wandb login), so the file alone is written", file=sys.stderr)
    if args.save:
        print(args.save)
