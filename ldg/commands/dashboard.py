"""Save a view of ldg's runs in W&B: curves, scorecards, pictures, and choices against the ELBO.

ldg dashboard                              a view of the project ldg
ldg dashboard --entity TEAM --project NAME a view of another project
ldg dashboard --save dashboard.json        the view as a file, which needs no account
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.commands.cli import Parser
from ldg.errors import UserError, one_line
from ldg.files import write_text

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

CURVES = {
    "ELBO": ["train/elbo", "val/elbo"],
    "log-likelihood": ["train/log_likelihood", "val/log_likelihood"],
    "KL": ["train/kl", "val/kl"],
    "active units": ["val/active_units"],
    "beta": ["beta"],
    "learning rate": ["lr"],
}
# columns of WandbRun's choices
CHOICES = ("data", "model", "kl", "prior", "conditioning", "likelihood", "optimizer", "scheduler", "latent_dim")


def list_media() -> dict[str, str]:
    """The titles of the gallery's panels, by their keys in W&B."""
    from ldg.figures.picture import list_pictures

    media = {}
    for picture in list_pictures().values():
        media[f"gallery/{picture.name}"] = picture.title
        if picture.is_animated:
            media[f"gallery/{picture.name}_moving"] = f"{picture.title} over the epochs"
    return media


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

    from ldg.evaluation.measure import list_quantities

    curves: list[Any] = [wr.LinePlot(title=title, x="epoch", y=list(names)) for title, names in CURVES.items()]
    scores = [
        wr.BarPlot(title=quantity.title, metrics=[f"test/{name}"]) for name, quantity in list_quantities().items()
    ]
    card = wr.MediaBrowser(title="scorecard", num_columns=1, media_keys=["scorecard_picture"])
    pictures: list[Any] = [
        wr.MediaBrowser(title=title, num_columns=1, media_keys=[key]) for key, title in list_media().items()
    ]
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(f"choices.{name}"), display_name=name.replace("_", " "))
        for name in CHOICES
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("val/elbo.max"), display_name="best val/elbo"))
    one_a_row = ws.SectionLayoutSettings(columns=1, rows=1)
    return ws.Workspace(
        entity=entity,
        project=project,
        name="ldg",
        sections=[
            ws.Section(name="ELBO", panels=curves, is_open=True),
            ws.Section(
                name="Choices",
                panels=[wr.ParallelCoordinatesPlot(title="choices and the ELBO", columns=columns)],
                is_open=True,
                layout_settings=one_a_row,
            ),
            ws.Section(name="Scorecard", panels=[card, *scores], is_open=True),
            ws.Section(name="Gallery", panels=pictures, is_open=True),
        ],
    )


def save_workspace(view: Workspace) -> None:
    """Save the view in W&B, which prints its address; each time a new one.

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
    parser.add_argument("--entity", help="user or team (default: that of the account)")
    parser.add_argument("--project", default="ldg", help="name of the project (default: ldg)")
    parser.add_argument("--save", type=Path, metavar="FILE.json", help="write the view to a file as well")
    args = parser.parse_args(arguments)
    view = build_workspace(args.entity or "", args.project)
    if args.save:
        spec = view._model.spec
        write_text(args.save, spec.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
        print(args.save)
    from ldg.training.loggers import has_credentials

    try:
        if is_logged_in := has_credentials():
            save_workspace(view)
    except Exception as error:  # whatever W&B raises: the key cannot be one, the server does not answer, ...
        advice = "" if args.save else "; --save FILE.json does without it"
        raise UserError(f"W&B: {one_line(error)}{advice}") from None
    if is_logged_in:
        return
    if args.save:
        print("not saved in W&B: no one is logged in; wandb login, then run this again", file=sys.stderr)
    else:
        raise UserError("no one is logged in to W&B: wandb login, or --save FILE.json")
