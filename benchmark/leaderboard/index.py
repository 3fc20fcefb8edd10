"""Stored scores, sorted into what one table needs: by metric, stimuli and observer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from benchmark.contracts import Metric

if TYPE_CHECKING:
    from benchmark.store.table_rows import ScoreRow

Scores: TypeAlias = "dict[str, dict[str, ScoreRow]]"  # digest -> observer -> score


@dataclass
class Index:
    """The current scores of one suite version in one decision space, without single conditions.

    metrics: metric -> digest -> observer -> score; observers: name -> the newest score of that observer;
    references: condition -> (metric, digest) -> the newest score of what is no observer and is measured beside one.
    """

    metrics: dict[str, Scores] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    observers: dict[str, ScoreRow] = field(default_factory=dict)
    references: dict[str, dict[tuple[str, str], ScoreRow]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def refer(self, row: ScoreRow) -> None:
        """Takes in a score of what is no observer. It depends on the stimuli alone, so any observer's will do."""
        known = self.references[row.condition].get((row.metric, row.stimuli))
        if known is None or _newer(row, known):
            self.references[row.condition][row.metric, row.stimuli] = row

    def add(self, row: ScoreRow) -> None:
        """Takes a score in, unless a newer one of the same kind is there."""
        name, scores = row.observer, self.metrics[row.metric][row.stimuli]
        known = scores.get(name)
        if known is None or _newer(row, known):
            scores[name] = row
        known = self.observers.get(name)
        if known is None or (known.set_id != row.set_id and _newer(row, known)):
            self.observers[name] = row

    def groups(self, metric: str) -> list[tuple[str, list[str]]]:
        """(digest, its observers) by which the metric's boards are split; the largest group first.

        An observer without stimuli for this metric joins the largest group: it has no value
        anywhere.
        """
        scores = self.metrics.get(metric, {})
        found = {digest: sorted(part) for digest, part in scores.items() if digest}
        order = sorted(found, key=lambda digest: (-len(found[digest]), digest)) or [""]
        groups = [(digest, found.get(digest, [])) for digest in order]
        seen = {name for _, names in groups for name in names}
        groups[0][1].extend(sorted(self.observers.keys() - seen))
        return groups

    def role_digests(
        self, metrics: Sequence[Metric], members: Iterable[str], sizes: Mapping[str, int]
    ) -> dict[str, str]:
        """role -> the stimuli that most members were measured on, "" where there are none.

        sizes: digest -> number of images; of two sets with as many members the larger is taken.
        """
        inside = set(members)
        votes: dict[str, Counter[str]] = {metric.role: Counter() for metric in metrics}
        for metric in metrics:
            for digest, scores in self.metrics.get(metric.name, {}).items():
                if digest:
                    votes[metric.role][digest] += len(inside & scores.keys())
        return {
            role: min(count, key=lambda d: (-count[d], -sizes.get(d, 0), d)) if count else ""
            for role, count in votes.items()
        }


def _newer(row: ScoreRow, known: ScoreRow) -> bool:
    return (known.created, known.set_id) < (row.created, row.set_id)


def build(
    rows: Iterable[ScoreRow], suite: str, references: Collection[str] = ()
) -> tuple[dict[str, Index], int, Mapping[str, int]]:
    """(space -> index, newest version, space -> observers that only have older versions).

    references: conditions whose scores are no observer's own.
    """
    mine = [row for row in rows if row.suite == suite]
    newest = max((row.version for row in mine), default=0)
    spaces: dict[str, Index] = defaultdict(Index)
    old: dict[str, set[str]] = defaultdict(set)
    for row in mine:
        if row.version < newest:
            old[row.space].add(row.observer)
        elif not row.condition:
            spaces[row.space].add(row)
        elif row.condition in references:
            spaces[row.space].refer(row)
    stale = {
        space: len(names - (spaces[space].observers.keys() if space in spaces else set()))
        for space, names in old.items()
    }
    return dict(spaces), newest, {space: count for space, count in stale.items() if count}
