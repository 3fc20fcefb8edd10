"""Stored trials -> stored scores: for the observers that were run, for imported ones, for people pooled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from benchmark.contracts import Metric, Observer, Score, Suite, Trials
from benchmark.engine.imported_trials import (
    Remembered,
    Sets,
    answers_by_prompt,
    asked,
    commonest,
    imported_groups,
    imported_roles,
    restricted,
)
from benchmark.identity import Codes, score_code
from benchmark.stats import clustered_variance, ratio_influence
from benchmark.stats.clusters import bounded_interval, t_interval
from benchmark.stats.crowd import metric_role
from benchmark.stats.ratios import indicators, ratio_arrays
from benchmark.stats.threads import one_blas_thread
from benchmark.stimuli.names import any_answer
from benchmark.stimuli.sources import compares
from benchmark.store import Observation, ScoreSet, Store
from benchmark.store.rows import IMPORTED_KINDS
from registry.digests import digest_data

PEOPLE, AMONG = "people (pooled)", "people (among themselves)"
PUBLISHED_SPACE = "geirhos16"


@dataclass(frozen=True)
class Answers:
    """An observer's trials on a collection of sets, and the observations that they come from."""

    trials: Trials
    keys: tuple[str, ...]
    human: bool = False
    prompt: str = ""
    others: Mapping[str, Trials] = field(default_factory=dict)
    """Prompt -> the same observer's trials on the same images when it was asked in another way."""


@dataclass(frozen=True)
class Scorer:
    """Scores one suite of one leaderboard. Trials of people are read once per collection of sets."""

    store: Store
    run: int
    suite: Suite
    codes: Codes = field(default_factory=Codes)
    _answers: dict[str, dict[str, Answers]] = field(default_factory=dict)

    @cached_property
    def _reader(self) -> Remembered:
        return Remembered(self.store)

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
        if self.store.has_scores(target):
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
        return sum(self._collection(sets, each) for sets in self._collections())

    def again(self) -> int:
        """Score once more what the board shows, with today's code. Returns the number of new score sets."""
        mine = {(o.observer, o.key): o for o in self.store.observations(suite=self.suite.name)}
        made = 0
        for shown in self.store.score_sets(self.suite.name):
            owned = ((shown.observer, key) for key in shown.keys)
            observations = [mine[one] for one in owned if one in mine]
            if observations and all(self.store.complete(o.key) for o in observations):
                made += self.observer(observations, observations[0].details.get("missing", {}))
        return made + self.imported()

    def _collection(self, sets: Sets, each: Callable[[int, int], None]) -> int:
        answers = self._imported_answers(sets)
        ids = {row.name: row.id for row in self.store.observers()}
        made = 0
        for done, (name, mine) in enumerate(answers.items(), 1):
            # People on what this observer answered: two collections that agree on it give one set of scores.
            shown = _shown(sets, mine.trials)
            peers = self._peers(PUBLISHED_SPACE, shown, name)
            keys = (*mine.keys, *_keys_of(peers))
            target = self._target(ids[name], PUBLISHED_SPACE, shown, keys, mine.trials.training)
            if not self.store.has_scores(target):
                self._put(target, mine.trials, peers, mine)
                made += 1
            each(done, len(answers))
        return made + self._people(sets, {name: one for name, one in answers.items() if one.human})

    def _people(self, sets: Sets, people: Mapping[str, Answers]) -> int:
        """All people as one observer: their trials pooled, or the suite's own measure of a group."""
        if len(people) < 2:
            return 0
        against = self.suite.against
        name = AMONG if against is not None and against.group is not None else PEOPLE
        row = self.store.put_observer(Observer(name, "group", digest_data(name)))
        keys = tuple(key for one in people.values() for key in one.keys)
        roles = set().union(*(_roles(one.trials) for one in people.values()))
        shown = {role: stimuli for role, stimuli in sets.items() if role in roles}
        target = self._target(row, PUBLISHED_SPACE, shown, keys, ())
        if self.store.has_scores(target):
            return 0
        trials = {name: one.trials for name, one in people.items()}
        with one_blas_thread():
            scores = self._group_scores(trials)
        self.store.put_scores(self.run, target, scores)
        return 1

    def _group_scores(self, people: Mapping[str, Trials]) -> list[Score]:
        if self.suite.against is not None and self.suite.against.group is not None:
            return list(self.suite.against.group(self.suite.config, people))
        pooled = (pooled_score(metric, list(people.values())) for metric in self.suite.metrics)
        return [score for score in pooled if score is not None]

    def references(self, space: str, sets: Sets, *names: str) -> dict[str, Trials]:
        """Trials of those whom observers are compared with on these sets, without `names`."""
        found = self._peers(space, sets, "")
        return {name: one.trials for name, one in found.items() if name not in names}

    def people(self, sets: Sets) -> dict[str, Trials]:
        """Trials of all people on these sets, by name."""
        found = self._imported_answers(sets)
        return {name: one.trials for name, one in found.items() if one.human}

    def _target(
        self,
        observer: int,
        space: str,
        sets: Sets,
        keys: tuple[str, ...],
        training: tuple[str, ...],
    ) -> ScoreSet:
        suite, code = self.suite, self._code
        if suite.seen is not None:  # then scores depend on what the card says of the training, too
            code = digest_data([code, training])
        return ScoreSet(observer, suite.name, suite.version, space, code, dict(sets), keys)

    def _put(
        self,
        target: ScoreSet,
        trials: Trials,
        peers: Mapping[str, Answers],
        imported: Answers | None = None,
    ) -> None:
        suite = self.suite
        theirs = {name: one.trials for name, one in peers.items()}
        with one_blas_thread():
            scores = list(suite.score(suite.config, trials))
            if suite.against is not None:
                scores += suite.against.scores(suite.config, trials, theirs)
        # What `against` says of a metric stands for what score said of it ("needs references").
        named = {(score.metric, score.role, score.condition): score for score in scores}
        told = list(named.values())
        if imported is not None and imported.prompt:
            told = self._by_prompt(told, imported)
        self.store.put_scores(self.run, target, told)

    def _by_prompt(self, scores: Sequence[Score], answers: Answers) -> list[Score]:
        """Scores that say by which prompt they were answered, and the main ones of every other prompt."""
        remark = f"prompt: {answers.prompt}"
        made = [
            replace(one, flags=(*one.flags, remark))
            if not one.condition and one.value is not None
            else one
            for one in scores
        ]
        for prompt, trials in answers.others.items():
            with one_blas_thread():
                found = self.suite.score(self.suite.config, trials)
            made += [
                replace(one, condition=f"prompt: {prompt}") for one in found if not one.condition
            ]
        return made

    def _peers(self, space: str, sets: Sets, name: str) -> dict[str, Answers]:
        """Who an observer is compared with: whom the suite's configuration names as `references`; else people, or in
        the built-in world simulated people. Never itself.
        """
        if self.suite.against is None:
            return {}
        named = getattr(self.suite.config, "references", None)
        if named is not None:
            found = self._run_answers(sets, tuple(named))
        elif space == PUBLISHED_SPACE:
            found = {n: one for n, one in self._imported_answers(sets).items() if one.human}
        else:
            simulated = (row.name for row in self.store.observers() if row.kind == "simulated")
            found = self._run_answers(sets, tuple(simulated))
        return {other: one for other, one in found.items() if other != name}

    def _run_answers(self, sets: Sets, names: tuple[str, ...]) -> dict[str, Answers]:
        """What observers that were run answered of these sets: those that answered all of them. Read once."""
        key = digest_data([sets, names])
        if key not in self._answers:
            self._answers[key] = self._read_run(sets, names)
        return self._answers[key]

    def _read_run(self, sets: Sets, names: Sequence[str]) -> dict[str, Answers]:
        wanted = set(sets.items())
        found: dict[str, Answers] = {}
        for name in names:
            # Oldest first: what was answered several times (another seed) counts by its newest answers.
            keys = {
                (o.role, o.stimuli, o.condition): o.key
                for o in self.store.observations(observer=name, suite=self.suite.name)
                if (o.role, o.stimuli) in wanted and self.store.complete(o.key)
            }
            if {(role, stimuli) for role, stimuli, _ in keys} == wanted:
                trials = self.store.trials(tuple(keys.values()))
                found[name] = Answers(trials, tuple(keys.values()))
        return found

    def _imported_answers(self, sets: Sets) -> dict[str, Answers]:
        key = digest_data(sets)
        if key not in self._answers:
            self._answers[key] = dict(self._read_imported(sets))
        return self._answers[key]

    def _read_imported(self, sets: Sets) -> Iterator[tuple[str, Answers]]:
        rows = {row.name: row for row in self.store.observers()}
        ways = answers_by_prompt(self.store)
        for name, found in imported_roles(self.store, self.suite).items():
            trials = restricted(self._reader, found, sets)
            if trials is not None:
                keys = tuple(found[role].key for role in sorted(_roles(trials)))
                trained = replace(trials, training=rows[name].training)
                prompts = asked(self._reader, found, sets, ways)
                row, used = rows[name], (*keys, *prompts.keys)
                human = row.kind == "human" and compares(str(row.card.get("source", "")))
                yield name, Answers(trained, used, human, prompts.main, prompts.others)

    def _collections(self) -> list[Sets]:
        """Collections of sets that networks were shown, and that most observers of each imported source answered:
        people and published networks apart, so that no source's tables hang on what else was imported, or when.

        What imported observers are scored on is no such collection: each scoring would then give rise to more.
        """
        kinds = {row.id: row.kind for row in self.store.observers()}
        found: list[Sets] = [
            made.stimuli
            for made in self.store.score_sets(self.suite.name)
            if made.space == PUBLISHED_SPACE and kinds[made.observer] not in IMPORTED_KINDS
        ]
        groups = imported_groups(self.store)
        roles = imported_roles(self.store, self.suite)
        for group in sorted(set(groups.values())):
            found.append(commonest([mine for name, mine in roles.items() if groups[name] == group]))
        return list({digest_data(sets): sets for sets in found if sets}.values())


def _roles(trials: Trials) -> set[str]:
    return set(trials["role"].tolist())


def _shown(sets: Sets, trials: Trials) -> Sets:
    return {role: stimuli for role, stimuli in sets.items() if role in _roles(trials)}


def _keys_of(peers: Mapping[str, Answers]) -> tuple[str, ...]:
    return tuple(sorted(key for one in peers.values() for key in one.keys))


def training_of(store: Store, name: str) -> tuple[str, ...]:
    """The recipe tags of an observer's card; none for people."""
    return next((row.training for row in store.observers() if row.name == name), ())


def suite_trials(
    store: Store, suite: Suite, observer: str, like: Sets | None = None
) -> Trials | None:
    """An observer's trials under a suite: of its newest scores, else of imported tables. None without any.

    like: role -> digest of the sets to prefer, where there are several (two observers are then compared on
    the same images).
    """
    ids = {row.id: row.name for row in store.observers()}
    mine = [made for made in store.score_sets(suite.name) if ids.get(made.observer) == observer]
    found = imported_roles(store, suite).get(observer)
    if found:
        told = restricted(store, found, {role: one.stimuli for role, one in found.items()})
        return told and replace(told, training=training_of(store, observer))
    if not mine:
        return None
    chosen = next((made for made in mine if like and dict(made.stimuli) == dict(like)), mine[-1])
    own = {o.key: o for o in store.observations(observer=observer, suite=suite.name)}
    keys = tuple(key for key in chosen.keys if key in own)
    missing = own[keys[0]].details.get("missing", {}) if keys else {}
    trials = store.trials(keys, missing)
    return replace(trials, training=training_of(store, observer))


def pooled_score(metric: Metric, people: Sequence[Trials]) -> Score | None:
    """A ratio metric over all people's trials together; the interval is about other people on the same images.
    None: not measured.

    n: trials that count, of all people. Interval: variance of the ratio over people to first order, t quantile
    (`stats.clusters`). Who only ever gave no answer, or has no trial that counts, is no person more.
    """
    if metric.ratio is None:
        return None
    parts = [part for trials in people if _answered(part := metric_role(metric, trials))]
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
