"""Measures of shape and texture side by side: order, agreement, and where they disagree."""

import pytest
from plain_suites import plain_suite, text
from scipy import stats

from benchmark import api
from benchmark.contracts import Metric
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.links import disagreement, measure_tables, measures_of

NAMES = ("neta-standard-0", "netb-standard-0", "netc-stylised-0", "netd-standard-0", "nete-adversarial-0")
SHAPE = (100, 300, 900, 300, 500)
TEXTURE = (900, 800, 200, 700, 650)  # the other way round, but for the second and the fourth


CUES = plain_suite(
    "cues",
    Metric(name="shape", title="shape", definition="", headline=True, cue="shape"),
    Metric(name="texture", title="texture", definition="", cue="texture", direction="none"),
    Metric(name="unmeasured", title="unmeasured", definition="", cue="shape", direction="none"),
)


NOBODY_HAS = ["no observer has a value: unmeasured (cues)"]


@pytest.fixture
def cue(score):
    def row(name, metric, right):
        return score(name, right, 1000, suite="cues", metric=metric, role="", training=("standard",))

    def made(shape=slice(5), texture=slice(5), shown=None):
        rows = [row(*at) for at in zip(NAMES[shape], ["shape"] * 5, SHAPE[shape], strict=False)]
        rows += [row(*at) for at in zip(NAMES[texture], ["texture"] * 5, TEXTURE[texture], strict=False)]
        tables = [(metric, board) for metric in CUES.metrics for board in boards(rows, CUES, {}, metric.name)]
        return measures_of(tables, {}, shown)[0]

    return made


def test_rows_are_ordered_by_the_first_measure_and_an_empty_one_is_no_column(cue):
    cue = cue()
    assert [head.title for head in cue.summary.headlines] == ["shape (cues)", "texture (cues)"]
    assert cue.textures == {"texture (cues)"}
    order = [line.observer[:4] for line in cue.summary.lines]
    assert order == ["netc", "nete", "netb", "netd", "neta"]
    assert {line.rank for line in cue.summary.lines} == {None}
    assert [n for n in cue.summary.notes if n.startswith("no observer has")] == NOBODY_HAS


def test_agreement_is_that_of_ranks_and_disagreement_counts_pairs(cue):
    cue = cue()
    (link,) = cue.links
    assert link.spearman.value == pytest.approx(stats.spearmanr(SHAPE, TEXTURE).statistic)
    share, apart = disagreement(link, cue.textures)
    assert share == 0.0  # neta < netb = netd < nete < netc by shape; texture splits the tie
    assert {name: (x, y) for name, x, y in apart}["netb-standard-0"] == (3.5, 4.0)
    assert disagreement(link, frozenset())[0] == 1.0  # as if both were of shape
    assert {table.facts["space"] for table in measure_tables([cue]) if "space" in table.facts} == {"photographs"}
    said = text([*measure_tables([cue])][2:])
    assert "shape (cues)" in said and "netb-standard-0 (3.5, 4)" in said


def test_a_filter_hides_rows_and_leaves_their_order(cue):
    """Of all five, most have a shape bias; of the two that are shown, only one has."""
    some = cue(slice(4), slice(3, 5), NAMES[3:])
    assert [line.observer for line in some.summary.lines] == [NAMES[3], NAMES[4]]
    assert [head.title for head in some.summary.headlines] == ["shape (cues)", "texture (cues)"]


@pytest.mark.slow
def test_ideal_observers_hang_on_their_cue_by_every_measure(tmp_path):
    db = str(tmp_path / "results.db")
    api.run(models="ideal-shape,ideal-texture", suites="cue-conflict", db=db, limit=320)
    (cue,) = api.measures(api.Selection(db))
    rows = {row.observer: row for row in cue.summary.references}
    for head in cue.summary.headlines:
        shape, texture = (rows[name].cells[head.suite].value for name in ("ideal-shape", "ideal-texture"))
        if None not in (shape, texture):
            assert (shape > 0.95 and texture < 0.15) != (head.suite in cue.textures), head.suite
