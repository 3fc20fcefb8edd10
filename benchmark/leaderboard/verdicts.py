"""Whether a new model is worse than the one it shall replace: a verdict per suite, as Markdown for a pull request."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Literal

from benchmark.contracts import Suite
from benchmark.display import printable
from benchmark.errors import BenchError
from benchmark.leaderboard.formatting import estimate, number
from benchmark.leaderboard.markup import markdown_code, markdown_text
from benchmark.stats.comparisons import Comparison
from benchmark.stats.families import Compared, DiscordantTrial, SuiteComparison

Verdict = Literal["better", "worse", "not inferior", "no change shown", "changed", "inconclusive"]
LEVEL = 0.95
_WHO = {"a": "the new one", "b": "the base"}  # of a comparison, whose words say a and b


@dataclass(frozen=True)
class Change:
    """One suite's headline, new less base. low, high: interval of the difference; verdict, and why it is none."""

    row: SuiteComparison
    low: float | None
    high: float | None
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, repr=False)
class Diff:
    """A new model against its base. margin: how much worse it may be, in units of the metric (None: not asked);
    flipped: trials of the headlines that one of the two gets right alone (winner "a": the new one); looked: whether
    the intervals hold at every look, so that sampling could stop once they were clear."""

    base: str
    new: str
    margin: float | None
    changes: tuple[Change, ...]
    flipped: tuple[DiscordantTrial, ...] = ()
    remarks: tuple[str, ...] = ()
    looked: bool = False

    @property
    def verdict(self) -> str:
        """The whole in a word or two: the worst of the suites'. Without any, nothing is told."""
        verdicts = {one.verdict for one in self.changes} or {"inconclusive"}
        for one in ("worse", "inconclusive"):
            if one in verdicts:
                return one
        return "no change for the worse shown" if self.margin is None else "not inferior"

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
        """0: not inferior, or no change for the worse shown; 1: worse; 3: inconclusive."""
        return {"worse": 1, "inconclusive": 3}.get(self.verdict, 0)


def judged(found: Compared, flipped: Sequence[DiscordantTrial], margin: float | None) -> Diff:
    """found: a the new one, b the base.

    Without a margin a suite is worse or better where its paired test says so, adjusted over the suites (Holm). With
    one, simultaneous 95 % intervals (Bonferroni over the suites) are held against it: worse where all of the interval
    lies beyond the margin, not inferior where none of it does.
    """
    check_margin(margin)
    rows = [
        row
        for row in found.headlines
        if row.comparison.difference is not None or row.comparison.reason
    ]
    tested = sum(row.comparison.test is not None for row in rows)
    changes = tuple(_change(row, margin, max(1, tested)) for row in rows)
    nothing = () if rows else ("there is no headline that both have a score of",)
    remarks = (*nothing, *found.outdated, *found.remarks)
    return Diff(found.b, found.a, margin, changes, tuple(flipped), remarks)


def check_margin(margin: float | None) -> None:
    """BenchError for a margin that any model keeps or none: NaN, infinity, 0 or less."""
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise BenchError(f"a margin is a finite number above 0, such as 0.01, not {margin:g}.")


def seen_so_far(row: SuiteComparison, low: float, high: float, margin: float | None) -> Change:
    """The verdict by an interval that holds at every look. Without a margin: whether it leaves out 0."""
    direction = row.metric.direction
    worst, best = (-high, -low) if direction == "lower" else (low, high)
    if direction == "none":
        verdict: Verdict = "changed" if low > 0 or high < 0 else "no change shown"
    elif margin is not None:
        verdict = _against(worst, best, margin)
    else:
        verdict = "worse" if best < 0 else "better" if worst > 0 else "no change shown"
    return Change(row, low, high, verdict)


def nothing_known(suite: Suite, reason: str) -> Change:
    """The verdict on a suite of which there is nothing to compare."""
    metric = suite.headline
    row = SuiteComparison(suite.name, metric, Comparison(metric.name, reason=reason))
    return Change(row, None, None, "inconclusive", reason)


def _change(row: SuiteComparison, margin: float | None, suites: int) -> Change:
    one, direction = row.comparison, row.metric.direction
    if one.test is None or one.difference is None:
        reason = re.sub("(?<= for )[ab]$", lambda who: _WHO[who[0]], one.reason)
        return Change(row, None, None, "inconclusive", reason)
    if margin is None or direction == "none":
        return Change(row, one.low, one.high, _plain(row))
    low, high = one.test.interval(1 - (1 - LEVEL) / suites)
    if low is None or high is None:
        verdict: Verdict = "not inferior" if one.difference == 0 else "inconclusive"
        return Change(row, low, high, verdict, "" if one.difference == 0 else "too few clusters")
    worst, best = (low, high) if direction == "higher" else (-high, -low)
    return Change(row, low, high, _against(worst, best, margin))


def _plain(row: SuiteComparison) -> Verdict:
    if "higher" not in row.comparison.verdict:
        return "no change shown"
    if row.metric.direction == "none":
        return "changed"
    rises = (row.comparison.difference or 0) > 0
    return "better" if rises == (row.metric.direction == "higher") else "worse"


def _against(worst: float, best: float, margin: float) -> Verdict:
    """worst, best: ends of the interval of the gain."""
    if best < -margin:
        return "worse"
    if worst <= -margin:
        return "inconclusive"
    return "better" if worst > 0 else "not inferior"


def diff_markdown(found: Diff, images: int = 20) -> str:
    """The verdict, a table of suites, and up to so many images that flipped per suite. Names are code: they mention
    nobody, link nowhere and mark nothing up."""
    return "\n".join(
        [*_head(found), "", *_table(found), "", *_notes(found), *_images(found, images)]
    )


def _head(found: Diff) -> Iterator[str]:
    yield f"### {markdown_code(found.new)} against {markdown_code(found.base)}: {found.verdict}"


def _table(found: Diff) -> Iterator[str]:
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


def _notes(found: Diff) -> Iterator[str]:
    if found.looked:
        accepted = "" if found.margin is None else f"; up to {found.margin:g} worse is accepted"
        yield f"Intervals (95 % together) hold at every look: sampling stopped once they were clear{accepted}."
    elif found.margin is None:
        yield "Paired tests on the stimuli that both answered, adjusted over the suites (Holm)."
        yield "No change shown is no proof of none: `--noninferior X` asks for that."
    else:
        yield (
            f"Simultaneous 95 % intervals on the stimuli that both answered; up to {found.margin:g} worse is accepted."
        )
    for line in found.remarks:
        yield f"- {markdown_text(line)}"


def _images(found: Diff, images: int) -> Iterator[str]:
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
