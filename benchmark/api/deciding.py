"""A verdict on a new model: from stored trials, or by running both only until the answer is clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.api.cards import one_card
from benchmark.api.comparing import PEOPLE, discordant, in_common
from benchmark.api.opening import reading, suites_with_scores
from benchmark.api.running import Prepared, RunRequest, execute, prepare
from benchmark.errors import BenchError, PluginError
from benchmark.leaderboard.repeating import PAIRED
from benchmark.plugins import find_suites, select_suites
from benchmark.settings import Settings
from benchmark.stats.families import SuiteComparison
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.engine.planning import Task
    from benchmark.engine.running import RunReporter
    from benchmark.leaderboard.comparison import Diff, Margin
    from benchmark.stats.families import Compared

#: Why there is nothing to compare, by whether the base and the new one have a score.
_NOTHING = {
    (True, True): "no stimuli in common",
    (True, False): "the new one has no such score",
    (False, True): "the base has no such score",
    (False, False): "neither has such a score",
}


def diff(
    base: str,
    new: str,
    *,
    noninferior: float | None = None,
    equivalent: float | None = None,
    suite: str | None = None,
    db: str | None = None,
) -> Diff:
    """Whether a new model is worse than its base, by the suites' headlines on the stimuli that both answered.

    base: a model, or "people" as a group. noninferior: how much worse the new one may be, in units of the metric;
    equivalent: how far it may lie from the base either way. A suite of the base's that the new one lacks is
    inconclusive, and so is all where they have no stimuli in common.
    """
    from benchmark.leaderboard.comparison import judged

    if new == PEOPLE:
        raise BenchError(f"'{PEOPLE}' is no model that changes: `bench diff {PEOPLE} NAME`.")
    margin = asked_margin(noninferior, equivalent)
    settings = read_settings(db)
    found = in_common(new, base, suite, settings)
    untested = _untested(found, base, new, suite, settings)
    found = replace(found, headlines=(*found.headlines, *untested))
    return judged(found, discordant(new, base, suite=suite, db=db), margin)


def asked_margin(noninferior: float | None, equivalent: float | None) -> Margin | None:
    """What of the two was asked for. BenchError for both at once."""
    from benchmark.leaderboard.comparison import Margin

    if noninferior is not None and equivalent is not None:
        raise BenchError("not inferior or equivalent: ask for one of the two.")
    size = noninferior if equivalent is None else equivalent
    return None if size is None else Margin(size, equivalent is not None)


def _untested(
    found: Compared, base: str, new: str, pattern: str | None, settings: Settings
) -> Iterator[SuiteComparison]:
    """The suites that were asked for, or that the base has a headline of, and for which there is nothing to compare: a
    run that failed is no proof that nothing became worse."""
    from benchmark.leaderboard.comparison import nothing_known

    tested = {row.suite for row in found.headlines}
    with reading(settings) as store:
        suites = suites_with_scores(store, pattern)
        rows = store.latest_scores(observers=[base, new], conditions=("",))
    values = {(row.observer, row.suite, row.metric) for row in rows if row.value is not None}
    named = pattern not in (None, "all")
    for suite in suites:
        have = {one for one in (base, new) if (one, suite.name, suite.headline.name) in values}
        if suite.name not in tested and (named or base in have):
            yield nothing_known(suite, _NOTHING[base in have, new in have]).row


def decide(
    base: str,
    new: str,
    target: float,
    settings: Settings,
    reporter: RunReporter,
    *,
    margin: Margin | None = None,
    request: RunRequest | None = None,
    agreed: Callable[[Prepared], bool] = lambda _prepared: True,
    command: str = "bench diff",
) -> Diff | None:
    """Run two models on images in random order, looking after each chunk, until every suite's verdict is clear, its
    difference is known to +-`target`, or there are no more images. None where `agreed` says no.

    Suites that have no random order are left out; those of them that the request names, and those that only the base
    can be asked, are inconclusive. PluginError where none has one; UnknownName where a model is none.
    """
    from benchmark.api.paired_question import Question
    from benchmark.engine.planning import plan_tasks
    from benchmark.leaderboard.comparison import nothing_known

    if not 0 < target < 0.5:
        raise BenchError(f"a precision target is between 0 and 0.5, not {target:g}.")
    if PEOPLE in (base, new):
        raise BenchError(f"'{PEOPLE}' cannot be run: leave --precision-target out.")
    if base == new:
        raise BenchError(f"'{base}' is compared with itself: name two models.")
    cards = [one_card(name, settings) for name in (base, new)]
    request = replace(request or RunRequest(), models=f"{base},{new}")
    if request.device.endswith(":all") or "," in request.device:
        raise BenchError("a verdict that stops early is run on one device: --device cuda:0.")
    asked = select_suites(request.suites, find_suites(request.suites))
    able = _able(asked)
    prepared = prepare(replace(request, suites=",".join(able)), settings)
    planned = plan_tasks(cards, list(able.values()), settings, request.limit)
    shared = _shared(planned, base, new)
    question = Question(base, new, shared, margin, target)
    prepared = replace(prepared, tasks=shared)
    if not agreed(prepared):
        return None
    report = execute(prepared, reporter, command, enough=question.clear)
    if report.failed:
        name, reason = next(iter(report.failed.items()))
        raise BenchError(f"no verdict: {name} failed: {reason}")
    reasons = _unasked(asked, able, planned, shared)
    counted = {
        one.name: nothing_known(one, f"not asked: {reasons[one.name]}")
        for one in asked
        if one.name in reasons and (request.suites != "all" or _is_shown(one, base, planned))
    }
    remarks = [
        f"{name}: not asked: {reason}" for name, reason in reasons.items() if name not in counted
    ]
    with reading(settings) as store:
        found = question.answer(store, remarks)
    return replace(found, changes=(*found.changes, *counted.values()))


def _unasked(
    asked: Sequence[Suite],
    able: Mapping[str, Suite],
    planned: Sequence[Task],
    shared: Sequence[Task],
) -> dict[str, str]:
    """Suite -> why not both models are asked."""
    why = {one.suite.name: one.reason for one in planned if one.reason}
    why |= {f"{one.name}{PAIRED}": "it cannot stop early" for one in asked if one.name not in able}
    there = {one.suite.name for one in shared}
    names = [one.name for one in asked if f"{one.name}{PAIRED}" not in there]
    return {name: why.get(f"{name}{PAIRED}", "they share no images") for name in names}


def _is_shown(suite: Suite, name: str, planned: Sequence[Task]) -> bool:
    """Whether a model can be asked under a suite: then a model that cannot has lost something."""
    mine = (name, f"{suite.name}{PAIRED}")
    return any(one.plan.blocks for one in planned if (one.card.name, one.suite.name) == mine)


def _able(asked: Sequence[Suite]) -> dict[str, Suite]:
    """Those of the suites that can stop early, as they then ask. PluginError where none can."""
    from benchmark.api.paired_question import paired_variant

    able = {one.name: made for one in asked if (made := paired_variant(one)) is not None}
    if able:
        return able
    names = ", ".join(one.name for one in asked)
    every = find_suites().suites.items()
    others = ", ".join(name for name, suite in every if paired_variant(suite))
    raise PluginError(
        f"--precision-target: none of {names} can stop early, their headlines are no means over images. "
        f"Those that can: {others or 'none'}. Leave it out, or name one with --suite."
    )


def _shared(planned: Sequence[Task], base: str, new: str) -> list[Task]:
    """The tasks under what both models are shown. BenchError where there is nothing."""
    shown = [task for task in planned if task.plan.blocks]
    whose = {(task.card.name, task.suite.name, task.space) for task in shown}
    shared = [
        task
        for task in shown
        if all((name, task.suite.name, task.space) in whose for name in (base, new))
    ]
    if not shared:
        reasons = dict.fromkeys(task.reason for task in planned if task.reason)
        raise BenchError(
            f"'{base}' and '{new}' have no suite in common: {'; '.join(reasons) or 'other labels'}"
        )
    return shared
