"""A saved W&B workspace for ldg's runs: curves, scorecards, pictures, and what was chosen against the ELBO.

python -m ldg.dashboard                              a view of your own project ldg
python -m ldg.dashboard --entity TEAM --project NAME of another one
python -m ldg.dashboard --save dashboard.json        the view as a file, without an account as well
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg.errors import UserError

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
PICTURES = {
    "gallery/data": "training images",
    "gallery/strings": "text in several hands",
    "gallery/strings_moving": "text over the epochs",
    "gallery/reconstructions_val": "reconstructions, val images",
    "gallery/reconstructions_train": "reconstructions, train images",
    "gallery/reconstructions_test": "reconstructions, test images",
    "gallery/interpolations": "between images",
    "gallery/interpolations_labels": "between labels",
    "gallery/latent_map": "latent map",
    "gallery/manifold": "decoded plane of a two-dimensional latent",
}
# columns of WandbRun's choices
CHOICES = ("data", "model", "beta", "prior", "conditioning", "likelihood", "optimizer", "scheduler", "latent_dim")


def workspace(entity: str, project: str) -> Workspace:
    """The view, not yet saved.

    Raises:
        UserError: without wandb-workspaces.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError:
        raise UserError("wandb-workspaces is missing: pip install -e .[dashboard]") from None
    from ldg.evaluation.table import TITLES

    curves: list[Any] = [wr.LinePlot(title=title, x="epoch", y=list(names)) for title, names in CURVES.items()]
    scores = [wr.BarPlot(title=title, metrics=[f"test/{name}"]) for name, title in TITLES.items()]
    card = wr.MediaBrowser(title="scorecard", num_columns=1, media_keys=["scorecard_picture"])
    pictures: list[Any] = [
        wr.MediaBrowser(title=title, num_columns=1, media_keys=[key]) for key, title in PICTURES.items()
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


def push(entity: str | None, project: str) -> None:
    """Save the view in W&B, which says where it is; each time a new one.

    Raises:
        UserError: without network, or if W&B refuses it.
    """
    import wandb

    from ldg.training.loggers import reachable

    if not reachable():
        raise UserError("the W&B server does not answer; try again with a network, or --save FILE.json")
    try:
        workspace(entity or wandb.Api().default_entity or "", project).save()
    except (wandb.errors.Error, ValueError) as error:
        raise UserError(f"W&B: {' '.join(str(error).split())}") from None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m ldg.dashboard", description="Make a W&B workspace for ldg's runs.")
    parser.add_argument("--entity", help="user or team; default: your own")
    parser.add_argument("--project", default="ldg", help="default: ldg")
    parser.add_argument("--save", type=Path, metavar="FILE.json", help="write the view here as well")
    asked = parser.parse_args(arguments)
    try:
        if asked.save:
            spec = workspace(asked.entity or "", asked.project)._model.spec
            asked.save.write_text(spec.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
            print(asked.save)
        else:
            workspace("", asked.project)  # a missing package is said first
        from ldg.training.loggers import has_credentials

        if has_credentials():
            push(asked.entity, asked.project)
        elif asked.save:
            print("not in W&B, as nobody is logged in; wandb login, and once more", file=sys.stderr)
        else:
            raise UserError("nobody is logged in to W&B: wandb login, or --save FILE.json")
    except OSError as error:
        print(f"error: {asked.save} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
