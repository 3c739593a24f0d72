"""The report of a sweep: what it says of made-up runs, and that a browser shows it."""

import csv
import math
import subprocess
import sys

import matplotlib
import numpy as np
import optuna
import pytest
import yaml
from PIL import Image

from ldg.commands.cli import exit_status
from ldg.commands.sweeps import main
from ldg.compare import page
from ldg.compare.pictures import Album
from ldg.errors import UserError
from ldg.runs.formats import format_cell, format_duration, shorten
from ldg.sweeps.report import figures, pictures, write_report
from ldg.sweeps.report.results import Results
from ldg.sweeps.report.study import draw_study
from tests.conftest import program

GRID = {"model": ["b", "a"], "model.latent_dim": ["4", "16"], "seed": ["0"]}
ELBO = {"val/elbo": "maximize"}


def sweep(folder, rows, parameters=GRID, objectives=ELBO, **changes):
    """A sweep's folder whose ``runs.csv`` has these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": "ldg.sweep/1",
        "name": "two <b>",
        "id": "x",
        "command": "python train.py -m model=a,b",
        "kind": "grid",
        "parameters": parameters,
        "objectives": objectives,
        "runs": 5,
        "started": "2026-11-23T06:01:02+00:00",
        "commit": None,
        "versions": {"torch": "2.11.0"},
        "study": None,
        "storage": None,
        "identity": {},
    } | changes
    (folder / "sweep.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    metrics = dict.fromkeys(key for row in rows for key in row if "/" in key and key not in parameters)
    columns = ["run", "state", *parameters, *metrics, "epochs", "seconds", "parameters", "wandb", "error"]
    with (folder / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def line(run, model, latents, elbo="", state="finished", **cells):
    choices = {"model": model, "model.latent_dim": latents, "seed": "0"}
    return {"run": run, "state": state, **choices, "val/elbo": elbo, **cells}


FOUR = [
    line(
        "000-b-4",
        "b",
        "4",
        "-100.5",
        **{"test/elbo": "-101", "val/loss": "100", "parameters": "1234567", "seconds": "75"},
    ),
    line("001-b-16", "b", "16", "-9.25", **{"test/elbo": "nan", "val/loss": "9", "seconds": "8.04", "epochs": "2"}),
    line("002-a-4", "a", "4", state="failed", error="ValueError: <script>alert(1)</script> & so | on"),
    line("003-a-16", "a", "16", "-20", **{"val/loss": "19"}),
]


def with_pictures(folder, *kinds):
    """A gallery and curves of a run."""
    (folder / "gallery").mkdir(parents=True)
    picture = np.full((120, 1200, 3), 255, np.uint8)
    picture[40:60, 100:300] = 0
    for kind in kinds:
        Image.fromarray(picture).save(folder / "gallery" / f"{kind}.png")
    (folder / "metrics.csv").write_text("epoch,val/elbo\n1,-30\n2,-20\n")


@pytest.fixture
def four(tmp_path):
    folder = sweep(tmp_path / "four", FOUR)
    for row in (FOUR[0], FOUR[1]):
        with_pictures(folder / row["run"], "strings", "reconstructions_val")
    return folder


def test_the_best_run_comes_first_and_only_what_differs_is_a_column(four):
    results = Results(four)
    assert [run.name for run in results.runs] == ["001-b-16", "003-a-16", "000-b-4", "002-a-4"]
    assert results.best.name == "001-b-16"
    assert results.differing == ["model", "model.latent_dim"] and results.constant == {"seed": "0"}
    assert results.status == "3 of 5 runs finished, 1 failed, 1 not begun"
    assert results.metrics == ["val/elbo", "test/elbo", "val/loss"]
    assert "test/elbo" not in results.best.numbers  # it was no number
    assert results.values("model") == ["b", "a"] and results.values("model.latent_dim") == ["4", "16"]


def test_what_is_to_be_small_is_best_where_it_is_smallest(tmp_path):
    assert Results(sweep(tmp_path, FOUR, objectives={"val/loss": "minimize"})).best.name == "001-b-16"


def test_a_run_that_did_not_finish_is_never_the_best(tmp_path):
    rows = [line("0", "a", "4", "-5"), line("1", "b", "4", "-1", state="pruned"), line("2", "b", "16", "nan")]
    assert Results(sweep(tmp_path, rows)).best.name == "0"
    assert Results(sweep(tmp_path, rows[1:])).best is None


def test_a_heat_map_has_the_means_over_the_seeds(tmp_path):
    rows = [line(str(i), "a", "4", value) | {"seed": str(i)} for i, value in enumerate(("-1", "-3"))]
    rows.append(line("2", "b", "16", "-7") | {"seed": "0"})
    results = Results(sweep(tmp_path, rows, parameters=GRID | {"seed": ["0", "1"]}))
    assert results.plane() == ("model", "model.latent_dim")
    (b4, b16), (a4, a16) = results.means("val/elbo", *results.plane())
    assert (b16, a4) == (-7, -2) and math.isnan(b4) and math.isnan(a16)
    assert [panel.title for panel in figures.draw_heat_maps(results)] == ["val/elbo by model and model.latent_dim"]


def test_a_seed_has_no_effect(tmp_path):
    """It has no order: neither an axis of plots nor a part of a group's name."""
    rows = [line(str(i), "a", "4", f"-{i}") | {"seed": str(i)} for i in range(3)]
    parameters = {"model": ["a"], "model.latent_dim": ["4"], "seed": ["0", "1", "2"]}
    only = Results(sweep(tmp_path / "only", rows, parameters=parameters))
    assert only.differing == ["seed"] and figures.draw_effects(only) == [] and figures.draw_parallel(only) == []
    rows += [line(f"b{i}", "b", "4", f"-{i}") | {"seed": str(i)} for i in range(3)]
    both = Results(sweep(tmp_path / "both", rows, parameters=parameters | {"model": ["a", "b"]}))
    assert [panel.title for panel in figures.draw_effects(both)] == ["val/elbo by model"]
    assert figures.draw_parallel(both) == []


def test_numbers_words_and_logarithms_have_axes_of_their_own(tmp_path):
    parameters = {
        "model": ["b", "a"],
        "model.latent_dim": ["4", "8", "16", "32"],
        "model.kl.beta": ["0.5", "1", "2"],
        "optimizer.lr": "tag(log, interval(0.0001, 0.01))",
        "model.network.channels": "choice([8,16],[4,8])",
    }
    rows = [
        {"run": str(i), "state": "finished", "optimizer.lr": lr, "model.network.channels": channels, "val/elbo": "1"}
        for i, (lr, channels) in enumerate((("0.001", "[4,8]"), ("1e-4", "[8,16]")))
    ]
    results = Results(sweep(tmp_path, rows, parameters=parameters))
    assert [results.scale(key) for key in parameters] == ["words", "log", "linear", "log", "words"]
    assert results.values("optimizer.lr") == ["1e-4", "0.001"]
    assert results.values("model.network.channels") == ["[8,16]", "[4,8]"]
    assert figures.Scale(results, "model.latent_dim").fraction("8") == pytest.approx(1 / 3)


def test_the_pareto_front_has_who_is_beaten_by_nobody(tmp_path):
    both = {"val/elbo": "maximize", "parameters": "minimize"}
    sizes = ((-1, 100), (-2, 50), (-2, 60), (-3, 50), (-1, 100))
    rows = [line(str(i), "a", str(i), str(elbo), parameters=str(size)) for i, (elbo, size) in enumerate(sizes)]
    results = Results(sweep(tmp_path, [*rows, line("5", "b", "4", "", parameters="1")], objectives=both))
    assert sorted(run.name for run in results.pareto_front()) == ["0", "1", "4"]
    assert len(figures.draw_fronts(results)) == 1
    write_report(tmp_path)
    assert (tmp_path / "report.html").read_text().count(">◆</td>") == 3


def test_markdown_has_the_table_the_best_and_the_errors(four):
    write_report(four)
    text = (four / "report.md").read_text().splitlines()
    assert (
        "| run | state | model | model.latent_dim | val/elbo | test/elbo | val/loss | epochs | time | parameters |"
        in text
    )
    assert "| [001-b-16](./001-b-16/) | finished | b | 16 | **-9.250** | – | 9 | 2 | 8.0 s | – |" in text
    assert "| [000-b-4](./000-b-4/) | finished | b | 4 | -100.50 | -101 | 100 | – | 1 min 15 s | 1,234,567 |" in text
    assert r"- [002-a-4](./002-a-4/) failed: ValueError: \<script>alert(1)\</script> & so \| on" in text
    assert "Best val/elbo: **-9.250**, [001-b-16](./001-b-16/) model=b, model.latent_dim=16" in text
    assert "- in all runs: seed=0" in text and text[0] == r"# two \<b>"


def without_plotly(text):
    """A page without the library, which has addresses in its code."""
    start, end = text.find("<script>/**"), text.rindex("<script>")
    return text if start < 0 else text[:start] + text[end:]


def test_the_page_is_escaped_and_asks_for_nothing(four):
    assert write_report(four) == [four / "report.html", four / "report.md"]
    text = without_plotly((four / "report.html").read_text())
    assert "<script>alert" not in text and "ValueError: &lt;script&gt;alert(1)&lt;/script&gt; &amp; so | on" in text
    assert "<h1>two &lt;b&gt;</h1>" in text
    assert "http://" not in text and "https://" not in text
    assert not list(four.glob(".*"))


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_page_without_a_finished_run(tmp_path, state):
    folder = sweep(tmp_path, [line("000-b-4", "b", "4", state=state)])
    (folder / "000-b-4" / "gallery").mkdir(parents=True)
    (folder / "000-b-4" / "gallery" / "strings.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    (folder / "000-b-4" / "metrics.csv").write_text("epoch,val/elbo\n1,-30.5\n2,nan\n")
    results = Results(folder)
    assert results.best is None and results.runs[0].curve("val/elbo") == ([1.0], [-30.5])
    write_report(folder)
    text = (folder / "report.html").read_text()
    assert 'class="so-far number" data-value="-30.5">-30.50<' in text and "no picture" in text
    assert f"0 of 5 runs finished, 1 {state}, 4 not begun" in text


def test_a_page_before_the_first_run(tmp_path):
    folder = sweep(tmp_path, [])
    write_report(folder)
    (folder / "runs.csv").write_text("")
    write_report(folder)
    (folder / "runs.csv").unlink()
    write_report(folder)
    assert "No run has begun" in (folder / "report.html").read_text()
    assert "0 of 5 runs finished, 5 not begun" in (folder / "report.md").read_text()


def test_an_older_picture_takes_the_place_of_a_broken_one(four):
    gallery = four / "000-b-4" / "gallery"
    (gallery / "epoch_0003").mkdir()
    (gallery / "strings.png").rename(gallery / "epoch_0003" / "strings.png")
    (gallery / "strings.png").write_bytes(b"")
    album = Album(Results(four).runs)
    assert [[epoch for epoch, _ in of_run] for of_run in album.shown["strings"]] == [[0], [], [3], []]
    shown = album.images[album.shown["strings"][2][0][1]]
    assert (shown["width"], shown["height"]) == (900, 24)  # 20 black lines and 6 white ones above and below, smaller


def test_pictures_are_placed_by_their_choices(four, tmp_path):
    layout = pictures.arrange_runs(Results(four))
    assert layout.columns == ["model.latent_dim=4", "model.latent_dim=16"]
    assert [(name, places) for name, places in layout.rows] == [("model=b", [[2], [0]]), ("model=a", [[3], [1]])]
    one = pictures.arrange_runs(Results(sweep(tmp_path / "one", FOUR[:2], parameters=GRID | {"model": ["b"]})))
    assert one.columns == [] and one.rows == [("", [[1], [0]])]


def test_many_runs_and_outliers_are_drawn(tmp_path):
    values = [str(i) for i in range(40)]
    rows = [line(f"{i:03d}", "a$b_$", i, str(-1e12 if i == "7" else -float(i))) for i in map(int, values)]
    folder = sweep(tmp_path, rows, parameters={"model": ["a$b_$", "$"], "model.latent_dim": values, "seed": ["0"]})
    for row in rows:
        with_pictures(folder / row["run"])
    results = Results(folder)
    for draw in (figures.draw_effects, figures.draw_parallel):
        assert all(panel.png for panel in draw(results))
    assert figures.draw_heat_maps(results) == []  # too many values
    low, high = figures.limits([-1e12, *range(20)])
    assert -60 < low < -50 and 19 < high < 23  # the outlier is out of sight


def test_numbers_are_short():
    assert [format_cell(x) for x in (None, math.nan, -134.5678, 0.5, 1234567.0, 0.00012345, 20.0)] == [
        "–",
        "–",
        "-134.57",
        "0.5000",
        "1,234,567",
        "0.0001",
        "20",
    ]
    assert [format_duration(x) for x in (None, 8.04, 59.99, 75, 7322)] == [
        "–",
        "8.0 s",
        "1 min 0 s",
        "1 min 15 s",
        "2 h 2 min",
    ]
    assert [shorten(x) for x in ("0.00123456789", "16", "conv_cvae_and_more")] == [
        "0.001235",
        "16",
        "conv_cvae_and_more",
    ]


def tuned(folder, trials, objectives=ELBO):
    """A sweep of kind optuna, with its study."""
    rows = []
    folder.mkdir()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = list(objectives.values())
    made = optuna.create_study(storage=f"sqlite:///{folder}/study.db", study_name="tune", directions=directions)
    for i in range(trials):
        trial = made.ask()
        rate, width = trial.suggest_float("lr", 1e-4, 1e-2, log=True), trial.suggest_int("width", 1, 9)
        made.tell(trial, [width - rate, width][: len(objectives)])
        row = {"run": f"trial-{i:03d}", "state": "finished", "lr": repr(rate), "width": str(width)}
        rows.append(row | {"val/elbo": str(width - rate), "test/kl": str(width)})
    parameters = {"lr": "tag(log, interval(1e-4, 1e-2))", "width": "range(1, 10)"}
    return sweep(folder, rows, parameters, objectives, name="tune", kind="optuna", runs=trials)


def test_optunas_plots(tmp_path, four):
    one = draw_study(Results(tuned(tmp_path / "one", 4)))
    assert [panel.title for panel in one] == ["Optuna: val/elbo by trial", "Optuna: importances for val/elbo"]
    assert all(panel.png for panel in one), [panel.note for panel in one]
    two = draw_study(Results(tuned(tmp_path / "two", 4, ELBO | {"test/kl": "minimize"})))
    assert len(two) == 5 and two[-1].title == "Optuna: Pareto front" and all(panel.png for panel in two)
    assert matplotlib.rcParams["axes.facecolor"] == "white"  # Optuna's style is for its plots only
    assert draw_study(Results(four)) == []


def test_a_study_that_tells_nothing_says_why(tmp_path):
    few = draw_study(Results(tuned(tmp_path / "few", 1)))
    assert [panel.png for panel in few] == [None, None] and few[
        0
    ].note == "1 of its trials are complete; two are needed"
    folder = tuned(tmp_path / "gone", 1)
    (folder / "study.db").unlink()
    assert [panel.note for panel in draw_study(Results(folder))] == ["The study cannot be read: study.db is not there"]
    assert not (folder / "study.db").exists()
    write_report(folder)
    assert "study.db is not there" in (folder / "report.html").read_text()


def test_the_command_names_its_files_or_says_what_is_wrong(four, tmp_path, capsys):
    assert exit_status(lambda: main([str(four)])) == 0
    assert capsys.readouterr().out == f"{four}/report.html\n{four}/report.md\n"
    for wrong in ([str(tmp_path / "nowhere")], [str(tmp_path)], [], ["a", "b"]):
        assert exit_status(lambda: main(wrong)) == 2  # noqa: B023
        message = capsys.readouterr().err
        assert message.startswith("error: ") and message.count("\n") == 1


def test_a_page_that_cannot_be_written_is_the_users_error(four):
    (four / "report.html").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*report\.html"):
        write_report(four)
    assert not list(four.glob(".*"))


def test_nothing_heavy_is_imported_before_a_sweep_starts():
    heavy = "{'matplotlib', 'optuna', 'torch', 'PIL'} & set(sys.modules)"
    code = f"import sys, ldg.commands.train, ldg.commands.sweeps, ldg.sweeps.sweeper; print({heavy})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_browser_shows_it(four):
    """No errors, no requests; the table sorts, the pictures are there and can be chosen."""
    from playwright.sync_api import sync_playwright

    chromium = program("chromium", "chromium-browser", "google-chrome")
    write_report(four)
    problems, requests = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto((four / "report.html").as_uri())

        def runs():
            return [name.split()[0] for name in tab.locator("tbody th a").all_inner_texts()]

        assert runs() == ["001-b-16", "003-a-16", "000-b-4", "002-a-4"]
        header = tab.locator("thead th", has_text="elbo").first
        assert header.get_attribute("aria-sort") == "descending"
        header.locator("button").click()
        assert runs() == ["000-b-4", "003-a-16", "001-b-16", "002-a-4"]  # as numbers; what is missing stays last
        assert header.get_attribute("aria-sort") == "ascending"
        latents = tab.locator("thead button", has_text="latent_dim")
        latents.focus()
        tab.keyboard.press("Enter")
        tab.keyboard.press("Enter")
        assert [name.split("-")[2] for name in runs()] == ["16", "16", "4", "4"]
        assert tab.locator("tr.best th a").inner_text() == "001-b-16"

        sizes = tab.evaluate("[...document.images].filter((i) => !i.hidden).map((image) => image.naturalWidth)")
        assert len(sizes) >= 2 + 4 and min(sizes) > 0
        alt = "[...document.querySelectorAll('.gallery img:not([hidden])')].map((image) => image.alt)"
        assert tab.evaluate(alt) == ["Samples of 000-b-4", "Samples of 001-b-16"]
        tab.get_by_label("Reconstructions").check()
        assert tab.evaluate(alt)[0] == "Reconstructions, val images of 000-b-4"
        assert not tab.locator("thead .more").first.is_visible()
        tab.get_by_label("all columns").check()
        assert tab.locator("thead .more").first.is_visible()

        tab.set_viewport_size({"width": 375, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") == 375
        browser.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [(four / "report.html").as_uri()]


def test_the_template_is_part_of_the_package():
    assert all((page.FOLDER / name).is_file() for name in ("page.html", "page.css", "page.js"))
