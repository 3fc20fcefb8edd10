"""What is said of a network: every sentence by hand."""

import json
from dataclasses import replace
from math import erfc, sqrt

import pytest
from plain_suites import plain_suite, suite_row

from benchmark import api, plugins
from benchmark.contracts import Metric
from benchmark.failures import BenchError
from benchmark.leaderboard import verdict
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.board_model import Cell, cell_of
from benchmark.leaderboard.reference_scores import REFERENCE, reference_rows
from benchmark.leaderboard.verdict import UNPAIRED, Measured, Rival, interval_test, verdict_of
from benchmark.stats.comparisons import adjusted
from benchmark.store import open_store

HEAD = Metric(name="head", title="shape bias (1 of 2)", definition="", direction="higher", headline=True)
CARD = {"tried": {"photographs": "mine", "n": 64, "right": 60, "findings": [], "at_chance": False}}


def measured(score, own, *others, name="bias", parts=()):
    """own, others: (observer, right, fields) of 400 trials each."""
    suite, about = plain_suite(name, HEAD, headline=HEAD), {"suite": name, "metric": "head", "role": ""}
    rows = [score(who, right, 400, **about, **fields) for who, right, fields in (own, *others)]
    (board,) = boards(rows, suite, {})
    return Measured(suite=suite, board=board, score=rows[0], parts=parts)


OTHERS = (
    ("plain-0", 90, {"training": ("standard",)}), ("plain-1", 110, {"training": ("standard",), "method": REFERENCE}),
    ("robust", 200, {"training": ("adversarial(linf,4/255)",)}), ("sin", 320, {"training": ("stylised",)}),
    ("people (pooled)", 384, {"kind": "group", "method": REFERENCE}), ("random", 100, {"training": ("untrained",)}),
    ("guesser", 101, {"flags": ("trust: answers at chance",), "training": ("standard",)}),
)  # fmt: skip


def known(*suites, observer="mine", card=CARD, **fields):
    return verdict_of(observer, card, suites, **{"builtin": False, **fields})


def sentences(*suites, **fields):
    return {each.about: each.text for each in known(*suites, **fields).sentences}


def test_a_difference_of_two_intervals_is_tested_by_the_ends_that_face_each_other():
    own, other = Cell(0.5, 0.4, 0.55, n=100), Cell(0.3, 0.2, 0.36)
    for a, b, sign in ((own, other, 1), (other, own, -1)):
        found = interval_test(a, b, "head")
        error = sqrt(0.1**2 + 0.06**2) / 1.959963984540054
        assert found.difference == pytest.approx(sign * 0.2) and found.method == UNPAIRED
        assert found.p == pytest.approx(erfc(0.2 / error / sqrt(2)))
    assert interval_test(own, Cell(0.3), "head").p is None


def test_value_place_and_likeness(score):
    said = sentences(measured(score, ("mine", 100, {}), *OTHERS))
    assert said["bias"] == (
        "shape bias .25 [.21, .29], rank 4 (3-5) of 5. As standard .23 to .28 (2*); below adversarial .50, people .96*."
    )
    assert said["input"] == "Fed as trained, as far as 64 photographs show: 60 right, and no usual input fits better."
    assert said["trust"] == "No flag of distrust on 1 headline."
    assert said["*"].startswith("Reference scores that come with the package")


def test_all_neighbours_of_all_suites_are_one_family(score):
    suites = [measured(score, ("mine", 100, {}), *OTHERS, name=name) for name in ("bias", "noise")]
    tests = [test for rows in verdict.neighbour_tests(suites).values() for _, _, test in rows]
    p, at = [test.p for test in tests], sorted(range(10), key=lambda i: tests[i].p)
    by_hand = [max(min(1, p[k] * (10 - n)) for n, k in enumerate(at[: place + 1])) for place in range(10)]
    assert [tests[i].p_holm for i in at] == pytest.approx(by_hand) and len(tests) == 10


def test_a_network_that_is_fed_wrongly_or_guesses_is_told_nothing_else(score):
    one = measured(score, ("mine", 100, {}), *OTHERS)
    better = ["BGR: 60 of 64 are right instead of 9: --bgr"]
    for change, text in (
        ({"findings": better}, "Fed wrongly, as it seems: BGR"), ({"at_chance": True}, "At chance: 60 of 64")
    ):  # fmt: skip
        said = sentences(one, card={"tried": {**CARD["tried"], **change}})
        assert list(said) == ["input"] and said["input"].startswith(text)
        assert "its numbers are not those of the trained network" in said["input"].lower()
    guessing = measured(score, ("mine", 100, {"flags": ("trust: one answer ('cat') for nearly all images",)}))
    said = sentences(guessing, card={}, lacking=("c (run 'world-*')",))
    assert list(said) == ["input", "not measured"]
    assert said["input"].startswith("At chance in every suite, where its numbers mean nothing")
    both = sentences(guessing, replace(one, suite=plain_suite("noise", HEAD, headline=HEAD)), card={})
    assert both["input"].startswith("At chance in bias, where") and "noise" in both and "bias" not in both


def test_the_weakest_part_is_named_if_few_may_be_it(score):
    def parts(*rights):
        names = ("blur/1", "blur/5", "fog/1", "fog/5", "snow/1", "jpeg/1")
        return [score("mine", right, 400, metric="head", condition=name, role="")
                for name, right in zip(names, rights, strict=True)]  # fmt: skip

    for rights, text in (((300, 200, 100, 20, 300, 310), "Weakest: fog .15."), ((300, 290, 300, 295, 300, 310), "")):
        said = sentences(measured(score, ("mine", 200, {}), parts=parts(*rights)))["bias"]
        assert said == f"shape bias .50 [.45, .55].{text and f' {text}'}"


def test_the_nearest_neighbour_and_what_would_show_a_difference(score):
    bias, noise = (measured(score, ("mine", own, {}), ("near", 120, {}), ("far", far, {}), name=name)
                   for name, own, far in (("bias", 100, 320), ("noise", 300, 290)))  # fmt: skip
    assert verdict.nearest_names((bias,)) == ["near", "far"]
    rows = []
    for each in (bias, noise):
        theirs = next(row.cells["head"] for row in each.board.rows if row.observer == "near")
        rows.append(suite_row(each.suite.name, interval_test(cell_of(each.score), theirs, "head"), "head"))
    said = sentences(bias, noise, rival=Rival(name="near", tests=adjusted(rows), paired=True))["nearest"]
    assert said == "near: better in noise (+.450); no difference seen in bias (-.050; 1,300 images would show it)."


def test_what_is_missing_trust_and_twins(score):
    one = measured(score, ("mine", 100, {"flags": ("trust: masked", "few")}), *OTHERS)
    lacking = ("a, b (not run): `bench run --model mine --suite a,b`", "c (no gradient)")
    said = sentences(one, lacking=lacking, twins=["other"], card={})
    assert said["trust"] == "Doubtful: masked (bias)."
    assert said["not measured"] == "a, b (not run): `bench run --model mine --suite a,b`; c (no gradient)."
    assert said["twin"] == "other is the same network (weights, input and labels)."
    assert said["input"].startswith("Unchecked: ") and "--check FOLDER" in said["input"]
    assert sentences(one, builtin=True, card={})["input"] == "As its card states, which comes with the package."


def test_every_form(score):
    found = known(measured(score, ("mine", 100, {}), *OTHERS), observer="<b>mine")
    lines = str(found).splitlines()
    assert lines[0] == "<b>mine" and max(map(len, lines)) <= 80
    assert lines[1].startswith("input  Fed as") and lines[2].startswith("       ") and len(lines) <= 9
    record = json.loads(found.to("json"))
    (value, *tests) = record["sentences"][1]["evidence"]
    assert (value["value"], value["n"], value["against"]) == (0.25, 400, "")
    assert all(test["p"] is not None and test["test"] == UNPAIRED for test in tests) and len(tests) == 5
    assert "<b>" not in found.to("html").replace("&lt;b&gt;", "")
    assert found.to("markdown").startswith("### `<b>mine`\n\n- **input**: Fed as")


def test_reference_scores_are_of_the_suites_of_today():
    """A suite that raises its version makes the package's numbers again: benchmarks/reference.py."""
    versions = {suite.name: suite.version for suite in plugins.find_suites().suites.values()}
    heads = {(name, suite.headline.name) for name, suite in plugins.find_suites().suites.items()}
    rows = reference_rows()
    assert {(row.suite, row.version) for row in rows} == {*versions.items()}
    assert heads <= {(row.suite, row.metric) for row in rows}
    assert all(row.n > 0 and row.low is not None and row.low <= row.value <= row.high for row in rows)
    published = {row.observer for row in rows if row.kind == "published" and row.metric == "shape_bias"}
    assert len(published) > 60 and {"people (pooled)", "people (mean of 10)"} <= {row.observer for row in rows}


@pytest.mark.release
def test_a_world_network_stands_among_those_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    db = str(tmp_path / "results.db")
    api.run(db=db, models="world-standard-1", suites="adversarial")
    found = said_of(db)
    assert "standard .00 (" in found["adversarial"] and "below noise" in found["adversarial"]
    assert found["not measured"].endswith(f"human-comparison,saliency --db {db}`.")
    with open_store(db) as store:
        work, reason = ("world-standard-1", "saliency", "world16"), "RuntimeError: shape '[1, 2]' is invalid"
        store.put_outcome(store.begin_run("bench run", {"packages": {}}), None, work, "failed", reason)
    assert "saliency (its run failed): `bench run --model" in said_of(db)["not measured"]
    with pytest.raises(BenchError, match="has no scores here yet"):
        api.verdict(api.Selection(db), "world-standard-0")


def said_of(db):
    return {each.about: each.text for each in api.verdict(api.Selection(db), "world-standard-1").sentences}
