"""Which models and stimulus sets a request names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import plugins
from benchmark.api.options import Db, Option
from benchmark.errors import unknown_name
from benchmark.leaderboard.lineage import architecture_line
from benchmark.plugins import SuiteShelf, scored_suites, select_suites
from benchmark.settings import Settings
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.contracts import Suite
    from benchmark.stimuli.catalogue import Entry
    from benchmark.store import ObserverRow, ScoreRow, StimuliNote, Store
    from registry.cards import ModelCard


# The leaderboard, opened for reading, and the suites that are asked for.


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
        known = {suite.name for suite in suites_with_scores(store)}
    return sorted({*scored} - known)


def stimuli_notes(*, db: str | None = None) -> dict[str, StimuliNote]:
    """Stimulus sets of the leaderboard by digest."""
    with reading(read_settings(db)) as store:
        return notes_of(store)


def require_observer(store: Store, observer: str) -> None:
    """UnknownName, with close matches, where nobody is called so."""
    known = {note.name for note in store.observers()}
    if observer not in known:
        raise unknown_name("observer", observer, known, "`bench rank` lists those with scores.")


def notes_of(store: Store) -> dict[str, StimuliNote]:
    """What the leaderboard knows of its stimulus sets, by digest; of those that only others showed, what they say."""
    from benchmark.store import StimuliNote

    theirs = {
        note["digest"]: StimuliNote(**note)
        for row in store.observers(kinds=("reported",))
        for note in row.card.get("exported", {}).get("stimuli", ())
    }
    own = {record.digest: record for record in (*store.stimuli_names(), *store.collections())}
    return theirs | own


# What boards leave out and what they mark: retired and renamed models, and scores of older weights.


@dataclass(frozen=True)
class Standing:
    """hidden: names that a board shows only when it is asked for them; outdated: name -> what to know of its scores."""

    hidden: frozenset[str] = frozenset()
    outdated: Mapping[str, str] = field(default_factory=dict)

    def marked(self, row: ScoreRow) -> ScoreRow:
        """The row, flagged where it is outdated."""
        remark = self.outdated.get(row.observer)
        return row._replace(flags=(*row.flags, remark)) if remark else row


def standing(store: Store, settings: Settings) -> Standing:
    """How the names of a leaderboard stand to the cards of today."""
    observers = store.observers()
    former = {str(name) for row in observers for name in row.card.get("formerly") or ()}
    from registry.cards import read_cards  # YAML and pydantic are slow to import

    cards = read_cards(settings.cards)
    former |= {name for card in cards.values() for name in card.formerly}
    retired = {card.name for card in cards.values() if card.retired}
    outdated = {
        row.name: remark
        for row in observers
        if row.kind == "network" and row.name in cards and (remark := _remark(row.card, cards[row.name]))
    }
    return Standing(frozenset(retired | (former - cards.keys())), outdated)


def _remark(stored: Mapping[str, Any], today: ModelCard) -> str:
    """Why scores under a stored card are not those of today's; "" where they are."""
    if stored.get("sha256") and today.sha256 and stored["sha256"] != today.sha256:
        return f"outdated: of older weights ({stored['sha256'][:12]})"
    plain = today.model_dump(mode="json", include={"arch", "preprocess"})
    for name, now in plain.items():
        if name in stored and stored[name] != now:
            return f"outdated: of another {name}"
    return ""


# Which observers a table is about: by name, kind, source, recipe and family.


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
        for kind in _patterns(self.kind):
            if kind not in KINDS:
                raise unknown_name("kind of observer", kind, KINDS, "`bench rank --kind`.")
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
        return [now.marked(row) for row in kept if row.observer not in hidden and not _like([row.observer], hide)]


def families(store: Store, kinds: Collection[str]) -> dict[str, str]:
    """Observer -> family, of observers of some kinds."""
    return {row.name: family(row) for row in store.observers(kinds=kinds)}


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


# The scores of one observer, and where they come from.


def show(observer: Annotated[str, Option("An observer.")], *, db: Db = None) -> list[ScoreRow]:
    """Every current score of one observer, with intervals, reasons and where the numbers come from."""
    settings = read_settings(db)
    with reading(settings) as store:
        require_observer(store, observer)
        now = standing(store, settings)
        return [now.marked(row) for row in store.latest_scores(observers=[observer])]


def who(observer: str, *, db: str | None = None) -> ObserverRow:
    """An observer as it is stored; one that `show` knows."""
    with reading(read_settings(db)) as store:
        return store.observers(names={observer})[0]


def provenance_lines(rows: Sequence[ScoreRow], *, db: str | None = None) -> list[str]:
    """One line per score set: command, code, device, precision, versions."""
    with reading(read_settings(db)) as store:
        return [_provenance_line(store.provenance(set_id)) for set_id in dict.fromkeys(row.set_id for row in rows)]


def _provenance_line(facts: Mapping[str, Any]) -> str:
    where = facts["environment"]
    policies = [o["details"].get("policy") for o in facts["observations"]]
    policy = next((p for p in policies if p), None) or {}
    code = where.get("code") or {}
    revision = f"{code['revision'][:10]}{' + changes' if code['dirty'] else ''}" if code else "installed package"
    versions = ", ".join(f"{n} {v}" for n, v in where.get("packages", {}).items() if v and n in ("torch", "timm"))
    how = f"{policy.get('device', where.get('device'))} {policy.get('precision', '')}".strip()
    return f"{facts['started']}  {facts['command']}  [{how}; {versions}; code {revision}]"


#: What `bench run` takes without --model: everything that needs no download.
DEFAULT_MODELS = "bundled"


def wanted_sets(names: str, settings: Settings) -> list[Entry]:
    """The sets of a comma list. Raises UnknownName with close matches, MissingStimuli where one is not here."""
    from benchmark.stimuli.catalogue import absent, find_entry, folder_of

    parts = [part.strip() for part in names.split(",")]
    entries = [find_entry(part, settings) for part in parts if part]
    for entry in entries:
        if folder_of(entry, settings) is None:
            raise absent(entry)
    return entries


def choose_cards(pattern: str, settings: Settings) -> list[ModelCard]:
    """Cards by name, glob or comma list; "bundled" (the default): every card whose weights are on this disk
    through the package itself or an installed package, the package's own architecture without training, and the
    ideal observers."""
    from registry.cards import read_cards, select_cards
    from registry.loading import availability

    cards = read_cards(settings.cards)
    if pattern != DEFAULT_MODELS:
        return select_cards(pattern, cards)
    return [card for card in cards.values() if _is_bundled(card) and availability(card, settings.place).on_disk]


def _is_bundled(card: ModelCard) -> bool:
    weights = card.weights or ""
    untrained = weights.startswith("random:") and card.arch.startswith("python:registry.")
    return card.source in ("ideal", "package") or weights.startswith("builtin:") or untrained
