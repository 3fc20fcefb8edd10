"""A summary as text: one row per model, one column per suite, in the characters that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmark.display import printable
from benchmark.leaderboard.formatting import (
    NOTHING,
    PUBLISHED,
    Footnotes,
    estimate,
    in_common,
    number,
    short_estimate,
)
from benchmark.leaderboard.grid import NAME_MIN, Detail, Field, Grid, fitted, least_width
from benchmark.leaderboard.lineage import recipe
from benchmark.leaderboard.model import Cell
from benchmark.leaderboard.summary import ELSEWHERE, Headline, Line, Summary

#: How a model stands to the baseline in a suite: see `Marks`.
BETTER, WORSE, INCONCLUSIVE = (
    "\N{BLACK UP-POINTING TRIANGLE}",
    "\N{BLACK DOWN-POINTING TRIANGLE}",
    "~",
)
#: (observer, suite) -> one of the three above.
NO_OBSERVERS = ("chance", "reference", "group")
Marks = Mapping[tuple[str, str], str]
Form = Callable[[float | None, float | None, float | None], str]

FOOTNOTES = 12
RECIPE_MAX = 24


def summary_detail(
    summary: Summary,
    width: int,
    limit: int | None = None,
    *,
    baseline: str | None = None,
    marks: Marks | None = None,
    parameters: Mapping[str, int] | None = None,
) -> Detail:
    """The summary in `width` characters, `limit` rows of each kind (None: all).

    marks: how each stands to `baseline`; parameters: of the networks that were run here. Gives way in this order:
    long intervals, parameters, recipe, all intervals; names break last.
    """
    lines, references = summary.lines[:limit], summary.references[:limit]
    rows, sizes = [*lines, *references], parameters or {}
    for form, with_recipe, with_size in _WAYS:
        notes = Footnotes()
        fields = [
            *([] if form is _brief else [_places(rows)]),
            *_names(rows, with_recipe, sizes if with_size else {}),
            *_numbers(summary, rows, form, notes, marks or {}),
        ]
        if least_width(fields, _least) <= width:
            break
    breaks = (len(lines),) if lines and references else ()
    grid = Grid(fitted(fields, width, _least), breaks, footnotes=notes)
    hidden = len(summary.lines) + len(summary.references) - len(rows)
    more = [f"... {hidden} more, --all"] if hidden else []
    below = [
        *more,
        *_reading(summary, rows, form, baseline),
        *notes.lines(FOOTNOTES if limit else None),
    ]
    return Detail(f"models by suites, {summary.space}", _caption(summary), grid, tuple(below))


def explain_lines(summary: Summary) -> Iterator[str]:
    """Each column in a line: what it is, which way is better, on what it was measured."""
    clean = [summary.clean] if summary.clean else []
    for one in (*clean, *summary.headlines):
        ways = {"higher": "higher is better", "lower": "lower is better"}
        way = ways.get(one.column.direction, "neither way is better")
        yield f"{_title(one)}: {one.column.definition}; {way}; {one.stimuli or 'no stimuli'}"
    yield "mean rank: mean of the ranks in the suites; it orders the rows and is no score"
    yield (
        "[low, high]: 95 % interval of the number by itself, over exemplars (categories are fixed), as the page of the "
        "suite defines it"
    )


def _places(rows: Sequence[Line]) -> Field:
    places = (number(row.mean_rank, 1) if row.mean_rank else "" for row in rows)
    return Field("mean rank", tuple(places), right=True)


def _names(rows: Sequence[Line], with_recipe: bool, sizes: Mapping[str, int]) -> Iterator[Field]:
    marks = (f" {PUBLISHED}" if row.kind == "published" else "" for row in rows)
    yield Field(
        "observer", tuple(printable(r.observer) + m for r, m in zip(rows, marks, strict=True))
    )
    if with_recipe and any(row.training for row in rows):
        yield Field(
            "recipe", tuple(printable(recipe(r.training)) if r.training else "" for r in rows)
        )
    if any(row.observer in sizes for row in rows):
        yield Field("params", tuple(millions(sizes.get(row.observer)) for row in rows), True)


def millions(count: int | None) -> str:
    """ "25.6M", "174k", "" for none."""
    if not count:
        return ""
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"


def _numbers(
    summary: Summary, rows: Sequence[Line], form: Form, notes: Footnotes, marks: Marks
) -> Iterator[Field]:
    if summary.clean:
        plain = _brief if form is _brief else _plain
        yield _column("clean", rows, [row.clean for row in rows], plain, notes)
    for at, one in enumerate(summary.headlines):
        title = one.column.title if form is _brief else _title(one)
        cells = [row.cells[at] for row in rows]
        field = _column(title, rows, cells, form, notes, one.column.average)
        if any(suite == one.suite for _, suite in marks):
            signs = [marks.get((row.observer, one.suite), " ") for row in rows]
            texts = (f"{sign} {text}" for sign, text in zip(signs, field.texts, strict=True))
            field = replace(field, texts=tuple(texts))
        yield field


def _column(
    title: str,
    rows: Sequence[Line],
    cells: Sequence[Cell],
    form: Form,
    notes: Footnotes,
    average: str = "",
) -> Field:
    unsaid = {*_common(rows, cells), ELSEWHERE, average}
    texts = (form(c.value, c.low, c.high) + notes.mark(c, unsaid) for c in cells)
    return Field(printable(title), tuple(texts))


def _common(rows: Sequence[Line], cells: Sequence[Cell]) -> set[str]:
    """Remarks on all numbers of a column that observers gave: said once, below."""
    pairs = zip(rows, cells, strict=True)
    return in_common([c for r, c in pairs if c.value is not None and r.kind not in NO_OBSERVERS])


def _title(one: Headline) -> str:
    return f"{one.suite} {one.column.title}"


def _plain(value: float | None, low: float | None, high: float | None) -> str:  # noqa: ARG001
    return number(value, 3)


def _brief(value: float | None, low: float | None, high: float | None) -> str:  # noqa: ARG001
    return number(value, 2)


#: What is shown, from much room to little: form of the numbers, recipe, parameters.
_WAYS: tuple[tuple[Form, bool, bool], ...] = (
    (estimate, True, True),
    (short_estimate, True, True),
    (short_estimate, True, False),
    (short_estimate, False, False),
    (_plain, True, True),
    (_plain, True, False),
    (_plain, False, False),
    (_brief, False, False),
)


def _least(field: Field) -> int:
    limits = {"observer": NAME_MIN, "recipe": RECIPE_MAX}
    return min(field.natural, limits.get(field.title, field.natural))


def _caption(summary: Summary) -> str:
    return f"{len(summary.headlines)} headlines; ordered by mean rank over the suites, which is no score"


def _reading(
    summary: Summary, rows: Sequence[Line], form: Form, baseline: str | None
) -> Iterator[str]:
    if form in (_plain, _brief):
        yield "Intervals: in a wider terminal, in a pipe, or bench rank SUITE."
    else:
        yield "[low, high]: 95 % interval."
    less = [_title(one) for one in summary.headlines if one.column.direction == "lower"]
    if less:
        yield f"Lower is better: {', '.join(less)}."
    if baseline:
        yield (
            f"Against {printable(baseline)}, paired: {BETTER} better, {WORSE} worse, {INCONCLUSIVE} inconclusive "
            "(each model's headlines are one family of tests, Holm; bench compare has the numbers)."
        )
    if any(row.kind == "published" for row in rows):
        yield f"{PUBLISHED} published decisions, not run here"
    for at, one in enumerate(summary.headlines):
        common = _common(rows, [row.cells[at] for row in rows])
        said = sorted(common - {one.column.average})
        yield from (f"{one.suite}, every row: {text}" for text in said)
    yield from (f"Note: {note}" for note in summary.notes)
    if any(cell.value is None for row in rows for cell in row.cells):
        yield f"{NOTHING} no number; bench show says why"
