"""The tables of an observer's page: every score of one suite in one space, and what stands under them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from benchmark.leaderboard.model import describe
from benchmark.report.captions import PARENTHESIS
from benchmark.report.contents import Contents
from benchmark.report.writing import short, slug

if TYPE_CHECKING:
    from benchmark.contracts import Metric, Suite
    from benchmark.store import ScoreRow


class Line(NamedTuple):
    """A score: its texts. stimuli, method, remarks: letters and numbers of what stands under the table."""

    title: str
    value: str
    interval: str
    n: int
    stimuli: str
    method: str
    remarks: str


@dataclass(frozen=True)
class Part:
    """The scores of one suite in one space: lines over all conditions, then by metric those of single
    conditions in one text. varies: which of n, stimuli and method are not the same in every line."""

    suite: str
    page: str
    title: str
    how: str
    lines: Sequence[Line]
    conditions: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    methods: Sequence[str]
    stimuli: Sequence[str]
    varies: Mapping[str, bool]


@dataclass
class Legend:
    """What letters and numbers in a table stand for, in the order in which they came up. usual: the stimuli of the
    suite, which need no letter."""

    stimuli: dict[str, int] = field(default_factory=dict)
    methods: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)
    usual: frozenset[str] = frozenset()


def parts_of(contents: Contents, rows: Sequence[ScoreRow]) -> Iterator[Part]:
    """The scores of an observer, suite by suite in the order of the report."""
    suites = {suite.name: suite for suite in contents.suites}
    found: dict[tuple[str, int, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        found[row.suite, -row.version, row.space].append(row)
    order = {name: at for at, name in enumerate(suites)}
    for (name, _, _), part in sorted(
        found.items(), key=lambda item: (order.get(item[0][0], 99), item[0])
    ):
        yield _part(contents, suites.get(name), part)


def _part(contents: Contents, suite: Suite | None, rows: Sequence[ScoreRow]) -> Part:
    metrics = (
        {metric.name: (at, metric) for at, metric in enumerate(suite.metrics)} if suite else {}
    )
    beside = suite.references if suite else {}
    once = {
        (r.metric, r.role, r.condition, r.stimuli, r.value, r.reason): r
        for r in rows
        if r.condition not in beside
    }
    ordered = sorted(
        once.values(),
        key=lambda r: (metrics[r.metric][0] if r.metric in metrics else 999, r.metric),
    )
    first = ordered[0] if ordered else rows[0]
    legend = Legend(usual=frozenset(contents.usual.get((first.suite, first.space), {}).values()))
    titles = {name: metric.title for name, (_, metric) in metrics.items()}
    plain = [
        _line(titles.get(row.metric, row.metric) + _where(row, metrics), row, legend)
        for row in ordered
        if not row.condition
    ]
    single: dict[str, list[ScoreRow]] = defaultdict(list)
    silent = {name for name, (_, metric) in metrics.items() if not metric.shown}
    for row in _of_largest([row for row in ordered if row.condition and row.metric not in silent]):
        single[titles.get(row.metric, row.metric) + _where(row, metrics)].append(row)
    made = {row.created[:10] for row in rows}
    how = "; ".join([first.policy or "imported answers", f"scored {min(made)}"])
    return Part(
        suite=first.suite,
        page=f"suites/{slug(first.suite)}.html",
        title=f"{first.suite} (version {first.version}), {first.space}",
        how=how,
        lines=plain,
        conditions=[(name, _conditions(mine)) for name, mine in single.items()],
        remarks=list(legend.remarks),
        methods=list(legend.methods),
        stimuli=[describe(digest, contents.sets) for digest in legend.stimuli],
        varies={
            name: len({getattr(line, name) for line in plain}) > 1
            for name in ("n", "stimuli", "method")
        },
    )


def _where(row: ScoreRow, metrics: Mapping[str, tuple[int, Metric]]) -> str:
    """Which stimuli a score is of, where its metric is measured on several."""
    own = metrics[row.metric][1].role if row.metric in metrics else row.role
    return "" if row.role == own else f" ({row.role})"


def _of_largest(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Of each metric, role and condition the score on the largest stimuli: collections share most of their sets."""
    found: dict[tuple[str, str, str], ScoreRow] = {}
    for row in rows:
        held = found.setdefault((row.metric, row.role, row.condition), row)
        if (row.value is not None, row.n) > (held.value is not None, held.n):
            found[row.metric, row.role, row.condition] = row
    return list(found.values())


def _conditions(rows: Sequence[ScoreRow]) -> str:
    """ "c05 .533, c10 .694 (n 160; intervals reach at most .06 from the value)"; "fog 1 to 3: .9, .8, .7"."""
    sizes = sorted({row.n for row in rows if row.value is not None})
    texts = list(_values(rows))
    reach = [
        max(row.high - row.value, row.value - row.low)
        for row in rows
        if row.value is not None and row.low is not None and row.high is not None
    ]
    said = [f"n {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''}"] if sizes else []
    said += [f"intervals reach at most {short(max(reach))} from the value"] if reach else []
    joint = "; " if any(": " in text for text in texts) else ", "
    return f"{joint.join(texts)} ({'; '.join(said)})" if said else joint.join(texts)


def _values(rows: Sequence[ScoreRow]) -> Iterator[str]:
    """Each condition with its value; levels 1, 2, 3 ... of one thing together."""
    levels: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        name, _, level = row.condition.rpartition("/")
        known = levels[name if level.isascii() and level.isdigit() and name else row.condition]
        known.append(row)
    for name, mine in levels.items():
        numbers = [row.condition.rpartition("/")[2] for row in mine]
        if len(mine) > 1 and numbers == [str(at) for at in range(1, len(mine) + 1)]:
            texts = (short(row.value) if row.value is not None else row.reason for row in mine)
            yield f"{name} 1 to {len(mine)}: {', '.join(texts)}"
        else:
            for row in mine:
                told = f" {short(row.value)}" if row.value is not None else f": {row.reason}"
                yield row.condition + told


def _line(title: str, row: ScoreRow, legend: Legend) -> Line:
    said = [*row.flags, *([row.reason] if row.value is None and row.reason else [])]
    interval = "" if row.low is None or row.high is None else f"{short(row.low)}, {short(row.high)}"
    return Line(
        title=title,
        value="" if row.value is None else short(row.value),
        interval=interval,
        n=row.n,
        stimuli="" if row.stimuli in legend.usual else _letter(legend.stimuli, row.stimuli),
        method=_letter(legend.methods, PARENTHESIS.sub("", row.method)),
        remarks=" ".join(
            str(legend.remarks.setdefault(text, len(legend.remarks) + 1)) for text in said
        ),
    )


def _letter(known: dict[str, int], text: str) -> str:
    """ "a" for the first text, "b" for the second, ... "aa" for the 27th; "" for none."""
    at = known.setdefault(text, len(known)) if text else -1
    return "" if at < 0 else chr(97 + at % 26) * (1 + at // 26)
