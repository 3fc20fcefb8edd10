"""Stored trials -> stored scores: for the observers that were run, for imported ones, for people pooled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from benchmark.contracts import Observer, Score, Suite, Trials
from benchmark.engine.answers import Answered, Answers
from benchmark.engine.imported_trials import Sets
from benchmark.engine.pooling import pooled_score
from benchmark.identity import Codes, score_code
from benchmark.stats.threads import one_blas_thread
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.store import Observation, ScoreSet, Store
from registry.files import digest_data

PEOPLE, AMONG = "people (pooled)", "people (among themselves)"


@dataclass(frozen=True)
class Scorer:
    """Scores one suite of one leaderboard. Trials of people are read once per collection of sets."""

    store: Store
    run: int
    suite: Suite
    codes: Codes = field(default_factory=Codes)

    @cached_property
    def _answered(self) -> Answered:
        return Answered(self.store, self.suite)

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
        return sum(self._collection(sets, each) for sets in self._answered.collections())

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
        answers = self._answered.imported(sets)
        ids = {row.name: row.id for row in self.store.observers()}
        made = 0
        for done, (name, mine) in enumerate(answers.items(), 1):
            # People on what this observer answered: two collections that agree on it give one set of scores.
            shown = _shown(sets, mine)
            peers = self._peers(PUBLISHED_SPACE, shown, name)
            keys = (*mine.keys, *_keys_of(peers))
            target = self._target(ids[name], PUBLISHED_SPACE, shown, keys, mine.training)
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
        roles = set().union(*(one.roles for one in people.values()))
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
        found = self._answered.imported(sets)
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
        theirs = {name: one.trials for name, one in peers.items()} if suite.against else {}
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
        for prompt, read in answers.prompts.items():
            with one_blas_thread():
                found = self.suite.score(self.suite.config, read())
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
            found = self._answered.run(sets, tuple(named))
        elif space == PUBLISHED_SPACE:
            found = {n: one for n, one in self._answered.imported(sets).items() if one.human}
        else:
            simulated = (row.name for row in self.store.observers_of(("simulated",)))
            found = self._answered.run(sets, tuple(simulated))
        return {other: one for other, one in found.items() if other != name}


def _shown(sets: Sets, answers: Answers) -> Sets:
    return {role: stimuli for role, stimuli in sets.items() if role in answers.roles}


def _keys_of(peers: Mapping[str, Answers]) -> tuple[str, ...]:
    return tuple(sorted(key for one in peers.values() for key in one.keys))
