"""Training runs in the report: the page, the figure, `bench plot training`."""

import csv

import pytest

from benchmark.contracts import Observer
from benchmark.report.contents import read_contents
from benchmark.report.drawing import draw
from benchmark.report.figures import find_figure
from benchmark.report.site import build
from benchmark.store import open_store
from tests.report.conftest import HOSTILE

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c", "d", "other")


def as_runs(settings, runs):
    """The cards of a leaderboard's observers say of which run and step they are. runs: name -> (run, step)."""
    with open_store(settings.db) as store:
        for row in store.observers():
            if row.name in runs:
                run, step = runs[row.name]
                card = {**row.card, "checkpoint": {"run": run, "step": step, "unit": "epoch"}}
                store.put_observer(Observer(row.name, "network", row.identity, card))
    return settings


def test_a_training_run_has_a_page_and_a_figure(fill, tmp_path):
    runs = {"a": ("one", 10), "b": ("one", 9), "c": ("one", 1), "d": ("two", 5)}
    settings = as_runs(fill(NAMES), runs)
    contents = read_contents(settings)
    figure = find_figure(contents, "training")
    points = {(one["run"], one["step"], one["observer"]) for one in figure.records}
    assert points == {(run, step, name) for name, (run, step) in runs.items()}
    assert {one["suite"] for one in figure.records} >= {"cue-conflict", "corruption"}
    domains = {
        tuple(layer["encoding"]["x"]["scale"]["domain"])
        for panel in figure.drawn(1200)["concat"]
        for layer in panel["layer"]
        if "x" in layer["encoding"]
    }
    assert domains == {(1, 10)}  # all panels have one axis
    build(settings, tmp_path / "report")
    page = (tmp_path / "report" / "training.html").read_text()
    assert page.index(">c</a>") < page.index(">b</a>") < page.index(">a</a>")
    assert ">other<" not in page
    with (tmp_path / "report" / "data" / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(figure.records) and rows[0]["unit"] == "epoch"
    assert "training.html" in (tmp_path / "report" / "index.html").read_text()


def test_without_a_training_run_there_is_no_page(fill, tmp_path):
    build(fill(("a", "b")), tmp_path / "report")
    assert not (tmp_path / "report" / "training.html").exists()
    assert "training.html" not in (tmp_path / "report" / "index.html").read_text()


def test_names_of_runs_are_text(fill, tmp_path):
    settings = as_runs(fill(("a", "b")), {"a": (HOSTILE[0], 1), "b": (HOSTILE[1], 2)})
    drawn = draw(find_figure(read_contents(settings), "training"), "svg").decode()
    build(settings, tmp_path / "report")
    page = (tmp_path / "report" / "training.html").read_text()
    for text in (drawn, page):
        assert "<script>alert" not in text and "<img src=x" not in text
        assert "&lt;script&gt;alert" in text
