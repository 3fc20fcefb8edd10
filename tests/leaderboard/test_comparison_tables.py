"""A comparison as people see it: headlines first, who is better, what is not said twice."""

import math
from dataclasses import replace

import pytest
from plain_suites import paired, suite_row, text

from benchmark.leaderboard import comparison
from benchmark.leaderboard.comparison import PowerRow, comparison_tables, each_tables, power_table
from benchmark.leaderboard.table import number
from benchmark.stats import Comparison
from benchmark.stats.comparisons import compared, compared_to_each, undecided
from benchmark.stats.differences import detectable, power_of


def row(suite, name, b, c, direction="higher", headline=False, data=""):
    return paired(suite, name, b, c, 320, direction, headline, data or f"{suite}{name}", only_a=2)


@pytest.fixture
def found():
    none = undecided(Comparison(metric="mce"), "no trial in common")
    rows = [row("cue", "bias", 60, 12, headline=True), row("cue", "edges", 12, 60)]
    rows += [row("cue", "error", 12, 60, "lower"), row("noise", "corrupted", 20, 22, headline=True)]
    rows += [row("noise", "shift", 60, 12, "none", data="other"), suite_row("noise", none, "mCE", headline=False)]
    rows += [row("human", "edges too", 60, 12, data="cueedges")]
    return compared("AlexNet", "net", rows, ["cue: A was run on cpu fp32, seed 0, B on cpu bf16, seed 0"])


def test_headlines_come_first_and_say_who_is_better(found):
    lines = [" ".join(line.split()) for line in text(comparison_tables(found)).splitlines()]
    assert lines[0] == "A: AlexNet B: net"
    heads = lines[lines.index("A: AlexNet B: net") : lines.index("cue, other metrics")]
    assert [line for line in heads if line.startswith(("cue", "noise"))] == [
        "cue bias 0.1500 [0.095, 0.209] 320 A <0.0001 0.5000 0.3500 60 / 12",
        "noise corrupted -0.0063 [-0.047, 0.035] 320 inconclusive (±0.041) 0.7576 0.5000 0.5062 20 / 22",
    ]
    for name, better in (("edges", "B"), ("error", "A"), ("shift", "A is higher")):
        assert any(line.startswith(f"{name} ") and f" 320 {better} " in line for line in lines)


def test_what_holds_for_all_rows_stands_below_once(found):
    shown = text(comparison_tables(found))
    assert "smallest detectable" not in shown
    for line in (
        "2 headlines and 4 other metrics",
        "procedure tests its row (95 to 98.33 %)",
        "Method: McNemar (5)",
        "Not tested twice: edges too (human) is edges (cue).",
        "Not compared, no trial in common: mCE (noise)",
        "Not run alike: cue: A was run on cpu fp32, seed 0, B on cpu bf16, seed 0",
    ):
        assert shown.count(line) == 1, line


def test_rows_of_paired_tests_and_of_power(monkeypatch):
    halved = row("cue", "bias", 60, 12)
    halved = replace(halved, comparison=replace(halved.comparison, low=None, reason="no spread"))
    (shown,) = comparison.test_table("t", "c", [("B", halved)]).rows
    assert (shown[4].value, shown[4].n, shown[4].reason, shown[5]) == (0.15, 320, "no spread", 320)
    test = row("cue", "bias", 60, 12).comparison
    few = [replace(test, n=n) for n in (1, 2)]
    none = undecided(Comparison(metric="m", n=3), "no trial in common")
    about = {"suite": "cue", "title": "bias", "who": "a and b", "detect": 0.05, "power": 0.8}
    rows = [PowerRow(comparison=one, **about) for one in (test, *few, none)]
    table = power_table(rows)
    smallest, chance = number(detectable(test.test, 0.8)), number(power_of(test.test, 0.05), 2)
    wanted = f"{math.ceil(rows[0].images):,}"
    assert table.rows[0] == ("cue", "bias", "a and b", 320, smallest, chance, wanted, "")
    others = [(None, "", ""), (2, smallest, chance), (3, "no trial in common", None)]
    assert [one[3:6] for one in table.rows[1:]] == others
    assert table.caption == "a and b, to see a difference of 0.05"
    apart = power_table([rows[0], replace(rows[0], who="c and d")])
    assert (apart.caption, apart.fields[2].title) == ("to see a difference of 0.05", "of")
    assert len(table.notes) == 2
    monkeypatch.setattr(comparison, "needed", lambda *_, of="": 3.14159)
    told = power_table(rows[:1])
    assert told.rows[0][-1] == "3.14" and told.notes[-1].startswith("people, times: how many times")


def test_a_metric_of_one_name_is_tested_where_it_has_most_trials():
    small, large = row("one", "clean", 9, 4), row("two", "clean", 30, 12)
    large = replace(large, comparison=Comparison(metric="clean", difference=0.1, n=999, p=0.01, data="x"))
    found = compared("a", "b", [small, large])
    assert [r.suite for r in found] == ["two"]
    assert [(x.suite, y.suite) for x, y in found.left_out] == [("one", "two")]
    # Another protocol is another hypothesis.
    assert len(compared("a", "b", [replace(small, suite="one:strong"), large])) == 2


def test_one_against_each_of_several_is_one_family_highest_first():
    near, far = row("cue", "bias", 20, 12, headline=True), row("cue", "bias", 60, 12, headline=True)
    far = replace(far, comparison=replace(far.comparison, b=0.3))
    none = replace(near, comparison=undecided(Comparison(metric="bias"), "no trial in common"))
    others = {"far": [far, row("cue", "edges", 60, 12)], "near": [near], "lost": [none], "stranger": []}
    noted = ["cue: not run alike"]
    found = compared_to_each("net", [compared("net", name, rows, noted) for name, rows in others.items()])
    (first, one), (second, other), _ = found.rows
    assert (first, second) == ("far", "near")
    assert one.comparison.p_holm == pytest.approx(2 * far.comparison.p)  # of two that are tested
    assert other.comparison.p_holm == pytest.approx(near.comparison.p)
    shown = text(each_tables(found))
    starts = [line.split()[0] for line in shown.splitlines() if line.split()[:1] in (["near"], ["far"])]
    assert starts == ["near", "far"]
    for line in (
        "cue: bias",
        "A: net",
        "B from 0.3000 (far) to 0.4750 (near); 1 of 2 differ from A.",
        "Not compared, no trial in common: lost",
        "Nothing in common with: stranger.",
        "Not run alike: cue: not run alike",
    ):
        assert line in shown
    assert "edges" not in shown
