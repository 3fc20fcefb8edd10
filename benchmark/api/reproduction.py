"""Whether a number comes out again."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmark import plugins
from benchmark.api.leaderboards import notes_of, reading, require_observer
from benchmark.api.options import Db, Option
from benchmark.api.parallel import execute
from benchmark.api.running import Prepared, RunRequest, Silent, prepare
from benchmark.errors import BenchError, UnknownName, unknown_name
from benchmark.leaderboard.provenance import PAIRED
from benchmark.plugins import scored_suites
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.engine.run import RunReporter
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.settings import Settings
    from benchmark.store import ScoreRow, Store


# Where a number comes from.


def provenance(
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str | None, Option("Without it: the headline of each suite.")] = None,
    metric: Annotated[str | None, Option("Default: the headline.")] = None,
    condition: Annotated[
        str | None, Option("As `bench show` prints it (default: the number over all conditions).")
    ] = None,
    *,
    db: Db = None,
) -> list[Provenance]:
    """Everything behind a number: weights, card, stimuli, seed, precision, device, versions, runs, n, method, interval,
    and the command that makes it again; one entry per stimulus set.
    """
    from benchmark.leaderboard.provenance import provenance_of
    from registry.cards import builtin_cards

    settings = read_settings(db)
    with reading(settings) as store:
        require_observer(store, observer)
        scored = {name.removesuffix(PAIRED) for name in store.suites()}
        shelf = plugins.find_suites(scored=scored)
        suites = {known.name: known for known in scored_suites(sorted(scored), shelf)}
        rows = _chosen(store, suites, observer, suite, metric, condition)
        notes, builtin = notes_of(store), observer in builtin_cards()
        (who,) = store.observers(names={observer})
        return [
            provenance_of(row, _title(suites, row), who, store.provenance(row.set_id), notes, builtin=builtin)
            for row in rows
        ]


def _chosen(
    store: Store, suites: dict[str, Suite], observer: str, suite: str | None, metric: str | None, condition: str | None
) -> list[ScoreRow]:
    rows = store.latest_scores(observers=[observer])
    hint = f"`bench show {shlex.quote(observer)}` lists its scores."
    if suite is not None:
        names = {row.suite for row in rows}
        if suite not in names:
            raise unknown_name("suite", suite, names, hint)
        rows = [row for row in rows if row.suite == suite]
    if metric is None:
        heads = {name: scored.headline.name for name, scored in suites.items()}
        return [row for row in rows if row.metric == heads.get(_base(row)) and not row.condition]
    names = {row.metric for row in rows}
    called = {_title(suites, row): row.metric for row in rows} | {name: name for name in names}
    if metric not in called:
        raise unknown_name("metric", metric, names, hint)
    rows = [row for row in rows if row.metric == called[metric]]
    conditions = {row.condition for row in rows}
    if (condition or "") not in conditions:
        raise unknown_name("condition", condition or "", filter(None, conditions), hint)
    return [row for row in rows if row.condition == (condition or "")]


def _base(row: ScoreRow) -> str:
    """The suite that has the row's metrics."""
    return row.suite.removesuffix(PAIRED)


def _title(suites: dict[str, Suite], row: ScoreRow) -> str:
    metrics = suites[_base(row)].metrics if _base(row) in suites else ()
    return next((metric.title for metric in metrics if metric.name == row.metric), row.metric)


@dataclass(frozen=True)
class NumberAgain:
    """A stored number and the one that was made again (None: there is none, and `reason` says why)."""

    stored: ScoreRow
    again: ScoreRow | None
    reason: str = ""

    @property
    def equal(self) -> bool:
        """Whether value, interval and n are the same, bit for bit."""
        return self.again is not None and _numbers(self.stored) == _numbers(self.again)

    @property
    def difference(self) -> float | None:
        """The new value less the stored one; None where one of the two is undefined."""
        if self.again is None or self.again.value is None or self.stored.value is None:
            return None
        return self.again.value - self.stored.value


@dataclass(frozen=True)
class Reproduction:
    """Numbers of one observer under one suite, made again. command: what made them; db: where they are ("":
    deleted)."""

    numbers: tuple[NumberAgain, ...]
    command: str
    db: str = ""

    @property
    def exit_code(self) -> int:
        """0: all equal; 1: one differs; 3: none differs, but not all could be made."""
        if any(number.again is not None and not number.equal for number in self.numbers):
            return 1
        return 0 if all(number.equal for number in self.numbers) else 3


def reproduce(
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str, Option("Whose numbers.")],
    metric: Annotated[str | None, Option("Without it: every number of the suite.")] = None,
    condition: Annotated[
        str | None, Option("As `bench show` prints it (default: the number over all conditions).")
    ] = None,
    *,
    into: Annotated[
        str | None, Option("Keep the fresh leaderboard there (a new file).", metavar="FILE", kind="place")
    ] = None,
    db: Db = None,
    reporter: RunReporter | None = None,
    agreed: Callable[[Prepared], bool] = lambda _prepared: True,
) -> Reproduction | None:
    """Run what made a number in a fresh leaderboard, and say whether the number came out.

    Exit codes: 0 equal bit for bit, 1 a number differs, 3 none differs but not all could be made. None if `agreed`
    refuses the run.
    """
    settings = read_settings(db)
    origin = _one_origin(provenance(observer, suite, metric, condition, db=db), observer, suite)
    if not origin.again.arguments and suite.endswith(PAIRED):
        raise BenchError(
            f"'{suite}' stopped where a verdict was clear: `bench diff ... --precision-target` makes its trials, no "
            f"`bench run` does. `bench show --provenance {shlex.quote(observer)} {suite}` says by which command."
        )
    if not origin.again.arguments:
        raise BenchError(
            f"what '{observer}' has under '{suite}' was imported: no run makes it. "
            f"`bench show --provenance {shlex.quote(observer)} {suite}` says where it came from."
        )
    with reading(settings) as store:
        every = store.latest_scores(suite=suite, observers=[observer])
        keys = store.provenance(origin.score.set_id)["keys"]
    whole = [row for row in every if row.set_id == origin.score.set_id]
    wanted = whole if metric is None else [origin.score]
    into = into and read_settings(into).db
    if into and Path(into).exists():
        raise BenchError(f"'{into}' exists: a fresh leaderboard is a new file. Name another with --into.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fresh = replace(settings, db=into or str(Path(folder) / "again.db"))
        peers = partial(_bring_peers, keys, settings, fresh)
        outcome = _again(origin, fresh, reporter or Silent(), agreed, wanted, peers)
    return outcome and replace(outcome, db=into or "")


def _again(
    origin: Provenance,
    fresh: Settings,
    reporter: RunReporter,
    agreed: Callable[[Prepared], bool],
    wanted: Sequence[ScoreRow],
    bring_peers: Callable[[], None],
) -> Reproduction | None:
    try:
        prepared = prepare(RunRequest(**origin.again.arguments), fresh)
    except UnknownName as error:
        first = "; ".join(origin.again.before)
        raise UnknownName(f"{error} First comes {first}" if first else str(error)) from error
    if not agreed(prepared):
        return None
    bring_peers()
    report = execute(prepared, reporter, origin.again.command)
    name = f"{origin.score.observer} under {origin.score.suite}"
    with reading(fresh) as store:
        rows = store.latest_scores(suite=origin.score.suite, observers=[origin.score.observer])
        identity = {note.name: note.identity for note in store.observers()}
    by_key = {_key(row): row for row in rows}
    lacking = report.failed.get(name) or report.skipped.get(name) or _why(origin, rows, identity)
    pairs = ((row, by_key.get(_key(row))) for row in wanted)
    numbers = tuple(NumberAgain(row, again, "" if again else lacking) for row, again in pairs)
    return Reproduction(numbers, origin.again.command)


def _bring_peers(keys: Sequence[str], settings: Settings, fresh: Settings) -> None:
    """The imported answers that a number rests on: no run makes them."""
    from benchmark.api.importing import recorded
    from benchmark.store import IMPORTED, open_store

    with reading(settings) as source, open_store(fresh.db) as target, recorded(target, "bench reproduce") as run:
        imported = {answer.key for answer in source.observations(suite=IMPORTED)}
        target.merge_observations(source, imported & set(keys), run)


def _why(origin: Provenance, rows: Sequence[ScoreRow], identity: dict[str, str]) -> str:
    """Why there is no such number again."""
    if identity.get(origin.score.observer, origin.observer.identity) != origin.observer.identity:
        return "the model of that name has other weights, preprocessing or code now"
    if {row.version for row in rows} - {origin.score.version}:
        return f"the suite has another version now than {origin.score.version}"
    if rows and origin.score.stimuli not in {row.stimuli for row in rows}:
        return "the stimuli of that name are others now, or were chosen otherwise"
    return "; ".join(origin.again.before) or "the same command gave no such number"


def _key(row: ScoreRow) -> tuple[object, ...]:
    return row.suite, row.version, row.space, row.metric, row.condition, row.role, row.stimuli


def _numbers(row: ScoreRow) -> tuple[object, ...]:
    return row.value, row.low, row.high, row.level, row.n, row.excluded, row.reason


def _one_origin(origins: Sequence[Provenance], observer: str, suite: str) -> Provenance:
    """The newest of several stimulus sets, of those that gave a number."""
    if not origins:
        raise BenchError(f"'{observer}' has no scores under '{suite}'.")
    return max(origins, key=lambda origin: (origin.score.value is not None, origin.score.created))
