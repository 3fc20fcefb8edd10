"""Stored trials -> stored scores: for the observers that were run, for imported ones, for people pooled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from benchmark.contracts import DISTRUST, Array, Metric, Observer, Score, Suite, Trials
from benchmark.contracts.trials import Coded, coded, held
from benchmark.engine.reference_trials import Answers, ReferenceTrials, Sets, suite_trials
from benchmark.identity import Codes, score_code
from benchmark.stats import Comparison, clustered_variance, compare_ratio, ratio_influence
from benchmark.stats.clusters import bounded_interval, t_interval
from benchmark.stats.comparisons import Compared, DiscordantTrial, SuiteComparison, compared
from benchmark.stats.paired import compare_people, differing
from benchmark.stats.ratios import indicators, ratio_arrays
from benchmark.stats.threads import one_blas_thread
from benchmark.stimuli.catalogue import PUBLISHED_SPACE, any_answer
from benchmark.store import Observation, ScoreSet, Store
from registry.files import digest_data

# People pooled: a ratio metric over the trials of several people, with an interval about other people.


def pooled_score(metric: Metric, people: Sequence[Trials]) -> Score | None:
    """A ratio metric over all people's trials together; the interval is about other people on the same images.
    None: not measured.

    n: trials that count, of all people. Interval: variance of the ratio over people to first order, t quantile
    (`stats.clusters`). Who only ever gave no answer, or has no trial that counts, is no person more.
    """
    if metric.ratio is None:
        return None
    parts = [part for trials in people if _answered(part := metric.own(trials))]
    if len(parts) < 2:
        return None
    arrays = [ratio_arrays(metric, part)[:2] for part in parts]
    n = sum(int((den != 0).sum()) for _, den in arrays)
    score = Score(metric.name, None, n=n, excluded=sum(map(len, parts)) - n, role=metric.role)
    sums = np.array([[num.sum(), den.sum()] for num, den in arrays])
    if not sums[:, 1].sum():
        return replace(score, reason="no trial of anybody counts")
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    sums = sums[sums.any(axis=1)]
    if len(sums) < 2:
        return replace(score, value=value, flags=("one person: no interval",))
    over = clustered_variance(ratio_influence(*sums.T), [np.arange(len(sums))])
    limits = (0.0, 1.0) if all(indicators(*pair) for pair in arrays) else metric.bounds
    if limits is not None:
        low, high = bounded_interval(value, over, limits)
    else:
        low, high = t_interval(value, over)
    return replace(score, value=value, low=low, high=high, method=f"t over {len(sums)} people")


def _answered(trials: Trials) -> bool:
    """Whether there is an answer among the trials; what is measured without answers counts as one."""
    return bool(len(trials)) and any_answer(trials.columns.get("response", ("measured",)))


#: Who gives one answer to this share of at least so many trials does not look: a standard ResNet-50 says "knife" to
#: 91 % of published edge images, and to no more than 26 % of all images of any published suite.
NEARLY_ALL, ENOUGH = 0.9, 20
POOLED, AMONG = "people (pooled)", "people (among themselves)"


@dataclass(frozen=True)
class Scorer:
    """Scores one suite of one leaderboard. Trials of people are read once per collection of sets."""

    store: Store
    run: str
    suite: Suite
    codes: Codes = field(default_factory=Codes)

    @cached_property
    def _answered(self) -> ReferenceTrials:
        return ReferenceTrials(self.store, self.suite)

    @cached_property
    def _code(self) -> str:
        return score_code(self.suite, self.codes)

    def observer(self, observations: Sequence[Observation], missing: Mapping[str, str]) -> bool:
        """Score an observer that was run. False where the very same scores are stored already."""
        first, sets = observations[0], {o.role: o.stimuli for o in observations}
        rows = {row.id: row for row in self.store.observers()}
        row = rows.get(first.observer)
        name, training = (row.name, row.training) if row else ("", ())
        peers = self._peers(first.space, sets, name)
        keys = tuple(o.key for o in observations)
        used = (*keys, *_keys_of(peers))
        target = self._target(first.observer, first.space, sets, used, training)
        if not self._wanted(target):
            return False
        trials = replace(self.store.trials(keys, missing), training=training)
        self._put(target, trials, peers)
        return True

    def imported(self, each: Callable[[int, int], None] = lambda _done, _total: None) -> int:
        """Score every imported observer on its own stimuli and on each collection that networks were shown.

        A set of which some images are not in the imported trials is left out: an observer is compared on all
        images of a set or on none. each: told "so many of so many are done" of each collection. Returns the number of
        new score sets.
        """
        return sum(self._collection(sets, each) for sets in self._answered.collections())

    def again(self) -> int:
        """Score once more what the board shows, with today's code. Returns the number of new score sets."""
        observed = {(o.observer, o.key): o for o in self.store.observations(suite=self.suite.name)}
        count = 0
        for shown in self.store.score_sets(self.suite.name):
            owned = ((shown.observer, key) for key in shown.keys)
            observations = [observed[owner] for owner in owned if owner in observed]
            if observations and all(self.store.complete(o.key) for o in observations):
                count += self.observer(observations, observations[0].details.get("missing", {}))
        return count + self.imported()

    def _collection(self, sets: Sets, each: Callable[[int, int], None]) -> int:
        answers = self._answered.imported(sets)
        ids = {row.name: row.id for row in self.store.observers()}
        count = 0
        for done, (name, own) in enumerate(answers.items(), 1):
            # People on what this observer answered: two collections that agree on it give one set of scores.
            shown = _shown(sets, own)
            peers = self._peers(PUBLISHED_SPACE, shown, name)
            keys = (*own.keys, *_keys_of(peers))
            target = self._target(ids[name], PUBLISHED_SPACE, shown, keys, own.training)
            if self._wanted(target):
                self._put(target, own.trials, peers, own)
                count += 1
            each(done, len(answers))
        return count + self._people(sets, {name: other for name, other in answers.items() if other.human})

    def _people(self, sets: Sets, people: Mapping[str, Answers]) -> int:
        """All people as one observer: their trials pooled, or the suite's own measure of a group."""
        if len(people) < 2:
            return 0
        against = self.suite.against
        name = AMONG if against is not None and against.group is not None else POOLED
        keys = tuple(key for answers in people.values() for key in answers.keys)
        roles = set().union(*(answers.roles for answers in people.values()))
        shown = {role: stimuli for role, stimuli in sets.items() if role in roles}
        target = self._target(self._group(name), PUBLISHED_SPACE, shown, keys, ())
        if not self._wanted(target):
            return 0
        trials = {name: answers.trials for name, answers in people.items()}
        with one_blas_thread():
            scores = self._group_scores(trials)
        self._keep(target, scores)
        return 1

    def _group_scores(self, people: Mapping[str, Trials]) -> list[Score]:
        if self.suite.against is not None and self.suite.against.group is not None:
            return list(self.suite.against.group(self.suite.config, people))
        pooled = (pooled_score(metric, list(people.values())) for metric in self.suite.metrics)
        return [score for score in pooled if score is not None]

    def references(self, space: str, sets: Sets, *names: str) -> dict[str, Trials]:
        """Trials of those whom observers are compared with on these sets, without `names`."""
        peers = self._peers(space, sets, "")
        return {name: answers.trials for name, answers in peers.items() if name not in names}

    def people(self, sets: Sets) -> dict[str, Trials]:
        """Trials of all people on these sets, by name."""
        answers = self._answered.imported(sets)
        return {name: person.trials for name, person in answers.items() if person.human}

    def _target(
        self, observer: str, space: str, sets: Sets, keys: tuple[str, ...], training: tuple[str, ...]
    ) -> ScoreSet:
        suite, code = self.suite, self._code
        if suite.seen is not None:  # then scores depend on what the card says of the training, too
            code = digest_data([code, training])
        return ScoreSet(observer, suite.name, suite.version, space, code, dict(sets), keys)

    def _put(
        self, target: ScoreSet, trials: Trials, peers: Mapping[str, Answers], imported: Answers | None = None
    ) -> None:
        suite = self.suite
        theirs = {name: answers.trials for name, answers in peers.items()} if suite.against else {}
        with one_blas_thread():
            scores = list(suite.score(suite.config, trials))
            if suite.against is not None:
                scores += suite.against.scores(suite.config, trials, theirs)
        # What `against` says of a metric stands for what score said of it ("needs references").
        named = {(score.metric, score.role, score.condition): score for score in scores}
        final = flagged(named.values(), trials)
        if imported is not None and imported.prompt:
            final = self._by_prompt(final, imported)
        self._keep(target, final)

    def _wanted(self, target: ScoreSet) -> bool:
        return not self.store.has_scores(target)

    def _keep(self, target: ScoreSet, scores: Sequence[Score]) -> None:
        self.store.put_scores(self.run, target, scores)

    def _group(self, name: str) -> str:
        return self.store.put_observer(Observer(name, "group", digest_data(name)))

    def _by_prompt(self, scores: Sequence[Score], answers: Answers) -> list[Score]:
        """Scores that say by which prompt they were answered, and the main ones of every other prompt."""
        remark = f"prompt: {answers.prompt}"
        remarked = [
            replace(score, flags=(*score.flags, remark)) if not score.condition and score.value is not None else score
            for score in scores
        ]
        for prompt, read in answers.prompts.items():
            trials = read()
            with one_blas_thread():
                others = flagged(self.suite.score(self.suite.config, trials), trials)
            remarked += [replace(score, condition=f"prompt: {prompt}") for score in others if not score.condition]
        return remarked

    def _peers(self, space: str, sets: Sets, name: str) -> dict[str, Answers]:
        """Who an observer is compared with: whom the suite's configuration names as `references`; else people, or in
        the built-in world simulated people. Never itself.
        """
        if self.suite.against is None:
            return {}
        named = getattr(self.suite.config, "references", None)
        if named is not None:
            peers = self._answered.run(sets, tuple(named))
        elif space == PUBLISHED_SPACE:
            peers = {n: answers for n, answers in self._answered.imported(sets).items() if answers.human}
        else:
            simulated = (row.name for row in self.store.observers(kinds=("simulated",)))
            peers = self._answered.run(sets, tuple(simulated))
        return {other: answers for other, answers in peers.items() if other != name}


@dataclass(frozen=True)
class ScoreChecker(Scorer):
    """Computes stored scores again and writes nothing. Score sets that other code made, or on other references, are
    passed over: they are no longer what this program would store."""

    different: list[str] = field(default_factory=list)
    """What is stored otherwise than it is computed, a line each."""

    def _wanted(self, target: ScoreSet) -> bool:
        return self.store.has_scores(target)

    def _keep(self, target: ScoreSet, scores: Sequence[Score]) -> None:
        stored = {_place(one): one for one in self.store.stored_scores(target)}
        computed = {_place(one): one for one in scores}
        names = {row.id: row.name for row in self.store.observers()}
        for place in sorted(stored.keys() | computed.keys()):
            here, again = stored.get(place), computed.get(place)
            if here is None or again is None or not _same(here, again):
                metric, role, condition = place
                where = " ".join(filter(None, (role, condition)))
                self.different.append(
                    f"{names.get(target.observer, target.observer)} under {target.suite}: {metric} ({where}) is "
                    f"{here.value if here else 'not'} stored, and {again.value if again else 'not'} computed"
                )

    def _group(self, name: str) -> str:
        return next((row.id for row in self.store.observers() if row.name == name), "")


def _place(score: Score) -> tuple[str, str, str]:
    return score.metric, score.role, score.condition


def _same(stored: Score, computed: Score) -> bool:
    """Whether two scores agree; another processor moves the last digits of a number."""
    for name in ("value", "low", "high"):
        one, other = getattr(stored, name), getattr(computed, name)
        if (one is None) != (other is None):
            return False
        if one is not None and not math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9):
            return False
    exact = ("reason", "level", "method", "n", "excluded", "flags")
    return all(getattr(stored, name) == getattr(computed, name) for name in exact)


def flagged(scores: Iterable[Score], trials: Trials) -> list[Score]:
    """The scores, each value with a flag of distrust where the observer gave one answer to nearly all trials and few
    of these show it. Whatever the suite: every one keeps the answers as `response`."""
    answer = _one_answer(trials)
    if answer is None:
        return list(scores)
    flag = f"{DISTRUST}one answer ({answer!r}) for nearly all images"
    return [one if one.value is None else replace(one, flags=(*one.flags, flag)) for one in scores]


def _one_answer(trials: Trials) -> str | None:
    columns = held(trials.columns)
    if "response" not in columns or len(trials) < ENOUGH:
        return None
    answers = coded(columns["response"])
    counts = np.bincount(answers.codes, minlength=len(answers.words))
    answer = str(answers.words[counts.argmax()])
    if counts.max() < NEARLY_ALL * len(trials):
        return None
    for name, column in columns.items():
        if name != "response" and (isinstance(column, Coded) or column.dtype.kind == "U"):
            words = coded(column)
            if (words.words == answer)[words.codes].mean() > 0.5:  # a set of one category
                return None
    return answer


def _shown(sets: Sets, answers: Answers) -> Sets:
    return {role: stimuli for role, stimuli in sets.items() if role in answers.roles}


def _keys_of(peers: Mapping[str, Answers]) -> tuple[str, ...]:
    return tuple(sorted(key for answers in peers.values() for key in answers.keys))


# Two observers of the leaderboard, or one and people as a group, on the stimuli that both answered.


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
    pairs = [both for suite in suites if (both := both_of(store, suite, a, b)) is not None]
    rows = [row for both in pairs for row in _under(both)]
    return compared(a, b, rows, list(_remarks(store, [both.suite for both in pairs], a, b)))


def both_of(store: Store, suite: Suite, a: str, b: str) -> Both | None:
    """The trials of both on the same sets where there are such; None where one of the two has none."""
    scorer = Scorer(store, "", suite)
    if b == PEOPLE:
        sets = _newest(store, suite, a)
        own = suite_trials(store, suite, a, sets.stimuli) if sets else None
        people = scorer.people(sets.stimuli) if sets else {}
        people = {name: answers for name, answers in people.items() if name != a}
        return Both(suite, own, None, people) if own is not None and people else None
    sets = _same_sets(store, suite, a, b)
    like = sets.stimuli if sets else None
    own, theirs = (suite_trials(store, suite, name, like) for name in (a, b))
    if own is None or theirs is None:
        return None
    paired = suite.against is not None and suite.against.pair is not None and sets is not None
    people = scorer.references(sets.space, sets.stimuli, a, b) if paired and sets else {}
    return Both(suite, own, theirs, people)


def discordant_trials(store: Store, suites: Sequence[Suite], a: str, b: str) -> list[DiscordantTrial]:
    """Trials of the headlines that only one of the two gets right; of a suite whose headline has no such trials, those
    of its other metrics that do."""
    pairs = (both for suite in suites if (both := both_of(store, suite, a, b)) is not None)
    return [row for both in pairs for row in discordant_of(both)]


def _under(both: Both) -> Iterator[SuiteComparison]:
    suite, metrics = both.suite, {metric.name: metric for metric in both.suite.metrics}
    for metric in suite.metrics:
        if metric.ratio is not None and (row := _of_ratio(metric, both)) is not None:
            same = row.same and alike(metric.own(both.a), metric.own(both.b or both.a))
            yield SuiteComparison(suite.name, metric, replace(row, same=same))
    if suite.against is not None and suite.against.pair is not None:
        same = both.b is not None and alike(both.a, both.b)
        for row in suite.against.pair(both.a, both.b, both.people):
            row = replace(row, same=same and not row.difference)
            yield SuiteComparison(suite.name, metrics[row.metric], row)


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
    own = metric.own(both.a)
    theirs = [part for trials in others if len(part := metric.own(trials))]
    if not len(own) or not theirs:
        return None
    if both.b is None:
        return compare_people(metric, own, theirs)
    return compare_ratio(metric, own, theirs[0])


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
    own_a, theirs = metric.own(a), metric.own(b)
    pairs = differing(metric, own_a, theirs)
    if not pairs:
        return
    # Each column once: text is made of its codes whenever it is asked for.
    named = [own_a[name] for name in ("condition", "stimulus", "category")]
    answers = [_answers(trials) for trials in (own_a, theirs)]
    for at, other, winner in pairs:
        condition, stimulus, category = (str(column[at]) for column in named)
        said = str(answers[0][at]), str(answers[1][other])
        yield DiscordantTrial(suite, metric.name, condition, stimulus, category, winner, *said)


def _answers(trials: Trials) -> Array:
    return trials["response"] if "response" in trials.columns else np.full(len(trials), "")


def _remarks(store: Store, suites: Sequence[Suite], a: str, b: str) -> Iterator[str]:
    """Devices, precisions and seeds that differ between the two, by suite."""
    for suite in suites:
        rows = store.latest_scores(suite=suite.name, conditions=("",), observers=[a, b])
        ran = [" / ".join(sorted({row.policy for row in rows if row.observer == name} - {""})) for name in (a, b)]
        if all(ran) and ran[0] != ran[1]:
            yield f"{suite.name}: A was run on {ran[0]}, B on {ran[1]}"


def _newest(store: Store, suite: Suite, name: str) -> ScoreSet | None:
    """The newest score set of an observer on stimuli that people were shown: of the largest ones."""
    shown = [score_set for score_set in _score_sets(store, suite, name) if score_set.space == PUBLISHED_SPACE]
    return max(reversed(shown), key=lambda score_set: len(score_set.stimuli), default=None)


def _same_sets(store: Store, suite: Suite, a: str, b: str) -> ScoreSet | None:
    """Of the collections of stimulus sets on which both have scores, of the largest ones the newest."""
    theirs = [score_set.stimuli for score_set in _score_sets(store, suite, b)]
    shared = (score_set for score_set in reversed(_score_sets(store, suite, a)) if score_set.stimuli in theirs)
    return max(shared, key=lambda score_set: len(score_set.stimuli), default=None)


def _score_sets(store: Store, suite: Suite, name: str) -> list[ScoreSet]:
    ids = {row.id for row in store.observers() if row.name == name}
    return [score_set for score_set in store.score_sets(suite.name) if score_set.observer in ids]
