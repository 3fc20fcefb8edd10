"""Curves over a training run: what is a point of which, and how they are drawn as text."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from plain_suites import plain_board

from benchmark.leaderboard.board_model import Cell, Column, Row
from benchmark.leaderboard.table import records
from benchmark.leaderboard.training_curves import checkpoint_table, curves_of_runs, sparkline
from benchmark.report.figures import over_training


def card(run, step, unit="epoch"):
    return {"checkpoint": {"run": run, "step": step, "unit": unit}}


def observers(cards, **identities):
    """Networks by name; identities: of those that are not one of their own."""
    return {n: SimpleNamespace(card=c, identity=identities.get(n, n)) for n, c in cards.items()}


def board(suite, rows, title, direction="higher", *, stimuli="set one", clean=False):
    """A board of one suite. rows: observer -> the value of its headline."""
    columns = [Column(metric="m", title=title, direction=direction)]
    columns += [Column(metric="c", title="clean", direction="higher", clean=True)] if clean else []
    made = []
    for name, v in rows.items():
        cell = Cell(reason="nothing") if v is None else Cell(v, v - 0.1, v + 0.1, n=9)
        cells = {"m": cell, "c": Cell(0.5, 0.4, 0.6, n=9)}
        made.append(Row(observer=name, kind="network", cells=cells))
    return plain_board(made, columns, suite=suite, space="world16", sets={"": stimuli})


CARDS = {"a-10": card("a", 10), "a-9": card("a", 9), "a-1": card("a", 1), "b-1": card("b", 1),
         "other": {}, "odd": {"checkpoint": "x"}}  # fmt: skip
RISES = {"a-10": 0.3, "other": 0.9, "a-1": 0.1, "b-1": 0.4, "a-9": 0.2, "odd": 0.5}
FALLS = {"a-10": 0.2, "other": 0.9, "a-1": None, "b-1": 0.4, "a-9": 0.1, "odd": 0.5}
BOARDS = [board("up", RISES, "rises", clean=True), board("down", FALLS, "falls", "lower")]


def test_a_curve_holds_its_runs_checkpoints_by_step():
    found = curves_of_runs(BOARDS, observers(CARDS))
    titles = ("up: rises", "down: falls", "clean accuracy")
    assert [(one.run, one.title) for one in found] == [(run, title) for run in "ab" for title in titles]
    rises, falls, _ = found[:3]
    assert [(p.step, p.cell.value) for p in rises.points] == [(1, 0.1), (9, 0.2), (10, 0.3)]
    assert [(p.step, p.cell.value) for p in falls.points] == [(9, 0.1), (10, 0.2)]
    assert (rises.best.step, falls.best.step) == (10, 9)
    *others, last = rises.points
    guess = replace(last, cell=last.cell._replace(flags=("trust: answers at chance",)))
    assert replace(rises, points=(*others, guess)).best.step == 9
    (row, *_) = records(checkpoint_table([falls]))
    assert [row[name] for name in ("unit", "step", "observer", "low", "n")] == ["epoch", 9, "a-9", 0.0, 9]


def test_a_run_is_drawn_on_what_its_own_checkpoints_were_shown():
    large = board("up", {"other": 0.9, "odd": 0.5, "b-1": 0.4}, "rises", stimuli="480 images")
    small = board("up", {"a-1": 0.1, "a-9": 0.2}, "rises", stimuli="16 images")
    found = curves_of_runs([large, small], observers(CARDS))
    shown = [(one.run, one.column.stimuli, len(one.points)) for one in found]
    assert shown == [("a", "16 images", 2), ("b", "480 images", 1)]
    more = board("up", {"a-1": 0.1, "a-9": 0.2, "a-10": 0.3}, "rises", stimuli="32 images")
    found = curves_of_runs([small, more, board("down", {"a-1": 1}, "falls")], observers(CARDS))
    assert [(one.suite, one.column.stimuli) for one in found] == [("up", "32 images"), ("down", "set one")]


@pytest.mark.parametrize(
    ("values", "drawn"), [([0.0, 0.5, 1.0], "▁▅█"), ([0.3, 0.3], "▁▁"), ([1.0], "▁"), ([3, 2, 1, 0], "█▆▃▁")]
)
def test_a_line_rises_from_the_lowest_to_the_highest(values, drawn):
    assert sparkline(values) == drawn


def test_a_network_of_two_names_is_one_point():
    cards = {"one": card("run", 1), "two": card("run", 1), "late": card("run", 2)}
    rises = board("up", {"two": 0.3, "one": 0.3, "late": 0.4}, "rises")
    falls = board("down", {"two": 0.2, "one": None, "late": 0.4}, "falls", "lower")
    found = curves_of_runs([rises, falls], observers(cards, one="same", two="same"))
    for curve, value in zip(found, (0.3, 0.2), strict=True):
        points = [(p.step, p.observer, p.cell.value) for p in curve.points]
        assert points == [(1, "one", value), (2, "late", 0.4)]


def test_runs_share_a_panel_where_they_share_stimuli_and_count_alike():
    boards = [
        board("up", {"a-1": 0.1, "a-2": 0.2, "c-1": 0.3}, "rises", stimuli="480 images"),
        board("up", {"b-500": 0.3, "d-4": 0.4}, "rises", stimuli="16 images"),
    ]
    cards = {"a-1": card("a", 1), "a-2": card("a", 2), "c-1": card("c", 1),
             "b-500": card("b", 500, "step"), "d-4": card("d", 4)}  # fmt: skip
    figure = over_training(curves_of_runs(boards, observers(cards)), "world16")
    panels = [[value["run"] for value in one["data"]["values"]] for one in figure.drawn(1200)["concat"]]
    assert panels == [["a", "a", "c"], ["b"], ["d"]]
    x = [one["layer"][-1]["encoding"]["x"] for one in figure.drawn(1200)["concat"]]
    assert [one["scale"]["domain"] for one in x] == [[1, 4], [500, 500], [1, 4]]
    titles = [one["title"]["subtitle"] for one in figure.drawn(1200)["concat"]]
    assert titles == ["480 images", "16 images", "16 images"]
    assert "up: rises: 480 images; up: rises: 16 images" in figure.caption
