"""Two observers against each other: a comparison as text tables, and the verdict on a new model against its base.

Tables: headlines first, then the rest by suite. Verdict: one per suite, as Markdown for a pull request.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Literal

from benchmark.contracts import Direction, Suite
from benchmark.display import UNBOUNDED, printable
from benchmark.errors import BenchError
from benchmark.leaderboard.formatting import estimate, number, p_value
from benchmark.leaderboard.grid import GAP, Detail, Field, Grid, at_width, fitted, least_width
from benchmark.leaderboard.markup import markdown_code, markdown_text
from benchmark.stats.comparisons import (
    Compared,
    ComparedToEach,
    Comparison,
    DiscordantTrial,
    SuiteComparison,
    adjusted,
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
    """ "A", "B", "A is higher" where neither end is better, "inconclusive (+- half-width)", "no answer differs", ""
    without a test."""
    one = row.comparison
    if one.same:
        return "no answer differs"
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
    yield from _remarked(found)
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


def _remarked(rows: Iterable[SuiteComparison]) -> Iterator[str]:
    for row in rows:
        if row.comparison.remark:
            yield f"{row.title} ({row.suite}): {row.comparison.remark}"


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


Verdict = Literal[
    "better", "worse", "not inferior", "equivalent", "not equivalent", "no answer changed",
    "no change shown", "changed", "inconclusive",
]  # fmt: skip
RISK = 0.05
_WHO = {"a": "the new one", "b": "the base"}  # of a comparison, whose words say a and b


@dataclass(frozen=True)
class Margin:
    """How far the new one may lie from the base, in units of each metric: how much worse or, `both`, either way.

    BenchError for one that any model keeps or none: NaN, infinity, 0 or less.
    """

    size: float
    both: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size > 0):
            raise BenchError(
                f"a margin is a finite number above 0, such as 0.01, not {self.size:g}."
            )

    def level(self, suites: int) -> float:
        """Of each of so many intervals that hold together. Two one-sided tests at 5 % are one interval at 90 %."""
        return 1 - (2 if self.both else 1) * RISK / max(1, suites)

    def verdict(self, low: float, high: float, direction: Direction) -> Verdict:
        """low, high: interval of the difference; direction: of a metric that has a better end, unless `both`."""
        if self.both:
            if -self.size < low and high < self.size:
                return "equivalent"
            return "not equivalent" if low > self.size or high < -self.size else "inconclusive"
        worst, best = (-high, -low) if direction == "lower" else (low, high)
        if best < -self.size:
            return "worse"
        if worst <= -self.size:
            return "inconclusive"
        return "better" if worst > 0 else "not inferior"


@dataclass(frozen=True)
class Change:
    """One metric of a suite, new less base. low, high: interval of the difference; verdict, and why it is none."""

    row: SuiteComparison
    low: float | None
    high: float | None
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, repr=False)
class Diff:
    """A new model against its base. margin: what is asked (None: whether a change is shown at all); flipped: trials of
    the headlines that one of the two gets right alone (winner "a": the new one); looked: whether the intervals hold at
    every look, so that sampling could stop once they were clear."""

    base: str
    new: str
    margin: Margin | None
    changes: tuple[Change, ...]
    flipped: tuple[DiscordantTrial, ...] = ()
    remarks: tuple[str, ...] = ()
    looked: bool = False

    @property
    def verdict(self) -> str:
        """The whole in a word or two: the worst of the suites'. Without any, nothing is told."""
        verdicts = {one.verdict for one in self.changes} or {"inconclusive"}
        for one in ("worse", "not equivalent", "inconclusive"):
            if one in verdicts:
                return one
        if verdicts == {"no answer changed"}:
            return "no answer changed"
        if self.margin is None:
            return "no change for the worse shown"
        return "equivalent" if self.margin.both else "not inferior"

    def __repr__(self) -> str:
        return (
            f"<{self.new} against {self.base}: {self.verdict}; str() for the verdict in Markdown>"
        )

    def __str__(self) -> str:
        return diff_markdown(self)

    def _repr_markdown_(self) -> str:
        """As a notebook shows it."""
        return diff_markdown(self)

    @property
    def exit_code(self) -> int:
        """0: as asked for, or no change for the worse shown; 1: worse, or not equivalent; 3: inconclusive."""
        return {"worse": 1, "not equivalent": 1, "inconclusive": 3}.get(self.verdict, 0)


def judged(found: Compared, flipped: Sequence[DiscordantTrial], margin: Margin | None) -> Diff:
    """found: a the new one, b the base.

    Each suite is judged by its headline and, where there is one, by its guard: agreement with people does not say
    whether answers are right. Without a margin a row is worse or better where its paired test says so, adjusted over
    the rows (Holm). With one, simultaneous intervals (Bonferroni over the rows) are held against it.
    """
    guards = [row for row in found.secondary if row.metric.guard and not row.comparison.condition]
    rows = [
        row
        for head in found.headlines
        for row in (head, *(one for one in guards if one.suite == head.suite))
        if row.comparison.difference is not None or row.comparison.reason
    ]
    tested = sum(row.comparison.test is not None for row in rows)
    changes = tuple(_change(row, margin, tested) for row in adjusted(rows))
    nothing = () if rows else ("there is no headline that both have a score of",)
    remarks = (*nothing, *found.outdated, *found.remarks, *_remarked(rows))
    return Diff(found.b, found.a, margin, changes, tuple(flipped), remarks)


def seen_so_far(
    row: SuiteComparison, low: float, high: float, margin: Margin | None, whole: bool
) -> Change:
    """The verdict by an interval that holds at every look. whole: whether there are no more images to come."""
    if whole and row.comparison.same:
        return Change(row, low, high, "no answer changed")
    return Change(row, low, high, _by_interval(row.metric.direction, low, high, margin))


def nothing_known(suite: Suite, reason: str) -> Change:
    """The verdict on a suite of which there is nothing to compare."""
    metric = suite.headline
    row = SuiteComparison(suite.name, metric, Comparison(metric.name, reason=reason))
    return Change(row, None, None, "inconclusive", reason)


def _change(row: SuiteComparison, margin: Margin | None, suites: int) -> Change:
    """Without an interval nothing passes, unless no answer changed at all."""
    one, direction = row.comparison, row.metric.direction
    if one.same:
        return Change(row, one.low, one.high, "no answer changed")
    if one.test is None or one.difference is None:
        reason = re.sub("(?<= for )[ab]$", lambda who: _WHO[who[0]], one.reason)
        return Change(row, None, None, "inconclusive", reason)
    asked = margin is not None and (margin.both or direction != "none")
    low, high = one.test.interval(margin.level(suites)) if margin and asked else (one.low, one.high)
    if low is None or high is None:
        return Change(row, None, None, "inconclusive", "too few clusters for an interval")
    return Change(row, low, high, _by_interval(direction, low, high, margin))


def _by_interval(direction: Direction, low: float, high: float, margin: Margin | None) -> Verdict:
    if margin is not None and (margin.both or direction != "none"):
        return margin.verdict(low, high, direction)
    if low <= 0 <= high:
        return "no change shown"
    if direction == "none":
        return "changed"
    return "better" if (low > 0) == (direction == "higher") else "worse"


def diff_markdown(found: Diff, images: int = 20) -> str:
    """The verdict, a table of suites, and up to so many images that flipped per suite. Names are code: they mention
    nobody, link nowhere and mark nothing up."""
    return "\n".join(
        [
            *_head(found),
            "",
            *_verdict_table(found),
            "",
            *_verdict_notes(found),
            *_flipped(found, images),
        ]
    )


def _head(found: Diff) -> Iterator[str]:
    yield f"### {markdown_code(found.new)} against {markdown_code(found.base)}: {found.verdict}"


def _verdict_table(found: Diff) -> Iterator[str]:
    yield "| suite | headline | base | new | new - base | verdict | n | lost | gained |"
    yield "|---|---|---:|---:|---:|---|---:|---:|---:|"
    for change in found.changes:
        row, one = change.row, change.row.comparison
        lost, gained = _counts(row)
        cells = [
            markdown_code(row.suite),
            markdown_text(row.title),
            number(one.b),
            number(one.a),
            estimate(one.difference, change.low, change.high),
            change.verdict + (f": {markdown_text(change.reason)}" if change.reason else ""),
            str(one.n),
            lost,
            gained,
        ]
        yield f"| {' | '.join(cells)} |"


def _counts(row: SuiteComparison) -> tuple[str, str]:
    """Trials that only the base, and only the new one, gets right; nothing where there is no right and wrong."""
    if row.comparison.discordant is None:
        return "", ""
    gained, lost = row.comparison.discordant
    return str(lost), str(gained)


def _verdict_notes(found: Diff) -> Iterator[str]:
    size = "" if found.margin is None else f"{found.margin.size:g}"
    accepted = (
        f"; up to {size} {'either way' if found.margin.both else 'worse'} is accepted"
        if found.margin
        else ""
    )
    if found.looked:
        yield f"Intervals (95 % together) hold at every look: sampling stopped once they were clear{accepted}."
    elif found.margin is None:
        yield "Paired tests on the stimuli that both answered, adjusted over the suites (Holm)."
        yield "No change shown is no proof of none: `--noninferior X` or `--equivalent X` asks for that."
    elif found.margin.both:
        yield f"Two one-sided tests at 5 % on the stimuli that both answered: 90 % intervals within +-{size}."
    else:
        yield f"Simultaneous 95 % intervals on the stimuli that both answered{accepted}."
    for line in found.remarks:
        yield f"- {markdown_text(line)}"


def _flipped(found: Diff, images: int) -> Iterator[str]:
    if images <= 0:
        return
    for (suite, metric), group in groupby(found.flipped, key=lambda one: (one.suite, one.metric)):
        rows = sorted(group, key=lambda one: one.winner != "b")
        lost = sum(one.winner == "b" for one in rows)
        yield ""
        yield (
            f"<details><summary>{escape(printable(suite))}, {escape(printable(metric))}: {lost} lost, "
            f"{len(rows) - lost} gained</summary>"
        )
        yield ""
        yield "| | condition | image | category | base says | new says |"
        yield "|---|---|---|---|---|---|"
        for one in rows[:images]:
            # Where both say the same, something beside the answer decides: an attack, say.
            told = one.answer_b != one.answer_a
            answers = (one.answer_b, one.answer_a) if told else ("", "")
            texts = one.condition, one.stimulus, one.category, *answers
            cells = [markdown_code(text) if text else "" for text in texts]
            yield f"| {'lost' if one.winner == 'b' else 'gained'} | {' | '.join(cells)} |"
        if len(rows) > images:
            yield ""
            words = ("bench", "compare", found.new, found.base, "--images")
            yield f"and {len(rows) - images} more: {markdown_code(shlex.join(words))}"
        yield ""
        yield "</details>"
