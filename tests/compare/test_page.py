"""The page: what it says, that it is small, and that a browser, a keyboard and a screen reader can use it."""

import csv
import io
import json
import re

import numpy as np
import pytest

from ldg.checkpoint import SHIPPED
from ldg.compare import changes, comparison, curves, pictures
from ldg.compare.comparison import Comparison
from ldg.compare.differences import compare_configs
from ldg.runs.run import Run
from ldg.runs.select import find_runs
from tests.compare import made
from tests.conftest import program
from tests.sweeps.test_report import without_plotly

EVIL = '<b>&lt;</b><img src=x onerror="hacked=1">'
PATCH = "diff --git a/x b/x\n@@ -1 +1 @@\n-width = 1\n+width = <b>2</b>"


@pytest.fixture
def four(tmp_path):
    """Two seeds, a run of other data and settings with a hostile name, and a broken one."""
    outputs = tmp_path / "outputs"
    session = {"patch": PATCH, "patch_size": len(PATCH), "versions": {"torch": "2.11"}}
    folders = [
        made.run(outputs, "flow", 0, elbos=(-130.0, -110.0, -100.0)),
        made.run(outputs, "flow", 1, elbos=(-120.0, -112.0, -102.0), seed=1),
        made.run(outputs, "x", 2, data="emnist", elbos=(-90.0, -80.0), name=EVIL, session=session, optimizer__lr=0.01),
        made.run(outputs, "broken", 3, summary=False),
    ]
    (folders[3] / "config.yaml").write_text("[")
    (folders[3] / "metrics.csv").write_text("step,epoch,val/elbo,train/loss,val/only\n6,1,-110,110,3\n")
    for folder, shift in zip(folders[:2], (0, 1), strict=True):
        made.scorecard(folder, np.arange(30.0) + shift + 0.1 * (np.arange(30) % 2))
    card = made.scorecard(folders[1], np.arange(30.0) + 1)
    card.results["class_accuracy"].detail["confusion"] = [[1, 3, 0], [0, 4, 0], [0, 0, 4]]
    card.save(folders[1])
    made.gallery(folders[0], [1, 5, 9], ("strings", "latent_map"))
    made.gallery(folders[1], [5], ("strings",))
    made.gallery(folders[2], [2], ("strings",))
    return [Run(folder) for folder in folders]


def render(runs, tmp_path, **options):
    file = tmp_path / "page.html"
    file.write_text(Comparison(runs, **options).render_html(file))
    return file


def test_the_page_is_escaped_and_asks_for_nothing(four, tmp_path):
    notes = "# Why\n\n**bold** <script>alert(1)</script> ![x](http://example.org/x.png) [y](javascript:alert(1))"
    text = without_plotly(render(four, tmp_path, title="<b>T</b>", notes=notes).read_text())
    assert EVIL not in text and "&lt;b&gt;&amp;lt;&lt;/b&gt;&lt;img src=x onerror=&quot;hacked=1&quot;&gt;" in text
    assert "<h1>&lt;b&gt;T&lt;/b&gt;</h1>" in text and ": 3 finished, 1 broken</title>" in text
    assert "<strong>bold</strong>" in text and "<script>alert" not in text and '"javascript:' not in text
    assert not re.search(r' src="(?!data:)', text) and re.findall(r' href="([^.].*?)"', text) == [
        "http://example.org/x.png"
    ]
    assert "width = &lt;b&gt;2" in text
    assert text.count("Content-Security-Policy") == 1


def test_the_sections(four, tmp_path):
    text = without_plotly(render(four, tmp_path).read_text())
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == ["Runs", "Curves", "Config", "Source", "Scorecards", "Classes", "Pictures"]
    one = without_plotly(render(four[:1], tmp_path).read_text())
    assert "<title>1 run: 1 finished</title>" in one and "No key differs." in one
    assert "seeds as mean" in one and "+1.0" not in one  # nothing to be compared with


def test_the_best_is_that_of_runs_of_the_same_data(four, tmp_path):
    assert Comparison(four[:2]).best == 0
    assert Comparison([*four[:2], four[3]]).best is None or not four[3].rows
    assert Comparison(four[:3]).best is None
    old = Run(made.run(tmp_path, "old", 7, elbos=(-50.0,), choices={}))  # of before choices were kept
    assert Comparison([four[0], old]).best == 1


def test_columns_are_the_choices_that_differ(four, tmp_path):
    assert Comparison(four[:3]).keys[0] == "data"
    old = Run(made.run(tmp_path, "old", 7, choices={}))
    both = Comparison([four[0], old])
    other = Run(made.run(tmp_path, "other", 8, data__dataset__thin=True, optimizer__lr=0.01))
    assert Comparison([four[0], other]).keys == ["optimizer.lr"]  # the other has nothing to differ in otherwise
    assert both.value(old, "data") == "strokes" and "model" not in both.keys


def test_what_exports_lack_is_shown_with_all_keys(tmp_path):
    run = Run(made.run(tmp_path, trainer={"max_epochs": 3}))
    table = compare_configs([run, *find_runs([str(SHIPPED)])])
    text = changes.config_section(["a", "b"], table)
    cells = '<td class="text">3</td><td class="text">–</td></tr>'
    assert f'<tr class=more><th scope="row">{changes.breakable("trainer.max_epochs")}</th>{cells}' in text
    assert f"all {len(table.rows) + len(table.constant) + len(table.partial)} keys" in text


def test_long_curves_are_thinned(tmp_path):
    run = Run(made.run(tmp_path, "x", 0, elbos=[-float(i) for i in range(95)]))
    thin = curves._thin(run, 10)
    assert thin["x"]["epoch"] == [5.0, 15.0, 25.0, 35.0, 45.0, 55.0, 65.0, 75.0, 85.0, 95.0]
    assert thin["y"]["val/elbo"][-1] == -94.0
    assert curves._thin(run, 95)["x"]["epoch"] == [float(i) for i in range(1, 96)]


def test_a_page_of_20_runs_stays_below_20_megabytes(tmp_path, monkeypatch):
    """With curves, patches and confusions as large as they get, and pictures that use up their budget."""
    rng = np.random.default_rng(0)
    names = [f"val/metric_{i}" for i in range(18)]
    counts = rng.integers(0, 100, (62, 62))
    detail = {"judge": "x", "classes": [str(i) for i in range(62)], "confusion": counts.tolist()}
    detail |= {"per_class": rng.random(62).tolist(), "per_class_real": [1.0] * 62}
    runs = []
    for i in range(20):
        patch = "".join(f"+    weight_{j}_{i} = torch.zeros({j}, {i})\n" for j in range(4500))
        folder = made.run(tmp_path, "x", i, session={"patch": patch, "patch_size": len(patch)}, model__latent_dim=i)
        lines = [f"{j},{j},{','.join(map(str, row))}" for j, row in enumerate(rng.normal(-100, 1, (600, 18)))]
        (folder / "metrics.csv").write_text("\n".join([f"step,epoch,{','.join(names)}", *lines]))
        card = made.scorecard(folder, [1.0, 2.0])
        card.results["class_accuracy"].detail = detail
        card.save(folder)
        runs.append(Run(folder))
    text = render(runs, tmp_path).read_text()
    assert "for which this page has no room" in text and "weight_4499_0" in text
    assert 5e6 < len(text.encode()) < 20e6 - pictures.BUDGET * 4 / 3


def test_markdown_json_and_csv(four):
    made_of = Comparison(four[:3], "A *title*", "Some notes.")
    text = made_of.render_markdown()
    assert text.startswith("# A \\*title\\*\n\nSome notes.\n") and "| model.latent_dim |" not in text
    assert "| optimizer.lr | 0.001 | 0.001 | 0.01 |" in text and r"\<b>&lt;\</b>\<img src=x" in text
    content = json.loads(made_of.render_json())
    first, second, third = content["runs"]
    assert content["schema"] == "ldg.comparison/1" and third["name"] == EVIL and third["config"]["seed"] == "0"
    assert first["differences"] == {} and second["differences"]["elbo"]["paired"] is True
    assert second["differences"]["class_accuracy"]["error"] == pytest.approx(0.1 * 2**0.5)
    assert first["scores"]["class_accuracy"] == {"value": 0.5, "error": 0.1} and third["scores"] == {}
    lines = list(csv.DictReader(io.StringIO(made_of.render_csv())))
    assert [line["val/elbo"] for line in lines] == ["-100.0", "-102.0", "-80.0"]
    assert lines[2]["optimizer.lr"] == "0.01" and lines[0]["parameters"] == "28088" and lines[0]["epochs"] == "3"


def test_a_value_of_the_test_says_where_it_is_from(tmp_path):
    folders = [made.run(tmp_path, "x", i) for i in range(2)]
    note = "Where a run has a scorecard, its test/… values are from there."
    made.scorecard(folders[0], [1.0, 2.0])
    assert note not in render([Run(folder) for folder in folders], tmp_path).read_text()  # nothing was replaced
    summary = json.loads((folders[0] / "summary.json").read_text())
    summary["metrics"]["test/elbo"] = 1.4
    (folders[0] / "summary.json").write_text(json.dumps(summary))
    runs = [Run(folder) for folder in folders]
    assert note in render(runs, tmp_path).read_text() and runs[0].metrics["test/elbo"] == 1.5


def test_scorecards_of_other_images_are_named(four, tmp_path):
    warning = "Evaluated on other or unknown test images than flow/run-0: "
    assert warning not in render(four, tmp_path).read_text()
    made.scorecard(four[2].folder, [1.0, 2.0], data="EMNIST")
    assert f"{warning}{'&lt;b&gt;'}" in render([Run(run.folder) for run in four], tmp_path).read_text()


def test_links_in_notes():
    text = comparison.markdown_to_html("[a](https://example.org) [b](data:text/html,x) [c](javascript:x)")
    assert '<a href="https://example.org">a</a>' in text and text.count("<a ") == 1


def test_a_browser_shows_it(four, tmp_path):
    """No errors, no requests; sorting, filtering, curves, zoom, slider, dark mode, a narrow screen, names for all."""
    from playwright.sync_api import sync_playwright

    chromium = program("chromium", "chromium-browser", "google-chrome")
    file = render(four, tmp_path, title="Flow or not", notes="Some *notes*.")
    problems, requests = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(file.as_uri())

        def runs():
            return [int(row.get_attribute("data-run")) for row in tab.locator("#runs tbody tr:visible").all()]

        def plotted(what="name", of="curves"):
            return tab.evaluate(f"document.getElementById('{of}').data.map((trace) => trace.{what})")

        def until(condition):
            for _ in range(200):  # the page's policy forbids playwright's own way to wait
                if tab.evaluate(condition):
                    return
                tab.wait_for_timeout(20)
            pytest.fail(condition)

        # the table sorts, filters, and hides runs everywhere
        tab.locator("#runs thead button", has_text="best").click()
        assert runs() == [3, 1, 0, 2]
        tab.locator("#filter").fill("emnist")
        assert runs() == [2] and tab.locator("#count").inner_text() == "1 of 4" and len(plotted()) == 1
        assert tab.locator(".gallery figure:visible").count() == 1
        tab.locator("#filter").fill("")
        # seeds as mean and standard deviation, at each epoch
        assert plotted()[:2] == [None, "flow/run-0 (mean of 2 runs)"] and plotted()[3] == "run-3"
        assert plotted("y")[1] == [-125, -111, -101] and plotted("y")[0][:3] == pytest.approx(
            [-125 + 50**0.5, -111 + 2**0.5, -101 + 2**0.5]
        )
        tab.locator("#metric").select_option("val/only")  # which none of the seeds has
        assert plotted() == ["run-3"]
        tab.locator("#metric").select_option("val/elbo")
        tab.get_by_label("seeds as mean").uncheck()
        assert plotted("y")[0] == [-130, -110, -100] and len(plotted()) == 4
        tab.get_by_label("show flow/run-0").uncheck()
        assert len(plotted()) == 3 and tab.locator(".gallery figure:visible").count() == 3
        tab.get_by_label("show flow/run-0").check()
        tab.locator("#over").select_option("seconds")
        assert plotted("x")[0] == [1.5, 3, 4.5]
        tab.locator("#smoothing").focus()
        for _ in range(10):
            tab.keyboard.press("ArrowRight")
        assert tab.locator("#smoothing-value").inner_text() == "0.50"
        smooth = [-130, (-130 * 0.25 - 110 * 0.5) / 0.75, (-130 * 0.125 - 110 * 0.25 - 100 * 0.5) / 0.875]
        assert plotted("y")[0] == pytest.approx(smooth)
        tab.get_by_label("logarithmic").check()
        assert tab.locator("#curve-note").inner_text() == "A logarithmic axis needs positive numbers: it is linear."
        tab.locator("#metric").select_option("train/loss")
        assert tab.evaluate("document.getElementById('curves').layout.yaxis.type") == "log"
        assert "train/loss of 4 runs over time" in tab.locator("#curves").get_attribute("aria-label")
        # a hostile name is shown as it is
        assert EVIL in tab.locator("#curves .legendtext").all_text_contents()
        # drag to zoom, double-click to zoom out
        tab.locator("#curves").scroll_into_view_if_needed()
        area = tab.locator("#curves .nsewdrag").first.bounding_box()
        span = "(() => { const [a, b] = document.getElementById('curves')._fullLayout.xaxis.range; return b - a; })()"
        before = tab.evaluate(span)
        x, y = area["x"] + area["width"] * 0.3, area["y"] + area["height"] * 0.5
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x + area["width"] * 0.3, y, steps=3)
        tab.mouse.up()
        until(f"{span} < {0.5 * before}")
        tab.mouse.dblclick(x, y)
        until(f"{span} > {0.9 * before}")

        # the same with the keyboard
        chart = tab.locator("#curves")
        chart.focus()
        middle = "(() => { const [a, b] = document.getElementById('curves')._fullLayout.xaxis.range; return a + b; })()"
        before, place = tab.evaluate(span), tab.evaluate(middle)
        tab.keyboard.press("+")
        until(f"{span} < {0.8 * before}")
        assert tab.evaluate(middle) == pytest.approx(place)
        tab.keyboard.press("ArrowRight")
        until(f"{middle} > {place}")
        tab.keyboard.press("-")
        until(f"{span} > {0.9 * before}")
        tab.keyboard.press("0")
        until(f"Math.abs({span} - {before}) < 1e-6 && Math.abs({middle} - {place}) < 1e-6")
        # runs of other data: while one of them is shown
        note = tab.locator("#task-note")
        assert note.inner_text().endswith("their ELBO values cannot be compared.")
        tab.locator("#filter").fill("flow")
        assert not note.is_visible()
        tab.locator("#filter").fill("")

        # the config: what differs, and all, which sorts by any column too
        keys = tab.locator("#config tbody tr:visible th")
        assert keys.all_inner_texts() == ["data.dataset._target_", "data.dataset.marks", "optimizer.lr", "seed"]
        tab.get_by_label("keys").check()
        assert keys.count() == 7
        tab.locator("#config thead button").last.click()
        # the scorecards, and the confusions
        cells = tab.locator("#scores tbody tr").first.locator("td.value").all_inner_texts()
        assert "∥" in cells[1] and "∥" not in cells[0]
        note = tab.locator("#confusion-note").inner_text()
        assert "0 read as 1 +50 %" in note and "<b> read right +50 %" in note

        # pictures over the epochs
        alt = "[...document.querySelectorAll('.gallery img:not([hidden])')].map((image) => image.alt)"
        assert tab.evaluate(alt)[0] == "Samples of flow/run-0 after epoch 9"
        tab.locator("#epoch").focus()
        tab.keyboard.press("ArrowLeft")
        assert tab.evaluate(alt)[:2] == [f"Samples of flow/run-{i} after epoch 5" for i in (0, 1)]
        tab.keyboard.press("Home")
        assert tab.evaluate(alt)[0] == "Samples of flow/run-0 after epoch 1"
        tab.get_by_label("Samples").focus()
        tab.keyboard.press("ArrowRight")
        assert tab.evaluate(alt) == ["Latent map of flow/run-0 after epoch 9"]
        assert tab.evaluate("[...document.images].filter((i) => !i.hidden).every((i) => i.naturalWidth > 0)")

        # a picture is enlarged by a click or the keyboard; the arrows go to the other runs
        tab.get_by_label("Samples").check()
        dialog, caption = tab.locator("#large"), tab.locator("#large-caption")
        tab.locator(".gallery button").first.click()
        assert dialog.is_visible() and caption.inner_text() == "Samples of flow/run-0 after epoch 9"
        large = tab.locator("#large img")
        size = large.bounding_box()
        assert (size["width"], size["height"]) == (1200, 4 * 52)  # of 300 x 52 pixels
        assert large.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
        assert large.get_attribute("alt") == caption.inner_text()
        tab.keyboard.press("ArrowRight")
        assert caption.inner_text() == "Samples of flow/run-1 after epoch 5"
        tab.get_by_label("next run").click()
        assert caption.inner_text() == f"Samples of {EVIL} after epoch 2"
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("Escape")
        assert not dialog.is_visible()
        focus = "document.activeElement.firstChild.alt"
        assert tab.evaluate(focus) == f"Samples of {EVIL} after epoch 2"
        tab.keyboard.press("Enter")
        assert dialog.is_visible()
        tab.mouse.click(2, 2)
        assert not dialog.is_visible()

        # names for a screen reader
        unnamed = (
            "[...document.querySelectorAll('input, select')].filter((i) => !i.labels.length && !i.ariaLabel).length"
        )
        assert tab.evaluate(unnamed) == 0
        assert tab.evaluate("[...document.querySelectorAll('table th')].every((cell) => cell.scope)")

        ink = "document.getElementById('curves').layout.font.color"
        light = tab.evaluate(ink)
        tab.emulate_media(color_scheme="dark")
        until(f"{ink} !== '{light}'")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
        tab.set_viewport_size({"width": 375, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") == 375
        assert tab.evaluate("window.hacked") is None
        # a wide table says that it scrolls, and does with the keyboard
        table = tab.get_by_role("region", name="scorecards")
        assert table.evaluate("place => getComputedStyle(place).backgroundAttachment") == (
            "local, local, scroll, scroll, scroll"
        )
        table.focus()
        tab.keyboard.press("ArrowRight")
        until("document.activeElement.scrollLeft > 0")
        for name in ("runs", "config"):
            assert tab.get_by_role("region", name=name, exact=True).get_attribute("tabindex") == "0"
        browser.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
