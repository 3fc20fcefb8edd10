"""Observers and stimulus sets by name."""

from __future__ import annotations

from benchmark.store.json_columns import parsed
from benchmark.store.questions import CURRENT, Reader, select
from benchmark.store.table_rows import ObserverRow, StimuliNote

_OBSERVER = (
    *("observers.id", "observers.name", "observers.kind", "observers.identity"),
    *("registrations.card", "observers.created"),
)
_NOTE = ("digest", "name", "space", "n", "whole", "origin")
#: What every observer ever was: the newest registration of each.
_EVER = CURRENT.replace("GROUP BY observers.name", "GROUP BY observers.id")


def observers(reader: Reader, latest: bool) -> list[ObserverRow]:
    """Observers by name; with `latest` only what each name stands for now."""
    rest = f"FROM {CURRENT if latest else _EVER} ORDER BY observers.name, observers.id"
    rows = select(reader, _OBSERVER, rest)
    return [
        ObserverRow(number, name, kind, identity, parsed(card, dict), created)
        for number, name, kind, identity, card, created in rows
    ]


def stimuli_names(reader: Reader) -> list[StimuliNote]:
    """All stimulus sets, by name."""
    rows = select(
        reader,
        [f"stimuli.{name}" for name in _NOTE],
        "FROM stimuli ORDER BY stimuli.name, stimuli.digest",
    )
    return [StimuliNote(*row) for row in rows]
