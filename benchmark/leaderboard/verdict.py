"""What a leaderboard says about one network, in sentences. A sentence that compares comes from a test that is adjusted
for all tests of its kind (Holm), or is not said."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from importlib.resources import files
from math import hypot
from statistics import fmean
from string import Template
from typing import Any, Literal

from benchmark.contracts import Suite, distrust_flags
from benchmark.contracts.suite import DISTRUST, is_guessing
from benchmark.display import counted, printable
from benchmark.leaderboard.board import UNTRAINED
from benchmark.leaderboard.board_model import Board, Cell, Row, cell_of
from benchmark.leaderboard.comparison import better
from benchmark.leaderboard.forms import json_text, markdown_code, markdown_text
from benchmark.leaderboard.lineage import UNSTATED, lineage
from benchmark.leaderboard.reference_scores import is_reference
from benchmark.leaderboard.table import rank_text, short_interval, short_number
from benchmark.stats.comparisons import Comparison, SuiteComparison, adjust, decided
from benchmark.stats.differences import Quadratic, Restricted, needed
from benchmark.stats.intervals import normal_quantile
from benchmark.stats.rankings import rank_intervals
from benchmark.store.rows import ScoreRow

INPUT, PAIR, TRUST, MISSING, STAR = "input", "nearest", "trust", "not measured", "*"
#: Sentences about this machine: its cards, and what it has not measured.
OF_MACHINE = INPUT, MISSING
UNPAIRED = "difference of two intervals, Holm over all neighbours and suites"
PAIRED_TEST = "paired, Holm over the suites"
#: Groups that a network is as, of which the nearest are named; parts of a headline that may be its weakest.
NAMED, WEAKEST = 2, 2
POWER = 0.8
NUMBERS = "its numbers are not those of the trained network"
_KINDS = {"group": "people", "human": "people", "simulated": "simulated people"}
VerdictForm = Literal["text", "markdown", "json", "html"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A number behind a sentence, with its test if it is of a comparison."""

    suite: str = ""
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    against: str = ""  # the other observer; the number is then own minus other
    test: str = ""  # its method
    p: float | None = None  # adjusted


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One statement. about: a suite, or "input", "nearest", "trust", "twin", "not measured"."""

    about: str
    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """Everything that is said of one network, the most important first."""

    observer: str
    sentences: tuple[Sentence, ...]

    def to(self, form: VerdictForm, width: int = 80) -> str:
        """Return the verdict as "text" of that width, "markdown", "json" with the evidence, or an "html" page."""
        if form == "json":
            return json_text(asdict(self))
        if form == "markdown":
            items = (f"- **{markdown_text(each.about)}**: {markdown_text(each.text)}" for each in self.sentences)
            return "\n".join([f"### {markdown_code(self.observer)}", "", *items]) + "\n"
        name = printable(self.observer)
        if form == "html":
            page = Template((files("benchmark.leaderboard") / "verdict.html").read_text(encoding="utf-8"))
            return page.substitute(name=escape(name), sentences=self._repr_html_())
        left = max((len(each.about) for each in self.sentences), default=0) + 2
        lines = [name]
        for each in self.sentences:
            lines += textwrap.wrap(
                printable(each.text), max(width, left + 20), initial_indent=each.about.ljust(left),
                subsequent_indent=" " * left, break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return self.to("text")

    def _repr_html_(self) -> str:
        rows = (f"<dt>{escape(each.about)}</dt><dd>{escape(printable(each.text))}</dd>" for each in self.sentences)
        return f'<dl class="verdict">{"".join(rows)}</dl>'


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A suite's headline of the network, among its neighbours."""

    suite: Suite
    board: Board  # with reference rows
    score: ScoreRow
    parts: Sequence[ScoreRow] = ()  # scores of the headline's conditions

    @property
    def guessing(self) -> bool:
        """Whether its answers do not depend on the images."""
        return is_guessing(self.score.flags)

    def neighbours(self, twins: Iterable[str] = ()) -> Iterator[tuple[str, Row]]:
        """Yield (group, row) of the others with a value that can be trusted. twins: names of the same network."""
        own = {self.score.observer, *twins}
        # People are one group: the pooled one, if there is one; a mean over them is of the same people.
        groups = [row.observer for row in self.board.references if row.kind == "group"]
        groups.sort(key=lambda name: "mean of" in name)
        pooled = groups[:1]
        for row in (*self.board.rows, *self.board.references):
            cell = row.cells[self.board.by]
            network = row.kind in ("network", "published") and UNTRAINED not in row.training
            person = row.kind in _KINDS and (row.kind == "simulated" or not pooled or row.observer in pooled)
            if row.observer in own or cell.value is None or distrust_flags(cell.flags) or not (network or person):
                continue
            recipe = lineage(row.observer, row.training).family.partition("/")[2]
            yield _KINDS.get(row.kind, recipe), row


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The neighbour that is nearest in all suites, and the tests against it. paired: on the trials of both."""

    name: str
    tests: tuple[SuiteComparison, ...]
    paired: bool


def interval_test(own: Cell, other: Cell, metric: str) -> Comparison:
    """Test a difference by the two intervals, as of independent numbers: conservative on common stimuli."""
    a, b = float(own.value or 0.0), float(other.value or 0.0)
    start = Comparison(metric=metric, a=a, b=b, difference=a - b, n=own.n, method=UNPAIRED)
    ends = (own.low, other.high) if a > b else (own.high, other.low)
    if ends[0] is None or ends[1] is None:
        return start
    error = hypot(a - ends[0], b - ends[1]) / normal_quantile(0.95)
    if error <= 0:
        return start
    test = Restricted(difference=a - b, variance=Quadratic(at_zero=error**2, cross=0.0, square=0.0))
    return decided(start, test, UNPAIRED)


def neighbour_tests(
    measured: Sequence[Measured], twins: Iterable[str] = (), rival: Rival | None = None
) -> dict[str, list[tuple[str, Row, Comparison]]]:
    """Return suite -> (group, neighbour, test of the network minus the neighbour)."""
    against = rival.tests if rival and rival.paired else ()
    paired = {row.suite: row.comparison for row in against if row.comparison.p_holm is not None}
    at: list[tuple[str, str, Row]] = []
    tests: list[Comparison] = []
    for each in measured:
        for group, row in each.neighbours(twins):
            at.append((each.suite.name, group, row))
            tests.append(interval_test(cell_of(each.score), row.cells[each.board.by], each.board.by))
    found: dict[str, list[tuple[str, Row, Comparison]]] = defaultdict(list)
    for (suite, group, row), test in zip(at, adjust(tests), strict=True):
        stronger = rival is not None and row.observer == rival.name and suite in paired
        found[suite].append((group, row, paired[suite] if stronger else test))
    return found


def nearest_names(measured: Sequence[Measured], twins: Iterable[str] = ()) -> list[str]:
    """Return other networks: by most suites in common, then by mean difference in units of each board's range."""
    gaps: dict[str, list[float]] = defaultdict(list)
    for each in measured:
        rows = [row for _, row in each.neighbours(twins) if row.kind not in _KINDS]
        values = [float(row.cells[each.board.by].value or 0.0) for row in rows]
        own = float(each.score.value or 0.0)
        spread = max([own, *values]) - min([own, *values]) or 1.0
        for row, value in zip(rows, values, strict=True):
            gaps[row.observer].append(abs(own - value) / spread)
    return sorted(gaps, key=lambda name: (-len(gaps[name]), sum(gaps[name]) / len(gaps[name]), name))


def suite_sentence(measured: Measured, tests: Sequence[tuple[str, Row, Comparison]]) -> Sentence:
    """Return value, interval, place, what it resembles and where it is weakest."""
    suite, own, board, metric = measured.suite, cell_of(measured.score), measured.board, measured.board.columns[0]
    rows = (*board.rows, *board.references)
    place = next(row.place for row in rows if row.observer == measured.score.observer)
    text = f"{metric.title.partition(' (')[0]} {short(own.value, own.low, own.high)}"
    ranked = sum(row.rank is not None for row in board.rows)
    text += f", rank {rank_text(*place)} of {ranked}" if place.rank is not None and ranked > 1 else ""
    said, evidence = _resemblance(tests, own)
    weak, parts = weakest_parts(measured)
    partial = [note.partition(": ")[2] for note in board.notes if note.startswith("partial set: ")]
    lines = [text, *([f"{said[0].upper()}{said[1:]}"] if said else []), *filter(None, [weak])]
    lines = [f"{line}." for line in (*lines, *(f"Shown {note}" for note in partial))]
    return Sentence(about=suite.name, text=" ".join(lines), evidence=(_number(measured), *evidence, *parts))


def _number(measured: Measured) -> Evidence:
    score = measured.score
    return Evidence(
        suite=score.suite, metric=score.metric, value=score.value, low=score.low, high=score.high, n=score.n,
        test=score.method,
    )  # fmt: skip


def _resemblance(tests: Sequence[tuple[str, Row, Comparison]], own: Cell) -> tuple[str, tuple[Evidence, ...]]:
    """Say of which groups most members do not differ, and which groups lie above or below as wholes."""
    groups: dict[str, list[tuple[Row, Comparison]]] = defaultdict(list)
    for group, row, test in tests:
        if group != UNSTATED and test.p_holm is not None:
            groups[group].append((row, test))
    value = own.value or 0.0
    sides: dict[str, list[tuple[float, str]]] = {"as": [], "above": [], "below": []}
    evidence: list[Evidence] = []
    for group, members in groups.items():
        ways = [
            "as" if (test.p_holm or 0.0) >= 0.05 else "above" if (test.difference or 0.0) > 0 else "below"
            for _, test in members
        ]
        alike = [member for member, way in zip(members, ways, strict=True) if way == "as"]
        if len(set(ways)) > 1 and 2 * len(alike) < len(members):
            continue
        shown = alike or members
        others = [float(test.b or 0.0) for _, test in shown]
        low, high = min(others), max(others)
        ends = " to ".join(dict.fromkeys((short_number(low, 2), short_number(high, 2))))
        mark = STAR * any(is_reference(cell) for row, _ in shown for cell in row.cells.values())
        count = f"{len(shown)} of {len(members)}" if len(shown) < len(members) else f"{len(members)}"
        size = f" ({count}{mark})" if len(members) > 1 else mark
        distance = max(low - value, value - high, 0.0)
        sides["as" if alike else ways[0]].append((distance, f"{group} {ends}{size}"))
        evidence += [_difference(test, row.observer) for row, test in members]
    said = []
    for way, found in sides.items():
        # People are the question of the whole benchmark: they are named however far they are.
        most = NAMED if way == "as" else 1
        kept = [text for at, (_, text) in enumerate(sorted(found)) if at < most or "people" in text]
        said += [f"{way} {', '.join(kept)}"] if kept else []
    return "; ".join(said), tuple(evidence)


def _difference(test: Comparison, other: str, suite: str = "") -> Evidence:
    return Evidence(
        suite=suite, metric=test.metric, value=test.difference, low=test.low, high=test.high, n=test.n,
        against=other, test=test.method, p=test.p_holm,
    )  # fmt: skip


def weakest_parts(measured: Measured) -> tuple[str, tuple[Evidence, ...]]:
    """Return the parts of the headline that may each be the worst (ranks not ruled out at 95 %), if they are few. Parts
    are its experiments, or conditions averaged over levels, whose standard error is at most the mean of theirs."""
    groups: dict[str, list[tuple[float, float, int]]] = defaultdict(list)  # value, width of its interval, n
    for row in measured.parts:
        value, low, high = cell_of(row)[:3]
        if value is not None and low is not None and high is not None:
            name = row.role if measured.suite.headline.parts else row.condition.partition("/")[0]
            groups[name].append((value, high - low, row.n))
    direction = measured.board.columns[0].direction
    if len(groups) <= WEAKEST + 1 or direction == "none":
        return "", ()
    means, widths = ([fmean(part[at] for part in parts) for parts in groups.values()] for at in (0, 1))
    errors = [width / (2 * normal_quantile(0.95)) for width in widths]
    _, _, worst = rank_intervals(means, errors, direction == "higher")
    rows = zip(groups, means, worst.tolist(), strict=True)
    last = [(name, value) for name, value, rank in rows if rank == len(groups)]
    if not 0 < len(last) <= WEAKEST:
        return "", ()
    method = f"lowest of {len(groups)} by rank intervals, Bonferroni"
    evidence = (
        Evidence(suite=measured.suite.name, metric=f"{measured.board.by} {name}", value=value, test=method,
                 n=sum(n for *_, n in groups[name]))
        for name, value in last
    )  # fmt: skip
    named = " or ".join(f"{name.replace('_', ' ')} {short(value)}" for name, value in last)
    return f"Weakest: {named}", tuple(evidence)


def pair_sentence(rival: Rival) -> Sentence:
    """Say where the network is better or worse than its neighbour, and how many images would show what was seen."""
    unseen = "no difference seen in"
    named = {
        "no answer differs": "the same answers in", "A": "better in", "B": "worse in", "A is higher": "higher in",
        "B is higher": "lower in",
    }  # fmt: skip
    ways: dict[str, list[str]] = {way: [] for way in (*named.values(), unseen)}
    for row in rival.tests:
        test, way = row.comparison, named.get(better(row), unseen)
        seen = round(test.difference or 0.0, 3)
        size = f"{'+' * (seen > 0)}{short_number(seen, 3)}" if seen else "0"
        if test.same or (way != unseen and test.p_holm is not None):
            ways[way].append(row.suite if test.same else f"{row.suite} ({size})")
        elif test.p_holm is not None:
            images, exact = "", abs(test.difference or 0.0)
            if exact >= 0.0005:  # not printed as 0
                # How many images would show a difference of this size with a probability of .8.
                times, count = test.test and needed(test.test, exact, POWER), "no number of"
                if times:
                    step = 10 ** max(0, math.floor(math.log10(max(times * test.n, 1.0))) - 1)
                    count = f"{math.ceil(times * test.n / step) * step:,}"
                images = f"; {count} images would show it"
            ways[unseen].append(f"{row.suite} ({size}{images})")
    said = [f"{way} {', '.join(where)}" for way, where in ways.items() if where]
    how = "" if rival.paired else f"{STAR}, by intervals"
    method = PAIRED_TEST if rival.paired else UNPAIRED
    evidence = (replace(_difference(row.comparison, rival.name, row.suite), test=method) for row in rival.tests)
    return Sentence(about=PAIR, text=f"{rival.name}{how}: {'; '.join(said)}.", evidence=tuple(evidence))


def input_sentence(
    observer: str, card: Mapping[str, Any], measured: Sequence[Measured], *, builtin: bool, wrong: bool
) -> Sentence:
    """Return whether the network is fed as it was trained, by the photographs that it was shown at registration."""
    tried, chance = card.get("tried"), [each for each in measured if each.guessing]
    evidence, text = [_number(each) for each in measured if each.guessing or wrong], ""
    if tried:
        right, n = tried["right"], tried["n"]
        where = f"at registration, on {tried['photographs']}"
        evidence.append(Evidence(metric="photographs right", value=right / n, n=n, test=where))
        if tried["findings"]:
            text = f"Fed wrongly, as it seems: {tried['findings'][0]}. Register it again with --replace: {NUMBERS}."
        elif tried["at_chance"]:
            text = (
                f"At chance: {right} of {n} photographs right, and no usual input or order of classes fits better. "
                f"Untrained, or other classes? {NUMBERS[0].upper()}{NUMBERS[1:]}."
            )
        else:
            text = f"Fed as trained, as far as {n} photographs show: {right} right, and no usual input fits better."
    elif builtin:
        text = "As its card states, which comes with the package."
    else:
        line = f"bench register {shlex.quote(observer)} ... --replace --check FOLDER"
        text = f"Unchecked: no photographs of its classes were installed. `{line}` tries it."
    if (verified := card.get("verified")) and not wrong:
        text = f"Fed as {verified['script']} feeds it: the same decisions on {verified['n']} photographs."
    if chance and not wrong:
        every = len(chance) == len(measured)
        where = "every suite" if every else ", ".join(each.suite.name for each in chance)
        text = f"At chance in {where}, where its numbers mean nothing: fed wrongly, other classes, or untrained? {text}"
    return Sentence(about=INPUT, text=text, evidence=tuple(evidence))


def verdict_of(
    observer: str, card: Mapping[str, Any], measured: Sequence[Measured], *, builtin: bool, twins: Sequence[str] = (),
    rival: Rival | None = None, lacking: Sequence[str] = (),
) -> Verdict:  # fmt: skip
    """Return the sentences on a network: its input, each suite, its nearest neighbour, trust, and what is missing.

    builtin: whether the card comes with the package; twins: other names of the same network; lacking: "SUITE, SUITE
    (REASON): `COMMAND`" of suites without a headline of the network."""
    tried = card.get("tried") or {}
    wrong = bool(tried.get("findings") or tried.get("at_chance"))  # fed wrongly, or a guess, by its photographs
    sentences = [input_sentence(observer, card, measured, builtin=builtin, wrong=wrong)]
    sound = [each for each in measured if not (wrong or each.guessing)]
    tests = neighbour_tests(sound, twins, rival)
    sentences += [suite_sentence(each, tests[each.suite.name]) for each in sound]
    if sound and rival is not None and any(row.comparison.p_holm is not None for row in rival.tests):
        sentences.append(pair_sentence(rival))
    if sound:
        flags: dict[str, list[str]] = defaultdict(list)
        for each in sound:
            for flag in (flag for flag in each.score.flags if flag.startswith((DISTRUST, "outdated"))):
                flags[flag.removeprefix(DISTRUST)].append(each.suite.name)
        doubts = "; ".join(f"{flag} ({', '.join(where)})" for flag, where in flags.items())
        none = f"No flag of distrust on {counted(len(sound), 'headline')}."
        sentences.append(Sentence(about=TRUST, text=f"Doubtful: {doubts}." if doubts else none))
    if twins:
        text = f"{', '.join(twins)} is the same network (weights, input and labels)."
        sentences.append(Sentence(about="twin", text=text))
    if lacking:
        sentences.append(Sentence(about=MISSING, text=f"{'; '.join(lacking)}."))
    if any(STAR in each.text for each in sentences if each.about != MISSING):
        text = "Reference scores that come with the package, on the same images."
        sentences.append(Sentence(about=STAR, text=text))
    return Verdict(observer=observer, sentences=tuple(sentences))


def short(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return ".26 [.23, .30]", with three decimals if the interval is narrow."""
    wide = low is None or high is None or high - low >= 0.03
    return short_interval(value, low, high, 2 if wide else 3)
