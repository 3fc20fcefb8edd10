"""Stored trials -> stored scores: for the observers that were run, for imported ones, for people pooled."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from benchmark.contracts import Metric, Observer, Score, Suite, Trials
from benchmark.contracts.suite import AT_CHANCE, ONE_ANSWER, TOO_FEW, is_guessing
from benchmark.contracts.trials import PEOPLE, Coded, Column, as_coded, coded
from benchmark.identity import Codes, score_code
from benchmark.observer_trials import (
    ObserverAnswers,
    ReferenceTrials,
    Sets,
    imported_spaces,
    observer_trials,
    scored_trials,
)
from benchmark.stats import clustered_variance, compare_ratio, ratio_influence
from benchmark.stats.clusters import robust_interval
from benchmark.stats.comparisons import Compared, DiscordantTrial, SuiteComparison, compared
from benchmark.stats.intervals import wilson
from benchmark.stats.paired import compare_people, differing
from benchmark.stats.ratios import indicators, ratio_arrays
from benchmark.stimuli.image_names import any_answer
from benchmark.stimuli.published_sources import PUBLISHED_SPACE, way_of_asking
from benchmark.store import Observation, ScoreSet, Store
from registry.files import digest_data
from registry.labels import LABEL_SPACES, label_space


def pooled_score(metric: Metric, people: Sequence[Trials]) -> Score | None:
    """Return a ratio metric over all people's trials together, with an interval over people on the same images; None if
    it was not measured. n: the trials of all people that count. A person without any that counts is left out."""
    if metric.ratio is None:
        return None
    parts = [metric.own(trials) for trials in people]
    # a column measured without answers counts as answered
    parts = [part for part in parts if len(part) and any_answer(part.columns.get("response", ("measured",)))]
    if len(parts) < 2:
        return None
    arrays = [ratio_arrays(metric, part)[:2] for part in parts]
    n = sum(int((den != 0).sum()) for _, den in arrays)
    score = Score(metric=metric.name, value=None, n=n, excluded=sum(map(len, parts)) - n, role=metric.role)
    sums = np.array([[num.sum(), den.sum()] for num, den in arrays])
    if not sums[:, 1].sum():
        return replace(score, reason="no trial of anybody counts")
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    sums = sums[sums.any(axis=1)]
    if len(sums) < 2:
        return replace(score, value=value, flags=("one person: no interval",))
    # The variance of the ratio over people to first order, and Student's quantile.
    over = clustered_variance(ratio_influence(*sums.T), [np.arange(len(sums))])
    low, high = robust_interval(value, over, (0.0, 1.0) if all(indicators(*pair) for pair in arrays) else metric.bounds)
    return replace(score, value=value, low=low, high=high, method=f"t over {len(sums)} people")


#: An observer that gives one answer to this share of at least so many trials ignores the images: a standard ResNet-50
#: answers "knife" to 91 % of published edge images, and to no more than 26 % of all images of any published suite.
NEARLY_ALL, ENOUGH = 0.9, 20
GUESSED = 0.05  # an observer beats chance if guessing gives as many correct answers with less than this probability
KNOWN = 0.25  # what it may know at most, with 95 % certainty, to be said to answer at chance
#: Names of undegraded conditions in all suites; roles that are judged together only.
UNDEGRADED, SHAPES = ("", "clean"), ("edges", "silhouettes")
NO_CONTROLS: Mapping[str, str | None] = MappingProxyType({})
LABELS = ("category", "shape", "texture")
KEPT = 16  # observers of several pairs, whose trials are not read again
POOLED, AMONG = "people (pooled)", "people (among themselves)"
#: How remarks on a run's precision begin, and what they say where it moves a headline.
AGAINST, BEYOND = "against float32", "not within 0.002"


@dataclass(frozen=True, kw_only=True)
class ComparedTrials:
    """The trials of two observers under one suite."""

    suite: Suite
    a: Trials
    b: Trials | None  # None if a is compared with people
    people: Mapping[str, Trials]  # the references


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores one suite of one leaderboard. Trials of people are read once per collection of sets."""

    store: Store
    run: str  # the id of the run that scores are stored under
    suite: Suite
    codes: Codes = field(default_factory=Codes)
    # a list: nothing is written, stored scores of today's code are computed again, and what differs is listed here
    different: list[str] | None = None

    @cached_property
    def answers(self) -> ReferenceTrials:
        """Answers of other observers under the suite."""
        return ReferenceTrials(store=self.store, suite=self.suite)

    @cached_property
    def trials(self) -> Callable[[str, frozenset[tuple[str, str]]], Trials | None]:
        """(observer, sets to prefer) -> `observer_trials`; those of the last few observers are kept."""
        return lru_cache(KEPT)(lambda name, sets: observer_trials(self.store, self.suite, name, dict(sets)))

    @cached_property
    def _shown(self) -> list[tuple[str, ScoreSet]]:
        """(observer, score set) of each score set that boards show, the newest first."""
        names, sets = {row.id: row.name for row in self.store.observers()}, self.store.score_sets(self.suite.name)
        return [(names[one.observer], one) for one in reversed(sets) if one.observer in names]

    @cached_property
    def _code(self) -> str:
        return score_code(self.suite, self.codes)

    def observer(self, observations: Sequence[Observation], missing: Mapping[str, str]) -> bool:
        """Score an observer that was run. False if exactly these scores are stored already."""
        first, sets = observations[0], {o.role: o.stimuli for o in observations}
        row = next(iter(self.store.observers(ids={first.observer})), None)
        name, training = (row.name, row.training) if row else ("", ())
        peers = self.peers(first.space, sets, name)
        keys = tuple(o.key for o in observations)

        # What a board says beside a headline of a precision that moves it, or that was not compared.
        precision, remarks = first.details.get("policy", {}).get("precision", "fp32"), list[str]()
        if precision != "fp32":
            rows = self.store.outcomes(observer=name, latest=False)
            own = [row.reason for row in rows if row.suite == self.suite.name and first.key in row.detail]
            said = [
                text for text in own if text.startswith(f"{precision} {AGAINST}")
            ]  # each shard of a run has its own
            remarks = [text for text in said if BEYOND in text][-1:]
            remarks = remarks if said else [f"{precision}, not compared with float32"]
        heads = {metric.name for metric in self.suite.metrics if metric.headline}

        def scores() -> list[Score]:
            trials = replace(self.store.trials(keys, missing), training=training)
            scores = self.scores(trials, peers, first.space)
            return _flagged(scores, remarks, lambda score: score.metric in heads and not score.condition)

        owned = (*keys, *_keys_of(peers))
        return self._store(first.observer, first.space, sets, owned, training, scores)

    def imported(self, each: Callable[[int, int], None] = lambda _done, _total: None) -> int:
        """Score every imported observer on each collection that it answered. each: called with (done, total)."""
        spaces = imported_spaces(self.store)
        return sum(self._collection(sets, space, each) for space in spaces for sets in self.answers.collections(space))

    def again(self) -> int:
        """Score once more what the board shows, with today's code. Returns the number of new score sets."""
        return self.own() + self.imported()

    def own(self, observer: str | None = None, *, owner: str = "") -> int:
        """Score the complete runs of one observer again, or of all. owner: the id of the observer that now has them."""
        count, lacking = 0, self.store.incomplete().keys()
        for scored in scored_trials(self.store, self.suite, observer):
            rows = scored.observations
            if rows and lacking.isdisjoint(row.key for row in rows):
                owned = [replace(row, observer=owner or row.observer) for row in rows]
                count += self.observer(owned, rows[0].details.get("missing", {}))
        return count

    def _collection(self, sets: Sets, space: str, each: Callable[[int, int], None]) -> int:
        answers = self.answers.imported(sets, space)
        ids = {row.name: row.id for row in self.store.observers()}
        count = 0
        for done, (name, own) in enumerate(answers.items(), 1):
            # Only the sets that this observer answered: collections that agree on them give one set of scores.
            shown = {role: stimuli for role, stimuli in sets.items() if role in own.roles}
            peers = self.peers(space, shown, name)
            keys, scores = (*own.keys, *_keys_of(peers)), partial(self._imported_scores, own, peers, space)
            count += self._store(ids[name], space, shown, keys, own.training, scores)
            each(done, len(answers))
        people = {name: other for name, other in answers.items() if other.human}
        if len(people) < 2:
            return count
        # All people as one observer: their trials pooled, or the suite's own measure of a group.
        grouped = self.suite.against is not None and self.suite.against.group is not None
        keys = tuple(key for own in people.values() for key in own.keys)
        roles = set().union(*(own.roles for own in people.values()))
        shown = {role: stimuli for role, stimuli in sets.items() if role in roles}
        scores = partial(self._group_scores, people, space)
        name = AMONG if grouped else POOLED
        if self.different is None:
            owner = self.store.put_observer(Observer(name=name, kind="group", identity=digest_data(name)))
        else:
            owner = next((row.id for row in self.store.observers() if row.name == name), "")
        return count + self._store(owner, space, shown, keys, (), scores)

    def _store(
        self,
        observer: str,
        space: str,
        sets: Sets,
        keys: tuple[str, ...],
        training: tuple[str, ...],
        scores: Callable[[], Sequence[Score]],
    ) -> bool:
        """Store the scores that are computed on request. False if exactly these are stored already."""
        target = ScoreSet(
            observer=observer,
            suite=self.suite.name,
            version=self.suite.version,
            space=space,
            # Scores of such a suite depend on the training on the card also.
            code=self._code if self.suite.seen is None else digest_data([self._code, training]),
            stimuli=dict(sets),
            keys=keys,
        )
        known = self.store.has_scores(target)
        if known == (self.different is not None):
            with one_blas_thread():
                made = scores()
            if self.different is None:
                self.store.put_scores(self.run, target, made)
            else:
                self.different.extend(self._differences(target, made))
        return not known

    def _group_scores(self, people: Mapping[str, ObserverAnswers], space: str) -> list[Score]:
        """Return the scores of all people who do not guess, with the number of the others as a flag."""
        suite, trials = self.suite, self._attentive(people, space)
        if suite.against is not None and suite.against.group is not None:
            scores = list(suite.against.group(suite.config, trials)) if len(trials) > 1 else []
        else:
            pooled = (pooled_score(metric, list(trials.values())) for metric in suite.metrics)
            scores = [score for score in pooled if score is not None]
        left = [f"without {len(people) - len(trials)} of {len(people)} people, who guess"] * (len(trials) < len(people))
        return [replace(score, flags=(*score.flags, *left)) for score in scores]

    def _attentive(self, others: Mapping[str, ObserverAnswers], space: str) -> dict[str, Trials]:
        """Return the trials of these observers without people who guess."""
        read = {name: answers.trials for name, answers in others.items()}
        return {n: t for n, t in read.items() if not (others[n].human and is_guessing(self._guesses(t, space)))}

    def _guesses(self, trials: Trials, space: str) -> list[str]:
        flag = guess_flag(trials, space, self.suite.controls, len(self.suite.categories))
        return [flag] if flag else []

    def scores(self, trials: Trials, peers: Mapping[str, ObserverAnswers], space: str) -> list[Score]:
        """Return the scores of one observer's trials, and store nothing."""
        suite = self.suite
        scores = list(suite.score(suite.config, trials))
        if suite.against is not None:
            scores += suite.against.scores(suite.config, trials, self._attentive(peers, space))
        # A score of `against` replaces the one without value that `score` gave ("needs references").
        return _flagged({_place(score): score for score in scores}.values(), self._guesses(trials, space))

    def _imported_scores(
        self, answers: ObserverAnswers, peers: Mapping[str, ObserverAnswers], space: str
    ) -> list[Score]:
        """Return scores with remarks and the prompt as flags, and the main scores of every other prompt."""
        remarks = (*answers.remarks, way_of_asking(answers.prompt)) if answers.prompt else answers.remarks
        scores = _flagged(self.scores(answers.trials, peers, space), remarks, lambda score: not score.condition)
        for prompt, read in answers.prompts.items():
            trials = read()
            main = (score for score in self.suite.score(self.suite.config, trials) if not score.condition)
            others = _flagged(main, self._guesses(trials, space))
            scores += [replace(score, condition=way_of_asking(prompt)) for score in others]
        return scores

    def both(self, a: str, b: str) -> ComparedTrials | None:
        """Return the trials of both, on the largest collection of sets that both have; None if one has none."""
        shared = [shown for name, shown in self._shown if name == a]
        if b == PEOPLE:
            spaces = imported_spaces(self.store)
            shared = [shown for shown in shared if shown.space in spaces]
        else:
            theirs = [shown.stimuli for name, shown in self._shown if name == b]
            shared = [shown for shown in shared if shown.stimuli in theirs]
        sets = max(shared, key=lambda shown: len(shown.stimuli), default=None)
        preferred = frozenset(sets.stimuli.items() if sets else ())
        own = self.trials(a, preferred) if sets or b != PEOPLE else None
        if own is None:
            return None
        if b == PEOPLE:
            answers = self.answers.imported(sets.stimuli, sets.space) if sets else {}
            people = {name: person.trials for name, person in answers.items() if person.human and name != a}
            return ComparedTrials(suite=self.suite, a=own, b=None, people=people) if people else None
        other = self.trials(b, preferred)
        if other is None:
            return None
        paired = self.suite.against is not None and self.suite.against.pair is not None
        peers = self.peers(sets.space, sets.stimuli, a, b) if paired and sets else {}
        return ComparedTrials(
            suite=self.suite, a=own, b=other, people={name: answers.trials for name, answers in peers.items()}
        )

    def peers(self, space: str, sets: Sets, *names: str) -> dict[str, ObserverAnswers]:
        """Return the answers that an observer is compared with, never those of `names`: of the configuration's
        `references`, else of people, and in the built-in world of simulated people where fewer than two answered."""
        if self.suite.against is None:
            return {}
        named = getattr(self.suite.config, "references", None)
        if named is not None:
            peers = self.answers.run(sets, tuple(named))
        elif space == PUBLISHED_SPACE:
            peers = {n: answers for n, answers in self.answers.imported(sets).items() if answers.human}
        else:
            simulated = self.answers.run(sets, tuple(row.name for row in self.store.observers(kinds=("simulated",))))
            people = {n: answers for n, answers in self.answers.imported(sets, space).items() if answers.human}
            counts = Counter(role for answers in people.values() for role in answers.roles)
            asked = frozenset(role for role, n in counts.items() if n > 1)
            peers = {name: answers.only(answers.roles - asked) for name, answers in simulated.items()}
            peers |= {name: answers.only(answers.roles & asked) for name, answers in people.items()}
            peers = {name: answers for name, answers in peers.items() if answers.roles}
        # Networks that the suite compares others with, beside people.
        peers |= self.answers.run(sets, tuple(getattr(self.suite.config, "standards", ())))
        return {other: answers for other, answers in peers.items() if other not in names}

    def _differences(self, target: ScoreSet, scores: Sequence[Score]) -> Iterator[str]:
        stored, made = ({_place(score): score for score in side} for side in (self.store.stored_scores(target), scores))
        name = next((row.name for row in self.store.observers() if row.id == target.observer), target.observer)
        for place in sorted(stored.keys() | made.keys()):
            here, again = stored.get(place), made.get(place)
            if here is None or again is None or not same_score(here, again):
                was, now = here.value if here else "not", again.value if again else "not"
                where = " ".join(filter(None, place[1:]))
                yield f"{name} under {target.suite}: {place[0]} ({where}) is {was} stored, and {now} computed"


def _place(score: Score) -> tuple[str, str, str]:
    return score.metric, score.role, score.condition


def _flagged(
    scores: Iterable[Score], flags: Sequence[str], which: Callable[[Score], bool] = lambda _score: True
) -> list[Score]:
    """Return scores with flags added to those that have a value and for which `which` is true."""
    return [replace(s, flags=(*s.flags, *flags)) if s.value is not None and which(s) else s for s in scores]


def same_score(stored: Any, computed: Any) -> bool:
    """Return whether two scores agree; the last digits of a number differ between CPUs."""
    for name in ("value", "low", "high"):
        a, b = getattr(stored, name), getattr(computed, name)
        if (a is None) != (b is None) or (a is not None and not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)):
            return False
    exact = ("reason", "level", "method", "n", "excluded", "flags")
    return all(getattr(stored, name) == getattr(computed, name) for name in exact)


def guess_flag(trials: Trials, space: str, controls: Mapping[str, str | None] = NO_CONTROLS, of: int = 0) -> str:
    """Return the flag of an observer that gave one answer to nearly all trials though few show it, or is at chance
    where it should not be; "" otherwise. controls: as of a suite; of: categories of an experiment's own space."""
    columns = as_coded(trials.columns)
    if "response" not in columns or not len(trials):
        return ""
    answers = coded(columns["response"])
    counts = np.bincount(answers.codes, minlength=len(answers.words))
    if len(trials) >= ENOUGH and counts.max() >= NEARLY_ALL * len(trials):
        answer = str(answers.words[counts.argmax()])
        others = (column for name, column in columns.items() if name != "response")
        words = [coded(column) for column in others if isinstance(column, Coded) or column.dtype.kind == "U"]
        if not any((column.words == answer)[column.codes].mean() > 0.5 for column in words):
            return f"{ONE_ANSWER} ({answer!r}) for nearly all images"
    # Chance should be beaten on undegraded trials where there are some. Edges without silhouettes, and these without
    # edges, do not count: standard networks are at chance on one of them.
    n, fair = len(trials), np.ones(len(trials), dtype=bool)
    roles, conditions = (
        coded(columns[name]).plain() if name in columns else np.full(n, "") for name in ("role", "condition")
    )
    plain = np.isin(conditions, UNDEGRADED)
    for role, control in controls.items():
        fair &= (roles != role) | (control is not None)
        plain |= (roles == role) & (conditions == control)
    shown = fair & plain if (fair & plain).any() else fair
    if len({*roles[shown]}) == 1 and roles[shown][0] in SHAPES:
        return ""
    return chance_flag(as_coded(trials.where(shown).columns), space, of)


def chance_flag(columns: Mapping[str, Column], space: str, of: int = 0) -> str:
    """Return the flag of an observer if guessing gives as many answers that match the image's category or a cue with a
    probability above `GUESSED`. So few images that a `KNOWN` share could be known to it do not tell."""
    from scipy.special import bdtrc

    named = [coded(columns[name]) for name in ("response", *LABELS) if name in columns]
    if len(named) < 2 or not len(named[0]):
        return ""
    words = np.unique(np.concatenate([column.words for column in named]))
    response, category, *cues = (np.searchsorted(words, column.words)[column.codes] for column in named)
    cues = [np.where(words[cue] == "", category, cue) for cue in cues]  # an image without a texture
    hits, ways = response == category, np.ones(len(response))
    for i, cue in enumerate(cues):
        ways += np.all([cue != other for other in (category, *cues[:i])], axis=0)
        hits |= response == cue
    classes = of or (len(label_space(space).classes) if space in LABEL_SPACES else len(words))
    right, chance = int(hits.sum()), min(1.0, float(ways.mean()) / classes)
    if right and float(bdtrc(right - 1, len(hits), chance)) <= GUESSED:
        return ""
    return AT_CHANCE if wilson(right, len(hits))[1] <= chance + KNOWN * (1 - chance) else TOO_FEW


def _keys_of(peers: Mapping[str, ObserverAnswers]) -> tuple[str, ...]:
    return tuple(sorted(key for answers in peers.values() for key in answers.keys))


def compare_observers(store: Store, suites: Sequence[Suite], pairs: Iterable[tuple[str, str]]) -> Iterator[Compared]:
    """Compare each pair (a, b) under every suite that both have answered; b may be `PEOPLE`."""
    scorers = [Scorer(store=store, run="", suite=suite) for suite in suites]
    for a, b in pairs:
        shared = [both for scorer in scorers if (both := scorer.both(a, b)) is not None]
        remarks = []
        for suite in (both.suite for both in shared):
            rows = store.latest_scores(suite=suite.name, conditions=("",), observers=[a, b])
            ran = [" / ".join(sorted({row.policy for row in rows if row.observer == name} - {""})) for name in (a, b)]
            if all(ran) and ran[0] != ran[1]:
                remarks.append(f"{suite.name}: A was run on {ran[0]}, B on {ran[1]}")
        yield compared(a, b, [row for both in shared for row in paired_tests(both)], remarks)


def paired_tests(both: ComparedTrials) -> Iterator[SuiteComparison]:
    """Yield a test of each ratio metric, and those of the suite's own."""
    suite, others = both.suite, list(both.people.values()) if both.b is None else [both.b]
    for metric in (metric for metric in suite.metrics if metric.ratio is not None):
        own, theirs = metric.own(both.a), [part for trials in others if len(part := metric.own(trials))]
        if len(own) and theirs:  # a single person is not a group, which the row reports
            row = compare_people(metric, own, theirs) if both.b is None else compare_ratio(metric, own, theirs[0])
            same = row.same and same_answers(metric.own(both.a), metric.own(both.b or both.a))
            yield SuiteComparison(suite=suite.name, metric=metric, comparison=replace(row, same=same))
    if suite.against is not None and suite.against.pair is not None:
        same = both.b is not None and same_answers(both.a, both.b)
        for row in suite.against.pair(both.a, both.b, both.people):
            metric, test = suite.metric(row.metric), replace(row, same=same and not row.difference)
            yield SuiteComparison(suite=suite.name, metric=metric, comparison=test)


def same_answers(a: Trials, b: Trials) -> bool:
    """Return whether both answered exactly the same trials and, if answers are kept, gave the same ones."""
    if len(a) != len(b) or not np.array_equal(a.keys[a.by_key], b.keys[b.by_key]):
        return False
    kept = [trials.columns.get("response") for trials in (a, b)]
    if kept[0] is None or kept[1] is None:
        return kept[0] is kept[1]
    return np.array_equal(kept[0][a.by_key], kept[1][b.by_key])


def discordant_of(both: ComparedTrials) -> list[DiscordantTrial]:
    """Return the trials that only one of the two gets right by a suite's headline, or without any its other metrics."""
    if both.b is None:
        return []
    ratios = [metric for metric in both.suite.metrics if metric.ratio is not None]
    rows: list[DiscordantTrial] = []
    for metric in [metric for metric in ratios if metric.headline] or ratios:
        a, b = metric.own(both.a), metric.own(both.b)
        if pairs := differing(metric, a, b):
            # Each column once, because it is decoded into text whenever it is asked for.
            named = {name: a[name] for name in ("condition", "stimulus", "category")}
            said = [side["response"] if "response" in side.columns else np.full(len(side), "") for side in (a, b)]
            for i, j, who in pairs:
                where = {name: str(column[i]) for name, column in named.items()}
                answers = {"answer_a": str(said[0][i]), "answer_b": str(said[1][j])}
                rows.append(DiscordantTrial(suite=both.suite.name, metric=metric.name, winner=who, **where, **answers))
    return rows


# One thread for numpy's and scipy's matrix products: they are small in scoring, and on a busy machine threads that wait
# for one another cost thirty to a hundred times the product. torch keeps its own number of threads.
_libraries = lru_cache(ThreadpoolController)  # to look for them takes longer than most scoring


def one_blas_thread() -> AbstractContextManager[Any]:
    """Let the BLAS of numpy and scipy use only the calling thread."""
    import scipy.linalg  # noqa: F401  # its BLAS is seen only once it is loaded

    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited
