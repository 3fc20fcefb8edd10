"""Training runs in the report: the page, the figure, `bench plot training`."""

import csv

import pytest

from benchmark.contracts import Observer
from benchmark.report.figures import plot
from benchmark.report.site import build
from benchmark.store import open_store
from tests.report.conftest import HOSTILE, dead_links

pytestmark = pytest.mark.slow


def test_training_runs_have_a_page_and_a_figure_and_their_names_are_text(fill, tmp_path):
    first, second = HOSTILE[:2]
    runs = {"a": (first, 10), "b": (first, 9), "c": (first, 1), "d": (second, 5)}
    settings = fill(("a", "b", "c", "d", "other"), ("cue-conflict", "corruption"))
    with open_store(settings.db) as store:  # cards state run and step
        for row in (row for row in store.observers() if row.name in runs):
            step = dict(zip(("run", "step", "unit"), (*runs[row.name], "epoch"), strict=True))
            card = {**row.card, "checkpoint": step}
            store.put_observer(Observer(name=row.name, kind="network", identity=row.identity, card=card))
    (figure,) = plot("training", db=settings.db)
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
    assert list(dead_links(tmp_path / "report")) == []
    page = (tmp_path / "report" / "training.html").read_text()
    assert page.index(">c</a>") < page.index(">b</a>") < page.index(">a</a>") and ">other<" not in page
    with (tmp_path / "report" / "data" / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(figure.records) and rows[0]["unit"] == "epoch"
    assert "training.html" in (tmp_path / "report" / "index.html").read_text()
    for text in (figure._repr_svg_(), page):
        assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert" in text
