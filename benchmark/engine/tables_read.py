"""Folders of published tables that are in a leaderboard already: known by their files, so that none is read again.

Noted is a digest of three things: the folder's files, the program that reads them, and what counts in the leaderboard
(imported observers, their cards, their answers). Where one of them has changed the tables are read again.
"""

from pathlib import Path

import benchmark
from benchmark.store import Store
from benchmark.store.rows import IMPORTED
from registry.files import digest_data, digest_file

_PROGRAM = (".py", ".yaml")


def note_tables(store: Store, name: str, folder: Path) -> None:
    """Remember that all tables of a folder are in, as they are."""
    store.note_run(f"tables of {name} as they were read", {"read": _now(store, folder)})


def are_in(store: Store, folder: Path) -> bool:
    """Whether reading this folder would change nothing."""
    return store.was_noted({"read": _now(store, folder)})


def _now(store: Store, folder: Path) -> str:
    program = Path(benchmark.__file__).parent
    return digest_data([_files(folder), _files(program, _PROGRAM), _counting(store)])


def _files(folder: Path, endings: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    places = sorted(place for place in folder.rglob("*") if place.is_file())
    return [
        (place.relative_to(folder).as_posix(), digest_file(place))
        for place in places
        if not endings or place.suffix in endings
    ]


def _counting(store: Store) -> list[list[object]]:
    """Imported observers, and what counts of their answers, in the order in which it came."""
    rows = store.observers_of(("human", "published"))
    answers = store.observations(suite=IMPORTED)
    found: list[list[object]] = [[row.name, row.identity, row.card] for row in rows]
    return found + [[one.observer_name, one.role, one.key] for one in answers]
