"""Two observers against each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark import plugins
from benchmark.api.chosen_observers import fits
from benchmark.api.opening import chosen_suites, reading
from benchmark.api.published_scores import check_trials
from benchmark.api.standing import standing
from benchmark.display import masked
from benchmark.errors import BenchError, StoreError, UnknownName, unknown_name
from benchmark.settings import Settings
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.stats.families import Compared, ComparedToEach, DiscordantTrial
    from benchmark.store import Store

#: The name of people as a group (`engine.comparing`, which this would load).
PEOPLE = "people"


def compare(a: str, b: str, *, suite: str | None = None, db: str | None = None) -> Compared:
    """Paired tests of two observers on the stimuli that both answered: headlines are one family, the rest another.

    "people" as one of them: all people whose trials are there, as a group, against the other one. Raises BenchError
    where there are no such stimuli.
    """
    settings = read_settings(db)
    found = in_common(a, b, suite, settings)
    if not len(found):
        raise BenchError(
            f"'{found.a}' and '{found.b}' have no stimuli in common in {masked(settings.db)}. "
            "`bench show NAME` lists what each has."
        )
    return found


def in_common(a: str, b: str, suite: str | None, settings: Settings) -> Compared:
    """As `compare`; no tests where they have no stimuli in common."""
    from benchmark.engine.comparing import compare_observers

    a, b = _pair(a, b)
    with reading(settings) as store:
        suites = _compared_suites(store, suite, a, b)
        with _as_suites_write(f"'{a}' or '{b}'"):
            found = compare_observers(store, suites, a, b)
        now = standing(store, settings).outdated
    outdated = tuple(f"{name} is {now[name]}" for name in (a, b) if name in now)
    return replace(found, outdated=outdated)


def compare_each(
    a: str, others: str, *, suite: str | None = None, db: str | None = None
) -> ComparedToEach:
    """Paired tests of one observer against each of several by the suites' headlines: one family of tests.

    others: names or globs with commas; `a` itself and models that boards do not show are left out.
    """
    from benchmark.engine.comparing import compare_observers
    from benchmark.stats.families import compared_to_each

    if a == PEOPLE:
        raise UnknownName("people as a group are compared with one: `bench compare NAME people`.")
    settings = read_settings(db)
    with reading(settings) as store:
        known = standing(store, settings)
        names = [note.name for note in store.observer_notes() if note.name not in known.hidden]
        chosen = [name for name in dict.fromkeys(names) if name != a and fits(name, others)]
        if not chosen:
            raise unknown_name("observer", others, names, "`bench rank` lists those with scores.")
        suites = _compared_suites(store, suite, a, *chosen)
        with _as_suites_write(f"'{a}' or one of '{others}'"):
            found = [compare_observers(store, suites, a, b) for b in chosen]
    rows = compared_to_each(a, found)
    if not rows.rows:
        raise BenchError(
            f"'{a}' has no stimuli in common with any of '{others}' in {masked(settings.db)}. "
            "`bench show NAME` lists what each has."
        )
    outdated = [f"{n} is {known.outdated[n]}" for n in (a, *chosen) if n in known.outdated]
    return replace(rows, outdated=tuple(outdated))


@contextmanager
def _as_suites_write(whose: str) -> Iterator[None]:
    """Trials that a suite's own functions cannot read are damaged, or of a suite that has changed since."""
    try:
        yield
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        raise StoreError(
            f"stored trials of {whose} are not as their suite writes them ({type(error).__name__}: {error}), "
            "or one of its metrics is at fault (`bench suites check NAME`). "
            "Restore the leaderboard from a backup, or run them again into a new one with `--db`."
        ) from error


def discordant(
    a: str, b: str, *, suite: str | None = None, db: str | None = None
) -> list[DiscordantTrial]:
    """The images behind the headlines that only one of the two gets right, with what each answered."""
    from benchmark.engine.comparing import discordant_trials

    a, b = _pair(a, b)
    with reading(read_settings(db)) as store:
        return discordant_trials(store, _compared_suites(store, suite, a, b), a, b)


def _pair(a: str, b: str) -> tuple[str, str]:
    """The two in the order in which they are compared: people come second."""
    if a == b:
        raise UnknownName(f"'{a}' is compared with itself: name two observers.")
    return (b, a) if a == PEOPLE else (a, b)


def _compared_suites(store: Store, suite: str | None, *names: str) -> list[Suite]:
    """The suites to compare under. Raises UnknownName where one of the observers is not known.

    Without a name those that the first has answered: no other is loaded. Imported answers are any suite's.
    """
    from benchmark.store.rows import IMPORTED

    known = {note.name for note in store.observer_notes()} | {PEOPLE}
    hint = "`bench rank` lists those with scores; people: all people as a group."
    for name in names:
        if name not in known:
            raise unknown_name("observer", name, known, hint)
    check_trials(store, *names)
    answered = {one.suite for one in store.observations(observer=names[0])}
    scored = None if IMPORTED in answered else answered
    return chosen_suites(store, suite, plugins.find_suites(suite, scored=scored))
