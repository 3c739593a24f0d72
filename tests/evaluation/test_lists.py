"""A new measure and a new picture appear wherever measures and pictures are listed, and no list is edited."""

import csv
import json
import re
import shutil
import sys

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

import ldg.figures
from ldg.callbacks.gallery import choose_pictures
from ldg.commands import dashboard, evaluate
from ldg.commands.sweeps import main as write_report
from ldg.config.compose import compose_measures
from ldg.evaluation import report, scorecard, table
from ldg.evaluation.measure import Measure, Quantity, Result, list_quantities
from ldg.figures.picture import list_pictures
from tests.conftest import HOME


class Ink(Measure):
    """A measure that a user might add."""

    quantities = (
        Quantity("ink_share", "share of ink", "", "lower", "bar", in_report=True),
        Quantity("ink_weight", "weight of the ink", "mg", display="headline"),
        Quantity("ink_price", "price of the ink", "ct", "lower"),
    )

    def __call__(self, context):
        numbers = {"ink_share": 0.25, "ink_weight": 12.5, "ink_price": 3.0}
        return Result("in a test", {name: self.value(name, number) for name, number in numbers.items()})


PICTURE = """
from matplotlib.figure import Figure
from ldg.figures.picture import Picture

class InkMap(Picture):
    name, title, is_animated = "ink_map", "map of the ink", True

    def draw(self, scene):
        return Figure(), "Map of the ink"
"""


@pytest.fixture
def extended(tmp_path, monkeypatch):
    """ldg with one more YAML in configs/measure, and one more file in ldg/figures."""
    home = tmp_path / "home"
    shutil.copytree(HOME / "configs", home / "configs")
    (home / "experiments").symlink_to(HOME / "experiments")
    (home / "configs/measure/ink.yaml").write_text(f"_target_: {__name__}.Ink\n")
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "ink_map.py").write_text(PICTURE)
    monkeypatch.setenv("LDG_HOME", "")  # put back afterwards
    for module in ("home", "compose"):
        monkeypatch.setattr(f"ldg.config.{module}.HOME", home)
    monkeypatch.setattr(ldg.figures, "__path__", [*ldg.figures.__path__, str(figures)])
    list_quantities.cache_clear()
    list_pictures.cache_clear()
    yield
    list_quantities.cache_clear()
    list_pictures.cache_clear()
    sys.modules.pop("ldg.figures.ink_map", None)


@pytest.fixture
def card(extended):
    measures = scorecard.build_measures(compose_measures([]), ["ink"])
    results = {name: measure(None) for name, measure in measures.items()}
    return scorecard.Scorecard("a", "a.ckpt", 0, {"data": "Strokes"}, results)


def test_without_them_there_is_neither():
    assert "ink_share" not in list_quantities() and "ink_map" not in list_pictures()


def test_the_command_line_takes_the_measure(extended):
    assert evaluate.parse_arguments(["RUN", "--only", "ink"]).only == ["ink"]


def test_the_gallery_has_the_picture(extended):
    (picture,) = choose_pictures(["ink_map"])
    assert isinstance(picture.draw(None)[0], Figure)
    assert list(list_pictures())[-1] == "ink_map"  # of no rank


def test_the_table_has_a_row_for_each_quantity(card):
    rows = {row[0]: row[1:] for row in table.table_rows([card])}
    assert list(rows)[1:] == ["share of ink", "weight of the ink, mg", "price of the ink, ct"]
    assert rows["share of ink"] == ["lower", "0.2500", ""] and rows["weight of the ink, mg"][0] == ""
    assert all(title in table.format_text([card]) for title in rows)


def test_the_picture_has_a_bar_and_a_headline(card):
    picture = report.picture_of(card)
    assert [(bar.title, bar.value) for bar in picture.bars] == [("share of ink", 0.25)]
    assert picture.headline == ["weight of the ink 12.50 mg"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside wandb-workspaces
def test_the_dashboard_has_panels_for_both(extended, tmp_path, monkeypatch):
    monkeypatch.setattr("ldg.artifacts.has_credentials", lambda: False)
    dashboard.main(["--save", str(tmp_path / "dashboard.json")])
    bank = json.loads((tmp_path / "dashboard.json").read_text())["section"]["panelBankConfig"]
    panels = {section["name"]: section["panels"] for section in bank["sections"]}
    bars = {panel["config"].get("chartTitle"): panel["config"].get("metrics") for panel in panels["Scorecard"]}
    for quantity in Ink.quantities:
        assert bars[quantity.title] == [f"test/{quantity.name}"]
    media = [key for panel in panels["Gallery"] for key in panel["config"]["mediaKeys"]]
    assert {"gallery/ink_map", "gallery/ink_map_moving"} <= set(media)


def test_the_report_of_a_sweep_has_a_column_and_the_picture(extended, tmp_path):
    folder = tmp_path / "sweep"
    about = {"schema": "ldg.sweep/1", "name": "ink", "command": "", "kind": "grid", "runs": 1, "started": ""}
    about |= {"parameters": {"seed": ["0"]}, "objectives": {"val/elbo": "maximize"}, "commit": None, "storage": None}
    about |= {"id": "0", "study": None, "versions": {}, "identity": {}}
    (folder / "000/gallery").mkdir(parents=True)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(about))
    row = {"run": "000", "state": "finished", "seed": "0", "val/elbo": "-9"}
    row |= {f"test/{quantity.name}": "0.5" for quantity in Ink.quantities}
    with (folder / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / "000/gallery/ink_map.png")
    assert write_report([str(folder)]) in (0, None)
    page = (folder / "report.html").read_text()
    columns = re.findall(r'<th scope="col" class="([^"]*)"[^>]*><button[^>]*>(.*?)</button>', page)
    kinds = {name.replace("<wbr>", ""): kind.split() for kind, name in columns}
    assert "more" not in kinds["test/ink_share"]  # shown at first
    assert "more" in kinds["test/ink_price"]  # after a click
    assert "Map of the ink" in page and 'value="ink_map"' in page
