"""What tables need of a leaderboard: observers, stimulus sets and scores. Read without SQLAlchemy, whose import takes
longer than a ranked table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from types import TracebackType
from typing import TYPE_CHECKING, Self

from benchmark.store import latest as newest
from benchmark.store import names as by_name
from benchmark.store import scores
from benchmark.store.database import Database, connect
from benchmark.store.place import locate
from benchmark.store.questions import BATCH
from benchmark.store.table_rows import ObserverNote, ObserverRow, ScoreRow, StimuliNote
from benchmark.store.versions import prepare, require_own_file
from registry.files import is_file

if TYPE_CHECKING:
    from benchmark.store.rows import StimuliRecord, StoredObservation


def open_standings(url_or_path: str) -> Standings:
    """Opens a leaderboard for reading its scores; nothing changes. StoreError: nothing there, damaged, another
    program's, an older or a newer schema."""
    return Standings(prepared(url_or_path, write=False, create=False))


def prepared(url_or_path: str, *, write: bool, create: bool) -> Database:
    """A leaderboard's data base with this program's tables. Raises StoreError."""
    place = locate(str(url_or_path))
    if write:
        require_own_file(place, create=create)
    database = connect(place, write=write, create=create)
    try:
        prepare(database, create=create)
    except BaseException:
        database.close()
        raise
    return database


def require_usable(url_or_path: str) -> None:
    """StoreError where a run could not write; a file that is not there is not made yet."""
    place = locate(str(url_or_path))
    if place.path is None or is_file(place.path):
        prepared(url_or_path, write=True, create=True).close()
    else:
        connect(place, write=True).close()


class Standings:
    """A leaderboard's observers, stimulus sets and scores.

    Methods raise StoreError with what happened, where and what to do.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._observers: dict[bool, list[ObserverRow]] = {}
        self._notes: list[ObserverNote] = []

    @property
    def warnings(self) -> list[str]:
        """What a user should know about this data base (a network disk, ...); say it once."""
        return self._database.warnings

    @property
    def place(self) -> str:
        """Where it is, for messages; no password."""
        return self._database.place.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections. Calling it twice is fine."""
        self._database.close()

    def stimuli_names(self) -> list[StimuliNote]:
        """All stimulus sets, by name."""
        return self._database.read(by_name.stimuli_names)

    def stimuli(self, digest: str) -> StimuliRecord:
        """A stimulus set's names and labels. StoreError on an unknown digest."""
        from benchmark.store import observed

        return self._database.read(observed.stimuli, digest)

    def observations(
        self, *, observer: str | None = None, suite: str | None = None
    ) -> list[StoredObservation]:
        """Observations of current observers; names that share an identity share them."""
        from benchmark.store import observed

        return self._database.read(observed.observations, observer, suite)

    def collections(self) -> list[StimuliNote]:
        """Several stimulus sets that were scored together, described like one; by their common digest."""
        notes = {note.digest: note for note in self.stimuli_names()}
        return self._database.read(scores.collections, notes)

    def latest_scores(
        self,
        *,
        suite: str | None = None,
        metrics: Collection[str] | None = None,
        observers: Collection[str] | None = None,
        space: str | None = None,
        conditions: Collection[str] | None = None,
    ) -> list[ScoreRow]:
        """Of each (observer name, suite, space, stimuli): the newest set of the newest version,
        for what the name stands for now. By observer name, then in the order of storing.

        conditions: e.g. ("",) leaves out scores per category, which most tables do not show.
        """
        wanted = newest.Wanted(suite, metrics, observers, space, conditions)
        return self._database.read(newest.latest_scores, wanted)

    def role_sets(self, suite: str) -> dict[str, Mapping[str, str]]:
        """Of each collection of sets that was scored under a suite: its digest -> role -> digest of the set."""
        return self._database.read(scores.role_sets, suite)

    def suites(self) -> list[str]:
        """Names of the suites that have scores, variants included."""
        return self._database.read(scores.suites)

    def observers(self, *, latest: bool = True) -> list[ObserverRow]:
        """Observers by name: what each name stands for now, or (`latest=False`) ever stood for.

        A store that is open for reading alone reads them once.
        """
        known = self._observers.get(latest)
        if known is None:
            known = self._database.read(by_name.observers, latest)
            if not self._database.write:
                self._observers[latest] = known
        return list(known)

    def observers_named(self, names: Set[str]) -> list[ObserverRow]:
        """What some names stand for now, by name; of names that nobody has nothing."""
        if len(names) > BATCH:
            return [row for row in self.observers() if row.name in names]
        return self._database.read(by_name.observers_with, "observers.name", names)

    def observers_of(self, kinds: Collection[str]) -> list[ObserverRow]:
        """The observers of some kinds, by name."""
        return self._database.read(by_name.observers_with, "observers.kind", kinds)

    def observer_notes(self) -> list[ObserverNote]:
        """What each name stands for now, by name, without cards; read as `observers` is."""
        known = self._notes or self._database.read(by_name.observer_notes)
        if not self._database.write:
            self._notes = known
        return list(known)

    def former_names(self) -> frozenset[str]:
        """What today's networks were called before, as their cards say."""
        return self._database.read(by_name.former_names)
