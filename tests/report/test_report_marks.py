"""Numbers as marks in cells, captions, and the choice of what a figure shows."""

import pytest

from benchmark.leaderboard.model import Cell
from benchmark.leaderboard.table import Footnotes
from benchmark.report.board_pages import EDGE, WIDTH, PageRow, PageTable, axis_of, mark, without_common
from benchmark.report.contents import about
from benchmark.report.drawing import palette
from benchmark.report.suite_figures import featured
from benchmark.report.writing import short


@pytest.mark.parametrize(
    ("values", "bounds", "expected"),
    [
        ([0.2, 0.9], None, (0.0, 1.0)),
        ([0.05, 0.31], None, (0.0, 0.4)),
        ([-0.13, 0.2], None, (-0.2, 0.2)),
        ([62.0, 88.0], None, (0.0, 90.0)),
        ([0.0], None, (0.0, 1.0)),
        ([], None, (0.0, 1.0)),
        ([0.2], (-1.0, 1.0), (-1.0, 1.0)),
    ],
)
def test_axes_have_round_ends(values, bounds, expected):
    axis = axis_of([Cell(value) for value in values], bounds)
    assert (axis.low, axis.high) == pytest.approx(expected)


def test_a_mark_lies_where_its_number_is():
    cells, notes = [Cell(0.5, 0.25, 1.0, 10), Cell(None, reason="no masks")], Footnotes()
    axis = axis_of(cells, (0.0, 1.0), 0.5)
    drawn = [mark(cell, axis, notes) for cell in cells]
    assert float(drawn[0].dot) == EDGE + WIDTH / 2 and float(axis.chance_at) == float(drawn[0].dot)
    assert float(drawn[0].start) == EDGE + WIDTH / 4 and float(drawn[0].end) == EDGE + WIDTH
    assert drawn[0].interval == "[.250, 1.000]"
    assert drawn[1].text == "" and drawn[1].dot == "" and drawn[1].notes == " *1"


def test_without_an_axis_there_are_numbers_alone():
    drawn = mark(Cell(0.5, 0.4, 0.6, 10), None, Footnotes())
    assert (drawn.text, drawn.dot, drawn.start) == (".500", "", "")


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, ".500"), (-0.25, "-.250"), (1.0, "1.000"), (10.06, "10.1"), (None, "-")]
)
def test_numbers_are_short(value, text):
    assert short(value) == text


def test_captions_say_n_and_interval(score):
    cells = [Cell(0.5, 0.4, 0.6, n, source=score(method="wilson, clustered (3 shapes)")) for n in (80, 80, 40)]
    assert about(cells) == "n 80 (40 to 80); 95 % interval: wilson, clustered"
    assert about([Cell(0.5)]) == ""


def test_few_are_chosen_evenly():
    assert featured("abc") == ("a", "b", "c")
    assert featured([str(i) for i in range(13)], 7) == ("0", "2", "4", "6", "8", "10", "12")


def test_colours_and_shapes_tell_more_than_eight_apart():
    colour, shape = palette([str(i) for i in range(24)])
    assert len(set(zip(colour["range"], shape["range"], strict=True))) == 24


def test_what_holds_for_every_row_is_said_once():
    source = object()
    cells = [
        Cell(0.5, flags=("few", "seen"), source=source),
        Cell(0.4, flags=("few",), source=source),
        Cell(reason="no"),
    ]
    common, rest = without_common(cells)
    assert common == ("few",) and [cell.flags for cell in rest] == [("seen",), (), ()]
    assert without_common(cells[:1])[0] == ()


def test_a_table_asks_its_rows_once_whether_sizes_are_known():
    """Its page asks in every row: 10,000 rows would be gone through 10,000 times."""

    class Rows(list):
        passes = 0

        def __iter__(self):
            Rows.passes += 1
            return super().__iter__()

    unsized = PageRow("net", "", "network", "network", "", None, "", "", "", [])
    table = PageTable("geirhos16", "geirhos16", [], Rows([unsized] * 3), [], "")
    assert [table.sized for _ in table.rows] == [False] * 3 and Rows.passes == 2
