"""Observers and stimulus sets by name. They are sorted here, for a server's order of names is that of its language."""

from __future__ import annotations

from collections.abc import Collection
from operator import itemgetter

from benchmark.store.json_columns import parsed
from benchmark.store.questions import CURRENT, Reader, select, within
from benchmark.store.table_rows import ObserverNote, ObserverRow, StimuliNote

_OBSERVER = (
    *("observers.id", "observers.name", "observers.kind", "observers.identity"),
    *("registrations.card", "observers.created"),
)
_NOTE = ("digest", "name", "space", "n", "whole", "origin")
#: What every observer ever was: the newest registration of each.
_EVER = CURRENT.replace("GROUP BY observers.name", "GROUP BY observers.id")


def observers(reader: Reader, latest: bool) -> list[ObserverRow]:
    """Observers by name; with `latest` only what each name stands for now."""
    return _observers(reader, f"FROM {CURRENT if latest else _EVER}", {})


def observers_with(reader: Reader, column: str, wanted: Collection[str]) -> list[ObserverRow]:
    """Observers, by name, for what each name stands for now, with one of at most `BATCH` values in a column."""
    text, values = within(column, wanted)
    return _observers(reader, f"FROM {CURRENT} WHERE {text}", values)


def _observers(reader: Reader, rest: str, values: dict[str, str]) -> list[ObserverRow]:
    rows = select(reader, _OBSERVER, f"{rest} ORDER BY observers.id", **values)
    return [
        ObserverRow(number, name, kind, identity, parsed(card, dict), created)
        for number, name, kind, identity, card, created in sorted(rows, key=itemgetter(1))
    ]


def observer_notes(reader: Reader) -> list[ObserverNote]:
    """What each name stands for now, by name, without cards: of 10,000 those take longer than the table."""
    columns = ("observers.name", "observers.kind", "observers.identity")
    return [ObserverNote(*row) for row in sorted(select(reader, columns, f"FROM {CURRENT}"))]


def former_names(reader: Reader) -> frozenset[str]:
    """What today's networks were called before, as their cards say."""
    rest = f"FROM {CURRENT} WHERE registrations.card LIKE :named"
    named = '%"formerly":["%'  # as JSON is written here, whatever else the card says
    rows = select(reader, ["registrations.card"], rest, named=named)
    return frozenset(
        str(name) for (card,) in rows for name in parsed(card, dict).get("formerly") or ()
    )


def stimuli_names(reader: Reader) -> list[StimuliNote]:
    """All stimulus sets, by name."""
    rows = select(reader, [f"stimuli.{name}" for name in _NOTE], "FROM stimuli")
    return [StimuliNote(*row) for row in sorted(rows, key=itemgetter(1, 0))]
