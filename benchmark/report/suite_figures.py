"""The figures that a suite declares (`SuiteFigure`), drawn for its boards. Nothing here knows a suite by its name."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from benchmark.contracts import Suite, SuiteFigure, distrust_flags
from benchmark.leaderboard.board_model import REPORTED, Board, Cell, Column, Row, cell_of, is_trusted
from benchmark.report import drawing
from benchmark.report.contents import (
    FEW,
    NATURAL,
    NETWORKS,
    ONE_PERSON,
    Contents,
    ImageAnswers,
    PeopleScore,
    about,
    featured,
    people_among,
)
from benchmark.report.drawing import PEOPLE, Figure, Records, Spec, chart, look
from benchmark.report.writing import slug
from benchmark.stats.agreement import attainable, pairwise
from benchmark.store import ScoreRow

PERSONS = ("human", "simulated")
#: Observers that one figure shows, and panels; captions say where there are more.
MOST, PANELS = 32, 6
IMPORTED = " Grey diamonds: another leaderboard's scores, no trials here, in no paired test."
VALUES = ("value", "low", "high", "n")
#: Of a matrix of agreement: networks and people in it, roles that have one (those that most answered).
MOST_NETWORKS, MOST_PEOPLE, ROLES = 14, 10, 4
_GROUP = {"network": 0, "published": 1, "human": 2, "group": 2, "simulated": 3, "ideal": 4, "reported": 5}


@dataclass(frozen=True)
class FigureBoard:
    """A board as figures see it."""

    contents: Contents
    board: Board

    @cached_property
    def networks(self) -> tuple[str, ...]:
        """Its networks with stored trials that do not guess, in order."""
        ranked = (row for row in self.board.rows if is_trusted(row.cells[self.board.by]))
        return tuple(row.observer for row in ranked if row.kind != REPORTED)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Single people; simulated ones without real ones."""
        kinds = [tuple(row.observer for row in self.board.references if row.kind == kind) for kind in PERSONS]
        return next(filter(None, kinds), ())

    @cached_property
    def hues(self) -> dict[str, int]:
        """Places of networks and people in the scale of colours."""
        return {name: i for name, i in self.contents.hues.items() if name in self.networks} | {PEOPLE: 0}

    def featured(self, names: Sequence[str], most: int) -> tuple[str, ...]:
        """At most `most` of these networks, evenly spaced; the reader's own and those of other figures come first."""
        usual = [name for name in names if self.hues[name] < FEW or name in self.contents.own]
        return featured(usual if len(usual) >= min(most, FEW) else names, most, self.contents.own)

    def rows(self, observer: str, metric: str, pattern: re.Pattern[str]) -> list[tuple[dict[str, str], ScoreRow]]:
        """Return the scores under conditions of that pattern with its groups, on this board's stimuli or the newest."""
        board, shown = self.board, set(self.board.digests.values())
        held = [
            (match.groupdict("1"), row)
            for row in self.contents.scores.get(observer, ())
            if (row.suite, row.space, row.metric) == (board.suite, board.space, metric)
            and row.value is not None
            and row.condition
            and (match := pattern.fullmatch(row.condition))
        ]
        usual = [pair for pair in held if pair[1].stimuli in shown] or held
        return list({(row.role, row.condition): (words, row) for words, row in usual}.values())

    def people_means(
        self, declared: SuiteFigure, held: Mapping[str, Sequence[tuple[dict[str, str], ScoreRow]]]
    ) -> tuple[PeopleScore | None, list[tuple[dict[str, str], Cell]]]:
        """Return people in the last condition, and (groups of a condition, mean) of each."""
        known = (each for suite in self.contents.suites if suite.name == self.board.suite for each in suite.metrics)
        bounds = next((each.bounds for each in known if each.name == declared.metrics[0]), (0.0, 1.0))
        conditions: dict[str, tuple[dict[str, str], list[tuple[str, str, Cell]]]] = {}
        for words, row in (pair for person in self.people for pair in held.get(person, ())):
            conditions.setdefault(row.condition, (words, []))[1].append((row.observer, row.kind, cell_of(row)))
        found = [(words, people_among(cells, bounds, pooled=False)) for words, cells in conditions.values()]
        return (found[-1][1] if found else None), [(words, who.cell) for words, who in found if who]

    def told(self, declared: SuiteFigure, people: PeopleScore | None, rows: Sequence[ScoreRow]) -> Iterator[str]:
        """Yield what a caption says of the drawn scores."""
        where = self.board.sets.get(rows[0].role, "") if rows else ""
        spread = about(map(cell_of, rows)) + " (in the CSV beside it)" * (declared.kind != "curve")
        yield f"{where}{'; ' if where else ''}{spread}."
        if people:
            yield f"{people.called.capitalize()}: {people.how}."
        if declared.line:
            yield f"Dashed: {declared.line[1]}."
        if flags := {flag for row in rows for flag in distrust_flags(row.flags)}:
            yield f"Flags of distrust: {'; '.join(sorted(flags))} (who has them: the board)."
        yield declared.source

    def lines(
        self, declared: SuiteFigure, records: Records, shown: Sequence[str], order: Sequence[Any], width: int
    ) -> Spec:
        """Return values against levels with a band for people, or rows of conditions with lines at overall values."""
        metric, is_curve = declared.metrics[0], declared.kind == "curve"
        inside = {record["observer"] for record in records}
        names = [name for name in (*shown, PEOPLE) if name in inside]
        across = width - (70 if is_curve else 110) - drawing.legend_room(names, width)
        height = min(300, int(0.55 * width))
        people = self.contents.people(self.board, metric)
        values = {row.observer: row.cells[metric].value for row in self.board.rows if metric in row.cells}
        values[PEOPLE] = people.cell.value if people else None
        overall = ((name, values.get(name)) for name in (*shown, PEOPLE))
        ends = [end for record in records for end in (record["value"], record["low"]) if end is not None]
        hue, form = look("observer", names, width, self.hues)
        return chart(
            declared.kind, records=records, width=across, height=height, colour=hue, shape=form,
            along=declared.along, order=order if is_curve or declared.order else "ascending",
            along_title=drawing.wrapped(declared.axes[0], across) if is_curve else declared.axes[0],
            value_title=drawing.wrapped(declared.axes[1], height if is_curve else across),
            ends=[min(0, drawing.round_ends([*ends, 1])[0]), 1],
            whole=[{"observer": name, "value": value} for name, value in overall if value is not None],
            guides=drawing.guides("y" if is_curve else "x", declared.line[0] if declared.line else None),
        )  # fmt: skip


def of_suite(contents: Contents, board: Board, suite: Suite) -> list[Figure]:
    """Return the figures that a suite declares, curves and maps last; without any its headline. Agreement and galleries
    are about answers and files, and not of a board."""
    scene, figures = FigureBoard(contents, board), list[Figure]()
    for declared in sorted(suite.figures, key=lambda declared: {"curve": 1, "matrix": 2}.get(declared.kind, 0)):
        if declared.kind == "dots":
            figures += metric_dots(scene, declared.name, declared.title, declared.metrics, declared.caption)
        elif declared.kind == "path":
            figures += _path(scene, declared)
        elif declared.kind in ("curve", "strip", "matrix"):
            figures += _by_condition(scene, declared)
    title = next(column.title for column in board.columns if column.metric == board.by)
    return figures or list(metric_dots(scene, f"headline-{slug(suite.name)}", title, (board.by,)))


Parts = dict[tuple[tuple[str, str], ...], dict[str, list[tuple[dict[str, str], ScoreRow]]]]


def _by_condition(scene: FigureBoard, declared: SuiteFigure) -> Iterator[Figure]:
    """Yield a figure for each value of the groups that are on no axis, with some networks and the mean of people."""
    is_curve, is_matrix = declared.kind == "curve", declared.kind == "matrix"
    most = FEW if not is_matrix else PANELS if declared.across else FEW + 1
    pattern, metric = re.compile(declared.conditions), declared.metrics[0]
    axes = [group for group in (declared.along, declared.across) if group]
    parts: Parts = {}
    for name in (*scene.networks, *(() if is_matrix else scene.people)):
        for words, row in scene.rows(name, metric, pattern):
            part = tuple((group, value) for group, value in words.items() if group not in axes)
            parts.setdefault(part, {}).setdefault(name, []).append((words, row))
    for part, every in parts.items():
        held, apart = {name: rows for name, rows in every.items() if len(rows) > is_curve}, dict(part)
        networks = [name for name in scene.networks if name in held]
        shown = scene.featured(networks, most)
        who, means = scene.people_means(declared, held)
        drawn = [(name, words, cell_of(row)) for name in shown for words, row in held[name]]
        records = [
            {"observer": name, **{group: words[group] for group in axes}, **dict(zip(VALUES, cell[:4], strict=True))}
            for name, words, cell in (*drawn, *((PEOPLE, *mean) for mean in means))
        ]
        if not records:
            continue
        order, draw = _order(records, declared), _matrix if is_matrix else scene.lines
        x_title, y_title = (title.format(**apart) for title in declared.axes)
        named = replace(declared, axes=(x_title, y_title))
        few = share_shown(len(networks), len(shown), "networks", "evenly spaced over the ranks").strip()
        rows = [row for name in shown for _, row in held[name]]
        yield Figure(
            name="-".join(map(slug, (declared.name, *list(apart.values())[:1], scene.board.space))),
            title=declared.title.format(**apart),
            caption=" ".join(filter(None, (declared.caption, few, *scene.told(declared, who, rows)))),
            drawn=partial(draw, named, records, shown, order),
            records=records,
            half=is_curve,
        )


def _order(records: list[dict[str, Any]], declared: SuiteFigure) -> list[Any]:
    for group in {declared.across, "" if declared.order else declared.along} - {""}:
        try:
            values = [float(record[group]) for record in records]
        except ValueError:
            continue
        for record, value in zip(records, values, strict=True):
            record[group] = int(value) if value.is_integer() else value
    present = dict.fromkeys(record[declared.along] for record in records)
    if not any(isinstance(value, str) for value in present):
        return sorted(present)
    place = {name: i for i, name in enumerate(declared.order)}
    return sorted(present, key=lambda name: place.get(name, len(place)))


def _matrix(declared: SuiteFigure, records: Records, shown: Sequence[str], order: Sequence[Any], width: int) -> Spec:
    across, (x_title, legend) = declared.across, declared.axes
    columns = sorted({record[across] for record in records}) if across else list(shown)
    room, count = width - 150, len(shown) if across else 1
    longest = max(map(len, drawing.short_names(shown).values()))
    least = max(17 * len(columns), int(drawing.LETTER * longest) if across else 0)  # a name fits above its panel
    side_by_side = max(1, min(count, room // (least + 16)))
    cell = min(140, (room // side_by_side - 16) // len(columns))
    return chart(
        "matrices" if across else "matrix", records=records, along=declared.along, order=order, across=across,
        columns=columns, x_title=x_title, legend=legend, cell=cell, beside=side_by_side, shown=list(shown),
        labels=drawing.short_label(shown), limit=cell * len(columns) + 16,
    )  # fmt: skip


def _path(scene: FigureBoard, declared: SuiteFigure) -> Iterator[Figure]:
    pattern, along = re.compile(declared.conditions), declared.along

    def points(name: str, metrics: Sequence[str], observer: str) -> list[dict[str, Any]]:
        x, y = ({row.condition: (at, row) for at, row in scene.rows(name, m, pattern)} for m in metrics)
        rows = [(int(x[at][0][along]), x[at][1], y[at][1]) for at in x if at in y]
        return [
            {"observer": observer, along: step, "x": a.value, "y": b.value, "low": b.low, "high": b.high, "n": b.n}
            for step, a, b in sorted(rows, key=lambda row: row[0])
        ]

    shown = scene.featured(scene.networks, FEW)
    records = [record for name in shown for record in points(name, declared.metrics[:2], name)]
    if not records:
        return
    outer = points(shown[0], declared.metrics[2:], "attainable")

    def spec(width: int) -> Spec:
        names = list(dict.fromkeys(r["observer"] for r in records))
        hue, form = look("observer", names, width, scene.hues)
        return chart(
            "path", records=records, outer=outer, width=width - 80 - drawing.legend_room(names, width), along=along,
            height=min(380, int(0.7 * width)), x_title=declared.axes[0], y_title=declared.axes[1],
            first=f"datum['{along}'] === 0", colour=hue, shape=form,
        )  # fmt: skip

    few = share_shown(len(scene.networks), len(shown), "networks", "evenly spaced over the ranks").strip()
    where = f"{'; '.join(dict.fromkeys(scene.board.sets.values()))}. Intervals are in the CSV."
    caption = (declared.caption, few, where, declared.source)
    yield Figure(
        name=f"{declared.name}-{slug(scene.board.space)}",
        title=declared.title,
        caption=" ".join(filter(None, caption)),
        drawn=spec,
        records=[*records, *outer],
    )


def metric_dots(
    scene: FigureBoard, name: str, title: str, metrics: Sequence[str], caption: str = ""
) -> Iterator[Figure]:
    """Yield some metrics of a board side by side, its networks and reference rows; nothing where it has none."""
    board = scene.board
    columns = [column for column in board.columns if column.metric in metrics]
    bands = {column.title: band for column in columns if (band := scene.contents.people(board, column.metric))}
    aside = [row for row in board.references if row.kind not in ("human", "group", "chance")]
    names = featured([row.observer for row in board.rows if is_trusted(row.cells[board.by])], MOST, scene.contents.own)
    rows = [*(row for row in board.rows if row.observer in names), *aside]
    records = row_records(rows, columns)
    if not records:
        return
    spread = "; ".join(f"{column.title}: {about(row.cells[column.metric] for row in rows)}" for column in columns)
    where = "; ".join(dict.fromkeys(board.sets.get(column.role, "") for column in columns))
    more = share_shown(len(board.rows), len(names), "networks", "evenly spaced over the ranks")
    imported = IMPORTED if any(row.kind == REPORTED for row in rows) else ""
    dashed = "; dashed: chance" if any(column.chance is not None for column in columns) else ""
    drawn = f"Dot: value; bar: interval{dashed}{'; line and band: people' if bands else ''}."
    panels = [(column.title, column.chance) for column in columns]
    order = [row.observer for row in rows]
    yield Figure(
        name=f"{name}-{slug(board.space)}",
        title=title,
        caption=" ".join(filter(None, (caption, drawn, f"{where}. {spread}.{more}{imported}"))),
        drawn=lambda width: drawing.dot_panels(records, order, panels, bands, width),
        records=records,
    )


def agreement_figures(
    declared: SuiteFigure, answers: Sequence[ImageAnswers], own: Collection[str] = ()
) -> Iterator[Figure]:
    """Yield one figure for each role that three or more observers answered; people's agreement is the ceiling."""
    for role in [part for part in answers if part.role != NATURAL][:ROLES]:
        networks, everybody = role.whole(NETWORKS), role.whole(ONE_PERSON)
        people = everybody[:MOST_PEOPLE]
        shown = [*featured(networks, MOST_NETWORKS, own), *people]
        members = [role.observers.index(name) for name in shown]
        inside = role.shown[members].all(axis=0)
        n = int(inside.sum())
        if len(shown) < 3 or n < 2:
            continue
        right = role.right[members][:, inside].T
        tables, accuracy = pairwise(right), right.mean(axis=0)
        least, most = attainable(accuracy[:, None], accuracy)
        records: list[dict[str, Any]] = [
            {"a": a, "b": b, "kappa": float(tables.kappa[i, j]), "observed": float(tables.observed[i, j]),
             "expected": float(tables.expected[i, j]), "attainable_low": float(least[i, j]),
             "attainable_high": float(most[i, j]), "n": n}
            for i, a in enumerate(shown)
            for j, b in enumerate(shown)
            if i != j and np.isfinite(tables.kappa[i, j])
        ]  # fmt: skip
        if not records:
            continue
        few = share_shown(len(networks), len(shown) - len(people), "networks", "evenly spaced by name")
        yield Figure(
            name=f"{declared.name}-{slug(role.key)}",
            title=declared.title.format(role=role.role, space=role.space),
            caption=f"Cohen's kappa of right and wrong answers, on the {n} images that all of them answered; networks "
            f"first, then people.{few}{share_shown(len(everybody), len(people), 'people')} 0: as if errors fell "
            "independently. No intervals are drawn (`bench compare consistency`); the CSV has the kappas that the two "
            "accuracies allow.",
            drawn=partial(_agreement, records, shown),
            records=[record for record in records if shown.index(record["a"]) < shown.index(record["b"])],
            half=True,
        )


def _agreement(records: Records, shown: Sequence[str], width: int) -> Spec:
    left = min(200, width // 3)
    step = max(8, (width - left - 30) // len(shown))
    return chart(
        "agreement", records=records, shown=list(shown), left=left, cell=step, size=min(11, step), legend="kappa",
        labels=drawing.short_label(shown),
    )  # fmt: skip


def row_records(rows: Sequence[Row], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the numbers of rows as marks, one for each of these columns in which a row has a value."""
    return [
        {"observer": row.observer, "group": drawing.GROUPS[_GROUP.get(row.kind, 6)], "metric": column.title}
        | dict(zip(VALUES, cell[:4], strict=True))
        for row in rows
        for column in columns
        if (cell := row.cells[column.metric]).value is not None
    ]


def share_shown(total: int, shown: int, what: str, how: str = "") -> str:
    """Return " The first 60 of 200 networks." where not all are shown; " 60 of 200 networks, `how`." """
    if shown >= total:
        return ""
    return f" {shown} of {total} {what}, {how}." if how else f" The first {shown} of {total} {what}."
