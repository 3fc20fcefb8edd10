"""Compare observers in paired tests, from stored trials or by running two of them until the answer is clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from benchmark import plugins
from benchmark.api.leaderboards import (
    CardStatus,
    Filtered,
    Selection,
    card_status,
    chosen_names,
    chosen_suites,
    fits,
    suites_with_scores,
)
from benchmark.api.options import Option, SuiteName, joined
from benchmark.api.ranking import check_trials
from benchmark.api.running import RunPlan, RunRequest, Silent, prepare, run_here
from benchmark.contracts import EarlyStop, Metric, Plan, Shelf, Suite, Trials, distrust_flags
from benchmark.display import counted
from benchmark.engine.scoring import (
    PEOPLE,
    ComparedTrials,
    Scorer,
    compare_observers,
    discordant_of,
    network_pairs,
    same_answers,
)
from benchmark.engine.tasks import Task, plan_tasks
from benchmark.failures import BenchError, PluginError, StoreError, UnknownName, unknown_name
from benchmark.leaderboard.comparison import Change, Diff, Margin, PowerRow, judged, nothing_known, seen_so_far
from benchmark.leaderboard.provenance import PAIRED
from benchmark.observer_trials import newest_keys
from benchmark.settings import Settings
from benchmark.stats.comparisons import (
    Compared,
    ComparedToEach,
    Comparison,
    DiscordantTrial,
    SuiteComparison,
    compared_to_each,
)
from benchmark.stats.differences import assumed
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import ratio_arrays
from benchmark.stats.sequences import difference_sequence
from benchmark.stimuli.datasets import shuffled
from benchmark.store import IMPORTED, Store, StoredObservation, open_store

if TYPE_CHECKING:
    from benchmark.engine.inference import Reporter

LEVEL = 0.95
SAMPLED = "Run both on images in random order until the answer is clear, or known to +-X."
#: Width of the variant that has the random order; its blocks are not stopped by themselves.
ANY_WIDTH = 0.01
METHOD = "confidence sequence of paired differences, by image"
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
        raise _nothing(leaderboard, f"'{tests.a}' and '{tests.b}' have")
    return tests


def _nothing(leaderboard: Selection, who: str) -> BenchError:
    return BenchError(f"{who} no stimuli in common in {leaderboard.settings.db}. `bench show NAME` lists the scores.")


def _in_common(leaderboard: Selection, a: str, b: str, suite: str | None) -> Compared:
    """Compare as `compare` does; without stimuli in common, the result is empty."""
    a, b = _pair(a, b)
    with leaderboard.reading() as store:
        suites = _compared_suites(store, suite, a, b)
        with as_suites_write(f"'{a}' or '{b}'"):
            (tests,) = compare_observers(store, suites, [(a, b)])
        return replace(tests, outdated=_remarks(store, card_status(store, leaderboard.settings), tests, a, b))


def _remarks(store: Store, now: CardStatus, tests: Iterable[SuiteComparison], *names: str) -> tuple[str, ...]:
    """Return which observers are outdated, and the flags of distrust on the compared headlines."""
    outdated = [f"{name} is {now.outdated[name]}" for name in names if name in now.outdated]
    headlines = {(row.suite, row.metric.name) for row in tests if row.metric.headline}
    flags = [
        f"{row.observer} ({row.suite.removesuffix(PAIRED)}): {flag}"
        for row in store.latest_scores(observers=names, conditions=("",))
        if (row.suite.removesuffix(PAIRED), row.metric) in headlines
        for flag in distrust_flags(row.flags)
    ]
    return tuple(dict.fromkeys([*outdated, *flags]))


def compare_each(leaderboard: Selection, a: str, others: str, *, suite: str | None = None) -> ComparedToEach:
    """Compare one observer with each of several (names or globs with commas) by the suites' headlines.

    All tests are one family. `a` itself and models that boards hide are left out."""
    if a == PEOPLE:
        raise UnknownName("people as a group are compared with one observer: `bench compare NAME people`.")
    with leaderboard.reading() as store:
        now = card_status(store, leaderboard.settings)
        names = [note.name for note in store.observers() if note.name not in now.hidden]
        chosen = [name for name in dict.fromkeys(names) if name != a and fits(name, others)]
        if not chosen:
            raise unknown_name("observer", others, names, "`bench rank` lists those with scores.")
        suites = _compared_suites(store, suite, a, *chosen)
        with as_suites_write(f"'{a}' or one of '{others}'"):
            tests = compared_to_each(a, list(compare_observers(store, suites, ((a, b) for b in chosen))))
        if not tests.rows:
            raise _nothing(leaderboard, f"'{a}' and '{others}' have")
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
        float | None,
        Option(
            "Suppose that only one of the two is correct on this share of images.", above=0, most=1, without=("db",)
        ),
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
        test = Comparison(metric="", a=None, b=None, n=1, test=assumed(discordant))
        return [
            planned(suite="", title="right or wrong", who=f"alone on {discordant:g} of the images", comparison=test)
        ]

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


def differences(leaderboard: Filtered, suite: str = "human-comparison") -> list[tuple[str, str, Comparison]]:
    """Compare every two networks by their agreement with people: (a, b, test), one family of tests."""
    with leaderboard.reading() as store, as_suites_write("a network or a person"):
        tests = network_pairs(store, plugins.named_suite(suite, plugins.find_suites(suite)))
        names = chosen_names(store, {name for a, b, _ in tests for name in (a, b)}, leaderboard.filters)
    tests = [(a, b, test) for a, b, test in tests if {a, b} <= names]
    if not tests:
        raise BenchError(f"{leaderboard.settings.db} has no images that people and two networks answered.")
    return tests


@contextmanager
def as_suites_write(whose: str) -> Iterator[None]:
    """Report damaged trials, or trials of a suite that has changed since, as StoreError."""
    try:
        yield
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        raise StoreError(
            f"stored trials of {whose} cannot be compared ({type(error).__name__}: {error}): they are damaged, or "
            "a metric is at fault (`bench suites check NAME`). Run them again into a new leaderboard with `--db`."
        ) from error


def discordant(leaderboard: Selection, a: str, b: str, *, suite: str | None = None) -> list[DiscordantTrial]:
    """Return the images behind the headlines that only one of the two answers correctly, with both answers."""
    a, b = _pair(a, b)
    with leaderboard.reading() as store:
        pairs = (Scorer(store=store, run="", suite=each).both(a, b) for each in _compared_suites(store, suite, a, b))
        return [row for both in pairs if both is not None for row in discordant_of(both)]


def _pair(a: str, b: str) -> tuple[str, str]:
    """Return the two with people second."""
    if a == b:
        raise UnknownName(f"'{a}' cannot be compared with itself: name two observers.")
    return (b, a) if a == PEOPLE else (a, b)


def _compared_suites(store: Store, suite: str | None, *names: str) -> list[Suite]:
    """Return the suites to compare under: by name, otherwise those that the first observer has answered."""
    known = {note.name for note in store.observers()} | {PEOPLE}
    hint = "`bench rank` lists those with scores; people: all people as a group."
    for name in names:
        if name not in known:
            raise unknown_name("observer", name, known, hint)
    check_trials(store, *names)
    answered = {answer.suite for answer in store.observations(observer=names[0])}
    # Imported answers belong to every suite that shows their images.
    scored = None if IMPORTED in answered else answered
    return chosen_suites(store, suite, plugins.find_suites(suite, scored=scored))


def diff(
    leaderboard: Selection,
    base: Annotated[str, Option('A model, or "people" (all people as a group).')],
    new: Annotated[str, Option("The model that may have changed.")],
    *,
    noninferior: Annotated[float | None, Option("Show that NEW is at most X worse.", metavar="X", above=0)] = None,
    equivalent: Annotated[float | None, Option("Show that NEW is within X of BASE.", metavar="X", above=0)] = None,
    precision_target: Annotated[float | None, Option(SAMPLED, metavar="X", above=0, most=0.5)] = None,
    suite: SuiteName = None,
    limit: Annotated[int | None, Option("Show this many images at most (with --precision-target).", least=1)] = None,
    device: Annotated[str, Option("Run on this device (with --precision-target).")] = "auto",
    reporter: Reporter | None = None,
    agreed: Callable[[RunPlan], bool] = lambda _prepared: True,
    command: str = "gestaltbench.diff",
) -> Diff | None:
    """Test whether NEW is worse than BASE; exit code for CI.

    Each headline is compared in a paired test on stored trials, and images whose answers changed are listed. With
    --precision-target, both models are run only as far as the answer needs. Margins are in units of each metric (0.01
    is a percentage point). A suite of BASE that NEW lacks is inconclusive. Exit code 0 means no change for the worse
    (with a margin: shown to be so), 1 worse or not equivalent, 2 an error, 3 inconclusive."""
    if noninferior is not None and equivalent is not None:
        raise BenchError("--noninferior and --equivalent exclude each other: ask for one of the two.")
    size = noninferior if equivalent is None else equivalent
    margin = None if size is None else Margin(size, equivalent is not None)
    if precision_target is not None:
        request = RunRequest(models=f"{base},{new}", suites=suite or "all", limit=limit, device=device)
        sampling = _sample(base, new, precision_target, margin, request, leaderboard.settings)
        return sampling.run(reporter or Silent(), command) if agreed(sampling.prepared) else None
    if limit is not None or device != "auto":
        raise BenchError("--limit and --device need --precision-target: without it, no model is run.")
    if new == PEOPLE:
        raise BenchError(f"'{PEOPLE}' can only be the base: `bench diff {PEOPLE} NAME`.")
    tests = _in_common(leaderboard, new, base, suite)
    tests = replace(tests, headlines=(*tests.headlines, *_untested(leaderboard, tests, base, new, suite)))
    return judged(tests, discordant(leaderboard, new, base, suite=suite), margin)


def _untested(
    leaderboard: Selection, tests: Compared, base: str, new: str, pattern: str | None
) -> Iterator[SuiteComparison]:
    """Yield suites that were asked for or of which the base has a headline, but with nothing to compare."""
    tested = {row.suite for row in tests.headlines}
    with leaderboard.reading() as store:
        suites = suites_with_scores(store, pattern)
        rows = store.latest_scores(observers=[base, new], conditions=("",))
    values = {(row.observer, row.suite, row.metric) for row in rows if row.value is not None}
    for suite in suites:
        headline = suite.name, suite.headline.name
        base_has, new_has = ((name, *headline) in values for name in (base, new))
        if suite.name in tested or not (base_has or pattern not in (None, "all")):
            continue
        if base_has:
            reason = "no stimuli in common" if new_has else "the new one has no such score"
        else:
            reason = "the base has no such score" if new_has else "neither has such a score"
        yield nothing_known(suite, reason).row


def _sample(
    base: str, new: str, target: float, margin: Margin | None, request: RunRequest, settings: Settings
) -> Sampling:
    """Plan two models on images in random order. Raise PluginError if no suite has such an order."""
    from benchmark.api.registration import one_card

    if not 0 < target < 0.5:
        raise BenchError(f"a precision target is between 0 and 0.5, not {target:g}.")
    if PEOPLE in (base, new):
        raise BenchError(f"'{PEOPLE}' cannot be run: leave out --precision-target.")
    if base == new:
        raise BenchError(f"'{base}' cannot be compared with itself: name two models.")
    if request.device.endswith(":all") or "," in request.device:
        raise BenchError("--precision-target runs on one device: --device cuda:0.")
    cards = [one_card(name, settings) for name in (base, new)]
    pattern = joined(request.suites)
    asked = plugins.select_suites(pattern, plugins.find_suites(pattern))
    able = {suite.name: variant for suite in asked if (variant := paired_variant(suite)) is not None}
    if not able:
        others = [name for name, suite in plugins.find_suites().suites.items() if paired_variant(suite)]
        names = ", ".join(suite.name for suite in asked)
        raise PluginError(
            f"--precision-target: the headlines of {names} are not means over images, so none can stop early. Suites "
            f"that can: {', '.join(others) or 'none'}."
        )
    planned = plan_tasks(cards, list(able.values()), settings, request.limit)
    shown = {(task.card.name, task.suite.name, task.space): task for task in planned if task.plan.blocks}
    shared = [task for (_, *where), task in shown.items() if all((name, *where) in shown for name in (base, new))]
    reasons = {task.suite.name: task.reason for task in planned if task.reason}
    if not shared:
        why = "; ".join(dict.fromkeys(reasons.values())) or "other labels"
        raise BenchError(f"'{base}' and '{new}' have no suite in common: {why}")
    remarks, unasked = [], []
    for suite in asked:
        name = f"{suite.name}{PAIRED}"
        if name in {task.suite.name for task in shared}:
            continue
        reason = reasons.get(name, "they share no images") if suite.name in able else "it cannot stop early"
        if pattern != "all" or any((who, where) == (base, name) for who, where, _ in shown):
            unasked.append(nothing_known(suite, f"not asked: {reason}"))
        else:
            remarks.append(f"{suite.name}: not asked: {reason}")
    prepared = replace(prepare(replace(request, suites=",".join(able)), settings), tasks=shared)
    return Sampling(
        base=base,
        new=new,
        margin=margin,
        target=target,
        prepared=prepared,
        remarks=tuple(remarks),
        unasked=tuple(unasked),
    )


def paired_variant(suite: Suite) -> Suite | None:
    """Return the suite on images in random order, without stopping of single blocks; None if it has no such order."""
    stopping, name = suite.stopping, f"{suite.name}{PAIRED}"
    if stopping.within is not None:
        return replace(stopping.within(ANY_WIDTH), name=name, stopping=EarlyStop())
    if stopping.shuffle:
        return replace(suite, name=name, plan=InRandomOrder(suite.plan), stopping=EarlyStop())
    return None


@dataclass(frozen=True)
class InRandomOrder:
    """A suite's plan with the images of each block in random order."""

    plan: Callable[[Any, Shelf], Plan]

    def __call__(self, config: Any, shelf: Shelf) -> Plan:
        """Return the plan."""
        plan = self.plan(config, shelf)
        return replace(plan, blocks=tuple(replace(block, stimuli=shuffled(block.stimuli)) for block in plan.blocks))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Two models on images in random order, compared after each chunk until every suite has a clear verdict, its
    difference is known to +-`target`, or all images are used."""

    base: str
    new: str
    margin: Margin | None  # None: whether a change is shown
    target: float
    prepared: RunPlan  # the tasks of both
    remarks: tuple[str, ...] = ()
    unasked: tuple[Change, ...] = ()  # suites that cannot be run so, but count in the verdict

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the new model; the base has the same."""
        return [task for task in self.prepared.tasks if task.card.name == self.new]

    def run(self, reporter: Reporter, command: str) -> Diff:
        """Run both and judge."""
        report = run_here(self.prepared, reporter, command, enough=lambda s: all(map(self._is_known, self.changes(s))))
        for name, reason in report.failed.items():
            raise BenchError(f"the comparison has no verdict, because {name} failed: {reason}")
        with open_store(self.prepared.settings.db, write=False) as store:
            changes, ends = self.changes(store), []
            flipped: list[DiscordantTrial] = []
            for change, task in zip(changes, self.tasks, strict=True):
                new, base = self._shared(store, task)
                flipped += discordant_of(ComparedTrials(suite=task.suite, a=new, b=base, people={})) if len(new) else []
                n, of = change.row.comparison.n, len(task.plan.blocks[0].stimuli)
                end = "used all images" if n == of else f"stopped at {n} of {of} images"
                unclear = "" if n < of or self._is_known(change) else ", which do not make it clear"
                ends.append(f"{change.row.suite}: {end}{unclear}")
            flags = _remarks(store, CardStatus(), (change.row for change in changes), self.base, self.new)
        return Diff(
            base=self.base,
            new=self.new,
            margin=self.margin,
            changes=(*changes, *self.unasked),
            flipped=tuple(flipped),
            remarks=(*flags, *self.remarks, *ends),
            looked=True,
        )

    def changes(self, store: Store) -> list[Change]:
        """Judge each suite by the stored trials."""
        level = 1 - (1 - LEVEL) / len(self.tasks)
        return [self._change(store, task, level) for task in self.tasks]

    def _is_known(self, change: Change) -> bool:
        if change.verdict not in ("inconclusive", "no change shown"):
            return True
        low, high = change.low, change.high
        return low is not None and high is not None and (high - low) / 2 <= self.target

    def _change(self, store: Store, task: Task, level: float) -> Change:
        metric = task.suite.headline
        new, base = self._shared(store, task)
        if not len(new):
            return nothing_known(task.suite, "no image has been answered by both")
        a, b = (per_image(metric, trials) for trials in (new, base))
        low, high = difference_sequence(a - b, level)
        comparison = Comparison(
            metric=metric.name,
            a=float(a.mean()),
            b=float(b.mean()),
            difference=float(a.mean()) - float(b.mean()),
            n=len(a),
            low=low,
            high=high,
            level=level,
            method=METHOD,
            same=np.array_equal(a, b) and same_answers(new, base),
        )
        row = SuiteComparison(suite=task.suite.name.removesuffix(PAIRED), metric=metric, comparison=comparison)
        return seen_so_far(row, low, high, self.margin, len(a) == len(task.plan.blocks[0].stimuli))

    def _shared(self, store: Store, task: Task) -> tuple[Trials, Trials]:
        """Return the trials of both on the images that both have answered in every block."""
        wanted = {(b.role, b.stimuli.digest, b.condition) for b in task.plan.blocks}

        def counts(row: StoredObservation) -> bool:
            return row.space == task.space and (row.role, row.stimuli, row.condition) in wanted

        pair, held = [], []
        for name in (self.new, self.base):
            keys = tuple(newest_keys(store, task.suite.name, name, counts).values())
            trials = store.trials(keys) if keys else Trials(columns={})
            blocks = Counter(trials["stimulus"].tolist()) if len(trials) else Counter[str]()
            held.append({image for image, n in blocks.items() if n == len(task.plan.blocks)})
            pair.append(trials)
        common = sorted(held[0] & held[1])
        new, base = (trials.where(np.isin(trials["stimulus"], common)) if len(trials) else trials for trials in pair)
        return new, base


def per_image(metric: Metric, trials: Trials) -> Floats:
    """Return [images] the share of each image in a ratio, by image name. Raise ValueError if images differ in their
    share of the denominator: then the ratio is not a mean over images."""
    num, den, stimulus = ratio_arrays(metric, trials)
    if not len(num):
        return np.zeros(0)
    _, image = np.unique(stimulus, return_inverse=True)
    above, below = np.bincount(image, num), np.bincount(image, den)
    if below.min() <= 0 or not np.allclose(below, below[0]):
        raise ValueError(f"metric '{metric.name}' is not a mean over images")
    return above / below
