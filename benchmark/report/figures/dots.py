"""Values with intervals in rows: one row for each observer, a panel for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.leaderboard.model import Board, Column, Row
from benchmark.report.captions import about
from benchmark.report.figures.chosen import Scene
from benchmark.report.figures.figure import MOST, ONCE, QUIET, Figure, Spec, axis, palette
from benchmark.report.writing import slug

GROUPS = (
    "network",
    "published network",
    "people",
    "simulated person",
    "ideal observer",
    "reported score",
    "reference",
)
REPORTED = GROUPS[5]
IMPORTED = " Grey diamonds: another leaderboard's scores, no trials here, in no paired test."
NAMES = ("observer", "group", "metric", "value", "low", "high", "n")
_GROUP = {
    "network": 0,
    "published": 1,
    "human": 2,
    "group": 2,
    "simulated": 3,
    "ideal": 4,
    "reported": 5,
}


def group_of(kind: str) -> str:
    """What an observer's mark says that it is."""
    return GROUPS[_GROUP.get(kind, 6)]


def metric_dots(
    name: str, title: str, board: Board, metrics: Sequence[str], caption: str = ""
) -> Figure | None:
    """Some metrics of a board side by side, its networks and reference rows; None where it has none of them."""
    columns = [column for column in board.columns if column.metric in metrics]
    if not columns:
        return None
    aside = [row for row in board.references if row.kind not in ("human", "chance")]
    rows = [*board.rows[:MOST], *aside]
    records = [one for row in rows for one in records_of(row, columns)]
    if not records:
        return None
    said = "; ".join(
        f"{column.title}: {about(row.cells[column.metric] for row in rows)}" for column in columns
    )
    more = "" if len(board.rows) <= MOST else f" The first {MOST} of {len(board.rows)} networks."
    where = "; ".join(dict.fromkeys(board.sets.get(column.role, "") for column in columns))
    spec = dots(records, [row.observer for row in rows], [(c.title, c.chance) for c in columns])
    if any(row.kind == "reported" for row in rows):
        more += IMPORTED
    full = f"{caption}{' ' if caption else ''}{legend(columns)} {where}. {said}.{more}"
    return Figure(f"{name}-{slug(board.space)}", title, full, spec, records, NAMES)


def legend(columns: Sequence[Column]) -> str:
    """What the marks are."""
    dashed = "; dashed: chance" if any(column.chance is not None for column in columns) else ""
    return f"Dot: value; bar: interval{dashed}."


def headline(scene: Scene) -> Iterator[Figure]:
    """The headline of any suite."""
    board = scene.board
    title = next(column.title for column in board.columns if column.metric == board.by)
    made = metric_dots(f"headline-{slug(board.suite)}", title, board, (board.by,))
    if made is not None:
        yield made


def records_of(row: Row, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """A row's numbers as marks, one for each of these columns in which it has a value."""
    return [
        {
            "observer": row.observer,
            "group": group_of(row.kind),
            "metric": column.title,
            "value": cell.value,
            "low": cell.low,
            "high": cell.high,
            "n": cell.n,
        }
        for column in columns
        if (cell := row.cells[column.metric]).value is not None
    ]


def dots(
    records: list[dict[str, Any]], order: list[str], panels: Sequence[tuple[str, float | None]]
) -> Spec:
    """One panel for each metric (title, chance); observers in the given order, their names at the first."""
    groups = [name for name in GROUPS if any(one["group"] == name for one in records)]
    names = [name for name in order if any(one["observer"] == name for one in records)]
    made = [
        _panel(
            [one for one in records if one["metric"] == title],
            names,
            groups,
            title,
            chance,
            first=not at,
        )
        for at, (title, chance) in enumerate(panels)
    ]
    return {"hconcat": made, "spacing": 14, "resolve": {"scale": {"y": "shared"}}}


def _looks(groups: list[str]) -> tuple[Spec, Spec]:
    """Colours and shapes of the groups; what others report is a grey diamond wherever it stands."""
    colour, shape = palette(groups)
    if REPORTED in groups:
        at = groups.index(REPORTED)
        colour["range"][at], shape["range"][at] = QUIET, "diamond"
    return colour, shape


def _panel(
    records: list[dict[str, Any]],
    names: list[str],
    groups: list[str],
    title: str,
    chance: float | None,
    *,
    first: bool,
) -> Spec:
    colour, shape = _looks(groups)
    look = (
        axis("", labelLimit=260, grid=True)
        if first
        else axis("", labels=False, ticks=False, grid=True)
    )
    y = {"field": "observer", "type": "nominal", "scale": {"domain": names}, "axis": look}
    x = {
        "field": "value",
        "type": "quantitative",
        "axis": axis(title, tickCount=3),
        "scale": {"zero": True},
    }
    legend = {"title": None, "orient": "bottom"} if len(groups) > 1 else None
    hue = {"field": "group", "type": "nominal", "scale": colour, "legend": legend}
    form = {"field": "group", "type": "nominal", "scale": shape, "legend": legend}
    rule = {"type": "rule", "strokeDash": [3, 3], "color": QUIET}
    return {
        "data": {"values": records},
        "width": 140,
        "height": {"step": 15},
        "layer": [
            *(
                []
                if chance is None
                else [{"data": ONCE, "mark": rule, "encoding": {"x": {"datum": chance}}}]
            ),
            {
                "mark": {"type": "rule", "strokeWidth": 2, "strokeOpacity": 0.5},
                "encoding": {
                    "y": y,
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "color": hue,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 34, "opacity": 1},
                "encoding": {"y": y, "x": x, "color": hue, "shape": form},
            },
        ],
    }
