"""All scores of one observer as text tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.display import printable
from benchmark.leaderboard.formatting import Footnotes, estimate
from benchmark.leaderboard.grid import GAP, Detail, Field, Grid, at_width
from benchmark.leaderboard.model import Cell, describe

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote

TEXT_MAX = 28  # a title, condition or method breaks beyond this


def show_details(
    rows: Sequence[ScoreRow],
    sets: Mapping[str, StimuliNote],
    width: int,
    suites: Sequence[Suite] = (),
) -> list[Detail]:
    """One table per suite, version and space, newest first; metrics in the suite's order."""
    tables: dict[tuple[str, int, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        tables[row.suite, -row.version, row.space].append(row)
    known = {suite.name: suite for suite in suites}
    return [
        _show(part, sets, width, known.get(name)) for (name, _, _), part in sorted(tables.items())
    ]


def headline_detail(rows: Sequence[ScoreRow], suites: Sequence[Suite]) -> Detail | None:
    """The headline of every suite that the observer has a score in; None where it has none."""
    heads = {suite.name: next(m for m in suite.metrics if m.headline) for suite in suites}
    found = [
        row
        for row in rows
        if row.suite in heads and row.metric == heads[row.suite].name and not row.condition
    ]
    if not found:
        return None
    notes = Footnotes()
    fields = [
        Field("suite", tuple(printable(row.suite) for row in found)),
        Field("headline", tuple(printable(heads[row.suite].title) for row in found)),
        Field("value", tuple(_value(row, notes) for row in found)),
        Field("n", tuple(str(row.n) for row in found), right=True),
    ]
    grid = Grid(tuple(map(at_width, fields)), footnotes=notes)
    return Detail("headlines", "", grid, tuple(notes.lines()))


def card_line(observer: ObserverRow) -> str:
    """Who an observer is, in a line: kind, architecture, weights, recipe, parameters, labels."""
    card = observer.card
    digest, count = card.get("sha256"), card.get("parameters")
    parts = [
        observer.kind,
        card.get("arch"),
        f"weights {str(digest)[:8]}" if digest else "",
        f"trained: {', '.join(observer.training)}" if observer.training else "",
        f"{count:,} parameters" if isinstance(count, int) else "",
        f"labels {card['labels']}" if card.get("labels") else "",
        f"identity {observer.identity[:8]}",
    ]
    return f"{observer.name}: {', '.join(str(part) for part in parts if part)}"


def reported_lines(observer: ObserverRow) -> list[str]:
    """What a card says that others measured, a line each."""
    return [
        f"reported, not measured here: {one.get('metric', '')} {one.get('value', '')} ({one.get('where', '')})"
        for one in observer.card.get("reported") or ()
        if isinstance(one, dict)
    ]


def _show(
    rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote], width: int, suite: Suite | None
) -> Detail:
    metrics = suite.metrics if suite else ()
    titles = {metric.name: metric.title for metric in metrics}
    place = {metric.name: at for at, metric in enumerate(metrics)}

    def order(row: ScoreRow) -> tuple[int, str, str, str]:
        return place.get(row.metric, len(place)), row.metric, row.stimuli, row.condition

    # A score of one experiment is the same in every collection of sets that holds it: once is enough.
    once = {(r.metric, r.role, r.condition, r.stimuli, r.value, r.reason): r for r in rows}
    ordered, notes = sorted(once.values(), key=order), Footnotes()
    home = {metric.name: metric.role for metric in metrics}
    used = [digest for digest in dict.fromkeys(row.stimuli for row in ordered) if digest]
    letters = {digest: chr(ord("a") + at % 26) * (1 + at // 26) for at, digest in enumerate(used)}
    several = [Field("set", tuple(letters.get(row.stimuli, "") for row in ordered))]
    fields = [
        Field("metric", tuple(printable(titles.get(row.metric, row.metric)) for row in ordered)),
        Field("condition", tuple(_where(row, home) for row in ordered)),
        Field("value", tuple(_value(row, notes) for row in ordered)),
        Field("n", tuple(_count(row) for row in ordered), right=True),
        Field("excluded", tuple(str(row.excluded or "") for row in ordered), right=True),
        *(several if len(used) > 1 else []),
        Field("interval by", tuple(row.method for row in ordered)),
    ]
    first = ordered[0]
    stimuli = [
        f"{letters[d]}: {describe(d, sets)}" if len(used) > 1 else describe(d, sets) for d in used
    ]
    title = f"{first.observer}: {first.suite} (version {first.version}), {first.space}"
    grid = Grid(_fit(fields, width, ("interval by", "excluded")), footnotes=notes)
    return Detail(title, "; ".join(stimuli) or "no stimuli", grid, tuple(notes.lines()))


def _where(row: ScoreRow, home: Mapping[str, str]) -> str:
    """The condition, after the experiment where the metric does not say which that is."""
    own = home.get(row.metric, row.role)
    return printable(row.condition if row.role == own else f"{row.role} {row.condition}".strip())


def _count(row: ScoreRow) -> str:
    """The number of trials; nothing where a publisher does not give it."""
    return "" if row.kind == "reported" and not row.n else str(row.n)


def _value(row: ScoreRow, notes: Footnotes) -> str:
    cell = Cell(row.value, row.low, row.high, row.n, row.flags, row.reason)
    return estimate(row.value, row.low, row.high) + notes.mark(cell)


def _fit(fields: Sequence[Field], width: int, optional: Sequence[str]) -> tuple[Field, ...]:
    """Empty fields left out, texts broken at TEXT_MAX, `optional` titles dropped until it fits."""
    kept = [field for field in fields if any(field.texts)]
    for title in ("", *optional):
        kept = [field for field in kept if field.title != title]
        widths = [min(field.natural, _most(field.title)) for field in kept]
        if sum(widths) + GAP * (len(kept) - 1) <= width:
            break
    return tuple(replace(f, width=size) for f, size in zip(kept, widths, strict=True))


def _most(title: str) -> int:
    breaking = ("metric", "condition", "interval by")
    return TEXT_MAX if title in breaking else 10**6
