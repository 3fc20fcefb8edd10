"""What was observed, and the images and labels of stimulus sets."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from benchmark.errors import StoreError
from benchmark.store.json_columns import parsed
from benchmark.store.questions import CURRENT, Reader, select
from benchmark.store.rows import IMPORTED, StimuliRecord, StoredObservation

_ASKED = (
    *("suite", "version", "space", "stimuli", "role"),
    *("condition", "presentation", "transform", "n", "details"),
)
_STORED = (
    *("observations.key", "observers.id", *(f"observations.{name}" for name in _ASKED)),
    *("observers.name", "observations.created"),
)
_SET = tuple(f"stimuli.{one}" for one in ("name", "digest", "space", "whole", "origin", "columns"))
_ASSERTED = "(SELECT observation, max(id) AS id FROM assertions GROUP BY observation) AS asserted"
#: Observations of current observers: their identity's.
_OF_CURRENT = f"""
FROM {CURRENT}
JOIN observers AS owners ON owners.identity = observers.identity AND owners.kind = observers.kind
JOIN observations ON observations.observer = owners.id
LEFT JOIN {_ASSERTED} ON asserted.observation = observations.id
"""


def observations(
    reader: Reader, observer: str | None, suite: str | None
) -> list[StoredObservation]:
    """Observations of current observers, by name; two names of one identity share them.

    Imported ones come in the order of their newest assertions; one that was never asserted (its import was cut short)
    is left out.
    """
    asked = {"name": ("observers.name", observer), "suite": ("observations.suite", suite)}
    values = {name: value for name, (_, value) in asked.items() if value is not None}
    conditions = ["(observations.suite <> :imported OR asserted.id IS NOT NULL)"]
    conditions += [f"{asked[name][0]} = :{name}" for name in values]
    order = "ORDER BY coalesce(asserted.id, 0), observations.id"
    rest = f"{_OF_CURRENT} WHERE {' AND '.join(conditions)} {order}"
    ways: dict[str, Mapping[str, Any]] = {}  # most were asked in one of a few ways
    made = []
    rows = select(reader, _STORED, rest, imported=IMPORTED, **values)
    for *stated, details, name, created in sorted(rows, key=itemgetter(-2)):
        if details not in ways:
            ways[details] = parsed(details, dict)
        told = {"details": ways[details], "observer_name": name, "created": created}
        made.append(StoredObservation(*stated, **told))
    return made


def stimuli(reader: Reader, digest: str) -> StimuliRecord:
    """One stimulus set. StoreError where it is unknown or damaged."""
    rows = select(reader, _SET, "FROM stimuli WHERE stimuli.digest = :digest", digest=digest)
    if not rows:
        raise StoreError(f"the leaderboard has no stimulus set with digest {digest}")
    from benchmark.store.codec import decode

    name, _, space, whole, origin, content = rows[0]
    columns = decode(content, f"stimulus set '{name}' ({digest})")
    ids = tuple(columns.pop("stimulus").tolist())
    return StimuliRecord(name, digest, space, ids, columns, whole, origin)
