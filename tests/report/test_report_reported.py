"""Published scores in a report: marks of their own kind, on a page of their own, in no rank and no test."""

import pytest

from benchmark import api
from benchmark.report import drawing
from benchmark.report.contents import read_contents
from benchmark.report.figures import every_figure, reported_figure
from benchmark.report.site import build
from tests.report.conftest import dead_links

OWN = "observer,metric,value,low,high,n,suite,note\nvit,own bias,0.9,0.8,0.95,100,cue-conflict,of own images\n"
SAME = "observer,metric,value,suite\nnet-0,shape_bias,0.25,cue-conflict\n<b>,shape_bias,0.5,cue-conflict\n"


@pytest.fixture
def contents(fill, tmp_path):
    """read(text): the leaderboard of two networks with one table of published scores."""

    def read(text, *same):
        settings = fill(["net-0", "net-1"])
        (tmp_path / "lab.csv").write_text(text)
        api.import_scores(tmp_path / "lab.csv", same=same, db=settings.db)
        return read_contents(settings)

    return read


@pytest.mark.slow
def test_a_reported_score_is_a_diamond_and_the_caption_says_whose_it_is(contents):
    held = contents(OWN)
    (board,) = held.reported
    made = reported_figure(board)
    assert board.suite == "cue-conflict" and made.title == "Cue-conflict, reported by lab"
    (record,) = made.records
    numbers = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}
    assert record == {"observer": "vit", "group": "reported score", "metric": "own bias", **numbers}
    point = made.drawn(1200)["vconcat"][0]["hconcat"][0]["layer"][-1]["encoding"]
    assert point["shape"]["scale"] == {"domain": ["reported score"], "range": ["diamond"]}
    assert "not measured here" in made.caption and "in no paired test" in made.caption
    assert "of own images" in made.caption and "n 100" in made.caption


@pytest.mark.slow
def test_they_have_a_page_and_no_rank(contents, settings, tmp_path, monkeypatch):
    held = contents(SAME, "shape_bias")
    ranked = {line.observer for summary in held.summaries for line in summary.lines}
    assert ranked == {"net-0", "net-1"}
    assert "reported-cue-conflict" in " ".join(one.name for _, one in every_figure(held))
    monkeypatch.setattr(drawing, "svg", lambda figure, width, named=False: "<svg/>")
    build(settings, tmp_path / "out")
    assert list(dead_links(tmp_path / "out")) == []
    page = (tmp_path / "out" / "reported.html").read_text()
    assert "&lt;b&gt; (lab, reported)" in page and "<b> (lab" not in page
    assert ".250" in page and "in no paired test" in page
    assert page.count('<tr class="network reported">') == 2
