"""Open a leaderboard for reading, and choose the rows that a table shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

from benchmark import plugins
from benchmark.api.options import KINDS, Filters, Names, Option, joined
from benchmark.contracts import Suite
from benchmark.contracts.trials import PEOPLE
from benchmark.display import counted
from benchmark.failures import BenchError, UnknownName, unknown_name
from benchmark.leaderboard.board import noted
from benchmark.leaderboard.board_model import Board, Row
from benchmark.leaderboard.lineage import architecture_line
from benchmark.settings import Settings
from benchmark.store import ObserverRow, ScoreRow, StimuliNote, Store, open_store
from benchmark.variables import read_settings
from registry.card_files import stated_cards

#: Between two names: "adversarial(l2,3.0)" is one.
COMMA = re.compile(r",(?![^(]*\))")
FED = ("arch", "preprocess")  # fields of a card that decide answers, beside its weights


@dataclass(frozen=True)
class Selection:
    """A leaderboard (a file or a database URL; None: BENCH_DB, else results.db here) with filters."""

    location: str | Path | None = None
    filters: Filters = field(default_factory=Filters)

    @property
    def settings(self) -> Settings:
        """Return this machine's settings with this leaderboard."""
        return read_settings(str(self.location) if self.location else None)

    def reading(self) -> Store:
        """Open the leaderboard for reading; a context manager."""
        settings = self.settings
        return open_store(settings.db, write=False, checked_files=settings.checked_files)

    def where(self, **filters: Names | None) -> Self:
        """Return the same leaderboard with more filters (None removes one). Raise UnknownName for an unknown filter."""
        for name in filters:
            if name not in Filters.__annotations__:
                raise unknown_name("filter", name, Filters.__annotations__)
        return replace(self, filters=replace(self.filters, **filters))


#: The parameter of a verb whose rows are filtered; a verb that takes a plain `Selection` refuses filters.
Filtered = Annotated[Selection, Filters]


def chosen_suites(store: Store, pattern: str | None, shelf: plugins.SuiteShelf) -> list[Suite]:
    """Return suites by name; without one (or "all"), the plain suites and every variant with scores."""
    if pattern and pattern != "all":
        return plugins.select_suites(pattern, shelf)
    return list(plugins.known_suites(store.suite_names(), shelf).values())


def suites_with_scores(store: Store, pattern: str | None = None) -> list[Suite]:
    """Return suites by name; without one (or "all"), those with scores, including variants."""
    return chosen_suites(store, pattern, plugins.find_suites(pattern, scored=store.suite_names()))


def suites_not_installed(leaderboard: Selection) -> list[str]:
    """Return suites that have scores in the leaderboard but are not installed."""
    with leaderboard.reading() as store:
        return sorted({*store.suite_names()} - {suite.name for suite in suites_with_scores(store)})


def require_observer(store: Store, *names: str, trials: bool = False) -> None:
    """Raise UnknownName, with close matches, for an unknown observer; a registered model may not have run yet. With
    `trials`, raise BenchError for one of which only scores were published."""
    known = {note.name: note.kind for note in store.observers()}
    for name in (name for name in names if name not in known):
        cards = stated_cards(read_settings().cards)
        if name in cards:
            raise UnknownName(f"'{name}' has no scores here yet: `bench run --model {shlex.quote(name)}`.")
        hint = f"`bench rank` lists those with scores; '{PEOPLE}' are all people as a group."
        raise unknown_name("observer", name, {*known, *cards}, hint)
    for name in (name for name in names if trials and known[name] == "reported"):
        raise BenchError(f"'{name}' has published scores but no trials: `bench show` lists them.")


def notes_of(store: Store) -> dict[str, StimuliNote]:
    """Return notes on the stimulus sets of the leaderboard, by digest."""
    return {record.digest: record for record in (*store.stimuli_names(), *store.collections())}


@dataclass(frozen=True)
class CardStatus:
    """The names that boards hide or flag because of the cards of today."""

    hidden: frozenset[str] = frozenset()  # shown only on request
    outdated: Mapping[str, str] = field(default_factory=dict)  # name -> the flag of its scores

    def marked(self, row: ScoreRow) -> ScoreRow:
        """Return the row, flagged if it is outdated."""
        remark = self.outdated.get(row.observer)
        return row._replace(flags=(*row.flags, remark)) if remark else row


def card_status(store: Store, settings: Settings) -> CardStatus:
    """Compare the names of a leaderboard with the cards of today: retired, renamed, or other weights."""
    cards, observers = stated_cards(settings.cards), store.observers()
    names = [card.get("formerly") for card in (*(row.card for row in observers), *cards.values())]
    former = {str(name) for each in names if isinstance(each, list) for name in each}
    retired = {name for name, card in cards.items() if card.get("retired")}
    in_memory = [row.name for row in observers if row.card.get("source") == "memory" and row.name not in cards]
    remarks = dict.fromkeys(in_memory, "evaluated in memory: no card loads it again")
    if stored := [row for row in observers if row.kind == "network" and row.name in cards]:
        from registry.cards import read_cards  # pydantic is slow to import, and others' networks have no cards

        known = read_cards(settings.cards)
        for row in (row for row in stored if row.name in known):
            today, digest = known[row.name].model_dump(mode="json", include={"sha256", *FED}), row.card.get("sha256")
            others = [f"another {name}" for name in FED if name in row.card and row.card[name] != today[name]]
            if digest and today["sha256"] not in (None, digest):
                others = [f"older weights ({digest[:12]})"]
            if others:
                remarks[row.name] = f"outdated: of {others[0]}"
    return CardStatus(frozenset(retired | (former - cards.keys())), remarks)


def current_rows(scores: Sequence[ScoreRow], now: CardStatus, models: Names | None) -> list[ScoreRow]:
    """Flag outdated scores, and leave out retired networks unless they are asked for by name."""
    hidden = now.hidden - {*_patterns(joined(models))}
    return [now.marked(row) for row in scores if row.observer not in hidden]


def chosen_rows(store: Store, scores: Sequence[ScoreRow], now: CardStatus, filters: Filters) -> list[ScoreRow]:
    """Return the `current_rows` of the observers that fit the filters."""
    rows = current_rows(scores, now, filters.models)
    names = chosen_names(store, {row.observer for row in rows}, filters)
    return [row for row in rows if row.observer in names]


def chosen_names(store: Store, names: Iterable[str], filters: Filters) -> set[str]:
    """Return the observers that fit the filters; one tag of a recipe is enough. UnknownName for an unknown kind."""
    hide, kind, source, recipe, line, models = filters.lists.values()
    for name in _patterns(kind):
        if name not in KINDS:
            raise unknown_name("kind of observer", name, KINDS, "`bench rank --kind`.")
    chosen = {name for name in names if fits(name, models) and not (hide and fits(name, hide))}
    if kind or source or recipe or line:
        chosen &= {
            row.name
            for row in store.observers()
            if fits("model" if row.kind == "network" else row.kind, kind)
            and fits(str(row.card.get("source", "")), source)
            and fits(row.training, recipe)
            and fits(family(row), line)
        }
    return chosen


def shown_rows(store: Store, board: Board, filters: Filters) -> Board | None:
    """Return the board with the rows that fit the filters; None if no row fits. Ranks stay those of the whole board.
    People (the group if there is one) and chance stay, but `hide` and `kind` also apply to people."""
    hide, kind, *_, models = filters.lists.values()
    rows = (*board.rows, *board.references)
    chosen = chosen_names(store, {row.observer for row in rows}, filters)
    group = any(row.kind == "group" for row in board.references)

    def stays(row: Row) -> bool:
        if row.kind != ("group" if group else "human"):
            return row.kind in ("chance", "reference")
        names = (row.observer, PEOPLE)
        return not (hide and fits(names, hide)) and fits((row.kind, "human"), kind)

    beside = [r for r in board.references if stays(r) or (r.observer in chosen and r.kind != "group")]
    if not (chosen or (models and fits(PEOPLE, models) and any(row.kind in ("group", "human") for row in beside))):
        return None
    kept = tuple(row for row in board.rows if row.observer in chosen)
    hidden = len(board.rows) - len(kept)
    note = f"{counted(hidden, 'row')} hidden; ranks are those of the whole board (--among-shown: of these rows alone)"
    return noted(replace(board, rows=kept, references=tuple(beside)), note if hidden else "")


def observers(leaderboard: Selection) -> list[ObserverRow]:
    """Return the observers of a leaderboard with their cards."""
    with leaderboard.reading() as store:
        return store.observers()


def family(row: ObserverRow) -> str:
    """Return the line of architectures of a network; "" for other observers."""
    return "" if row.kind in ("human", "group", "simulated", "ideal") else architecture_line(row.name, row.card)


def fits(names: str | Iterable[str], patterns: str) -> bool:
    """Return whether a name, or one of several, fits a comma list of names and globs; everything fits an empty one."""
    names, globs = [names] if isinstance(names, str) else list(names), _patterns(patterns)
    return not globs or any(fnmatchcase(name, glob) for name in names for glob in globs)


def _patterns(text: str) -> list[str]:
    return [part.strip() for part in COMMA.split(text) if part.strip()]


class ObserverScores(list["ScoreRow"]):
    """Every current score of an observer."""

    observer: ObserverRow
    suites: list[Suite]
    stimuli: dict[str, StimuliNote]  # by digest


def show(leaderboard: Selection, observer: Annotated[str, Option("An observer.")]) -> ObserverScores:
    """Return every current score of one observer, with intervals and reasons."""
    with leaderboard.reading() as store:
        require_observer(store, observer)
        now = card_status(store, leaderboard.settings)
        rows = ObserverScores(now.marked(row) for row in store.latest_scores(observers=[observer]))
        (rows.observer,) = store.observers(names={observer})
        rows.suites, rows.stimuli = suites_with_scores(store), notes_of(store)
        return rows
