"""Score sets: what was scored, of which trials."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from benchmark.store.json_columns import dump, named_texts, texts
from benchmark.store.questions import CURRENT, Reader, select
from benchmark.store.table_rows import StimuliNote

if TYPE_CHECKING:
    from benchmark.store.rows import ScoreSet

#: Whether a score set was not withdrawn.
COUNTS = "NOT EXISTS (SELECT 1 FROM withdrawn WHERE withdrawn.score_set = score_sets.id)"
_SET = ("observer", "suite", "version", "space", "code", "stimuli", "observations")


def has_scores(reader: Reader, made: ScoreSet) -> bool:
    """Whether the newest set of this observer, suite, space and stimuli was made like this."""
    rows = select(
        reader,
        [f"score_sets.{name}" for name in ("code", "observations", "version")],
        "FROM score_sets WHERE score_sets.observer = :observer AND score_sets.suite = :suite "
        f"AND score_sets.space = :space AND score_sets.stimuli = :stimuli AND {COUNTS} "
        "ORDER BY score_sets.version DESC, score_sets.id DESC LIMIT 1",
        observer=made.observer,
        suite=made.suite,
        space=made.space,
        stimuli=dump(made.stimuli),
    )
    return rows == [(made.code, dump(list(made.keys)), made.version)]


def score_sets(reader: Reader, suite: str) -> list[ScoreSet]:
    """What `latest_scores` shows of a suite, as the sets that were scored."""
    rows = select(
        reader,
        [f"score_sets.{name}" for name in _SET],
        f"FROM {CURRENT} JOIN score_sets ON score_sets.observer = observers.id "
        f"WHERE score_sets.suite = :suite AND {COUNTS} ORDER BY score_sets.version, score_sets.id",
        suite=suite,
    )
    from benchmark.store.rows import ScoreSet

    newest: dict[tuple[int, str, str], ScoreSet] = {}
    for observer, name, version, space, code, stimuli, keys in rows:
        digests = role_digests(stimuli)
        made = ScoreSet(observer, name, version, space, code, digests, texts(keys))
        newest[observer, space, stimuli] = made
    return list(newest.values())


def role_sets(reader: Reader, suite: str) -> dict[str, Mapping[str, str]]:
    """Digest of a collection -> role -> digest, for all that was scored under a suite."""
    rest = "FROM score_sets WHERE score_sets.suite = :suite"
    rows = select(reader, ["DISTINCT score_sets.stimuli"], rest, suite=suite)
    return {collection_digest(text): role_digests(text) for (text,) in rows}


def has_sets(reader: Reader, suite: str) -> bool:
    """Whether anybody was ever scored under a suite."""
    rest = "FROM score_sets WHERE score_sets.suite = :suite LIMIT 1"
    return bool(select(reader, ["score_sets.id"], rest, suite=suite))


def suites(reader: Reader) -> list[str]:
    """Names of the suites that have scores."""
    rows = select(reader, ["DISTINCT score_sets.suite"], "FROM score_sets")
    return sorted(name for (name,) in rows)


@lru_cache(maxsize=1024)
def collection_digest(text: str) -> str:
    """Identity of all sets of a score set together (JSON of role -> digest): what a score of no role is on."""
    digests = list(role_digests(text).values())
    return digests[0] if len(digests) == 1 else hashlib.sha256(text.encode()).hexdigest()


def collections(reader: Reader, notes: Mapping[str, StimuliNote]) -> list[StimuliNote]:
    """Score sets' collections of several stimulus sets, described like one set."""
    found = []
    for (text,) in select(reader, ["DISTINCT score_sets.stimuli"], "FROM score_sets"):
        parts = [notes[digest] for digest in role_digests(text).values() if digest in notes]
        if len(parts) > 1:
            name = ", ".join(sorted({part.name for part in parts}))
            name = name if len(parts) <= 3 else f"{len(parts)} stimulus sets"
            n = sum(part.n for part in parts)
            whole = sum(part.whole or part.n for part in parts)
            digest = collection_digest(text)
            painted = "; ".join(sorted({part.painted for part in parts} - {""}))
            origin = painted or "collection"
            found.append(StimuliNote(digest, name, parts[0].space, n, whole, origin))
    return found


@lru_cache(maxsize=1024)
def role_digests(text: str) -> dict[str, str]:
    """Role -> digest, from JSON."""
    return named_texts(text)
