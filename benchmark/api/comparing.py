"""Two observers against each other, and a verdict on a new model: from stored trials, or by running both on images in
random order, looked at chunk by chunk, until the answer is clear."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from benchmark import plugins
from benchmark.api.leaderboards import chosen_suites, fits, reading, standing, suites_with_scores
from benchmark.api.options import Db, Option, SuiteName, joined
from benchmark.api.ranking import check_trials
from benchmark.api.running import RunRequest, Silent
from benchmark.contracts import DISTRUST, EarlyStop, Metric, Plan, Shelf, Suite, Trials
from benchmark.display import masked
from benchmark.engine.scoring import PEOPLE, Both, alike, compare_observers, discordant_of, discordant_trials
from benchmark.errors import BenchError, PluginError, StoreError, UnknownName, unknown_name
from benchmark.leaderboard.comparison import Change, Diff, Margin, judged, nothing_known, seen_so_far
from benchmark.leaderboard.provenance import PAIRED
from benchmark.settings import Settings
from benchmark.stats.comparisons import (
    Compared,
    ComparedToEach,
    Comparison,
    DiscordantTrial,
    SuiteComparison,
    compared_to_each,
)
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import ratio_arrays
from benchmark.stats.sequences import difference_sequence
from benchmark.stimuli.datasets import shuffled
from benchmark.store import Store
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.api.running import Prepared
    from benchmark.engine.plan import Task
    from benchmark.engine.run import RunReporter

LEVEL = 0.95
#: Of the variant that brings the images in random order; no block is settled by itself here.
ANY_WIDTH = 0.01
METHOD = "confidence sequence of paired differences, by image"
#: Why there is nothing to compare, by whether the base and the new one have a score.
_NOTHING = {
    (True, True): "no stimuli in common",
    (True, False): "the new one has no such score",
    (False, True): "the base has no such score",
    (False, False): "neither has such a score",
}


def compare(
    a: Annotated[str, Option("An observer.")],
    b: Annotated[str, Option("Another one; people: all people as a group.")],
    *,
    suite: SuiteName = None,
    db: Db = None,
) -> Compared:
    """Paired tests of A against B on the stimuli that both answered; "people": all people as a group.

    First the suites' headlines, then all other metrics: two families of tests, each Holm-adjusted. Where B is a pattern
    ('net-*', or names with commas), A against each of them by the headlines alone: one family.
    """
    settings = read_settings(db)
    tests = in_common(a, b, suite, settings)
    if not len(tests):
        raise BenchError(
            f"'{tests.a}' and '{tests.b}' have no stimuli in common in {masked(settings.db)}. "
            "`bench show NAME` lists what each has."
        )
    return tests


def in_common(a: str, b: str, suite: str | None, settings: Settings) -> Compared:
    """As `compare`; no tests where they have no stimuli in common."""
    a, b = _pair(a, b)
    with reading(settings) as store:
        suites = _compared_suites(store, suite, a, b)
        with _as_suites_write(f"'{a}' or '{b}'"):
            tests = compare_observers(store, suites, a, b)
        now, flagged = standing(store, settings).outdated, _distrusted(store, tests, a, b)
    outdated = tuple(f"{name} is {now[name]}" for name in (a, b) if name in now)
    return replace(tests, outdated=(*outdated, *flagged))


def _distrusted(store: Store, tests: Iterable[SuiteComparison], *names: str) -> list[str]:
    """The flags of distrust on the headlines that are compared: they stand beside a verdict as on a board."""
    headlines = {(row.suite, row.metric.name) for row in tests if row.metric.headline}
    remarks = [
        f"{row.observer} ({row.suite.removesuffix(PAIRED)}): {flag}"
        for row in store.latest_scores(observers=names, conditions=("",))
        for flag in row.flags
        if (row.suite.removesuffix(PAIRED), row.metric) in headlines and flag.startswith(DISTRUST)
    ]
    return list(dict.fromkeys(remarks))


def compare_each(a: str, others: str, *, suite: str | None = None, db: str | None = None) -> ComparedToEach:
    """Paired tests of one observer against each of several by the suites' headlines: one family of tests.

    others: names or globs with commas; `a` itself and models that boards do not show are left out.
    """
    if a == PEOPLE:
        raise UnknownName("people as a group are compared with one: `bench compare NAME people`.")
    settings = read_settings(db)
    with reading(settings) as store:
        known = standing(store, settings)
        names = [note.name for note in store.observers() if note.name not in known.hidden]
        chosen = [name for name in dict.fromkeys(names) if name != a and fits(name, others)]
        if not chosen:
            raise unknown_name("observer", others, names, "`bench rank` lists those with scores.")
        suites = _compared_suites(store, suite, a, *chosen)
        with _as_suites_write(f"'{a}' or one of '{others}'"):
            tests = [compare_observers(store, suites, a, b) for b in chosen]
        rows = compared_to_each(a, tests)
        flagged = _distrusted(store, (row for _, row in rows.rows), a, *chosen)
    if not rows.rows:
        raise BenchError(
            f"'{a}' has no stimuli in common with any of '{others}' in {masked(settings.db)}. "
            "`bench show NAME` lists what each has."
        )
    outdated = [f"{n} is {known.outdated[n]}" for n in (a, *chosen) if n in known.outdated]
    return replace(rows, outdated=(*outdated, *flagged))


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


def discordant(a: str, b: str, *, suite: str | None = None, db: str | None = None) -> list[DiscordantTrial]:
    """The images behind the headlines that only one of the two gets right, with what each answered."""
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
    from benchmark.store import IMPORTED

    known = {note.name for note in store.observers()} | {PEOPLE}
    hint = "`bench rank` lists those with scores; people: all people as a group."
    for name in names:
        if name not in known:
            raise unknown_name("observer", name, known, hint)
    check_trials(store, *names)
    answered = {answer.suite for answer in store.observations(observer=names[0])}
    scored = None if IMPORTED in answered else answered
    return chosen_suites(store, suite, plugins.find_suites(suite, scored=scored))


def diff(
    base: Annotated[str, Option('A model, or "people": all people as a group.')],
    new: Annotated[str, Option("The model that may have changed.")],
    *,
    noninferior: Annotated[
        float | None,
        Option(
            "Show that NEW is at most X worse, in units of each metric (0.01: a percentage point).",
            metavar="X",
            least=0,
            above=True,
        ),
    ] = None,
    equivalent: Annotated[
        float | None,
        Option(
            "Show that NEW is within X of BASE either way, in units of each metric.", metavar="X", least=0, above=True
        ),
    ] = None,
    precision_target: Annotated[
        float | None,
        Option(
            "Run both on images in random order until the answer is clear, or the difference is known to +-X.",
            metavar="X",
            least=0,
            most=0.5,
            above=True,
        ),
    ] = None,
    suite: SuiteName = None,
    limit: Annotated[int | None, Option("With --precision-target: images at most.", least=1)] = None,
    device: Annotated[str, Option("With --precision-target.")] = "auto",
    db: Db = None,
    reporter: RunReporter | None = None,
    agreed: Callable[[Prepared], bool] = lambda _prepared: True,
    command: str = "gestaltbench.diff",
) -> Diff | None:
    """Whether NEW is worse than BASE: each suite's headline, paired, with the images that flipped.

    From stored trials; with a precision target both are run, and only as far as the answer needs. A suite of the base's
    that the new one lacks is inconclusive. The verdict's exit code: 0 no change for the worse (with a margin: shown to
    be so), 1 worse or not equivalent, 3 inconclusive; an error is 2. None if `agreed` refuses the run.
    """
    margin = asked_margin(noninferior, equivalent)
    settings = read_settings(db)
    if precision_target is not None:
        return decide(
            base,
            new,
            precision_target,
            settings,
            reporter or Silent(),
            margin=margin,
            request=RunRequest(suites=suite or "all", limit=limit, device=device),
            agreed=agreed,
            command=command,
        )
    if limit is not None or device != "auto":
        raise BenchError("--limit and --device need --precision-target, which runs both.")
    if new == PEOPLE:
        raise BenchError(f"'{PEOPLE}' is no model that changes: `bench diff {PEOPLE} NAME`.")
    tests = in_common(new, base, suite, settings)
    untested = _untested(tests, base, new, suite, settings)
    tests = replace(tests, headlines=(*tests.headlines, *untested))
    return judged(tests, discordant(new, base, suite=suite, db=db), margin)


def asked_margin(noninferior: float | None, equivalent: float | None) -> Margin | None:
    """What of the two was asked for. BenchError for both at once."""
    if noninferior is not None and equivalent is not None:
        raise BenchError("not inferior or equivalent: ask for one of the two.")
    size = noninferior if equivalent is None else equivalent
    return None if size is None else Margin(size, equivalent is not None)


def _untested(
    tests: Compared, base: str, new: str, pattern: str | None, settings: Settings
) -> Iterator[SuiteComparison]:
    """The suites that were asked for, or that the base has a headline of, and for which there is nothing to compare: a
    run that failed is no proof that nothing became worse."""
    tested = {row.suite for row in tests.headlines}
    with reading(settings) as store:
        suites = suites_with_scores(store, pattern)
        rows = store.latest_scores(observers=[base, new], conditions=("",))
    values = {(row.observer, row.suite, row.metric) for row in rows if row.value is not None}
    named = pattern not in (None, "all")
    for suite in suites:
        have = {name for name in (base, new) if (name, suite.name, suite.headline.name) in values}
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
    from benchmark.api.cards import one_card
    from benchmark.api.running import prepare, run_here
    from benchmark.engine.plan import plan_tasks

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
    asked_for = joined(request.suites)
    asked = plugins.select_suites(asked_for, plugins.find_suites(asked_for))
    able = _able(asked)
    prepared = prepare(replace(request, suites=",".join(able)), settings)
    planned = plan_tasks(cards, list(able.values()), settings, request.limit)
    shared = _shared(planned, base, new)
    question = Question(base, new, shared, margin, target)
    prepared = replace(prepared, tasks=shared)
    if not agreed(prepared):
        return None
    report = run_here(prepared, reporter, command, enough=question.clear)
    if report.failed:
        name, reason = next(iter(report.failed.items()))
        raise BenchError(f"no verdict: {name} failed: {reason}")
    reasons = _unasked(asked, able, planned, shared)
    counted = {
        suite.name: nothing_known(suite, f"not asked: {reasons[suite.name]}")
        for suite in asked
        if suite.name in reasons and (asked_for != "all" or _is_shown(suite, base, planned))
    }
    remarks = [f"{name}: not asked: {reason}" for name, reason in reasons.items() if name not in counted]
    with reading(settings) as store:
        verdict = question.answer(store, remarks)
        flagged = _distrusted(store, (change.row for change in verdict.changes), base, new)
    verdict = replace(verdict, remarks=(*flagged, *verdict.remarks))
    return replace(verdict, changes=(*verdict.changes, *counted.values()))


def _unasked(
    asked: Sequence[Suite], able: Mapping[str, Suite], planned: Sequence[Task], shared: Sequence[Task]
) -> dict[str, str]:
    """Suite -> why not both models are asked."""
    why = {item.suite.name: item.reason for item in planned if item.reason}
    why |= {f"{item.name}{PAIRED}": "it cannot stop early" for item in asked if item.name not in able}
    there = {item.suite.name for item in shared}
    names = [item.name for item in asked if f"{item.name}{PAIRED}" not in there]
    return {name: why.get(f"{name}{PAIRED}", "they share no images") for name in names}


def _is_shown(suite: Suite, name: str, planned: Sequence[Task]) -> bool:
    """Whether a model can be asked under a suite: then a model that cannot has lost something."""
    wanted = (name, f"{suite.name}{PAIRED}")
    return any(task.plan.blocks for task in planned if (task.card.name, task.suite.name) == wanted)


def _able(asked: Sequence[Suite]) -> dict[str, Suite]:
    """Those of the suites that can stop early, as they then ask. PluginError where none can."""
    able = {each.name: variant for each in asked if (variant := paired_variant(each)) is not None}
    if able:
        return able
    names = ", ".join(each.name for each in asked)
    every = plugins.find_suites().suites.items()
    others = ", ".join(name for name, suite in every if paired_variant(suite))
    raise PluginError(
        f"--precision-target: none of {names} can stop early, their headlines are no means over images. "
        f"Those that can: {others or 'none'}. Leave it out, or name one with --suite."
    )


def _shared(planned: Sequence[Task], base: str, new: str) -> list[Task]:
    """The tasks under what both models are shown. BenchError where there is nothing."""
    shown = [task for task in planned if task.plan.blocks]
    whose = {(task.card.name, task.suite.name, task.space) for task in shown}
    shared = [task for task in shown if all((name, task.suite.name, task.space) in whose for name in (base, new))]
    if not shared:
        reasons = dict.fromkeys(task.reason for task in planned if task.reason)
        raise BenchError(f"'{base}' and '{new}' have no suite in common: {'; '.join(reasons) or 'other labels'}")
    return shared


def paired_variant(suite: Suite) -> Suite | None:
    """The suite on images in random order, none of its blocks stopped by itself; None where it has no such order."""
    stopping, name = suite.stopping, f"{suite.name}{PAIRED}"
    if stopping.within is not None:
        return replace(stopping.within(ANY_WIDTH), name=name, stopping=EarlyStop())
    if stopping.shuffle:
        return replace(suite, name=name, plan=InRandomOrder(suite.plan), stopping=EarlyStop())
    return None


@dataclass(frozen=True)
class InRandomOrder:
    """A suite's plan with the images of each block in an order that has nothing to do with what they show."""

    plan: Callable[[Any, Shelf], Plan]

    def __call__(self, config: Any, shelf: Shelf) -> Plan:
        """The plan."""
        plan = self.plan(config, shelf)
        blocks = (replace(block, stimuli=shuffled(block.stimuli)) for block in plan.blocks)
        return replace(plan, blocks=tuple(blocks))


@dataclass(frozen=True)
class Question:
    """Base and new under the suites of `tasks`. margin: what is asked (None: whether a change is shown); target: half
    the width at which an answer that is not clear by then is left open."""

    base: str
    new: str
    tasks: Sequence[Task]
    margin: Margin | None
    target: float

    def clear(self, store: Store) -> bool:
        """Whether every suite has its answer, or is known well enough."""
        return all(self._is_clear(change) for change in self.changes(store))

    def changes(self, store: Store) -> list[Change]:
        """What the trials that are stored say, suite by suite."""
        pairs = self._pairs()
        level = 1 - (1 - LEVEL) / len(pairs)
        return [self._change(store, task, level) for task in pairs]

    def answer(self, store: Store, remarks: Sequence[str] = ()) -> Diff:
        """The verdict, with the images that flipped."""
        changes = self.changes(store)
        flipped = [row for task in self._pairs() for row in self._flipped(store, task)]
        notes = [*remarks, *(self._told(change, task) for change, task in zip(changes, self._pairs(), strict=True))]
        return Diff(self.base, self.new, self.margin, tuple(changes), tuple(flipped), tuple(notes), looked=True)

    def _pairs(self) -> list[Task]:
        """The new one's tasks; the base has each of them, too."""
        return [task for task in self.tasks if task.card.name == self.new]

    def _is_clear(self, change: Change) -> bool:
        if change.verdict not in ("inconclusive", "no change shown"):
            return True
        low, high = change.low, change.high
        return low is not None and high is not None and (high - low) / 2 <= self.target

    def _change(self, store: Store, task: Task, level: float) -> Change:
        metric = task.suite.headline
        new, base = self._whole(store, task)
        values = [per_image(metric, trials) for trials in (new, base)]
        n = len(values[0])
        low, high = difference_sequence(values[0] - values[1], level)
        means = [float(numbers.mean()) if n else None for numbers in values]
        difference = None if means[0] is None or means[1] is None else means[0] - means[1]
        start = Comparison(metric.name, a=means[0], b=means[1], difference=difference, n=n)
        same = n > 0 and np.array_equal(values[0], values[1]) and alike(new, base)
        row = SuiteComparison(
            task.suite.name.removesuffix(PAIRED),
            metric,
            replace(start, low=low, high=high, level=level, method=METHOD, same=same),
        )
        whole = n == len(task.plan.blocks[0].stimuli)
        return seen_so_far(row, low, high, self.margin, whole)

    def _whole(self, store: Store, task: Task) -> tuple[Trials, Trials]:
        """Trials of both on the images that both have answered in every block."""
        pair = [self._trials(store, task, name) for name in (self.new, self.base)]
        blocks = len(task.plan.blocks)
        held = []
        for trials in pair:
            names, counts = np.unique(trials["stimulus"], return_counts=True) if len(trials) else ([], 0)
            held.append(set(np.asarray(names)[np.asarray(counts) == blocks].tolist()))
        common = sorted(held[0] & held[1])
        new, base = (trials.where(np.isin(trials["stimulus"], common)) if len(trials) else trials for trials in pair)
        return new, base

    def _trials(self, store: Store, task: Task, name: str) -> Trials:
        wanted = {(b.stimuli.digest, b.condition, b.role) for b in task.plan.blocks}
        keys = {
            (o.stimuli, o.condition, o.role): o.key
            for o in store.observations(observer=name, suite=task.suite.name)
            if o.space == task.space and (o.stimuli, o.condition, o.role) in wanted
        }
        return store.trials(tuple(keys.values())) if keys else Trials({})

    def _flipped(self, store: Store, task: Task) -> list[DiscordantTrial]:
        new, base = self._whole(store, task)
        return list(discordant_of(Both(task.suite, new, base, {}))) if len(new) else []

    def _told(self, change: Change, task: Task) -> str:
        n, of = change.row.comparison.n, len(task.plan.blocks[0].stimuli)
        end = "all of them" if n == of else f"stopped at {n} of {of} images"
        if n < of or self._is_clear(change):
            return f"{change.row.suite}: {end}"
        return f"{change.row.suite}: {end}, and they do not make it clear"


def per_image(metric: Metric, trials: Trials) -> Floats:
    """[images] what each image adds to a ratio, by name; every image has the same share of the denominator.

    ValueError where it has not: then the ratio is no mean over images.
    """
    num, den, stimulus = ratio_arrays(metric, trials)
    if not len(num):
        return np.zeros(0)
    _, at = np.unique(stimulus, return_inverse=True)
    above, below = np.bincount(at, num), np.bincount(at, den)
    if below.min() <= 0 or not np.allclose(below, below[0]):
        raise ValueError(f"metric '{metric.name}' is no mean over images")
    return above / below
