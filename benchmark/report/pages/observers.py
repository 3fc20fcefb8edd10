"""One page for each observer: card, provenance, all scores, what it answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.leaderboard.model import describe
from benchmark.report.captions import PARENTHESIS
from benchmark.report.contents import Contents, family, source
from benchmark.report.pages.answered import answered, confusions
from benchmark.report.writing import Site, short, slug

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.store import ObserverRow, ScoreRow

#: Fields of a card that a reader wants to see, in this order, with what they are called.
FIELDS = {
    "description": "description",
    "training": "recipe",
    "arch": "architecture",
    "weights": "weights",
    "sha256": "digest of the weights",
    "labels": "labels",
    "license": "licence",
    "paper": "paper",
    "year": "year",
    "named": "called in its source",
    "source": "source",
}


@dataclass(frozen=True)
class Line:
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
    conditions in one text."""

    suite: str
    page: str
    title: str
    how: str
    lines: Sequence[Line]
    conditions: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    methods: Sequence[str]
    stimuli: Sequence[str]


@dataclass
class Legend:
    """What letters and numbers in a table stand for, in the order in which they came up."""

    stimuli: dict[str, int] = field(default_factory=dict)
    methods: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)


def observer_pages(
    site: Site, contents: Contents, thumbnails: Mapping[tuple[str, str], str]
) -> None:
    """observers/NAME.html for everybody with a name in the leaderboard."""
    for name, known in contents.observers.items():
        parts = list(_parts(contents, contents.scores.get(name, ())))
        site.page(
            f"observers/{slug(name)}.html",
            "observer.html",
            title=name,
            brief=True,
            facts=list(_facts(known)),
            parts_=parts,
            answered=list(answered(contents.answers, name, thumbnails)),
            confusions=confusions(contents.answers, name),
            outcomes=[
                one
                for one in contents.outcomes
                if one.observer_name == name and one.status != "done"
            ],
        )


def _facts(known: ObserverRow) -> Iterator[tuple[str, str]]:
    yield "kind", known.kind
    if kin := family(known):
        yield "family", kin
    yield "answers", source(known) or "imported"
    for name, title in FIELDS.items():
        value = known.card.get(name)
        if value and not (name == "source" and known.kind != "network"):
            yield (
                title,
                ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value),
            )
    for one in known.card.get("reported") or ():
        if isinstance(one, dict):
            yield (
                f"reported {one.get('metric', '')}",
                f"{one.get('value', '')} ({one.get('where', '')})",
            )
    yield "identity", known.identity[:16]
    yield "in this leaderboard since", known.created


def _parts(contents: Contents, rows: Sequence[ScoreRow]) -> Iterator[Part]:
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
    legend = Legend()
    titles = {name: metric.title for name, (_, metric) in metrics.items()}
    plain = [
        _line(titles.get(row.metric, row.metric), row, legend)
        for row in ordered
        if not row.condition
    ]
    single: dict[str, list[ScoreRow]] = defaultdict(list)
    silent = {name for name, (_, metric) in metrics.items() if not metric.shown}
    for row in _of_largest([row for row in ordered if row.condition and row.metric not in silent]):
        own = metrics[row.metric][1].role if row.metric in metrics else row.role
        where = "" if row.role == own else f" ({row.role})"
        single[titles.get(row.metric, row.metric) + where].append(row)
    first = ordered[0] if ordered else rows[0]
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
    )


def _of_largest(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Of each metric, role and condition the score on the largest stimuli: collections share most of their sets."""
    found: dict[tuple[str, str, str], ScoreRow] = {}
    for row in rows:
        held = found.setdefault((row.metric, row.role, row.condition), row)
        if (row.value is not None, row.n) > (held.value is not None, held.n):
            found[row.metric, row.role, row.condition] = row
    return list(found.values())


def _conditions(rows: Sequence[ScoreRow]) -> str:
    """ "c05 .533, c10 .694 (n 160; 95 % intervals reach at most .06 from the value)"."""
    sizes = sorted({row.n for row in rows if row.value is not None})
    texts = [
        f"{r.condition} {short(r.value)}" if r.value is not None else f"{r.condition}: {r.reason}"
        for r in rows
    ]
    reach = [
        max(row.high - row.value, row.value - row.low)
        for row in rows
        if row.value is not None and row.low is not None and row.high is not None
    ]
    said = [f"n {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''}"] if sizes else []
    said += [f"intervals reach at most {short(max(reach))} from the value"] if reach else []
    return f"{', '.join(texts)} ({'; '.join(said)})" if said else ", ".join(texts)


def _line(title: str, row: ScoreRow, legend: Legend) -> Line:
    said = [*row.flags, *([row.reason] if row.value is None and row.reason else [])]
    interval = "" if row.low is None or row.high is None else f"{short(row.low)}, {short(row.high)}"
    return Line(
        title=title,
        value="" if row.value is None else short(row.value),
        interval=interval,
        n=row.n,
        stimuli=_letter(legend.stimuli, row.stimuli),
        method=_letter(legend.methods, PARENTHESIS.sub("", row.method)),
        remarks=" ".join(
            str(legend.remarks.setdefault(text, len(legend.remarks) + 1)) for text in said
        ),
    )


def _letter(known: dict[str, int], text: str) -> str:
    """ "a" for the first text, "b" for the second, ... "aa" for the 27th; "" for none."""
    at = known.setdefault(text, len(known)) if text else -1
    return "" if at < 0 else chr(97 + at % 26) * (1 + at // 26)
