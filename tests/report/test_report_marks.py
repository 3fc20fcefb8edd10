"""Numbers as marks in cells, captions, and the choice of what a figure shows."""

import numpy as np
import pytest

from benchmark.leaderboard.board_model import Cell, Column, Rank, Row
from benchmark.leaderboard.summary import Summary
from benchmark.leaderboard.table import short_interval, short_number
from benchmark.report.board_pages import axis_of, page_column, places
from benchmark.report.contents import PeopleScore, featured, people_among
from benchmark.report.drawing import free_places, legend_room, round_ends, short_names
from benchmark.report.strips import Dot, Scale, Strip
from benchmark.report.writing import address, templates


def column(**more):
    return Column(metric="m", title="metric", direction="higher", **more)


def test_a_mark_lies_where_its_number_is():
    axis = axis_of([], column(bounds=(0.0, 1.0), chance=0.5), (0.5, 1.0))
    cell = templates().get_template("parts.html").module.cell
    drawn = cell(Cell(value=0.5, low=0.25, high=1.0, n=10), axis)
    assert '<circle cx="52"/>' in drawn and 'd="M52 0v10"' in drawn
    assert '<path d="M28 5H100"/>' in drawn and "<i>[.250, 1.000]</i>" in drawn and 'd="M51 5H101"' in drawn
    assert cell(Cell(None, reason="no masks"), axis) == "<td>"
    # without an axis there are numbers alone
    assert cell(Cell(value=0.5, low=0.4, high=0.6, n=10), None) == "<td>.500<i>[.400, .600]</i>"


def test_people_are_a_group_or_the_mean_of_single_ones_or_simulated():
    single = [("a", "human", Cell(0.8)), ("b", "human", Cell(0.9)), ("r", "simulated", Cell(0.1))]
    group = ("people (among themselves)", "group", Cell(0.33, 0.25, 0.4))
    assert people_among([*single, group], None, pooled=True) == PeopleScore("people", "among themselves", group[2])
    mean = people_among(single, None, pooled=True)
    assert (mean.called, mean.cell.value, mean.cell.low, mean.cell.high) == ("people", pytest.approx(0.85), 0.8, 0.9)
    spread = people_among(single, None, pooled=False).cell
    # t of one degree of freedom, 12.706, times .05
    assert (spread.low, spread.high) == (pytest.approx(0.85 - 0.6353, abs=1e-4), pytest.approx(0.85 + 0.6353, abs=1e-4))
    assert people_among(single[2:], None, pooled=False).called == "simulated people"
    assert people_among([("x", "ideal", Cell(1.0))], None, pooled=False) is None


def test_a_strip_names_the_first_of_those_with_a_rank_and_nobody_where_the_headline_ranks_nobody():
    def drawn(*ranks):
        cells = [Cell(0.5, rank=Rank(*(3 * [rank]))) for rank in ranks]
        dots = [Dot(line=Row(f"net-{i}", "network", {}), cell=cell, at=0.5, span=(0.5, 0.5), own=False, label="")
                for i, cell in enumerate(cells)]  # fmt: skip
        strip = Strip(head=column(suite="s"), page="", sentence="", people=None, band=None, chance=None,
                      scale=Scale(0.0, 1.0), goal="", dots=tuple(dots))  # fmt: skip
        return templates().get_template("parts.html").module.strip(strip, "")

    assert "First: net-2 .500, rank 1." in drawn(2.0, None, 1.0) and "First" not in drawn(None, None)


def test_papers_lead_to_the_web_and_numbers_are_short():
    assert address("Geirhos et al., 2019, arXiv:1811.12231") == "https://arxiv.org/abs/1811.12231"
    assert address("https://openreview.net/forum?id=x") == "https://openreview.net/forum?id=x"
    assert address("doi 10.1073/pnas.1403112111") == "https://doi.org/10.1073/pnas.1403112111"
    assert address("javascript:alert(1)") == address("") == ""
    values = (0.5, -0.25, 1.0, 10.06, None, -0.0004)
    assert [short_number(value) for value in values] == [".500", "-.250", "1.000", "10.1", "-", ".000"]
    assert short_number(-0.004, 2) == ".00" and short_interval(0.4, -0.004, 0.52, 2) == ".40 [.00, .52]"


def test_remarks_are_said_once_for_a_column_and_places_are_what_the_rank_intervals_leave_open():
    ranks = {"a": (1.0, 1.0, 2.0), "b": (2.0, 1.0, 2.0), "c": (9.0, 9.0, 9.0), "d": (None, None, None)}
    lines = tuple(Row(name, "network", {}, (), "", *rank) for name, rank in ranks.items())
    summary = Summary(space="world16", headlines=(), lines=lines, references=())
    assert places(summary) == {"a": "1\N{EN DASH}2", "b": "1\N{EN DASH}2", "c": "3"}
    source = object()
    flags = (("few", "seen"), ("few",))
    cells = [*(Cell(0.5, flags=each, source=source) for each in flags), Cell(reason="no masks")]
    shown = page_column(column(), dict(zip("abc", cells, strict=True)), None)
    assert "every row: few" in shown["about"] and shown["remarks"] == ["a: seen", "c: no masks"]
    assert [noted for _, noted, _ in shown["marks"]] == [True, False, True]


@pytest.mark.parametrize("count", [3, 67])
def test_labels_stay_inside_and_cover_no_point_and_no_other_label(count):
    rng, size = np.random.default_rng(count), (300, 285)
    points = [(float(x) * size[0], float(y) * size[1]) for x, y in rng.beta(0.7, 0.7, (count, 2))]
    texts = {i: f"network-{i}" * (1 + i % 2) for i in range(count)}
    found = free_places(points, texts, size)
    boxes = [(left, middle - 6, left + 6.4 * len(texts[i]), middle + 6) for i, (left, middle) in found.items()]
    assert len(found) == count if count == 3 else len(found) >= 10
    assert all(min(a, b) >= 0 and c <= size[0] and d <= size[1] for a, b, c, d in boxes)
    assert not any(a < x < c and b < y < d for a, b, c, d in boxes for x, y in points)
    apart = [one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]
             for i, one in enumerate(boxes) for two in boxes[:i]]  # fmt: skip
    assert all(apart)


def test_few_are_chosen_evenly_and_a_legend_is_beside_a_drawing_where_its_names_have_room():
    assert featured("abc") == ("a", "b", "c")
    assert featured([str(i) for i in range(13)], 7) == ("0", "2", "4", "6", "8", "10", "12")
    names = [str(i) for i in range(30)]
    assert {"4", "5"} <= set(featured(names, 7, {"4", "5"})) and len(featured(names, 7, {"4", "5"})) == 7
    assert len(featured(names, 7, set(names))) == 12
    names = ("resnet50 (lab)", "vit (lab)", "resnet18 (a)", "resnet18 (b)")
    assert [*short_names(names).values()] == ["resnet50", "vit", "resnet18 (a)", "resnet18 (b)"]
    assert legend_room(names[:2], 380) == 34 + int(6.4 * 8) and legend_room(["x" * 30], 380) == 0
    ends = {(0.03, 0.81): (0.0, 1.0), (-0.12, 0.4): (-0.2, 0.4), (0.0, 0.0): (0.0, 0.2), (0.5,): (0.5, 0.6)}
    assert [round_ends(values) for values in ends] == [pytest.approx(each) for each in ends.values()]
