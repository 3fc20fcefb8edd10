"""Where a number comes from."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

from benchmark import plugins
from benchmark.api.leaderboards import notes_of, reading, require_observer
from benchmark.api.options import Db, Option
from benchmark.errors import unknown_name
from benchmark.leaderboard.provenance import PAIRED
from benchmark.plugins import scored_suites
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.store import ScoreRow, Store


def provenance(
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str | None, Option("Without it: the headline of each suite.")] = None,
    metric: Annotated[str | None, Option("Default: the headline.")] = None,
    condition: Annotated[
        str | None,
        Option("As `bench show` prints it (default: the number over all conditions)."),
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
        suites = {one.name: one for one in scored_suites(sorted(scored), shelf)}
        rows = _chosen(store, suites, observer, suite, metric, condition)
        notes, builtin = notes_of(store), observer in builtin_cards()
        (who,) = store.observers_named({observer})
        return [
            provenance_of(
                row,
                _title(suites, row),
                who,
                store.provenance(row.set_id),
                notes,
                builtin=builtin,
            )
            for row in rows
        ]


def _chosen(
    store: Store,
    suites: dict[str, Suite],
    observer: str,
    suite: str | None,
    metric: str | None,
    condition: str | None,
) -> list[ScoreRow]:
    rows = store.latest_scores(observers=[observer])
    hint = f"`bench show {shlex.quote(observer)}` lists its scores."
    if suite is not None:
        names = {row.suite for row in rows}
        if suite not in names:
            raise unknown_name("suite", suite, names, hint)
        rows = [row for row in rows if row.suite == suite]
    if metric is None:
        heads = {name: one.headline.name for name, one in suites.items()}
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
