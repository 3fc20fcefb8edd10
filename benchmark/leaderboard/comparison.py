"""Two observers against each other: a comparison as tables, and the verdict on a new model against its base as Markdown
for a pull request."""

import math
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from itertools import groupby
from operator import attrgetter

from benchmark.contracts import Direction, Suite
from benchmark.display import counted, printable
from benchmark.failures import BenchError
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.forms import markdown, markdown_code, markdown_text
from benchmark.leaderboard.table import Table, Value, declared_table, number, p_value
from benchmark.stats.comparisons import Compared, ComparedToEach, Comparison, DiscordantTrial, SuiteComparison, adjusted
from benchmark.stats.differences import detectable, needed, power_of

MANY = 200  # images that are listed of one metric
_ANSWERS = attrgetter("condition", "stimulus", "category", "answer_a", "answer_b")


def comparison_tables(tests: Compared) -> list[Table]:
    """Return the family of headlines, then the other metrics under each suite's name, then notes on all tables."""
    who, caption = f"A: {tests.a}    B: {tests.b}", "the stimuli that both answered, paired"
    first = test_table(who, caption, [("", row) for row in tests.headlines])
    others = (
        test_table(f"{suite}, other metrics", "", [("", row) for row in rows], suite)
        for suite, rows in groupby(tests.secondary, key=lambda row: row.suite)
    )
    notes = []
    if levels := sorted({row.comparison.level for row in tests if row.comparison.p is not None}):
        percent = " to ".join(dict.fromkeys(f"{100 * level:.4g}" for level in (levels[0], levels[-1])))
        rows = f"{counted(len(tests.headlines), 'headline')} and {counted(len(tests.secondary), 'other metric')}"
        notes += [
            f"Two families of tests, adjusted apart (Holm): {rows}. An interval is at the level at which Holm's "
            f"procedure tests its row ({percent} %): it leaves out 0 exactly where p is below .05.",
            "Inconclusive (± half-width of the interval). A / B alone: trials where one of the two alone scores.",
        ]
    tested = Counter(row.comparison.method for row in tests if row.comparison.p is not None)
    notes += [f"Method: {method} ({n})" for method, n in tested.items()]
    notes += _remarked(tests)
    notes += [f"Not tested twice: {a.title} ({a.suite}) is {b.title} ({b.suite})." for a, b in tests.left_out]
    notes += _not_compared((row, f"{row.title} ({row.suite})") for row in tests)
    if uncommon := max((row.comparison.only_a + row.comparison.only_b for row in tests), default=0):
        notes.append(f"Up to {uncommon} trials of a metric are not common to both and do not count.")
    return [first, *(table for table in others if table.rows), _how_to_read(notes, tests)]


def measure_comparison(tests: Compared) -> Table:
    """Return every measure of shape or texture that both have, one family of tests."""
    rows = adjusted([row for row in tests if row.metric.cue and not row.comparison.condition])
    if not rows:
        raise BenchError(f"'{tests.a}' and '{tests.b}' have no measure of shape or texture in common.")
    who = f"A: {tests.a}    B: {tests.b}"
    table = test_table(who, "measures of shape and texture, paired; one family of tests", [("", row) for row in rows])
    return replace(table, notes=(*table.notes, *_not_compared((row, f"{row.title} ({row.suite})") for row in rows)))


def _not_compared(rows: Iterable[tuple[SuiteComparison, str]]) -> list[str]:
    """Return a note for each reason of missing tests. rows: with the name of each."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for row, name in rows:
        if row.comparison.p is None:
            reasons[row.comparison.reason].append(name)
    return [f"Not compared, {reason}: {', '.join(names)}" for reason, names in reasons.items()]


def each_tables(tests: ComparedToEach) -> list[Table]:
    """Return a table for each suite's headline: a row for each of the others, highest first."""
    by_metric: dict[tuple[str, str], list[tuple[str, SuiteComparison]]] = defaultdict(list)
    for name, row in tests.rows:
        if row.comparison.difference is not None:
            by_metric[row.suite, row.title].append((name, row))
    tables = []
    for (suite, title), rows in by_metric.items():
        rows.sort(key=lambda pair: (-(pair[1].comparison.b or 0), pair[0]))
        differ = sum("higher" in row.comparison.verdict for _, row in rows)
        ends = (f"{number(row.comparison.b)} ({printable(name)})" for name, row in (rows[-1], rows[0]))
        table = test_table(f"{suite}: {title}", f"A: {tests.a}", rows, suite, title)
        spread = f"B from {' to '.join(ends)}; {differ} of {len(rows)} differ from A."
        tables.append(replace(table, notes=(spread,)))
    notes = [
        "On the stimuli that both answered, paired; all rows are one family of tests (Holm). An interval leaves out 0 "
        "exactly where p is below .05. Chance, too, keeps the highest of many from the lowest: that has no test here.",
        *_not_compared((row, printable(name)) for name, row in tests.rows),
        *([f"Nothing in common with: {printable(', '.join(tests.alone))}."] if tests.alone else []),
    ]
    return [*tables, _how_to_read(notes, tests)]


def _how_to_read(notes: Iterable[str], tests: Compared | ComparedToEach) -> Table:
    unlike = (f"Not run alike: {remark}" for remark in tests.remarks)
    return Table(title="How to read it", notes=(*map(printable, tests.outdated), *notes, *unlike))


def discordant_tables(trials: Sequence[DiscordantTrial], a: str, b: str) -> Iterator[Table]:
    """Yield the images that only one of the two gets right, by suite and metric."""
    for (suite, metric), group in groupby(trials, key=lambda row: (row.suite, row.metric)):
        rows = list(group)
        first = sum(row.winner == "a" for row in rows)
        won = f"{counted(first, 'image')} that only A answers correctly, {len(rows) - first} that only B does"
        shown = ((row.winner.upper(), *_ANSWERS(row)) for row in rows[:MANY])
        more = [f"... {len(rows) - MANY} more"] * (len(rows) > MANY)
        yield declared_table("discordant", shown, more, suite=suite, metric=metric, won=won, a=a, b=b)


@dataclass(frozen=True, kw_only=True)
class PowerRow:
    """The power of a comparison of a suite's headline."""

    suite: str
    title: str
    who: str  # observers whose answers it is computed from
    comparison: Comparison
    detect: float  # the difference to detect
    power: float  # the wanted power

    @cached_property
    def images(self) -> float | None:
        """Images needed to detect the difference with that power, with as many people; None: no number suffices."""
        test = self.comparison.test
        times = None if test is None else needed(test, self.detect, self.power)
        return None if times is None else times * self.comparison.n


def power_table(rows: Sequence[PowerRow]) -> Table:
    """Return the differences that each comparison detects now, and the sample that it needs."""
    detect, power = rows[0].detect, rows[0].power
    pair = rows[0].who if len({row.who for row in rows}) == 1 else ""

    def values(row: PowerRow) -> tuple[Value, ...]:
        test, n, names = row.comparison.test, row.comparison.n, (row.suite, row.title, row.who)
        if test is None:
            return (*names, n, row.comparison.reason, None, None, None)
        chance, smallest = power_of(test, detect), detectable(test, power)
        seen = (n, number(smallest), number(chance, 2)) if n > 1 else (None, "", "")
        people = needed(test, detect, power, of="people")
        enough = "no number" if row.images is None else f"{math.ceil(row.images):,}"
        return (*names, *seen, enough, "" if people is None else number(people, 2))

    made = [values(row) for row in rows]
    people = ["people, times: how many times as many people do so on as many images."] * any(row[-1] for row in made)
    hidden, of = (["who"], f"{pair}, ") if pair else ([], "")
    return declared_table("power", made, people, hidden, pair=of, detect=detect, power=power)


def better(row: SuiteComparison) -> str:
    """Return "A", "B", "A is higher" if neither end is better, "inconclusive (+- half-width)", "no answer differs", or
    "" without a test."""
    test = row.comparison
    if test.same:
        return "no answer differs"
    if test.p is None:
        return ""
    if "higher" not in test.verdict:
        if test.low is None or test.high is None:
            return "inconclusive"
        return f"inconclusive (\N{PLUS-MINUS SIGN}{(test.high - test.low) / 2:.2g})"
    first = (test.difference or 0) > 0
    if row.metric.direction == "none":
        return f"{'A' if first else 'B'} is higher"
    return "A" if first == (row.metric.direction == "higher") else "B"


def test_table(
    title: str, caption: str, rows: Sequence[tuple[str, SuiteComparison]], suite: str = "", metric: str = ""
) -> Table:
    """Paired tests. rows: (name of B if it differs by row, the test); suite, metric: given if the title has them."""

    def values(other: str, row: SuiteComparison) -> tuple[Value, ...]:
        test = row.comparison
        cell = Cell(test.difference, test.low, test.high, n=test.n, reason=test.reason, source=test)
        alone = f"{test.discordant[0]} / {test.discordant[1]}" if test.discordant else ""
        names, p = (other, row.suite, row.metric.name, row.title), (test.p_holm, p_value(test.p_holm))
        return (*names, cell, test.n, better(row), *p, test.a, test.b, alone)

    shown = (values(*pair) for pair in rows if pair[1].comparison.difference is not None)
    hidden = [*["suite"] * bool(suite), *["title", "b"] * bool(metric)]
    table = declared_table("test", shown, hidden=hidden, title=title, caption=caption)
    return table if table.rows else replace(table, fields=())


def _remarked(rows: Iterable[SuiteComparison]) -> Iterator[str]:
    return (f"{row.title} ({row.suite}): {row.comparison.remark}" for row in rows if row.comparison.remark)


RISK = 0.05
_WHO = {"a": "the new one", "b": "the base"}  # of a comparison, whose words say a and b


@dataclass(frozen=True)
class Margin:
    """The accepted difference of the new network from the base, in units of each metric: how much worse or, with
    `both`, either way. Raises BenchError unless it is finite and above 0."""

    size: float
    both: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size > 0):
            raise BenchError(f"a margin is a finite number above 0, such as 0.01, not {self.size:g}.")

    def level(self, suites: int) -> float:
        """Level of each of the simultaneous intervals; two one-sided tests at 5 % are one interval at 90 %."""
        return 1 - (2 if self.both else 1) * RISK / max(1, suites)

    def verdict(self, low: float, high: float, direction: Direction) -> str:
        """Return the verdict by the interval of a difference. direction: of a metric with a better end, or `both`."""
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


@dataclass(frozen=True, repr=False, kw_only=True)
class Diff:
    """A new network against its base."""

    base: str
    new: str
    margin: Margin | None  # the accepted difference; None: any change counts
    changes: tuple[SuiteComparison, ...]  # new minus base, with the verdict on each metric and its interval
    flipped: tuple[DiscordantTrial, ...] = ()  # of the headlines (winner "a": the new one)
    remarks: tuple[str, ...] = ()
    looked: bool = False  # whether intervals hold at every look, so that images could end early

    @property
    def verdict(self) -> str:
        """The worst of the suites' verdicts, "inconclusive" without suites."""
        verdicts = {row.comparison.verdict for row in self.changes} or {"inconclusive"}
        for bad in ("worse", "not equivalent", "inconclusive"):
            if bad in verdicts:
                return bad
        if verdicts == {"no answer changed"}:
            return "no answer changed"
        if self.margin is None:
            return "no change for the worse shown"
        return "equivalent" if self.margin.both else "not inferior"

    def __repr__(self) -> str:
        return f"<{self.new} against {self.base}: {self.verdict}; str() for the verdict in Markdown>"

    def __str__(self) -> str:
        return diff_markdown(self)

    _repr_markdown_ = __str__  # as a notebook shows it

    @property
    def exit_code(self) -> int:
        """Exit code: 0 as asked for, or no change for the worse; 1 worse, or not equivalent; 3 inconclusive."""
        return {"worse": 1, "not equivalent": 1, "inconclusive": 3}.get(self.verdict, 0)


def untested(suite: Suite, reason: str) -> SuiteComparison:
    """Return the inconclusive row of a suite with nothing to compare."""
    nothing = Comparison(metric=suite.headline.name, reason=reason, verdict="inconclusive")
    return SuiteComparison(suite=suite.name, metric=suite.headline, comparison=nothing)


def judged(tests: Compared, flipped: Sequence[DiscordantTrial], margin: Margin | None) -> Diff:
    """Return the verdict on a new network (a of the tests) against its base (b). A suite is judged by headline and
    guard, since agreement with people does not imply correct answers. Without a margin, paired tests decide, adjusted
    over the rows (Holm). With a margin, simultaneous intervals (Bonferroni) are compared with it. A row without an
    interval is inconclusive, unless no answer changed."""
    guards = [row for row in tests.secondary if row.metric.guard and not row.comparison.condition]
    rows = [
        row
        for head in tests.headlines
        for row in (head, *(guard for guard in guards if guard.suite == head.suite))
        if row.comparison.difference is not None or row.comparison.reason
    ]
    tested, changes = sum(row.comparison.test is not None for row in rows), []
    for row in adjusted(rows):
        paired, direction, reason = row.comparison, row.metric.direction, ""
        low, high, verdict = paired.low, paired.high, "inconclusive"
        asked = margin is not None and (margin.both or direction != "none")
        if margin and asked and paired.test is not None and not paired.same:
            low, high = paired.test.interval(margin.level(tested))
        if paired.same:
            verdict = "no answer changed"
        elif low is None or high is None or paired.difference is None:
            low = high = None
            reason = (
                re.sub("(?<= for )[ab]$", lambda who: _WHO[who[0]], paired.reason) or "too few clusters for an interval"
            )
        elif margin and asked:
            verdict = margin.verdict(low, high, direction)
        elif low <= 0 <= high:
            verdict = "no change shown"
        else:
            way = "better" if (low > 0) == (direction == "higher") else "worse"
            verdict = "changed" if direction == "none" else way
        changes.append(replace(row, comparison=replace(paired, low=low, high=high, verdict=verdict, reason=reason)))
    nothing = () if rows else ("the two have no headline in common",)
    said = (*nothing, *tests.outdated, *tests.remarks, *_remarked(rows))
    return Diff(base=tests.b, new=tests.a, margin=margin, changes=tuple(changes), flipped=tuple(flipped), remarks=said)


def diff_markdown(diff: Diff, images: int = 20) -> str:
    """Return the verdict, a table of suites, and up to so many images that flipped per suite. Names are code, so they
    cannot mention accounts, link or format."""

    def values(row: SuiteComparison) -> tuple[Value, ...]:
        paired = row.comparison
        cell = Cell(paired.difference, paired.low, paired.high, n=paired.n, source=paired)
        verdict = paired.verdict + (f": {paired.reason}" if paired.reason else "")
        # Of `discordant` the first are right for the new one alone; None where there is no right and wrong.
        gained, lost = paired.discordant or (None, None)
        return (row.suite, row.title, number(paired.b), number(paired.a), cell, verdict, paired.n, lost, gained)

    table = markdown(declared_table("diff", map(values, diff.changes))).rstrip("\n")
    head = f"### {markdown_code(diff.new)} against {markdown_code(diff.base)}: {diff.verdict}"
    on, margin = "on the stimuli that both answered", diff.margin
    if diff.looked:
        accepted = f"; up to {margin.size:g} {'either way' if margin.both else 'worse'} is accepted" if margin else ""
        how = f"Intervals (95 % together) hold at every look: sampling stops once they are clear{accepted}."
    elif margin is None:
        how = (
            f"Paired tests {on}, adjusted over the suites (Holm).\n"
            "No change found is not proof of none; test that with `--noninferior X` or `--equivalent X`."
        )
    elif margin.both:
        tested = sum(row.comparison.test is not None for row in diff.changes)
        risk, level = (f"{100 * share:.4g} %" for share in (RISK / max(1, tested), margin.level(tested)))
        each = " each" if tested > 1 else ""
        how = f"Two one-sided tests at {risk}{each} {on}: {level} intervals within +-{margin.size:g}."
    else:
        how = f"Simultaneous 95 % intervals {on}; up to {margin.size:g} worse is accepted."
    remarks = (f"- {markdown_text(line)}" for line in diff.remarks)
    return "\n".join([head, "", table, "", how, *remarks, *(_flipped(diff, images) if images > 0 else ())])


def _flipped(diff: Diff, images: int) -> Iterator[str]:
    for (suite, metric), group in groupby(diff.flipped, key=lambda trial: (trial.suite, trial.metric)):
        rows = sorted(group, key=lambda trial: trial.winner != "b")
        lost = sum(trial.winner == "b" for trial in rows)
        about = f"{escape(printable(suite))}, {escape(printable(metric))}"
        yield f"\n<details><summary>{about}: {lost} lost, {len(rows) - lost} gained</summary>\n"
        values: list[tuple[Value, ...]] = []
        for trial in rows[:images]:
            # Where both say the same, something beside the answer decides: an attack, say.
            says = (trial.answer_b, trial.answer_a) if trial.answer_b != trial.answer_a else ("", "")
            way = "lost" if trial.winner == "b" else "gained"
            values.append((way, trial.condition, trial.stimulus, trial.category, *says))
        yield markdown(declared_table("flipped", values))
        if len(rows) > images:
            words = ("bench", "compare", diff.new, diff.base, "--images")
            more = "`--images N`" if diff.looked else markdown_code(shlex.join(words))
            yield f"and {len(rows) - images} more: {more}\n"
        yield "</details>"
