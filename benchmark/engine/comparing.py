"""Two observers of the leaderboard, or one and people as a group, on the stimuli that both answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.contracts import Array, Metric, Suite, Trials
from benchmark.engine.answers import suite_trials
from benchmark.engine.scoring import Scorer
from benchmark.stats import Comparison, compare_ratio
from benchmark.stats.comparisons import Compared, DiscordantTrial, SuiteComparison, compared
from benchmark.stats.crossed import compare_people
from benchmark.stats.paired import FEWEST, differing
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.store import ScoreSet, Store

#: The name of people as a group.
PEOPLE = "people"


@dataclass(frozen=True)
class Both:
    """Trials of a and of b under one suite (b None: people), and those of the references of both."""

    suite: Suite
    a: Trials
    b: Trials | None
    people: Mapping[str, Trials]


def compare_observers(store: Store, suites: Sequence[Suite], a: str, b: str) -> Compared:
    """Every suite that both have answered; b may be `PEOPLE`. Empty where there is none."""
    found = [one for suite in suites if (one := both_of(store, suite, a, b)) is not None]
    rows = [row for one in found for row in _under(one)]
    return compared(a, b, rows, list(_remarks(store, [one.suite for one in found], a, b)))


def both_of(store: Store, suite: Suite, a: str, b: str) -> Both | None:
    """The trials of both on the same sets where there are such; None where one of the two has none."""
    scorer = Scorer(store, 0, suite)
    if b == PEOPLE:
        sets = _newest(store, suite, a)
        mine = suite_trials(store, suite, a, sets.stimuli) if sets else None
        people = scorer.people(sets.stimuli) if sets else {}
        people = {name: one for name, one in people.items() if name != a}
        return Both(suite, mine, None, people) if mine is not None and people else None
    sets = _same_sets(store, suite, a, b)
    like = sets.stimuli if sets else None
    mine, theirs = (suite_trials(store, suite, name, like) for name in (a, b))
    if mine is None or theirs is None:
        return None
    paired = suite.against is not None and suite.against.pair is not None and sets is not None
    people = scorer.references(sets.space, sets.stimuli, a, b) if paired and sets else {}
    return Both(suite, mine, theirs, people)


def discordant_trials(
    store: Store, suites: Sequence[Suite], a: str, b: str
) -> list[DiscordantTrial]:
    """Trials of the headlines that only one of the two gets right; of a suite whose headline has no such trials, those
    of its other metrics that do."""
    found = (one for suite in suites if (one := both_of(store, suite, a, b)) is not None)
    return [row for one in found for row in discordant_of(one)]


def _under(both: Both) -> Iterator[SuiteComparison]:
    suite, metrics = both.suite, {metric.name: metric for metric in both.suite.metrics}
    for metric in suite.metrics:
        if metric.ratio is not None and (one := _of_ratio(metric, both)) is not None:
            same = one.same and alike(metric.own(both.a), metric.own(both.b or both.a))
            yield SuiteComparison(suite.name, metric, replace(one, same=same))
    if suite.against is not None and suite.against.pair is not None:
        same = both.b is not None and alike(both.a, both.b)
        for one in suite.against.pair(both.a, both.b, both.people):
            known = one.difference == 0 and one.n >= FEWEST
            yield SuiteComparison(
                suite.name, metrics[one.metric], replace(one, same=same and known)
            )


def alike(a: Trials, b: Trials) -> bool:
    """Whether both answered the very same trials and, where answers are kept, gave the same ones."""
    if len(a) != len(b) or not np.array_equal(a.keys[a.by_key], b.keys[b.by_key]):
        return False
    kept = [trials.columns.get("response") for trials in (a, b)]
    if kept[0] is None or kept[1] is None:
        return kept[0] is kept[1]
    return np.array_equal(kept[0][a.by_key], kept[1][b.by_key])


def _of_ratio(metric: Metric, both: Both) -> Comparison | None:
    """None where one of the two has no trials of the metric's role; a lone person is no group, which the row says."""
    others = list(both.people.values()) if both.b is None else [both.b]
    mine = metric.own(both.a)
    theirs = [part for one in others if len(part := metric.own(one))]
    if not len(mine) or not theirs:
        return None
    if both.b is None:
        return compare_people(metric, mine, theirs)
    return compare_ratio(metric, mine, theirs[0])


def discordant_of(both: Both) -> Iterator[DiscordantTrial]:
    """As `discordant_trials`, of one suite."""
    if both.b is None:
        return
    ratios = [metric for metric in both.suite.metrics if metric.ratio is not None]
    for chosen in (True, False):
        rows = [
            row
            for metric in ratios
            if metric.headline is chosen
            for row in _of_metric(metric, both.suite.name, both.a, both.b)
        ]
        if rows or any(metric.headline for metric in ratios):
            yield from rows
            return


def _of_metric(metric: Metric, suite: str, a: Trials, b: Trials) -> Iterator[DiscordantTrial]:
    mine, theirs = metric.own(a), metric.own(b)
    found = differing(metric, mine, theirs)
    if not found:
        return
    # Each column once: text is made of its codes whenever it is asked for.
    named = [mine[name] for name in ("condition", "stimulus", "category")]
    answers = [_answers(trials) for trials in (mine, theirs)]
    for one, other, winner in found:
        condition, stimulus, category = (str(column[one]) for column in named)
        said = str(answers[0][one]), str(answers[1][other])
        yield DiscordantTrial(suite, metric.name, condition, stimulus, category, winner, *said)


def _answers(trials: Trials) -> Array:
    return trials["response"] if "response" in trials.columns else np.full(len(trials), "")


def _remarks(store: Store, suites: Sequence[Suite], a: str, b: str) -> Iterator[str]:
    """Devices, precisions and seeds that differ between the two, by suite."""
    for suite in suites:
        rows = store.latest_scores(suite=suite.name, conditions=("",), observers=[a, b])
        ran = [
            " / ".join(sorted({row.policy for row in rows if row.observer == name} - {""}))
            for name in (a, b)
        ]
        if all(ran) and ran[0] != ran[1]:
            yield f"{suite.name}: A was run on {ran[0]}, B on {ran[1]}"


def _newest(store: Store, suite: Suite, name: str) -> ScoreSet | None:
    """The newest score set of an observer on stimuli that people were shown: of the largest ones."""
    shown = [made for made in _score_sets(store, suite, name) if made.space == PUBLISHED_SPACE]
    return max(reversed(shown), key=lambda made: len(made.stimuli), default=None)


def _same_sets(store: Store, suite: Suite, a: str, b: str) -> ScoreSet | None:
    """Of the collections of stimulus sets on which both have scores, of the largest ones the newest."""
    theirs = [made.stimuli for made in _score_sets(store, suite, b)]
    mine = (made for made in reversed(_score_sets(store, suite, a)) if made.stimuli in theirs)
    return max(mine, key=lambda made: len(made.stimuli), default=None)


def _score_sets(store: Store, suite: Suite, name: str) -> list[ScoreSet]:
    ids = {row.id for row in store.observers() if row.name == name}
    return [made for made in store.score_sets(suite.name) if made.observer in ids]
