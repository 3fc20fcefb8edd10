"""One page for each observer: card, provenance, all scores, what it answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.model import describe
from benchmark.report.contents import (
    PARENTHESIS,
    Answers,
    Contents,
    against_others,
    confusion,
    each,
    family,
    source,
)
from benchmark.report.image_pages import Places
from benchmark.report.writing import Site, short, slug

if TYPE_CHECKING:
    from benchmark.contracts import Array, Metric, Suite
    from benchmark.store import ObserverRow, Outcome, ScoreRow

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

#: Runs behind an observer's scores that a page tells of, and characters of a command.
MOST_RUNS, LONGEST_COMMAND = 3, 160
PROGRAMS = ("gestaltbench", "torch", "torchvision", "timm")
#: Images in a list, roles with lists (those that most observers answered), categories and shades of a confusion matrix.
MOST, ROLES, LARGEST, SHADES = 3, 3, 24, 5


def observer_pages(site: Site, contents: Contents, places: Places) -> None:
    """observers/NAME.html for everybody with a name in the leaderboard."""
    failed: dict[str, list[Outcome]] = defaultdict(list)
    for one in contents.outcomes:
        if one.status != "done":
            failed[one.observer_name].append(one)
    for name, known in contents.observers.items():
        parts = list(parts_of(contents, contents.scores.get(name, ())))
        runs = list(runs_behind(contents, name))
        site.page(
            f"observers/{slug(name)}.html",
            "observer.html",
            title=name,
            brief=True,
            facts=list(_facts(known)),
            runs=runs[:MOST_RUNS],
            more_runs=max(0, len(runs) - MOST_RUNS),
            parts_=parts,
            answered=list(answered(contents.answers, name, places)),
            confusions=confusions(contents.answers, name),
            outcomes=failed[name],
        )


def runs_behind(contents: Contents, name: str) -> Iterator[tuple[str, str]]:
    """(command, when and with what it ran) of the runs behind an observer's scores, the newest first; of imported
    scores those of the leaderboard that they come from."""
    sets = dict.fromkeys(row.set_id for row in contents.scores.get(name, ()))
    behind = {run for one in sets for run in contents.origins.get(one, ())}
    for run in sorted(behind, key=lambda run: contents.runs[run]["started"], reverse=True):
        facts = contents.runs[run]
        yield _ran(facts)
        theirs = facts["environment"].get("imported")
        for one in theirs["runs"] if theirs else ():
            command, how = _ran(one)
            yield command, f"{how}, told by {theirs['source']}"


def _ran(facts: Mapping[str, Any]) -> tuple[str, str]:
    made_with = facts["environment"]
    packages = made_with.get("packages") or {}
    versions = [f"{name} {packages[name]}" for name in PROGRAMS if packages.get(name)]
    device = " ".join(str(made_with[one]) for one in ("device", "gpu") if made_with.get(one))
    told = [
        str(facts["started"])[:10],
        *versions,
        *([device] if device not in ("", "none") else []),
    ]
    command = str(facts["command"])
    short_command = (
        command if len(command) <= LONGEST_COMMAND else f"{command[:LONGEST_COMMAND]}..."
    )
    return short_command, ", ".join(told)


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
    yield "in this leaderboard since", known.created[:16].replace("T", " ")


# --- tables of scores: every score of one suite in one space, and what stands under them


class ScoreLine(NamedTuple):
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
    lines: Sequence[ScoreLine]
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


def _line(title: str, row: ScoreRow, legend: Legend) -> ScoreLine:
    said = [*row.flags, *([row.reason] if row.value is None and row.reason else [])]
    interval = "" if row.low is None or row.high is None else f"{short(row.low)}, {short(row.high)}"
    return ScoreLine(
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


# --- what it answered: confusions, and the images that it gets right or wrong against everybody


@dataclass(frozen=True)
class Confusion:
    """Answers by category. cells: (count, shade 0 to SHADES) of each."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]
    n: int


@dataclass(frozen=True)
class Surprise:
    """An image: what was answered, what is right; share: of the others who are right, or the observer's own
    probability of the right answer."""

    name: str
    answer: str
    truth: str
    share: str
    thumbnail: str


@dataclass(frozen=True)
class Answered:
    """One role. alone_right: right where most others are wrong; alone_wrong: the reverse; surest, least_sure (of the
    first role alone): by the probability that the observer itself gives the right answer."""

    title: str
    page: str
    right: str
    alone_right: Sequence[Surprise]
    alone_wrong: Sequence[Surprise]
    surest: Sequence[Surprise] = ()
    least_sure: Sequence[Surprise] = ()


def answered(answers: Sequence[Answers], name: str, places: Places) -> Iterator[Answered]:
    """By role, those with others to compare with."""
    for place, (one, at) in enumerate(list(each(answers, name))[:ROLES]):
        seen = one.shown[at]
        if not seen.any():
            continue
        others, n = against_others(one, at)
        known = seen & (n > 0)
        right = one.right[at]
        yield Answered(
            title=f"{one.role}, {one.space}",
            page=f"stimuli/{slug(one.key)}.html",
            right=f"{short(float(right[seen].mean()))} right of {int(seen.sum())} images",
            alone_right=[
                _surprise(one, at, i, others, places) for i in _first(right & known, others)
            ],
            alone_wrong=[
                _surprise(one, at, i, others, places) for i in _first(~right & known, 1 - others)
            ],
            surest=() if place else _by_certainty(one, at, places, -1),
            least_sure=() if place else _by_certainty(one, at, places, 1),
        )


def _by_certainty(one: Answers, at: int, places: Places, sign: int) -> list[Surprise]:
    """The images whose right answer the observer gives the most (-1) or the least (1) probability."""
    if one.certainty is None:
        return []
    held = one.certainty[at]
    known = np.flatnonzero(~np.isnan(held))
    order = known[np.argsort(sign * held[known], kind="stable")][:MOST]
    return [_surprise(one, at, int(i), held, places) for i in order]


def _first(members: NDArray[np.bool_], share: NDArray[np.float64]) -> list[int]:
    """The images of `members` at which `share` is least, as far as it is below one half."""
    at = np.flatnonzero(members)
    order = at[np.argsort(share[at], kind="stable")][:MOST]
    return [int(i) for i in order if share[i] < 0.5]


def _surprise(
    one: Answers,
    at: int,
    image: int,
    share: NDArray[np.floating[Any]],
    places: Places,
) -> Surprise:
    name = str(one.images[image])
    return Surprise(
        name=name,
        answer=one.answer(at, image),
        truth=str(one.labels["category"][image]),
        share=short(float(share[image])),
        thumbnail=places.get((one.key, name), ""),
    )


def confusions(answers: Sequence[Answers], name: str) -> list[Confusion]:
    """One matrix for each space, of all sets whose images have one category and no conflicting cue."""
    found: dict[str, list[tuple[list[str], list[str], Array]]] = {}
    for one, at in each(answers, name):
        texture, category = one.labels["texture"], one.labels["category"]
        if one.shown[at].any() and not ((texture != "") & (texture != category)).any():
            found.setdefault(one.space, []).append(confusion(one, at))
    return [made for space, parts in found.items() if (made := _together(space, parts)) is not None]


def _together(space: str, parts: Sequence[tuple[list[str], list[str], Array]]) -> Confusion | None:
    rows = sorted({name for names, _, _ in parts for name in names})
    columns = [
        *rows,
        *dict.fromkeys(word for _, words, _ in parts for word in words if word not in rows),
    ]
    if not 2 <= len(rows) <= LARGEST or len(columns) > LARGEST:
        return None
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for names, words, part in parts:
        counts[np.ix_([rows.index(n) for n in names], [columns.index(w) for w in words])] += part
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = np.ceil(SHADES * counts / totals).astype(int)
    cells = [
        list(zip(c, s, strict=True)) for c, s in zip(counts.tolist(), shades.tolist(), strict=True)
    ]
    title = f"Confusions, {space}, images without conflicting cues"
    return Confusion(title, columns, list(zip(rows, cells, strict=True)), int(counts.sum()))
