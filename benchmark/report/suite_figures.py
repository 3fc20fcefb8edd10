"""The figures that a suite declares (`SuiteFigure`), drawn for its boards. Nothing here knows a suite by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from benchmark.contracts import Suite, SuiteFigure, distrust_flags
from benchmark.leaderboard.model import REPORTED, Board, Column, Row, cell_of
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
from benchmark.report.drawing import GROUPS, PEOPLE, Band, Figure, Records, Spec, axis
from benchmark.report.writing import slug
from benchmark.stats.agreement import attainable, pairwise
from benchmark.store import ScoreRow

PERSONS = ("human", "simulated")
#: Observers that one figure shows, and panels; captions say where there are more.
MOST, PANELS = 32, 6
IMPORTED = " Grey diamonds: another leaderboard's scores, no trials here, in no paired test."
ATTAINABLE = "attainable"
VALUES = ("value", "low", "high", "n")
#: Of a matrix of agreement: networks and people in it, roles that have one (those that most answered).
MOST_NETWORKS, MOST_PEOPLE, ROLES = 14, 10, 4
_GROUP = {"network": 0, "published": 1, "human": 2, "group": 2, "simulated": 3, "ideal": 4, "reported": 5}


def of_suite(contents: Contents, board: Board, suite: Suite) -> Iterator[Figure]:
    """The figures that a suite declares, as far as the board has scores for them, maps last; without any its headline.
    Several curves come as the panels of one figure, too."""
    scene = FigureBoard(contents, board)
    figures = [
        (declared.kind, figure)
        for declared in suite.figures
        if declared.kind in DRAWERS
        for figure in DRAWERS[declared.kind](scene, declared)
    ]
    curves = [figure for kind, figure in figures if kind == "curve"]
    yield from (figure for kind, figure in figures if kind not in ("curve", "matrix"))
    if len(curves) > 1:
        yield _together(scene, suite, curves)
    yield from curves
    yield from (figure for kind, figure in figures if kind == "matrix")
    if not figures:
        title = next(column.title for column in board.columns if column.metric == board.by)
        yield from dots(scene, f"headline-{slug(suite.name)}", title, (board.by,))


def _together(scene: FigureBoard, suite: Suite, figures: Sequence[Figure]) -> Figure:
    """Curves as panels with one legend and one caption, without repeated sentences."""
    titles = [figure.title.partition(": ")[2] or figure.title for figure in figures]
    heads = dict.fromkeys(figure.title.partition(": ")[0] for figure in figures)
    sentences: dict[str, list[str]] = {}  # of the captions, with the panels of each
    for title, figure in zip(titles, figures, strict=True):
        for text in dict.fromkeys(figure.caption.rstrip(".").split(". ")):
            sentences.setdefault(text, []).append(title)
    said: dict[str, list[str]] = {"": []}
    for text, of in sentences.items():
        said.setdefault("" if len(of) == len(titles) else f"{', '.join(of)}: ", []).append(text)
    names = list(dict.fromkeys(name for figure in figures for name in ("panel", *figure.names)))
    records = [
        dict.fromkeys(names) | {"panel": title, **record}
        for title, figure in zip(titles, figures, strict=True)
        for record in figure.records
    ]
    present = {record["observer"] for record in records}
    order = [name for name in scene.hues if name in present]

    def spec(width: int) -> Spec:
        drawn = (partial(figure.drawn, names=order, legend=width) for figure in figures)
        return drawing.beside(list(zip(titles, drawn, strict=True)), width)

    return Figure(
        name=f"curves-{slug(suite.name)}-{slug(scene.board.space)}",
        title=next(iter(heads)) if len(heads) == 1 else f"Curves of {suite.name}",
        caption=" ".join(f"{panels}{'. '.join(texts)}." for panels, texts in said.items() if texts),
        drawn=spec,
        records=records,
        names=names,
        panels=tuple(figure.name for figure in figures),
    )


@dataclass(frozen=True)
class FigureBoard:
    """A board as figures see it."""

    contents: Contents
    board: Board

    @cached_property
    def networks(self) -> tuple[str, ...]:
        """Its ranked networks with stored trials, in order."""
        ranked = (row for row in self.board.rows if row.cells[self.board.by].value is not None)
        return tuple(row.observer for row in ranked if row.kind != REPORTED)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Single people; simulated ones without real ones."""
        kinds = [tuple(row.observer for row in self.board.references if row.kind == kind) for kind in PERSONS]
        return next(filter(None, kinds), ())

    @cached_property
    def hues(self) -> dict[str, int]:
        """Places of networks and people in the scale of colours."""
        return {name: at for name, at in self.contents.hues.items() if name in self.networks} | {PEOPLE: 0}

    def featured(self, names: Sequence[str], most: int) -> tuple[str, ...]:
        """At most `most` of these networks, evenly spaced; the reader's own and those of other figures come first."""
        usual = [name for name in names if self.hues[name] < FEW or name in self.contents.own]
        return featured(usual if len(usual) >= min(most, FEW) else names, most, self.contents.own)

    def band(self, metric: str) -> Band | None:
        """What people have in a column."""
        people = self.contents.people(self.board, metric)
        return people and people.band

    def rows(self, observer: str, metric: str, pattern: re.Pattern[str]) -> list[ScoreRow]:
        """Return the observer's scores of a metric under conditions of that pattern, with a value, on this board's
        stimuli where it has several: of one that was scored again as more of its sets came, the newest."""
        board, shown = self.board, set(self.board.digests.values())
        held = [
            row
            for row in self.contents.scores.get(observer, ())
            if (row.suite, row.space, row.metric) == (board.suite, board.space, metric)
            and row.value is not None
            and row.condition
            and pattern.fullmatch(row.condition)
        ]
        newest = {(row.role, row.condition): row for row in [row for row in held if row.stimuli in shown] or held}
        return list(newest.values())


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The scores of a declared figure as data.

    networks: with scores; shown: drawn ones; rows: their scores; records: of these scores and of people's means
    (`people`: the last); order: values along the axis; words: groups that separate figures."""

    declared: SuiteFigure
    scene: FigureBoard
    networks: Sequence[str]
    shown: Sequence[str]
    rows: Sequence[ScoreRow]
    records: list[dict[str, Any]]
    people: PeopleScore | None
    order: Sequence[Any]
    words: Mapping[str, str]

    def figure(self, spec: Callable[..., Spec], drawn: str = "") -> Figure:
        """spec: by width; drawn: note on intervals that are not in the figure."""
        declared, board = self.declared, self.scene.board
        where = board.sets.get(self.rows[0].role, "") if self.rows else ""
        flags = {flag for row in self.rows for flag in distrust_flags(row.flags)}
        parts = (
            declared.caption,
            some_of(len(self.networks), len(self.shown), "networks", "evenly spaced over the ranks").strip(),
            f"{where}{'; ' if where else ''}{about(map(cell_of, self.rows))}{drawn}.",
            f"{self.people.called.capitalize()}: {self.people.how}." if self.people else "",
            f"Dashed: {declared.line[1]}." if declared.line else "",
            f"Flags of distrust: {'; '.join(sorted(flags))} (who has them: the board)." if flags else "",
            declared.source,
        )
        names = (declared.name, *list(self.words.values())[:1], board.space)
        axes = [group for group in (declared.along, declared.across) if group]
        return Figure(
            name="-".join(map(slug, names)),
            title=declared.title.format(**self.words),
            caption=" ".join(part for part in parts if part),
            drawn=spec,
            records=self.records,
            names=("observer", *axes, *VALUES),
        )

    def titles(self) -> list[str]:
        """Return the titles of the two axes."""
        return [title.format(**self.words) for title in self.declared.axes]


def marks_of(
    scene: FigureBoard, declared: SuiteFigure, most: int = FEW, *, least: int = 1, people: bool = True
) -> Iterator[Marks]:
    """Yield the marks of each figure, for at most `most` networks and the mean of people. least: number of conditions
    that an observer must have scores of."""
    pattern, metric = re.compile(declared.conditions), declared.metrics[0]
    axes = {declared.along, declared.across}
    known = (each for suite in scene.contents.suites if suite.name == scene.board.suite for each in suite.metrics)
    bounds = next((each.bounds for each in known if each.name == metric), (0.0, 1.0))
    parts: dict[tuple[str, ...], dict[str, list[ScoreRow]]] = {}
    for name in (*scene.networks, *(scene.people if people else ())):
        for row in scene.rows(name, metric, pattern):
            words = _words(pattern, row.condition)
            part = tuple(value for group, value in words.items() if group not in axes)
            parts.setdefault(part, {}).setdefault(name, []).append(row)
    for held in parts.values():
        held = {name: rows for name, rows in held.items() if len(rows) >= least}
        networks = [name for name in scene.networks if name in held]
        shown = scene.featured(networks, most)
        rows = [row for name in shown for row in held[name]]
        folk, who = [name for name in scene.people if name in held], None
        numbers = [(r.observer, r.condition, r.value, r.low, r.high, r.n) for r in rows]
        for condition in dict.fromkeys(row.condition for name in folk for row in held[name]):
            rows_of = ((name, row) for name in folk for row in held[name] if row.condition == condition)
            cells = [(name, scene.contents.observers[name].kind, cell_of(row)) for name, row in rows_of]
            if who := people_among(cells, bounds, pooled=False):
                numbers.append((PEOPLE, condition, *who.cell[:4]))
        records = [
            {"observer": name}
            | {group: value for group, value in _words(pattern, condition).items() if group in axes}
            | dict(zip(VALUES, values, strict=True))
            for name, condition, *values in numbers
        ]
        if records:
            words = _words(pattern, numbers[0][1])
            order = _order(records, declared)
            yield Marks(
                declared=declared,
                scene=scene,
                networks=networks,
                shown=shown,
                rows=rows,
                records=records,
                people=who,
                order=order,
                words={group: value for group, value in words.items() if group not in axes},
            )


def _words(pattern: re.Pattern[str], condition: str) -> dict[str, str]:
    """Return the groups of a condition."""
    match = pattern.fullmatch(condition)
    return match.groupdict("1") if match else {}


def _order(records: list[dict[str, Any]], declared: SuiteFigure) -> list[Any]:
    """Return the values along the axis in order. Numbers become such in the records."""
    for group in {declared.along, declared.across} - {""}:
        try:
            values = [float(record[group]) for record in records]
        except ValueError:
            continue
        if group != declared.along or not declared.order:
            for record, value in zip(records, values, strict=True):
                record[group] = int(value) if value.is_integer() else value
    present = dict.fromkeys(record[declared.along] for record in records)
    if not any(isinstance(value, str) for value in present):
        return sorted(present)
    listed = [name for name in declared.order if name in present]
    return [*listed, *(name for name in present if name not in listed)]


def _curve(scene: FigureBoard, declared: SuiteFigure) -> Iterator[Figure]:
    for marks in marks_of(scene, declared, least=2):
        x_title, y_title = marks.titles()
        look = axis(x_title, labelAngle=0, labelOverlap=True)
        x = {"field": declared.along, "type": "ordinal", "sort": marks.order, "axis": look}
        spec = partial(_curve_spec, marks, x, y_title, (*marks.shown, *([PEOPLE] if marks.people else [])))
        yield marks.figure(spec)


def _curve_spec(
    marks: Marks, x: Spec, title: str, shown: Sequence[str], width: int, names: Sequence[str] = (), legend: int = 0
) -> Spec:
    line = marks.declared.line[0] if marks.declared.line else None
    return drawing.curves(marks.records, names or shown, x, title, line, width, marks.scene.hues, legend)


def _strip(scene: FigureBoard, declared: SuiteFigure) -> Iterator[Figure]:
    metric = declared.metrics[0]
    values = {row.observer: row.cells[metric].value for row in scene.board.rows if metric in row.cells}
    values[PEOPLE] = (scene.band(metric) or {}).get("value")
    for marks in marks_of(scene, declared):
        y_title, x_title = marks.titles()
        rows = {
            "field": declared.along,
            "type": "nominal",
            "sort": marks.order if declared.order else "ascending",
            "axis": axis(y_title, grid=True),
        }
        names = [*marks.shown, PEOPLE]
        whole = [{"observer": name, "value": value} for name in names if (value := values.get(name)) is not None]
        line = declared.line[0] if declared.line else None
        spec = partial(drawing.strip, marks.records, names, rows, x_title, whole, line, places=scene.hues)
        yield marks.figure(lambda width, spec=spec: spec(width=width), " (in the CSV beside it)")


def _path(scene: FigureBoard, declared: SuiteFigure) -> Iterator[Figure]:
    """Two metrics under the same conditions; the third and the fourth are the same for all networks."""
    pattern, along = re.compile(declared.conditions), declared.along

    def points(name: str, metrics: Sequence[str], observer: str) -> list[dict[str, Any]]:
        x, y = ({row.condition: row for row in scene.rows(name, metric, pattern)} for metric in metrics)
        rows = [(int(_words(pattern, at)[along]), x[at], y[at]) for at in x if at in y]
        return [
            {"observer": observer, along: step, "x": a.value, "y": b.value, "low": b.low, "high": b.high, "n": b.n}
            for step, a, b in sorted(rows, key=lambda row: row[0])
        ]

    shown = scene.featured(scene.networks, FEW)
    records = [record for name in shown for record in points(name, declared.metrics[:2], name)]
    if not records:
        return
    outer = points(shown[0], declared.metrics[2:], ATTAINABLE)
    few = some_of(len(scene.networks), len(shown), "networks", "evenly spaced over the ranks").strip()
    where = "; ".join(dict.fromkeys(scene.board.sets.values()))
    yield Figure(
        name=f"{declared.name}-{slug(scene.board.space)}",
        title=declared.title,
        caption=" ".join(
            part for part in (declared.caption, few, f"{where}.", "Intervals are in the CSV.", declared.source) if part
        ),
        drawn=lambda width: drawing.paths(records, outer, declared.axes, along, width, scene.hues),
        records=[*records, *outer],
        names=("observer", along, "x", "y", "low", "high", "n"),
    )


def _matrix(scene: FigureBoard, declared: SuiteFigure) -> Iterator[Figure]:
    for marks in marks_of(scene, declared, PANELS if declared.across else FEW + 1, people=False):
        yield marks.figure(partial(_matrix_spec, marks), " (in the CSV beside it)")


def _matrix_spec(marks: Marks, width: int) -> Spec:
    """Return the cells of one map, or of as many networks as fit side by side, as wide as possible."""
    across, (x_title, legend) = marks.declared.across, marks.titles()
    columns = sorted({record[across] for record in marks.records}) if across else list(marks.shown)
    room, count = width - 150, len(marks.shown) if across else 1
    side_by_side = max(1, min(count, room // (17 * len(columns) + 16)))
    cell = min(140, (room // side_by_side - 16) // len(columns))
    x = {
        "field": across or "observer",
        "type": "ordinal" if across else "nominal",
        "scale": {"domain": columns},
        "axis": axis(x_title, labelAngle=0 if across else -40),
    }
    y = {"field": marks.declared.along, "type": "nominal", "scale": {"domain": marks.order}, "axis": axis("")}
    spec = drawing.matrix(marks.records, x, y, "value", legend, (0, 1), (cell, 15))
    if not across:
        return spec
    header = {"labelLimit": cell * len(columns), "labelFontSize": 11}
    facet = {"field": "observer", "sort": list(marks.shown), "title": None, "header": header}
    return {"data": spec.pop("data"), "facet": facet, "columns": side_by_side, "spec": spec}


def dots(scene: FigureBoard, name: str, title: str, metrics: Sequence[str], caption: str = "") -> Iterator[Figure]:
    """Yield some metrics of a board side by side, its networks and reference rows; nothing where it has none of
    them."""
    board = scene.board
    columns = [column for column in board.columns if column.metric in metrics]
    bands = {column.title: band for column in columns if (band := scene.band(column.metric))}
    aside = [row for row in board.references if row.kind not in ("human", "group", "chance")]
    names = featured([row.observer for row in board.rows], MOST, scene.contents.own)
    rows = [*(row for row in board.rows if row.observer in names), *aside]
    records = [record for row in rows for record in row_records(row, columns)]
    if not records:
        return
    spread = "; ".join(f"{column.title}: {about(row.cells[column.metric] for row in rows)}" for column in columns)
    where = "; ".join(dict.fromkeys(board.sets.get(column.role, "") for column in columns))
    more = some_of(len(board.rows), len(names), "networks", "evenly spaced over the ranks")
    imported = IMPORTED if any(row.kind == REPORTED for row in rows) else ""
    dashed = "; dashed: chance" if any(column.chance is not None for column in columns) else ""
    marks = f"Dot: value; bar: interval{dashed}{'; line and band: people' if bands else ''}."
    parts = [caption, marks, f"{where}. {spread}.{more}{imported}"]
    panels = [(column.title, column.chance) for column in columns]
    order = [row.observer for row in rows]
    yield Figure(
        name=f"{name}-{slug(board.space)}",
        title=title,
        caption=" ".join(part for part in parts if part),
        drawn=lambda width: drawing.dots(records, order, panels, bands, width),
        records=records,
        names=("observer", "group", "metric", *VALUES),
    )


#: How each kind of declared figure is drawn. Agreement is about answers, a gallery about files: neither is of a board.
DRAWERS: Mapping[str, Callable[[FigureBoard, SuiteFigure], Iterator[Figure]]] = {
    "dots": lambda scene, figure: dots(scene, figure.name, figure.title, figure.metrics, figure.caption),
    "curve": _curve,
    "strip": _strip,
    "path": _path,
    "matrix": _matrix,
}


def agreement(declared: SuiteFigure, answers: Sequence[ImageAnswers], own: Collection[str] = ()) -> Iterator[Figure]:
    """Yield one figure for each role that three or more observers answered; people's agreement is the ceiling."""
    for role in [part for part in answers if part.role != NATURAL][:ROLES]:
        networks, everybody = _whole(role, NETWORKS), _whole(role, ONE_PERSON)
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
        few = some_of(len(networks), len(shown) - len(people), "networks", "evenly spaced by name")
        yield Figure(
            name=f"{declared.name}-{slug(role.key)}",
            title=declared.title.format(role=role.role, space=role.space),
            caption=f"Cohen's kappa of right and wrong answers, on the {n} images that all of them answered; networks "
            f"first, then people.{few}{some_of(len(everybody), len(people), 'people')} 0: as if errors fell "
            "independently. The CSV has the kappas that the two accuracies allow.",
            drawn=partial(_agreement_spec, records, shown),
            records=[record for record in records if shown.index(record["a"]) < shown.index(record["b"])],
            names=("a", "b", "kappa", "observed", "expected", "attainable_low", "attainable_high", "n"),
            half=True,
        )


def _agreement_spec(records: Records, shown: Sequence[str], width: int) -> Spec:
    """On the scale of all such figures: 0 (and below) to 1."""
    left = min(200, width // 3)
    step = max(8, (width - left - 30) // len(shown))
    names: Spec = {"type": "nominal", "scale": {"domain": list(shown)}}
    x = {"field": "b", **names, "axis": axis("", labelAngle=-90, labelLimit=left)}
    y = {"field": "a", **names, "axis": axis("", labelLimit=left)}
    return drawing.matrix(records, x, y, "kappa", "kappa", (0, 1), (step, step))


def _whole(answers: ImageAnswers, kinds: Sequence[str]) -> list[str]:
    """Return who of these kinds answered nearly all images, by name."""
    seen = answers.shown.mean(axis=1)
    return [
        name
        for name, kind, share in zip(answers.observers, answers.kinds, seen.tolist(), strict=True)
        if kind in kinds and share > 0.95 * float(seen.max())
    ]


def row_records(row: Row, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return a row's numbers as marks, one for each of these columns in which it has a value."""
    group = GROUPS[_GROUP.get(row.kind, 6)]
    cells = ((column.title, row.cells[column.metric]) for column in columns)
    return [
        {"observer": row.observer, "group": group, "metric": title} | dict(zip(VALUES, cell[:4], strict=True))
        for title, cell in cells
        if cell.value is not None
    ]


def some_of(total: int, shown: int, what: str, how: str = "") -> str:
    """ " The first 60 of 200 networks." where not all are shown; " 60 of 200 networks, `how`." """
    if shown >= total:
        return ""
    return f" {shown} of {total} {what}, {how}." if how else f" The first {shown} of {total} {what}."
