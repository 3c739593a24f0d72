"""A sweep's folder from somebody else: damaged, hostile, or larger than any that ldg writes."""

import os
import socket
import zlib

import pytest
import yaml
from PIL import Image

from ldg.commands.cli import exit_status
from ldg.commands.sweeps import main
from ldg.compare.pictures import Album
from ldg.errors import UserError
from ldg.sweeps.ledger import Ledger
from ldg.sweeps.report import figures, page, study, write_report
from ldg.sweeps.report.markdown import render_markdown
from ldg.sweeps.report.results import Results
from tests.fuzz.mutations import mutations
from tests.sweeps.test_report import ELBO, FOUR, GRID, line, sweep, tuned, with_pictures, without_plotly


def report(folder):
    """Everything that a report says of a folder."""
    results = Results(folder)
    return page.render_page(results) + render_markdown(results)


@pytest.mark.parametrize("name", ["sweep.yaml", "runs.csv", "study.db", "trial-000/metrics.csv"])
def test_damaged_bytes_give_a_report_or_one_line(name, tmp_path, monkeypatch):
    folder = tuned(tmp_path / "one", 1)  # too few to be drawn
    with_pictures(folder / "trial-000")
    if name != "study.db":
        monkeypatch.setattr(page, "draw_study", lambda *_: [])
    for draw in ("draw_heat_maps", "draw_effects"):
        monkeypatch.setattr(figures, draw, lambda results: [run.curve("val/elbo") for run in results.runs][:0])
    report(folder)
    for label, data in mutations((folder / name).read_bytes(), 20):
        (folder / name).write_bytes(data)
        try:
            report(folder)
        except UserError as error:
            assert "\n" not in str(error), label


def row(**cells):
    return line("000-b-4", "b", "4", "-1") | cells


@pytest.mark.parametrize("run", ["../../run", "/etc", "..", "a/b", "", "a\0b", "x" * 300, "a\nb", "<script>"])
def test_a_row_names_a_run_of_this_sweep(run, tmp_path):
    folder = sweep(tmp_path / "one", [row(run=run)])
    with pytest.raises(UserError, match=r"runs.csv is damaged: .* is no name of a run"):
        Results(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run\n000-a\n", "it has no column state"),
        ("x,y\n1,2\n", "it has no column run"),
        ("run,state\n" + '"' + "a" * 200_000 + '",finished', "field larger than field limit"),
        ("run,state" + ",c" * 2_000_000 + "\n000-a,finished\n", "more than"),
    ],
    ids=["no state", "no run", "a huge cell", "millions of columns"],
)
def test_a_table_that_is_none(text, message, tmp_path):
    folder = sweep(tmp_path / "one", [])
    (folder / "runs.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        Results(folder)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "[" * 3000, "a: !!python/object/apply:os.system [ls]", "a: 2020-99-99", "a: \0", "? [a]\n: b", "1" * 5000],
    ids=["bomb", "depth", "python", "date", "nul", "key", "number"],
)
def test_a_definition_that_is_none(text, tmp_path, capsys):
    (tmp_path / "sweep.yaml").write_text(text)
    assert exit_status(lambda: main([str(tmp_path)])) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"objectives": {}},
        {"objectives": {"val/elbo": "up"}},
        {"parameters": ["seed"]},
        {"parameters": {"seed": 3}},
        {"runs": "many"},
        {"versions": None},
        {"kind": "random"},
        {"storage": 3},
        {"more": 1},
    ],
    ids=str,
)
def test_a_definition_of_other_types(changes, tmp_path):
    sweep(tmp_path, [])
    content = yaml.safe_load((tmp_path / "sweep.yaml").read_text()) | changes
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"is not of the format"):
        Results(tmp_path)


def test_numbers_and_names_at_their_limits_are_drawn(tmp_path):
    key = r"model.$\frac$<i>"
    numbers = ["1e308", "-1e308", "5e-324", "1e999", "nan", "1_0", "١", "$" * 200]
    states = ["finished"] * len(numbers) + ["0?<i>"]
    rows = [
        {"run": f"00{i}", "state": state, key: n, "seed": n, "val/elbo": n}
        for i, (state, n) in enumerate(zip(states, [*numbers, "1"], strict=True))
    ]
    results = Results(sweep(tmp_path / "one", rows, {key: numbers[:2], "seed": numbers}))
    text = without_plotly(page.render_page(results))
    assert "<i>" not in text and "0?&lt;i&gt;" in text


def test_links_to_other_places_are_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    with_pictures(elsewhere, "strings")
    folder = sweep(tmp_path / "one", [row()])
    (folder / "000-b-4").symlink_to(elsewhere)
    (run,) = Results(folder).runs
    assert run.curve("val/elbo") == ([], []) and not Album([run]).images
    (folder / "runs.csv").rename(tmp_path / "runs.csv")
    (folder / "runs.csv").symlink_to(tmp_path / "runs.csv")
    assert Results(folder).runs == []
    (folder / "sweep.yaml").unlink()
    os.mkfifo(folder / "sweep.yaml")  # which would be waited for
    with pytest.raises(UserError, match="holds no sweep"):
        Results(folder)


def png(width, height):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    lines = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def test_pictures_that_are_none_or_too_large_are_left_out(tmp_path):
    folder = sweep(tmp_path / "one", [row()])
    file = folder / "000-b-4" / "gallery" / "strings.png"
    file.parent.mkdir(parents=True)
    (run,) = Results(folder).runs
    for content in (png(60_000, 60_000), png(2**31 - 1, 2**31 - 1), png(0, 0), b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        file.write_bytes(content)
        assert not Album([run]).images
    for name in ("GIF", "TIFF"):
        Image.new("L", (9, 9)).save(file, name)
        assert not Album([run]).images


def test_a_report_contacts_no_server_unless_it_may(tmp_path, capsys):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.1)
        url = f"postgresql://me:hunter2@127.0.0.1:{server.getsockname()[1]}/x"
        folder = sweep(tmp_path / "one", FOUR, kind="optuna", storage=url, command=f"python train.py storage={url}")
        assert exit_status(lambda: main([str(folder)])) == 0
        with pytest.raises(TimeoutError):
            server.accept()
    text = (folder / "report.html").read_text() + (folder / "report.md").read_text() + "".join(capsys.readouterr())
    assert "--online reads it" in text and "postgresql://me@127.0.0.1" in text and "hunter2" not in text


def test_a_database_elsewhere_is_not_opened(tmp_path):
    other = tuned(tmp_path / "other", 2)
    for storage, name in ((f"sqlite:///{other}/study.db", None), (None, other / "study.db")):
        folder = sweep(tmp_path / "one", [], GRID, ELBO, name="tune", kind="optuna", storage=storage)
        if name:
            (folder / "study.db").symlink_to(name)
        (panel,) = study.draw_study(Results(folder))
        assert panel.png is None
    before = (other / "study.db").stat().st_mtime_ns
    assert study.draw_study(Results(other))[0].png and (other / "study.db").stat().st_mtime_ns == before


def test_a_damaged_table_stops_a_sweep_with_one_line(tmp_path):
    folder = sweep(tmp_path / "one", [row(run="../../run", state="running")])
    with pytest.raises(UserError, match="is no name of a run"):
        Ledger(folder).mark_interrupted()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


def test_a_page_of_a_stranger_is_written(tmp_path):
    folder = sweep(tmp_path / "one", [row(state="ready", error='=cmd|" /C calc"!A0')])
    write_report(folder)
    assert "=cmd|&quot; /C calc&quot;!A0" in (folder / "report.html").read_text()
