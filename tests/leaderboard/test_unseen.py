"""What was seen in training, on a run of the built-in world: `bench rank --unseen-only` and `bench compare transfer`.

--unseen-only: every row on the cells that no observer of the board was trained on; nothing stored changes."""

from pathlib import Path

import pytest

from benchmark import api
from benchmark.api.options import Filters
from benchmark.failures import BenchError

pytestmark = pytest.mark.slow

PLAIN, UNIFORM, SANDP = "world-standard-0", "world-uniform-noise-0", "world-salt-and-pepper-0"


@pytest.fixture(scope="module")
def db(folder):
    """Three networks of the world on eight images under every corruption."""
    name, models = str(folder / "results.db"), ",".join((PLAIN, UNIFORM, SANDP))
    assert api.run(db=name, models=models, suites="corruption", limit=8).exit_code == 0
    return name


def by_hand(db, observer, without):
    """Mean over the cells that are left, and the trials in them, from the trials themselves."""
    frame = api.trials(api.Selection(db), observer, "corruption")
    kept = frame[~frame["condition"].str.partition("/")[0].isin(without) & (frame["condition"] != "clean")]
    right = kept["response"] == kept["category"]
    return right.groupby(kept["condition"]).mean().mean(), len(kept)


def test_all_rows_stand_on_the_same_cells(db):
    (board,) = api.rank(api.Selection(db), by="corruption", unseen_only=True)
    rows = {row.observer: row.cells[board.by] for row in board.rows}
    assert set(rows) == {PLAIN, UNIFORM, SANDP}
    for name, cell in rows.items():
        value, n = by_hand(db, name, ("uniform-noise", "salt-and-pepper"))
        assert (cell.value, cell.n) == (pytest.approx(value), n)
        assert not any("seen" in flag for flag in cell.flags)
    assert board.title.endswith(", without salt-and-pepper, uniform-noise")
    told = next(note for note in board.notes if note.startswith("left out"))
    assert "uniform-noise (4 levels)" in told and "salt-and-pepper (4 levels)" in told
    few = api.Selection(db, Filters(models=f"{PLAIN},{UNIFORM}"))  # what an observer off the board was trained on stays
    (board,) = api.rank(few, "corruption", unseen_only=True, among_shown=True)
    assert board.title.endswith(", without uniform-noise") and SANDP not in {row.observer for row in board.rows}
    assert board.rows[0].cells[board.by].n == by_hand(db, PLAIN, ("uniform-noise",))[1]


def test_a_suite_must_know_what_was_seen(db, bench):
    with pytest.raises(BenchError, match="saliency"):
        api.rank(api.Selection(db), "saliency", unseen_only=True)
    ended = bench("rank", "--suite", "saliency", "--unseen-only", "--db", db)
    assert ended.code == 1 and len(ended.errors) == 1
    assert len(api.rank(api.Selection(db), unseen_only=True)) == 1  # of all suites, those that know


def test_a_run_as_a_transfer_matrix(db):
    (made,) = api.transfer(api.Selection(db))
    assert "corruption" in made.title and made.facts["space"] == "world16"
    assert [row[0] for row in made.rows] == ["standard", "noise(salt-and-pepper)", "noise(uniform)"]
    frame = api.trials(api.Selection(db), SANDP, "corruption")
    right = frame["response"] == frame["category"]
    columns = [column.key.partition(" ")[0] for column in made.fields]
    assert columns[4] == "clean"
    for name in ("uniform-noise", "salt-and-pepper", "fog"):
        cell = made.rows[1][columns.index(name)]
        mine = frame["condition"].str.startswith(f"{name}/")
        assert (cell.value, cell.n) == (pytest.approx(right[mine].mean()), mine.sum())
        assert cell.source.seen is (name == "salt-and-pepper")


def test_matrices_of_two_runs_are_never_mixed(db, tmp_path):
    copy = tmp_path / "two.db"
    copy.write_bytes(Path(db).read_bytes())
    api.run(db=str(copy), models="world-standard-1", suites="corruption", limit=4)
    found = api.transfer(api.Selection(str(copy)))
    assert [made.rows[0][3] for made in found] == [(PLAIN,), ("world-standard-1",)]
    assert len({made.title for made in found}) == 2
    first, last = api.rank(api.Selection(str(copy)), "corruption", unseen_only=True)
    assert {row.observer for row in first.rows} == {PLAIN, UNIFORM, SANDP}
    assert [row.observer for row in last.rows] == ["world-standard-1"] and "without" not in last.title
    assert last.notes[-1] == "no observer here was trained on any condition"
    with pytest.raises(BenchError, match="within"):
        api.transfer(api.Selection(str(copy)), "corruption:within-0.1")
