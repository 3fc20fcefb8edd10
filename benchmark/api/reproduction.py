"""Show the provenance of a number, and compute it again."""

from __future__ import annotations

import shlex
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Annotated

from benchmark.api.execution import execute
from benchmark.api.imports import recorded
from benchmark.api.leaderboards import Selection, notes_of, require_observer, suites_with_scores
from benchmark.api.options import Db, Option
from benchmark.api.running import Agreed, RunRequest, prepare
from benchmark.engine.reporters import Reporter, Silent
from benchmark.failures import BenchError, UnknownName, unknown_name
from benchmark.leaderboard.board_model import title_under
from benchmark.leaderboard.provenance import Provenance, provenance_of
from benchmark.store import IMPORTED, PAIRED, ScoreRow, open_store
from benchmark.variables import read_settings
from registry.cards import builtin_cards


def provenance(
    leaderboard: Selection,
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str | None, Option("Use this suite (default: each suite's headline).")] = None,
    metric: Annotated[str | None, Option("Use this metric (default: the headline).")] = None,
    condition: Annotated[str | None, Option("Use this condition, as printed by `bench show` (default: all).")] = None,
) -> list[Provenance]:
    """Show everything behind a number, for each stimulus set: weights, card, stimuli, seed, precision, device,
    versions, runs, n, method, interval, and the command that reproduces it."""
    hint = f"`bench show {shlex.quote(observer)}` lists its scores."
    with leaderboard.reading() as store:
        require_observer(store, observer)
        ended = [row for row in store.outcomes(observer=observer, latest=False) if row.suite == suite]
        if suite and suite.endswith(PAIRED) and ended:
            made = "; ".join(dict.fromkeys(store.runs()[row.run]["command"] for row in ended))
            raise BenchError(f"'{suite}' has no scores: it stopped once a verdict was clear, in: {made}")
        suites = {known.name: known for known in suites_with_scores(store)}
        titles = {(name, each.name): each.title for name, known in suites.items() for each in known.metrics}
        rows = store.latest_scores(observers=[observer])
        under: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in rows:
            under[row.suite, row.metric].add(row.condition)

        def title(row: ScoreRow) -> str:
            whole = titles.get((row.suite, row.metric), row.metric)
            return title_under(whole, row.condition, under[row.suite, row.metric])

        def called(noun: str, name: str, names: Callable[[ScoreRow], Sequence[str]]) -> list[ScoreRow]:
            if found := [row for row in rows if name in names(row)]:
                return found
            raise unknown_name(noun, name, {each for row in rows for each in names(row)} - {""}, hint)

        if suite is not None:
            rows = called("suite", suite, lambda row: (row.suite,))
        if metric is None:
            heads = {(name, each.headline.name) for name, each in suites.items()}
            rows = [row for row in rows if (row.suite, row.metric) in heads and not row.condition]
        else:
            rows = called("metric", metric, lambda row: (row.metric, title(row)))
            rows = called("condition", condition or "", lambda row: (row.condition,))
        (who,) = store.observers(names={observer})
        behind, own = partial(provenance_of, observer=who, notes=notes_of(store)), observer in builtin_cards()
        return [behind(row, title(row), facts=store.provenance(row.set_id), builtin=own) for row in rows]


@dataclass(frozen=True, kw_only=True)
class NumberAgain:
    """A stored number, and the same number computed again."""

    stored: ScoreRow
    again: ScoreRow | None
    reason: str = ""  # why `again` is None

    @property
    def equal(self) -> bool:
        """Return whether value, interval and n are equal bit for bit."""
        numbers = attrgetter("value", "low", "high", "level", "n", "excluded", "reason")
        return self.again is not None and numbers(self.stored) == numbers(self.again)


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Numbers of one observer under one suite, computed again."""

    numbers: tuple[NumberAgain, ...]
    command: str

    @property
    def exit_code(self) -> int:
        """Return 0 if all are equal, 1 if one differs, 3 if some could not be computed."""
        if any(number.again is not None and not number.equal for number in self.numbers):
            return 1
        return 0 if all(number.equal for number in self.numbers) else 3


def reproduce(
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str, Option("A suite.")],
    metric: Annotated[str | None, Option("Use this metric (default: every number of the suite).")] = None,
    condition: Annotated[str | None, Option("Use this condition, as printed by `bench show` (default: all).")] = None,
    *,
    db: Db = None,
    reporter: Reporter | None = None,
    agreed: Agreed = lambda _plan: True,
) -> Reproduction | None:
    """Reproduce a number in a fresh leaderboard.

    Exit code 0 means equal bit for bit, 1 that a number differs, 3 that some could not be computed."""
    settings, origin = read_settings(db), _origin(Selection(db), observer, suite, metric, condition)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fresh = replace(settings, db=f"{folder}/again.db")
        try:
            prepared = prepare(RunRequest(**origin.arguments), fresh)
        except UnknownName as error:
            first = "; ".join(origin.first)
            raise UnknownName(f"{error} First comes {first}" if first else str(error)) from error
        if not agreed(prepared):
            return None
        with open_store(settings.db, write=False) as source, open_store(fresh.db) as store:
            every = [origin.score] if metric else source.latest_scores(suite=suite, observers=[observer])
            # Imported answers behind the number cannot be run: copy them.
            imported = {row.key for row in source.observations(suite=IMPORTED)}
            with recorded(store, "bench reproduce") as run:
                store.merge_observations(source, imported & {*source.provenance(origin.score.set_id)["keys"]}, run)
        report = execute(prepared, reporter or Silent(), origin.command)
        with open_store(fresh.db, write=False) as store:
            rows = store.latest_scores(suite=suite, observers=[observer])
    ended = {**report.ended("not applicable"), **report.failed}
    unknown = "the same command did not compute it: the model, its stimuli or the suite may have changed"
    lacking = ended.get(f"{observer} under {suite}") or "; ".join([unknown, *origin.first])
    same = attrgetter("suite", "version", "space", "metric", "condition", "role", "stimuli")
    by_key = {same(row): row for row in rows}
    wanted = [(row, by_key.get(same(row))) for row in every if row.set_id == origin.score.set_id]
    numbers = tuple(NumberAgain(stored=row, again=again, reason="" if again else lacking) for row, again in wanted)
    return Reproduction(numbers=numbers, command=origin.command)


def _origin(leaderboard: Selection, observer: str, suite: str, metric: str | None, condition: str | None) -> Provenance:
    """Return what is behind a number that can be computed again: of several stimulus sets, the newest with a number."""
    origins = provenance(leaderboard, observer, suite, metric, condition)
    if not origins:
        raise BenchError(f"'{observer}' has no scores under '{suite}'.")
    origin = max(origins, key=lambda origin: (origin.score.value is not None, origin.score.created))
    if not origin.arguments and origin.observer.card.get("source") == "memory":
        raise BenchError(f"'{observer}' cannot be reproduced: {origin.first[0]}.")
    if not origin.arguments:
        hint = f"`bench show --provenance {shlex.quote(observer)} {suite}` prints its origin."
        raise BenchError(f"'{suite}' has imported answers of '{observer}', which `bench run` cannot reproduce. {hint}")
    return origin
