"""Which observers a table is about: by name, kind, source, recipe and family."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import unknown_name
from benchmark.leaderboard.lineage import architecture_line

if TYPE_CHECKING:
    from benchmark.api.standing import Standing
    from benchmark.store import ObserverRow, ScoreRow, Store

KINDS = ("model", "published", "reported", "human", "group", "simulated", "ideal")
#: Kinds as they are stored -> as a user calls them, where that differs.
KIND_NAMES = {"network": "model"}


@dataclass(frozen=True)
class Wanted:
    """Patterns separated by commas; "" means all. recipe: one of the observer's tags must fit."""

    models: str = ""
    kind: str = ""
    source: str = ""
    recipe: str = ""
    family: str = ""

    def keep(self, store: Store, rows: Sequence[ScoreRow]) -> Sequence[ScoreRow]:
        """The scores of wanted observers. Raises UnknownName for a kind that there is not."""
        for one in _patterns(self.kind):
            if one not in KINDS:
                raise unknown_name("kind of observer", one, KINDS, "`bench rank --kind`.")
        kept = rows
        if self.models:
            kept = [row for row in rows if _fits([row.observer], self.models)]
        if not (self.kind or self.source or self.recipe or self.family):
            return kept
        known = {row.name: row for row in store.observers()}
        names = {name for name, row in known.items() if self._wants(row)}
        return [row for row in kept if row.observer in names]

    def _wants(self, row: ObserverRow) -> bool:
        return (
            _fits([KIND_NAMES.get(row.kind, row.kind)], self.kind)
            and _fits([str(row.card.get("source", ""))], self.source)
            and _fits(row.training, self.recipe)
            and _fits([family(row)], self.family)
        )


@dataclass(frozen=True)
class Chosen:
    """Whose scores a table shows: wanted ones, without those that are hidden (names, globs, comma lists)."""

    wanted: Wanted = Wanted()
    hide: str | None = None

    def rows(self, store: Store, scores: Sequence[ScoreRow], now: Standing) -> list[ScoreRow]:
        """Their scores, outdated ones flagged."""
        kept = self.wanted.keep(store, scores)
        if not (self.hide or now.hidden or now.outdated):
            return list(kept)
        named, hide = _patterns(self.wanted.models), _patterns(self.hide or "")
        hidden = {*now.hidden} - {*named}
        return [
            now.marked(row)
            for row in kept
            if row.observer not in hidden and not _like([row.observer], hide)
        ]


def families(store: Store, kinds: Collection[str]) -> dict[str, str]:
    """Observer -> family, of observers of some kinds."""
    return {row.name: family(row) for row in store.observers_of(kinds)}


def family(row: ObserverRow) -> str:
    """The line of architectures of a network, as `leaderboard.lineage` has it; "" for whoever is none."""
    if row.kind in ("human", "group", "simulated", "ideal"):
        return ""
    return architecture_line(row.name, row.card)


def fits(name: str, patterns: str) -> bool:
    """Whether a name is one of the patterns, names and globs with commas; without any, every name is."""
    return _fits([name], patterns)


def _fits(values: Iterable[str], patterns: str) -> bool:
    globs = _patterns(patterns)
    return not globs or _like(values, globs)


def _like(values: Iterable[str], globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, glob) for value in values for glob in globs)


def _patterns(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in re.split(r",(?![^(]*\))", text)) if part]
