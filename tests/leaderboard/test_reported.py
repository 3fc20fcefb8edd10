"""Published scores on boards: apart, unranked, in no paired test."""

import csv
import io

import pytest

import gestaltbench as gb
from benchmark import api
from benchmark.api.exports import score_tables
from benchmark.failures import BenchError
from benchmark.leaderboard.board_tables import board_table
from benchmark.store import open_store

TABLE = """observer,metric,value,low,high,n,suite,note
resnet50,own accuracy,0.8,0.7,0.9,100,cue-conflict,of own images
vit,own accuracy,0.9,,,,cue-conflict,of own images
vit,own accuracy at dusk,0.4,,,,,
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lab.csv"
    path.write_text(TABLE)
    return path


def stored(db):
    with open_store(db, write=False) as store:
        return store.latest_scores()


@pytest.mark.slow
def test_they_stand_in_tables_of_their_own_unranked(table):
    report = api.import_scores(table, db="a.db")
    assert (report.scores, report.known, len(report.observers)) == (3, 0, 2)
    assert not any(board.rows for board in api.rank(api.Selection("a.db")))
    loose, board = api.reported(api.Selection("a.db"))
    assert board.title == "cue-conflict, reported by lab" and board.suite == "cue-conflict"
    shown = [(f"{name} (lab, reported)", "reported", None) for name in ("vit", "resnet50")]
    assert [(row.observer, row.kind, row.rank) for row in board.rows] == shown
    cell = board.rows[1].cells["own accuracy"]
    assert (cell.value, cell.low, cell.high, cell.n) == (0.8, 0.7, 0.9, 100)
    table = board_table(board)
    at = [field.key for field in table.fields].index("own accuracy")
    assert "of own images" in table.shared(at)
    assert not any("Rank" in line for line in (table.intervals, *table.notes))
    assert loose.title == "other scores, reported by lab"
    assert [b.title for b in api.reported(api.Selection("a.db"), "cue-conflict")] == [board.title]
    assert not api.reported(api.Selection("a.db"), "corruption")


@pytest.mark.slow
def test_importing_twice_adds_nothing_and_a_new_value_takes_the_old_ones_place(table):
    api.import_scores(table, db="a.db")
    first = stored("a.db")
    again = api.import_scores(table, db="a.db")
    assert stored("a.db") == first and (again.scores, again.known) == (0, 3)
    table.write_text("observer,metric,value,suite\nvit,own accuracy,0.95,cue-conflict\n")
    later = api.import_scores(table, db="a.db")
    assert (later.scores, later.known, later.changed) == (0, 0, 1)
    values = {(row.observer, row.metric): row.value for row in stored("a.db")}
    assert values["vit (lab, reported)", "own accuracy"] == 0.95
    assert values["vit (lab, reported)", "own accuracy at dusk"] == 0.4  # what it had stays
    table.write_text("observer,metric,value,suite\nvit,rank of shape,0.5,cue-conflict:ranks\n")
    api.import_scores(table, db="a.db")
    (board,) = api.reported(api.Selection("a.db"), "cue-conflict:ranks")
    assert board.suite == "cue-conflict:ranks"


def test_a_paired_test_is_one_clear_error(table):
    api.import_scores(table, db="a.db")
    own, vit = api.Selection("a.db"), "vit (lab, reported)"
    for verb, words in (
        (api.compare, (vit, "resnet50 (lab, reported)")), (api.compare, (vit, "people")),
        (api.trials, (vit, "cue-conflict")), (api.consistency, ([vit],)),
    ):  # fmt: skip
        with pytest.raises(BenchError, match="has published scores but no trials"):
            verb(own, *words)
    with pytest.raises(BenchError, match="no common experiment"):
        api.consistency(own)


@pytest.mark.slow
def test_filters_exports_and_the_command(table, bench):
    ended = bench("import", "scores", table, "--db", "a.db")
    assert ended.code == 0 and "3 scores of 2 observers imported from lab, 0 were already stored" in ended.out
    boards = api.reported(api.Selection("a.db").where(kind="reported", source="lab", family="vit"))
    assert {row.observer for board in boards for row in board.rows} == {"vit (lab, reported)"}
    assert not api.reported(api.Selection("a.db").where(kind="published"))
    records = csv.DictReader(io.StringIO(gb.reported(db="a.db").to("csv")))
    assert {record["section"] for record in records} == {"reported"}
    shown = bench("rank", "cue-conflict", "--db", "a.db").out
    assert "cue-conflict, reported by lab" in shown and "not ranked" in shown


@pytest.mark.slow
def test_correlations_only_where_they_are_asked_for_and_within_a_source(table):
    pairs = [(i, name, i * k % 7) for i in range(7) for name, k in (("x", 1), ("y", 3))]
    rows = [f"net{i},{name},{rank / 7},cue-conflict" for i, name, rank in pairs]
    table.write_text("observer,metric,value,suite\n" + "\n".join(rows) + "\n")
    api.import_scores(table, db="a.db")
    assert not api.correlate(api.Selection("a.db"))
    ((summary, (link,)),) = api.correlate(api.Selection("a.db"), reported=True)
    assert (summary.space, link.spearman.n) == ("lab, reported", 7)
    assert {link.x.title, link.y.title} == {"x", "y"}
    assert len([*score_tables(api.Selection("a.db"))]) == 1
    assert not [*score_tables(api.Selection("a.db"), "cue-conflict")]
    # ranks of i and of 3 i mod 7: 0..6 against 0 3 6 2 5 1 4; sum of squared differences 42
    assert link.spearman.value == pytest.approx(1 - 6 * 42 / (7 * 48))
