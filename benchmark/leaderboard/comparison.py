"""A comparison of two observers as text tables: headlines first, then the rest by suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from benchmark.display import UNBOUNDED, printable
from benchmark.leaderboard.formatting import estimate, number, p_value
from benchmark.leaderboard.grid import GAP, Detail, Field, Grid, at_width, fitted, least_width
from benchmark.stats.families import (
    Compared,
    ComparedToEach,
    DiscordantTrial,
    SuiteComparison,
)

MANY = 200  # images that are listed of one metric
HALF_WIDTH = "half-width"
GIVING_WAY = ("A / B alone", HALF_WIDTH, "p (Holm)", "n", "B", "A")


def comparison_details(found: Compared, width: int = UNBOUNDED) -> list[Detail]:
    """The family of headlines, then the rest under each suite's name, then what holds for all of them; tables of so
    many characters."""
    who = f"A: {printable(found.a)}    B: {printable(found.b)}"
    caption = "the stimuli that both answered, paired"
    first = _table(who, caption, found.headlines, ("suite", "metric"), width)
    details = [first if first.grid.fields[0].texts else Detail(who, caption, Grid(()))]
    for suite, rows in groupby(found.secondary, key=lambda row: row.suite):
        table = _table(f"{suite}, other metrics", "", list(rows), ("metric",), width)
        details += [table] if table.grid.fields[0].texts else []
    lines = tuple(_notes(found))
    return [*details, Detail("How to read it", "", Grid(()), lines)]


def each_details(found: ComparedToEach, width: int = UNBOUNDED) -> list[Detail]:
    """A table for each suite's headline: a row for each of the others, highest first."""
    by_metric: dict[tuple[str, str], list[tuple[str, SuiteComparison]]] = {}
    for name, row in found.rows:
        if row.comparison.difference is not None:
            by_metric.setdefault((row.suite, row.title), []).append((name, row))
    who = f"A: {printable(found.a)}"
    details = []
    for (suite, title), rows in by_metric.items():
        ordered = sorted(rows, key=lambda pair: (-(pair[1].comparison.b or 0), pair[0]))
        others = at_width(Field("B", tuple(printable(name) for name, _ in ordered)))
        title = f"{suite}: {printable(title)}"
        table = _table(title, who, [row for _, row in ordered], (), width - others.width - GAP)
        grid = Grid((others, *table.grid.fields))
        details.append(replace(table, grid=grid, lines=(_spread(ordered), *table.lines)))
    return [*details, Detail("How to read it", "", Grid(()), tuple(_notes_on_each(found)))]


def _spread(rows: Sequence[tuple[str, SuiteComparison]]) -> str:
    """How far the others lie apart, and how many differ from A."""
    (highest, first), (lowest, last) = rows[0], rows[-1]
    differ = sum("higher" in row.comparison.verdict for _, row in rows)
    ends = (
        f"{number(row.comparison.b)} ({printable(name)})"
        for name, row in ((lowest, last), (highest, first))
    )
    return f"B from {' to '.join(ends)}; {differ} of {len(rows)} differ from A."


def _notes_on_each(found: ComparedToEach) -> Iterator[str]:
    yield from map(printable, found.outdated)
    yield (
        "On the stimuli that both answered, paired; all rows are one family of tests (Holm). An interval leaves out 0 "
        "exactly where p is below .05. Chance, too, keeps the highest of many from the lowest: that has no test here."
    )
    missing: dict[str, list[str]] = {}
    for name, row in found.rows:
        if row.comparison.p is None:
            missing.setdefault(row.comparison.reason, []).append(printable(name))
    yield from (f"Not compared, {reason}: {', '.join(names)}" for reason, names in missing.items())
    if found.alone:
        yield f"Nothing in common with: {printable(', '.join(found.alone))}."
    yield from (f"Not run alike: {remark}" for remark in found.remarks)


def discordant_details(found: Sequence[DiscordantTrial], a: str, b: str) -> list[Detail]:
    """The images that only one of the two gets right, by suite and metric."""
    return [
        _images(suite, metric, list(rows), a, b)
        for (suite, metric), rows in groupby(found, key=lambda row: (row.suite, row.metric))
    ]


def better(row: SuiteComparison) -> str:
    """ "A", "B", "A is higher" where neither end is better, "inconclusive (+- half-width)", "" without a test."""
    one = row.comparison
    if "higher" not in one.verdict:
        if one.p is None:
            return ""
        if one.low is None or one.high is None:
            return "inconclusive"
        return f"inconclusive (\N{PLUS-MINUS SIGN} {(one.high - one.low) / 2:.2g})"
    first = (one.difference or 0) > 0
    if row.metric.direction == "none":
        return f"{'A' if first else 'B'} is higher"
    return "A" if first == (row.metric.direction == "higher") else "B"


def _table(
    title: str, caption: str, rows: Sequence[SuiteComparison], names: Sequence[str], width: int
) -> Detail:
    """Where the width does not do, columns go that others imply: the interval says what p and the half-width do."""
    shown = [row for row in rows if row.comparison.difference is not None]
    fields = [one for at, one in enumerate(_fields(shown, names)) if any(one.texts) or not at]
    dropped = []
    for gone in GIVING_WAY:
        if least_width(fields, _least) <= width:
            break
        if gone == HALF_WIDTH:
            fields = [_without_half_width(one) if one.title == "better" else one for one in fields]
        elif any(one.title == gone for one in fields):
            fields = [one for one in fields if one.title != gone]
            dropped.append(gone)
    lines = (f"no room for: {', '.join(dropped)} (a wider terminal, or a pipe)",) if dropped else ()
    return Detail(title, caption, Grid(fitted(fields, width, _least)), lines)


def _fields(shown: Sequence[SuiteComparison], names: Sequence[str]) -> list[Field]:
    items = [row.comparison for row in shown]
    texts = {
        "suite": tuple(row.suite for row in shown),
        "metric": tuple(printable(row.title) for row in shown),
    }
    return [
        *(Field(name, texts[name]) for name in names),
        Field("A", tuple(number(item.a) for item in items)),
        Field("B", tuple(number(item.b) for item in items)),
        Field("A - B", tuple(estimate(c.difference, c.low, c.high) for c in items)),
        Field("p (Holm)", tuple(p_value(item.p_holm) for item in items)),
        Field("better", tuple(better(row) for row in shown)),
        Field("n", tuple(str(item.n) for item in items), right=True),
        Field("A / B alone", tuple(_alone(item.discordant) for item in items), right=True),
    ]


def _least(field: Field) -> int:
    """The least width of a column: a metric's name may break between its words, numbers may not."""
    if field.title != "metric":
        return field.natural
    return max(len(word) for text in (field.title, *field.texts) for word in text.split())


def _without_half_width(field: Field) -> Field:
    return replace(field, texts=tuple(text.partition(" (")[0] for text in field.texts))


def _alone(discordant: tuple[int, int] | None) -> str:
    return f"{discordant[0]} / {discordant[1]}" if discordant else ""


def _notes(found: Compared) -> Iterator[str]:
    yield from map(printable, found.outdated)
    levels = sorted({row.comparison.level for row in found if row.comparison.p is not None})
    if levels:
        rows = f"{len(found.headlines)} headlines and {len(found.secondary)} other metrics"
        yield (
            f"Two families of tests, adjusted apart (Holm): {rows}. An interval is at the level at which Holm's "
            f"procedure tests its row ({_percent(levels)}): it leaves out 0 exactly where p is below .05."
        )
        yield "Inconclusive (± half-width of the interval). A / B alone: trials where one of the two alone scores."
    by_method: dict[str, list[str]] = {}
    for row in found:
        if row.comparison.p is not None:
            by_method.setdefault(row.comparison.method, []).append(row.title)
    yield from (f"Method: {method} ({len(rows)})" for method, rows in by_method.items())
    for row, stands in found.left_out:
        yield f"Not tested twice: {row.title} ({row.suite}) is {stands.title} ({stands.suite})."
    reasons: dict[str, list[str]] = {}
    for row in found:
        if row.comparison.p is None:
            reasons.setdefault(row.comparison.reason, []).append(f"{row.title} ({row.suite})")
    yield from (f"Not compared, {reason}: {', '.join(rows)}" for reason, rows in reasons.items())
    uncommon = max((row.comparison.only_a + row.comparison.only_b for row in found), default=0)
    if uncommon:
        yield f"Up to {uncommon} trials of a metric are not common to both and do not count."
    yield from (f"Not run alike: {remark}" for remark in found.remarks)


def _percent(levels: Sequence[float]) -> str:
    ends = [f"{100 * level:.4g}" for level in (levels[0], levels[-1])]
    return f"{' to '.join(dict.fromkeys(ends))} %"


def _images(suite: str, metric: str, rows: Sequence[DiscordantTrial], a: str, b: str) -> Detail:
    shown = rows[:MANY]
    fields = [
        Field("alone", tuple(row.winner.upper() for row in shown)),
        Field("condition", tuple(printable(row.condition) for row in shown)),
        Field("image", tuple(printable(row.stimulus) for row in shown)),
        Field("category", tuple(printable(row.category) for row in shown)),
        Field("A says", tuple(printable(row.answer_a) for row in shown)),
        Field("B says", tuple(printable(row.answer_b) for row in shown)),
    ]
    first = sum(row.winner == "a" for row in rows)
    title = f"{suite}, {metric}: {first} images that A alone gets right, {len(rows) - first} that B alone does"
    grid = Grid(tuple(at_width(field) for field in fields if any(field.texts)))
    more = (f"... {len(rows) - MANY} more",) if len(rows) > MANY else ()
    return Detail(title, f"A: {printable(a)}    B: {printable(b)}", grid, more)
