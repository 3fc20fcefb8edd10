"""Compare observers in paired tests, from stored trials."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api import leaderboards
from benchmark.api.leaderboards import CardStatus, Selection, card_status, fits, require_observer, suites_with_scores
from benchmark.api.options import Option, SuiteName
from benchmark.contracts import Suite, distrust_flags
from benchmark.contracts.trials import PEOPLE
from benchmark.display import counted
from benchmark.engine.reporters import Reporter, Silent
from benchmark.engine.scoring import Scorer, compare_observers, discordant_of
from benchmark.failures import BenchError, StoreError, UnknownName, unknown_name
from benchmark.leaderboard.comparison import Diff, Margin, PowerRow, judged, untested
from benchmark.stats import comparisons
from benchmark.stats.comparisons import Compared, ComparedToEach, Comparison, DiscordantTrial, SuiteComparison
from benchmark.stats.differences import Discordant
from benchmark.store import IMPORTED, Store
from registry.user_errors import foreign

#: Guards trials that are damaged, or of a suite that has changed since; takes whose they are.
_HINT = "A metric is at fault (`bench suites check NAME`), or they are damaged: run them again with another `--db`."
damaged = partial(foreign, "stored trials of", error=StoreError, expected=_HINT)
NOTHING = "have no stimuli in common in this leaderboard. `bench show NAME` lists the scores."
#: Networks behind a plan without observers, evenly over the ranks.
PLANNED = 12


def compare(
    leaderboard: Selection,
    a: Annotated[str, Option("An observer.")],
    b: Annotated[str, Option('Another observer; "people" are all people as a group.')],
    *,
    suite: SuiteName = None,
) -> Compared:
    """Compare A with B in paired tests on shared stimuli.

    "people" means all people as a group. The suites' headlines and all other metrics are two families of tests, each
    Holm-adjusted. If B is a pattern ('net-*', or names with commas), A is compared with each of them by the headlines
    alone, as one family."""
    tests = _in_common(leaderboard, a, b, suite)
    if not len(tests):
        raise BenchError(f"'{tests.a}' and '{tests.b}' {NOTHING}")
    return tests


def _in_common(leaderboard: Selection, a: str, b: str, suite: str | None) -> Compared:
    """Compare as `compare` does; without stimuli in common, the result is empty."""
    a, b = _pair(a, b)
    with leaderboard.reading() as store:
        suites = _compared_suites(store, suite, a, b)
        with damaged(f"'{a}' or '{b}'"):
            (tests,) = compare_observers(store, suites, [(a, b)])
        return replace(tests, outdated=_remarks(store, card_status(store, leaderboard.settings), tests, a, b))


def _remarks(store: Store, now: CardStatus, tests: Iterable[SuiteComparison], *names: str) -> tuple[str, ...]:
    """Return which observers are outdated, and the flags of distrust on the compared headlines."""
    outdated = [f"{name} is {now.outdated[name]}" for name in names if name in now.outdated]
    headlines = {(row.suite, row.metric.name) for row in tests if row.metric.headline}
    flags = [
        f"{row.observer} ({row.suite}): {flag}"
        for row in store.latest_scores(observers=names, conditions=("",))
        if (row.suite, row.metric) in headlines
        for flag in distrust_flags(row.flags)
    ]
    return tuple(dict.fromkeys([*outdated, *flags]))


def compare_each(leaderboard: Selection, a: str, others: str, *, suite: str | None = None) -> ComparedToEach:
    """Compare one observer with each of several that boards show, by the suites' headlines, as one family of tests."""
    if a == PEOPLE:
        raise UnknownName("people as a group are compared with one observer: `bench compare NAME people`.")
    with leaderboard.reading() as store:
        now = card_status(store, leaderboard.settings)
        names = [note.name for note in store.observers() if note.name not in now.hidden]
        chosen = [name for name in dict.fromkeys(names) if name != a and fits(name, others)]
        if not chosen:
            raise unknown_name("observer", others, names, "`bench rank` lists those with scores.")
        suites = _compared_suites(store, suite, a, *chosen)
        with damaged(f"'{a}' or one of '{others}'"):
            tests = comparisons.compared_to_each(a, list(compare_observers(store, suites, ((a, b) for b in chosen))))
        if not tests.rows:
            raise BenchError(f"'{a}' and '{others}' {NOTHING}")
        return replace(tests, outdated=_remarks(store, now, (row for _, row in tests.rows), a, *chosen))


def power(
    leaderboard: Selection,
    a: Annotated[str | None, Option("An observer (default: networks like those in the leaderboard).")] = None,
    b: Annotated[str | None, Option('Another observer; "people" are all people as a group.')] = None,
    *,
    suite: SuiteName = None,
    detect: Annotated[float, Option("Find a difference of this size.", above=0, most=2)] = 0.02,
    power: Annotated[float, Option("Find it with this probability.", above=0.05, most=1)] = 0.8,
    discordant: Annotated[
        float | None, Option("Assume that only one is right on this share of images.", above=0, most=1, without=("db",))
    ] = None,
) -> list[PowerRow]:
    """Estimate the images and people a comparison needs.

    The variance of the paired test is estimated from the stored answers of both. With only A, it is estimated from A
    and every other network; without observers, from every two networks (the median pair, and the one at 90 %). With
    --discordant, that share is enough, and nothing has to be run before."""
    planned = partial(PowerRow, detect=detect, power=power)
    if discordant is not None:
        if a or b or suite:
            raise BenchError("--discordant needs no observers and no --suite: leave them out.")
        if discordant < detect:
            raise BenchError(f"--discordant: a difference of {detect:g} needs at least that share of images.")
        half = Discordant(b=discordant / 2, c=discordant / 2, n=1)
        test = Comparison(metric="", a=None, b=None, n=1, test=half)
        who = f"alone on {discordant:g} of the images"
        return [planned(suite="", title="right or wrong", who=who, comparison=test)]

    def rows_of(tests: Compared) -> list[PowerRow]:
        who = f"{tests.a}, {tests.b}"
        return [planned(suite=r.suite, title=r.title, who=who, comparison=r.comparison) for r in tests.headlines]

    if a and b:
        return rows_of(compare(leaderboard, a, b, suite=suite))
    with leaderboard.reading() as store:
        if a:
            _compared_suites(store, suite, a)
        rows = []
        for chosen in suites_with_scores(store, suite):
            scores = store.latest_scores(suite=chosen.name, conditions=("",))
            names = [r.observer for r in scores if r.metric == chosen.headline.name and r.value is not None]
            names = list(dict.fromkeys(names))[:: max(1, -(-len(names) // PLANNED))]
            pairs = [(a, name) for name in names if name != a] if a else list(combinations(names, 2))
            tests_of = [row for tests in compare_observers(store, [chosen], pairs) for row in rows_of(tests)]
            order = sorted((row for row in tests_of if row.images), key=lambda row: row.images or 0)
            for share, called in ((0.5, "the middle"), (0.9, "90 %")) if order else ():
                row = order[int(share * (len(order) - 1))]
                rows.append(replace(row, who=f"{called} of {counted(len(tests_of), 'pair')}: {row.who}"))
    if not rows:
        raise BenchError(f"{leaderboard.settings.db} has no two networks with common answers: give --discordant.")
    return rows


def discordant(leaderboard: Selection, a: str, b: str, *, suite: str | None = None) -> list[DiscordantTrial]:
    """Return the images behind the headlines that only one of the two answers correctly, with both answers."""
    a, b = _pair(a, b)
    with leaderboard.reading() as store:
        pairs = (Scorer(store=store, run="", suite=each).both(a, b) for each in _compared_suites(store, suite, a, b))
        return [row for both in pairs if both is not None for row in discordant_of(both)]


def _pair(a: str, b: str) -> tuple[str, str]:
    if a == b:
        raise UnknownName(f"'{a}' cannot be compared with itself: name two observers.")
    return (b, a) if a == PEOPLE else (a, b)


def _compared_suites(store: Store, suite: str | None, *names: str) -> list[Suite]:
    require_observer(store, *(name for name in names if name != PEOPLE), trials=True)
    answered = {answer.suite for answer in store.observations(observer=names[0])}
    # Imported answers belong to every suite that shows their images.
    scored = None if IMPORTED in answered else answered
    return leaderboards.chosen_suites(store, suite, plugins.find_suites(suite, scored=scored))


def diff(
    leaderboard: Selection,
    base: Annotated[str, Option('A model, or "people" (all people as a group).')],
    new: Annotated[str, Option("The model that may have changed.")],
    *,
    noninferior: Annotated[float | None, Option("Show that NEW is at most X worse.", metavar="X", above=0)] = None,
    equivalent: Annotated[float | None, Option("Show that NEW is within X of BASE.", metavar="X", above=0)] = None,
    precision_target: Annotated[float | None, Option("Run until known to +-X.", metavar="X", above=0, most=0.5)] = None,
    suite: SuiteName = None,
    limit: Annotated[int | None, Option("Show at most so many images (with --precision-target).", least=1)] = None,
    device: Annotated[str, Option("Run on this device (with --precision-target).")] = "auto",
    reporter: Reporter | None = None,
    agreed: Callable[[Any], bool] = lambda _plan: True,
    command: str = "gestaltbench.diff",
) -> Diff | None:
    """Test whether NEW is worse than BASE; exit code for CI.

    Each headline is compared in a paired test on stored trials, and images whose answers changed are listed. With
    --precision-target, both models are run, but only as far as the answer needs. Margins are in units of each metric
    (0.01 is a percentage point). A suite of BASE that NEW lacks is inconclusive. Exit code 0 means no change for the
    worse (with a margin: shown to be so), 1 worse or not equivalent, 2 an error, 3 inconclusive."""
    if noninferior is not None and equivalent is not None:
        raise BenchError("--noninferior and --equivalent exclude each other: ask for one of the two.")
    size = noninferior if equivalent is None else equivalent
    margin = None if size is None else Margin(size, equivalent is not None)
    if precision_target is not None:
        from benchmark.api.sequential_comparison import plan_comparison  # slow to import

        diff = Diff(base=base, new=new, margin=margin, changes=(), looked=True)
        sampling = plan_comparison(diff, precision_target, suite or "all", limit, device, leaderboard.settings)
        return sampling.run(reporter or Silent(), command) if agreed(sampling.plan) else None
    if limit is not None or device != "auto":
        raise BenchError("--limit and --device need --precision-target: without it, no model is run.")
    if new == PEOPLE:
        raise BenchError(f"'{PEOPLE}' can only be the base: `bench diff {PEOPLE} NAME`.")
    tests = _in_common(leaderboard, new, base, suite)
    tested, lacking = {row.suite for row in tests.headlines}, []
    with leaderboard.reading() as store:
        suites = suites_with_scores(store, suite)
        rows = store.latest_scores(observers=[base, new], conditions=("",))
    values = {(row.observer, row.suite, row.metric) for row in rows if row.value is not None}
    # Suites that were asked for or of which the base has a headline, but with nothing to compare.
    for each in (each for each in suites if each.name not in tested):
        score = each.name, each.headline.name
        whose = [who for who, name in (("the base", base), ("the new one", new)) if (name, *score) not in values]
        reason = f"no such score of {' and '.join(whose)}" if whose else "no stimuli in common"
        if "the base" not in whose or suite not in (None, "all"):
            lacking.append(untested(each, reason))
    tests = replace(tests, headlines=(*tests.headlines, *lacking))
    return judged(tests, discordant(leaderboard, new, base, suite=suite), margin)
