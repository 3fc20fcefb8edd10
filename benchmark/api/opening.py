"""The leaderboard, opened for reading, and the suites that are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmark import plugins
from benchmark.errors import unknown_name
from benchmark.plugins import SuiteShelf, scored_suites, select_suites
from benchmark.settings import Settings
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.store import StimuliNote, Store


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """The leaderboard, read only."""
    from benchmark.store import open_store

    with open_store(settings.db, write=False) as store:
        yield store


def chosen_suites(store: Store, pattern: str | None, shelf: SuiteShelf) -> list[Suite]:
    """Suites by name; without one (or "all") the plain ones and every variant that has scores."""
    if pattern and pattern != "all":
        return select_suites(pattern, shelf)
    return scored_suites(store.suites(), shelf)


def suites_with_scores(store: Store, pattern: str | None = None) -> list[Suite]:
    """Suites by name; without one (or "all") those that have scores, variants included: no other is loaded."""
    return chosen_suites(store, pattern, plugins.find_suites(pattern, scored=store.suites()))


def known_suites(*, db: str | None = None) -> list[Suite]:
    """The suites that have scores in the leaderboard, variants included."""
    with reading(read_settings(db)) as store:
        return suites_with_scores(store)


def suites_not_installed(*, db: str | None = None) -> list[str]:
    """Suites that have scores in the leaderboard and that nothing that is installed here brings."""
    from benchmark.leaderboard.provenance import PAIRED

    with reading(read_settings(db)) as store:
        scored = [name.removesuffix(PAIRED) for name in store.suites()]
        known = {one.name for one in suites_with_scores(store)}
    return sorted({*scored} - known)


def stimuli_notes(*, db: str | None = None) -> dict[str, StimuliNote]:
    """Stimulus sets of the leaderboard by digest."""
    with reading(read_settings(db)) as store:
        return notes_of(store)


def require_observer(store: Store, observer: str) -> None:
    """UnknownName, with close matches, where nobody is called so."""
    known = {note.name for note in store.observer_notes()}
    if observer not in known:
        raise unknown_name("observer", observer, known, "`bench rank` lists those with scores.")


def notes_of(store: Store) -> dict[str, StimuliNote]:
    """What the leaderboard knows of its stimulus sets, by digest; of those that only others showed, what they say."""
    from benchmark.store import StimuliNote

    theirs = {
        one["digest"]: StimuliNote(**one)
        for row in store.observers_of(("reported",))
        for one in row.card.get("exported", {}).get("stimuli", ())
    }
    own = {record.digest: record for record in (*store.stimuli_names(), *store.collections())}
    return theirs | own
