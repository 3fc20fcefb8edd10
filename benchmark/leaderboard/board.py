"""From stored scores to ranked tables.

One table per suite, decision space and stimulus set of the metric that ranks: scores on other
stimuli are never mixed in. Networks (run here or published) are ranked; people are held against
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.contracts import Metric, Suite
from benchmark.errors import unknown_name
from benchmark.leaderboard.index import Index, build
from benchmark.leaderboard.model import (
    NOBODY,
    Board,
    Cell,
    Column,
    Row,
    cell_of,
    describe,
    is_partial,
)
from benchmark.leaderboard.ranking import with_ranks
from benchmark.leaderboard.references import UNTRAINED, reference_rows, rows_beside

if TYPE_CHECKING:
    from benchmark.store.table_rows import ScoreRow, StimuliNote

__all__ = ["Board", "Cell", "Column", "Row", "boards"]

NOTES = {
    "published": "published decisions, not run here",
    "reported": "another leaderboard's scores, no trials here",
}
REFERENCE_KINDS = ("group", "human", "simulated", "ideal")
_AVERAGE = re.compile(r"\d+ of \d+ experiments")


def boards(
    rows: Sequence[ScoreRow],
    suite: Suite,
    sets: Mapping[str, StimuliNote],
    by: str | None = None,
) -> list[Board]:
    """The ranked tables of one suite's newest version, the one with most observers first.

    rows: stored scores (other suites', single conditions' and outdated ones are passed over; those of
    the suite's reference conditions make rows of their own);
    sets: digest -> stimulus set; by: the metric that ranks (None: the headline; UnknownName where
    the suite has no such metric). No rows: no tables.
    """
    metric = _ranking_metric(suite, by)
    spaces, version, stale = build(rows, suite.name, suite.references)
    made = []
    for space, index in sorted(spaces.items()):
        notes = _version_notes(suite, version, stale.get(space, 0))
        for digest, members in index.groups(metric.name):
            maker = _Maker(
                suite, index, sets, metric, _columns(suite, index, metric), digest, members
            )
            made.append(maker.board(space, version, notes))
    return sorted(made, key=lambda board: -len(board.rows) - len(board.references))


def _ranking_metric(suite: Suite, by: str | None) -> Metric:
    """The headline, or the metric that is called `by`."""
    for metric in suite.metrics:
        if metric.headline if by is None else metric.name == by:
            return metric
    if by is None:
        raise ValueError(f"suite '{suite.name}' has no headline metric")
    raise unknown_name("metric", by, [m.name for m in suite.metrics], f"Suite: {suite.name}.")


def _columns(suite: Suite, index: Index, first: Metric) -> list[Metric]:
    """The ranking metric, then the shown metrics that anybody was scored on."""
    others = (
        m for m in suite.metrics if m.shown and m.name in index.metrics and m.name != first.name
    )
    return [first, *others]


def _has_value(rows: Sequence[Row], metric: Metric) -> bool:
    return any(row.cells[metric.name].value is not None for row in rows)


def _version_notes(suite: Suite, version: int, stale: int) -> tuple[str, ...]:
    notes = []
    if version < suite.version:
        notes.append(f"scores of version {version}; the suite is at version {suite.version}")
    if stale:
        noun = "observer has" if stale == 1 else "observers have"
        notes.append(f"{stale} {noun} scores of an older version only: not shown")
    return tuple(notes)


@dataclass(frozen=True)
class _Maker:
    """One table in the making: `members` are its observers, `digest` the stimuli of the metric."""

    suite: Suite
    index: Index
    sets: Mapping[str, StimuliNote]
    metric: Metric
    columns: Sequence[Metric]
    digest: str
    members: Sequence[str]

    def board(self, space: str, version: int, notes: tuple[str, ...]) -> Board:
        """The finished table."""
        sizes = {digest: known.n for digest, known in self.sets.items()}
        digests = self.index.role_digests(self.columns, self.members, sizes)
        digests[self.metric.role] = self.digest
        rows = self._rows(digests)
        ranked = [row for row in rows if not _is_reference(row)]
        aside = [row for row in rows if _is_reference(row)]
        told = [m for m in self.columns if m is self.metric or _has_value(rows, m)]
        silent = [f"{m.title}: {NOBODY}" for m in self.columns if m not in told]
        columns = tuple(self._column(m, rows) for m in told)
        beside = rows_beside(self.index, self.suite.references, columns, digests)
        return Board(
            suite=self.suite.name,
            version=version,
            space=space,
            title=f"{self.suite.name} (version {version}), {space}",
            sets={role: describe(found, self.sets) for role, found in digests.items() if found},
            columns=columns,
            rows=with_ranks(self._in_order(ranked), self.metric.name, self.metric.direction),
            references=reference_rows(
                self._in_order(aside), columns, beside, mean=not _grouped(self.suite)
            ),
            notes=(*notes, *self._notes(digests), *silent),
            by=self.metric.name,
            digest=self.digest,
            digests=digests,
        )

    def _column(self, metric: Metric, rows: Sequence[Row]) -> Column:
        """The metric's column. Over how many experiments an average is stands in its title."""
        shown = frozenset(self.suite.experiments.values())
        own = shown & {metric.role} if metric.role else shown if metric.parts else frozenset()
        cells = [row.cells[metric.name] for row in rows]
        said = {
            next(filter(_AVERAGE.fullmatch, cell.flags), "")
            for cell in cells
            if cell.value is not None
        }
        average = said.pop() if len(said) == 1 else ""
        return Column(
            metric.name,
            f"{metric.title} ({average})" if average else metric.title,
            metric.direction,
            metric.chance,
            metric.role,
            metric.bounds,
            metric.clean,
            metric.definition,
            metric.parts,
            own,
            average,
        )

    def _rows(self, digests: Mapping[str, str]) -> list[Row]:
        """One unranked row per member; who was run otherwise than most, or otherwise than before, is marked at the
        metric that ranks.
        """
        head = self.metric.name
        cells: dict[str, dict[str, Cell]] = {name: {} for name in self.members}
        for metric in self.columns:
            found = self.index.metrics.get(metric.name, {})
            scores = found.get(digests[metric.role], {})
            for name in self.members:
                score = scores.get(name)
                cells[name][metric.name] = cell_of(score) if score else self._missing(found, name)
        sources = {name: cells[name][head].source for name in self.members}
        stored = {name: source for name, source in sources.items() if source is not None}
        odd = unlike_most({name: source.policy for name, source in stored.items()})
        odd |= {
            name: f"{odd.get(name, f'run as {source.policy}')}; scores {_ways(source.replaced)} are replaced"
            for name, source in stored.items()
            if source.replaced
        }
        rows = []
        for name in self.members:
            known = self.index.observers[name]
            if name in odd:
                cell = cells[name][head]
                cells[name][head] = cell._replace(flags=(*cell.flags, odd[name]))
            note = NOTES.get(known.kind, "")
            row = Row(None, None, None, name, known.kind, tuple(known.training), cells[name], note)
            rows.append(row)
        return rows

    def _missing(self, found: Mapping[str, Mapping[str, ScoreRow]], name: str) -> Cell:
        """Why an observer has no number on the column's stimuli."""
        elsewhere = [digest for digest, scores in found.items() if digest and name in scores]
        if elsewhere:
            return Cell(reason=f"measured on another set: {describe(min(elsewhere), self.sets)}")
        stated = found.get("", {}).get(name)
        return Cell(reason=(stated and stated.reason) or "not measured", source=stated)

    def _in_order(self, rows: Sequence[Row]) -> list[Row]:
        """Best first, then by name; those without a value last."""
        sign = 1 if self.metric.direction == "lower" else -1

        def key(row: Row) -> tuple[bool, float, str]:
            value = row.cells[self.metric.name].value
            return value is None, 0.0 if value is None else sign * value, row.observer

        return sorted(rows, key=key)

    def _notes(self, digests: Mapping[str, str]) -> list[str]:
        """What a reader must know of the stimuli and the order."""
        notes = []
        for digest in dict.fromkeys(digests.values()):
            known = self.sets.get(digest)
            if known is not None and is_partial(known) and known.origin != "generated":
                notes.append(f"partial set: {known.n} of the {known.whole} images of {known.name}")
            if known is not None and known.painted:
                notes.append(f"{known.name} is not a published set: {known.painted}")
        if self.metric.direction == "none":
            notes.append(
                f"{self.metric.title} has no better or worse: ordered by value, not ranked"
            )
        return notes


def _grouped(suite: Suite) -> bool:
    """Whether people are scored as a group: a mean over them is not the measure then."""
    return suite.against is not None and suite.against.group is not None


def _is_reference(row: Row) -> bool:
    """Whether an observer is held against the ranked ones."""
    return UNTRAINED in row.training or row.kind in REFERENCE_KINDS


def _ways(policies: Sequence[str]) -> str:
    return " and ".join(f"as {policy}" for policy in policies)


def unlike_most(policies: Mapping[str, str]) -> dict[str, str]:
    """Observer -> remark, for those that were run otherwise than most (of equally many, otherwise than fp32, seed 0).

    policies: how each was run, "" where it was not run here: those say nothing.
    """
    counts = Counter(policy for policy in policies.values() if policy)
    if len(counts) < 2:
        return {}
    plain = ("fp32, seed 0",)
    most = min(counts, key=lambda one: (-counts[one], not one.endswith(plain), one))
    return {
        name: f"run as {policy}; most here as {most}"
        for name, policy in policies.items()
        if policy not in ("", most)
    }
