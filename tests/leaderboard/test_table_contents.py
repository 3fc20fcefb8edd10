"""What the leaderboard's tables hold, cell by cell, and everything behind a number."""

import numpy as np
import pytest

from benchmark.contracts import Trials
from benchmark.failures import BenchError, StoreError, UnknownName
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.board_tables import board_table, headline_table, near_rows, observer_tables
from benchmark.leaderboard.consistency import comparison_of, kappa_table, shared
from benchmark.leaderboard.provenance import provenance_of, provenance_record, provenance_text
from benchmark.leaderboard.table import number
from benchmark.store.rows import ObserverRow, StimuliNote


def answered(*blocks):
    """Trials of (condition, right of each image)."""
    condition, stimulus, right = zip(
        *((n, f"{n}{at}", v) for n, own in blocks for at, v in enumerate(own)), strict=True
    )
    columns = {"condition": np.array(condition), "stimulus": np.array(stimulus), "role": np.full(len(right), "x")}
    return Trials(
        columns={**columns, "category": np.full(len(right), "cat"), "response": np.where(right, "cat", "dog")}
    )


def of_counts(both, only_a, only_b, neither):
    """(right of a, right of b) of images in four cells."""
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    return a, [True] * both + [False] * only_a + [True] * only_b + [False] * neither


def test_two_observers_by_condition_with_the_counts_behind_kappa():
    """c50: 14 of 20 alike, .6 and .5 right: (.7 - .5) / (1 - .5); c10: 12 of 20 alike, .4 and .6: (.6 - .48) / .52."""
    blocks = [("c10", *of_counts(6, 2, 6, 6)), ("c50", *of_counts(8, 4, 2, 6))]
    a, b = (answered(*((name, sides[at]) for name, *sides in blocks)) for at in (0, 1))
    apart = {"a": answered(("", [True] * 4)), "b": answered(("other", [True] * 4))}
    table = comparison_of("a", "b", {"contrast": {"a": a, "b": b}, "edges": apart})
    assert [(f.key, f.title, f.who) for f in table.fields[:2]] == [("a", "", True), ("b", "", True)]  # named above
    keys = [f.key or f.title for f in table.fields]
    second, first, mean = (dict(zip(keys, row, strict=True)) for row in table.rows)
    said = ("a", "b", "experiment", "condition", "n", "both_right", "only_a", "only_b", "both_wrong", "c_obs", "c_exp")
    assert [first[name] for name in said] == ["a", "b", "contrast", "c50", 20, 8, 4, 2, 6, "0.700", "0.500"]
    assert [second[name] for name in said[3:]] == ["c10", 20, 6, 2, 6, 6, "0.600", "0.480"]
    assert [mean[name] for name in said[3:5]] == ["mean over conditions", 40]
    kappas = [row["kappa"].value for row in (first, second, mean)]
    assert kappas == pytest.approx([0.4, 0.12 / 0.52, (0.4 + 0.12 / 0.52) / 2])
    assert table.title == "Error consistency of a = a and b = b" and "no image in common: edges" in table.notes
    about = "[low, high]: 95 % interval; other images, or other shapes and textures where images share them."
    assert table.intervals == about


def test_kappa_of_all_pairs_is_the_mean_over_conditions_of_common_images():
    c10, c50 = of_counts(6, 2, 6, 6), of_counts(8, 4, 2, 6)
    who = {"b": answered(("c10", c10[1]), ("c50", c50[1])), "a": answered(("c10", c10[0]), ("c50", c50[0]))}
    who["d"] = answered(("c50", c50[1]))  # answered one condition
    who["e"] = answered(("far", [True, False]))
    table = kappa_table("contrast", who)
    assert table.rows == (
        ("a", "1 a", "", "0.32", "0.40", "-"), ("b", "2 b", "0.32", "", "1.00", "-"),
        ("d", "3 d", "0.40", "1.00", "", "-"), ("e", "4 e", "-", "-", "-", ""),
    )  # fmt: skip
    titles = [("observer", ""), ("", "observer"), ("a", "1"), ("b", "2"), ("d", "3"), ("e", "4")]
    assert [(f.key, f.title) for f in table.fields] == titles
    assert table.title == "Error consistency: contrast"


def test_experiments_of_two_observers_at_least_are_shared():
    who = {"edges": {"a": 1}, "sketch": {"a": 1, "b": 2}, "contrast": {"b": 1, "c": 2}}
    assert list(shared(who)) == ["contrast", "sketch"] and shared(who, "sketch") == {"sketch": {"a": 1, "b": 2}}
    with pytest.raises(UnknownName, match="edges"):
        shared(who, "edges")
    with pytest.raises(BenchError, match="no common experiment"):
        shared({"edges": {"a": 1}})


RUN = {
    "command": "bench run -m net", "started": "2026-01-01", "ended": "2026-01-02", "status": "done",
    "environment": {
        "python": "3.11", "packages": {"torch": "2.9", "ray": ""}, "platform": "Linux", "machine": "x86",
        "threads": 2, "code": {"revision": "abc", "dirty": True}, "components": {"answers": 1, "cue": 2},
    },
}  # fmt: skip
POLICY = {"device": "cpu", "precision": "fp32", "seed": 0, "compile": False}


def observation(observer, key, **details):
    return {"identity": observer, "observer": observer, "key": key, "runs": (1,), "details": details}


@pytest.fixture
def behind(score):
    """behind(score's fields, run's policy, ...): the provenance of a number of "net"."""

    def make(policy=POLICY, card=None, others=(), **fields):
        row = score("net", 60, 220, policy="cpu fp32", **{"training": ("standard",), "flags": ("odd",), **fields})
        card = {"sha256": "beef", "weights": "w.pt", "arch": "tiny", "labels": "world16"} if card is None else card
        net = ObserverRow(id="7", name="net", kind="network", identity="net", card=card, created="")
        own = [observation("net", "k1", policy=policy, asked={"limit": 8, "batch": 4}), observation("net", "k2")]
        cut = {**RUN, "ended": None, "status": None, "command": "bench rescore --db postgresql://me:secret@h/d"}
        facts = {"observations": [*own, *others], "runs": {1: RUN, 2: cut}, "run": 2, "code": "c0de"}
        facts["stimuli"] = {"cue": "d1", "edges": "unknown"}
        note = StimuliNote(digest="d1", name="set", space="s", n=8, whole=20, origin="added")
        return provenance_of(row, "shape bias", net, facts, {"d1": note}, builtin=False)

    return make


def test_everything_behind_a_number_is_listed(behind):
    others = [observation("ideal", "k3", policy=POLICY), observation("ann", "k4"), observation("ann", "k5")]
    found = behind(others=others)
    low, high = found.score.low, found.score.high
    assert provenance_text(found) == [
        "net cue-conflict bias",
        f"  value      0.2727 [{low:.3f}, {high:.3f}]",
        "             shape bias: 0.2727272727272727",
        f"  interval   95 %, wilson: [{low!r}, {high!r}]",
        "  n          220 trials count, 0 do not",
        "  flag       odd",
        "  observer   network, identity net",
        "  weights    beef",
        "  from       w.pt",
        "  arch       tiny",
        "  labels     world16",
        "  trained    standard",
        "  stimuli    cue: set, 8 of 20 images, digest d1",
        "  run on     cpu fp32",
        "  suite      cue-conflict version 2, space geirhos16",
        "  trials     2026-01-01 to 2026-01-02 (done): bench run -m net",
        "             2 observations",
        "  rests on   trials of ideal, ann",
        "  scored     2026-01-01 (cut short): bench rescore --db postgresql://me:***@h/d",
        "             scoring code c0de",
        "  versions   python 3.11, torch 2.9",
        "  machine    Linux, x86, no GPU, 2 threads",
        "  code       abc with changes",
        "  components answers 1, cue 2",
        "  first      the model, if it is not registered: bench register net --arch tiny --weights w.pt "
        "--labels world16",
        "  first      import trials that it depends on, as it was done: bench run -m net",
        "  again      bench run -m net,ideal -s cue-conflict --limit 8 --device cpu --precision fp32 --seed 0 "
        "--batch-size 4",
    ]
    record, names = provenance_record(found), ("value", "weights", "policy", "peers")
    assert [record[name] for name in names] == [60 / 220, "beef", POLICY, ["ideal", "ann"]]
    assert (record["observations"], record["code"], list(record["stimuli"])) == (["k1", "k2"], "c0de", ["cue"])
    assert found.arguments == {**POLICY, "models": "net,ideal", "suites": "cue-conflict", "limit": 8, "batch": 4}


def test_what_no_run_makes_is_brought_in_as_it_was_done(behind):
    assert behind(policy={}).first == ["import its trials, as it was done: bench run -m net"]
    with pytest.raises(StoreError, match="asks for 'device' 'cpu; rm'"):
        behind(policy={**POLICY, "device": "cpu; rm"})


def test_numbers_for_people_have_fewer_decimals_the_larger_they_are():
    shown = {0.12345: "0.1235", 9.99994: "9.9999", 12.3456: "12.35", 999.4: "999.40", 1234.6: "1235", None: "-"}
    assert {value: number(value) for value in (*shown, -1234.6)} == {**shown, -1234.6: "-1235"}


def test_a_board_explains_its_brackets_and_nothing_is_no_board(suite, sets, score):
    (board,) = boards([score("a", 60, 220), score("b", 90, 220, level=0.9)], suite, sets)
    assert board_table(board).intervals == (
        "[low, high]: 90 % or 95 % interval over images; categories are fixed. Rank (best-worst): ranks not ruled out "
        "at 95 %, for each row separately."
    )
    (bare,) = boards([score("a", reason="not here")], suite, sets)
    assert board_table(bare).intervals == ""
    assert boards([], suite, sets) == []


def test_who_was_run_otherwise_or_before_is_flagged(suite, sets, score):
    rows = [score(name, 60, 220, policy="cpu fp32, seed 0") for name in "ab"]
    rows += [score("odd", 50, 220, policy="cpu bf16, seed 0", replaced=("cpu fp32, seed 0", "cpu fp32, seed 1"))]
    rows += [score("anew", 40, 220, policy="cpu fp32, seed 0", replaced=("cpu tf32, seed 0",)), score("lent", 30, 220)]
    (board,) = boards(rows, suite, sets)
    assert {row.observer: row.cells["bias"].flags for row in board.rows} == {
        "a": (), "b": (), "lent": (),
        "odd": ("run as cpu bf16, seed 0; most here as cpu fp32, seed 0; scores as cpu fp32, seed 0 and as cpu fp32, "
                "seed 1 are replaced",),
        "anew": ("run as cpu fp32, seed 0; scores as cpu tf32, seed 0 are replaced",),
    }  # fmt: skip


def test_the_rows_around_ones_own(suite, sets, score):
    rows = [score(name, 100 - at, 220) for at, name in enumerate("abcdefghi")]
    rows += [score(name, 190 + at, 220, kind="human") for at, name in enumerate(("p1", "p2"))]
    (board,) = boards(rows, suite, sets)
    near = near_rows(board, ["e"])
    assert [(row.observer, row.rank) for row in near.rows] == [("c", 3), ("d", 4), ("e", 5), ("f", 6), ("g", 7)]
    assert [row.observer for row in near.references] == ["people (mean of 2)", "chance"]
    assert near.notes[-1] == "4 others: bench rank"
    assert [row.observer for row in near_rows(board, ["p1"]).references] == ["people (mean of 2)", "p1", "chance"]
    (few,) = boards([*rows[:2], rows[9]], suite, sets)
    assert near_rows(few, ["a"]).notes == few.notes
    assert [row.observer for row in near_rows(few, ["a"]).references] == ["p1", "chance"]
    assert near_rows(board, ["nobody"]).rows == ()


def test_scores_of_one_observer_have_a_letter_for_each_set(score, suite):
    rows = [score("net", 1, 2, stimuli=f"{at:02d}") for at in range(53)]
    (table,) = observer_tables(rows, {}, [suite])
    shown = [("metric", "metric"), ("condition", "condition"), ("", "value"), ("", "n"), ("", "excluded")]
    assert [(f.key, f.title) for f in table.fields] == [*shown, ("", "set"), ("", "interval by")]
    letters = [row[5] for row in table.rows]
    assert (letters[:2], letters[25:28], letters[51:]) == (["a", "b"], ["z", "aa", "bb"], ["zz", "aaa"])
    assert table.caption.startswith("a: set 00; b: set 01; ")
    suite.headline = suite.metrics[1]
    head = headline_table([*rows[:1], rows[0]._replace(metric="error")], [suite])
    assert (head.title, [row[:2] for row in head.rows]) == ("headlines", [("cue-conflict", "shape bias")])
