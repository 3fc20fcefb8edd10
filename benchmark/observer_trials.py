"""The trials of an observer that count, for scores, comparisons and exports alike. They are
those of its newest scores; of imported trials, the newest import of an experiment, to the source's first prompt."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from typing import TypeVar

import numpy as np

from benchmark.contracts import Coded, Suite, Trials
from benchmark.contracts.trials import Columns, as_coded, stacked_tables
from benchmark.stimuli.published_sources import PUBLISHED_SPACE, known_source
from benchmark.store import IMPORTED, IMPORTED_KINDS, ObserverRow, ScoreSet, Store, StoredObservation
from registry.files import digest_data
from registry.user_errors import some_of

Sets = Mapping[str, str]  # role -> digest of its stimulus set
K = TypeVar("K", str, tuple[str, str])
Shown = tuple[str, frozenset[tuple[str, str]]]  # label space, (role, digest) pairs
ByRole = dict[str, StoredObservation]  # role -> an imported observer's answers to it

NOT_RUN = (*IMPORTED_KINDS, "reported")  # kinds of observers whose answers or scores are imported


@dataclass(frozen=True, kw_only=True)
class ImportedAnswers:
    """Imported answers in one label space of a leaderboard. Stimulus sets and trials are read once."""

    store: Store
    space: str = PUBLISHED_SPACE
    observer: str | None = None  # read the answers of this observer alone
    _images: dict[str, frozenset[str]] = field(default_factory=dict)
    _trials: dict[str, Trials] = field(default_factory=dict)

    @cached_property
    def groups(self) -> dict[str, tuple[str, str]]:
        """Imported observer -> (kind, source)."""
        rows = self.store.observers(kinds=("human", "published"))
        return {row.name: (row.kind, str(row.card.get("source", ""))) for row in rows}

    @cached_property
    def by_prompt(self) -> dict[str, dict[str, ByRole]]:
        """Observer -> experiment -> prompt ("": none), the source's first one first -> the newest import's answers."""
        answers: dict[str, dict[str, ByRole]] = {}
        for row in self.store.observations(observer=self.observer, suite=IMPORTED):
            if row.space == self.space:
                prompts = answers.setdefault(row.observer_name, {}).setdefault(row.role, {})
                prompts[row.details.get("prompt", "")] = row
        for experiments in answers.values():
            for role, prompts in experiments.items():
                ordered = sorted(prompts.items(), key=lambda prompt: prompt[1].details.get("order", [-1]))
                experiments[role] = dict(ordered)
        return answers

    @cached_property
    def main(self) -> dict[str, ByRole]:
        """Observer -> experiment -> the answers that count: those to the source's first prompt."""
        return {
            name: {experiment: next(iter(prompts.values())) for experiment, prompts in experiments.items()}
            for name, experiments in self.by_prompt.items()
        }

    def of(self, suite: Suite) -> dict[str, ByRole]:
        """Observer -> the suite's role -> the answers that count."""
        roles = suite.experiments
        return {
            name: {roles[experiment]: row for experiment, row in answers.items() if experiment in roles}
            for name, answers in self.main.items()
            if not roles.keys().isdisjoint(answers)
        }

    def images(self, digest: str) -> frozenset[str]:
        """Return the names of the images of a stimulus set."""
        if digest not in self._images:
            self._images[digest] = frozenset(self.store.stimuli(digest).ids)
        return self._images[digest]

    def covered(self, by_role: ByRole, sets: Sets, partial: bool = False) -> ByRole:
        """Return the answers in the roles in which the observer answered every image of `sets` (partial: any)."""

        def fits(own: str, digest: str) -> bool:
            shown, answered = self.images(digest), self.images(own)
            return not shown.isdisjoint(answered) if partial else shown <= answered

        there = ((role, digest, by_role[role]) for role, digest in sorted(sets.items()) if role in by_role)
        return {role: row for role, digest, row in there if row.stimuli == digest or fits(row.stimuli, digest)}

    def trials(self, by_role: ByRole, sets: Sets, training: tuple[str, ...] = ()) -> Trials:
        """Return trials on exactly the images of `sets`, which the answers must cover, with the suite's roles."""
        parts = []
        for role, row in sorted(by_role.items()):
            if row.key not in self._trials:
                self._trials[row.key] = self.store.trials((row.key,))
            trials = self._trials[row.key]
            if row.stimuli != sets[role]:
                trials = trials.where(np.isin(trials["stimulus"], list(self.images(sets[role]))))
            same = Coded(np.array([role]), np.zeros(len(trials), dtype=np.uint8))
            parts.append({**as_coded(trials.columns), "role": same})
        # Words are sorted so that counts and random draws do not depend on whose trials were read first.
        joined = stacked_tables(parts).held.items()
        columns = {name: column.in_order() if isinstance(column, Coded) else column for name, column in joined}
        return Trials(columns=Columns(columns), training=training)


def commonest(answered: Iterable[tuple[K, str]]) -> dict[K, str]:
    """Return role or group -> the commonest digest among the (role or group, digest) pairs."""
    votes: dict[K, Counter[str]] = defaultdict(Counter)
    for key, digest in answered:
        votes[key][digest] += 1
    return {key: min(count, key=lambda d: (-count[d], d)) for key, count in sorted(votes.items())}


@dataclass(frozen=True, kw_only=True)
class ObserverAnswers:
    """An observer's answers to a collection of stimulus sets; trials are read on request."""

    keys: tuple[str, ...]  # the observations that the trials come from
    roles: frozenset[str]  # the roles of the sets that were answered
    read: Callable[[], Trials]
    training: tuple[str, ...] = ()  # the recipe tags of the observer's card
    human: bool = False  # a person to compare others with
    prompt: str = ""  # the prompt that was answered
    remarks: tuple[str, ...] = ()  # flags of its scores, such as how many trials of a person do not count
    prompts: Mapping[str, Callable[[], Trials]] = field(default_factory=dict)  # trials by other prompt

    @cached_property
    def trials(self) -> Trials:
        """The trials, in the order of the roles."""
        return self.read()

    def only(self, roles: frozenset[str]) -> "ObserverAnswers":
        """Return the answers in these roles alone."""
        if roles == self.roles:
            return self
        return replace(self, roles=roles, read=lambda: self.trials.where(np.isin(self.trials["role"], sorted(roles))))


@dataclass(frozen=True, kw_only=True)
class ScoredTrials:
    """A score set that boards show, and the trials of the observer's own runs that it was computed from."""

    observer: ObserverRow
    scores: ScoreSet
    observations: tuple[StoredObservation, ...]  # in the order of scoring; () for imported answers and groups

    @property
    def shown(self) -> Shown:
        """Label space, and the stimulus set of each role."""
        return self.scores.space, frozenset(self.scores.stimuli.items())

    def read(self, store: Store) -> Trials:
        """Return the trials, with the reasons for roles without trials."""
        keys, missing = [row.key for row in self.observations], self.observations[0].details.get("missing")
        return replace(store.trials(keys, missing), training=self.observer.training)


def scored_trials(store: Store, suite: Suite, observer: str | None = None) -> list[ScoredTrials]:
    """Return every score set that boards show of a suite, or of one observer under it, the oldest first."""
    rows = {row.id: row for row in store.observers() if observer in (None, row.name)}
    own = {(row.observer, row.key): row for row in store.observations(observer=observer, suite=suite.name)}
    return [
        ScoredTrials(
            observer=rows[scores.observer],
            scores=scores,
            observations=tuple(own[scores.observer, key] for key in scores.keys if (scores.observer, key) in own),
        )
        for scores in store.score_sets(suite.name)
        if scores.observer in rows
    ]


def counting_observations(store: Store, suite: Suite, who: str | None = None) -> list[tuple[str, StoredObservation]]:
    """Return (role, observation) of all answers behind a suite's boards: imported ones first, then by age."""
    imported = (by_role for imports in imports_by_space(store, who) for by_role in imports.of(suite).values())
    own = {(row.observer, row.key): row for one in scored_trials(store, suite, who) for row in one.observations}
    by_age = sorted(own.values(), key=lambda row: row.created)
    return [*(pair for by_role in imported for pair in by_role.items()), *((row.role, row) for row in by_age)]


@dataclass(frozen=True, kw_only=True)
class ReferenceTrials:
    """Answers of other observers under one suite of a leaderboard. Trials are read once per collection of sets."""

    store: Store
    suite: Suite
    _read: dict[str, dict[str, ObserverAnswers]] = field(default_factory=dict)
    _imports: dict[str, ImportedAnswers] = field(default_factory=dict)

    def imports(self, space: str) -> ImportedAnswers:
        """Return the imported answers in a label space. Read once."""
        return self._imports.setdefault(space, ImportedAnswers(store=self.store, space=space))

    def run(self, sets: Sets, names: tuple[str, ...]) -> dict[str, ObserverAnswers]:
        """Return the answers from runs of those of the named observers that answered all of these sets. Read once."""
        place, wanted = digest_data([sets, names]), set(sets.items())
        if place in self._read:
            return self._read[place]
        answers = self._read[place] = {}
        for name in names:
            answered = self.store.observations(observer=name, suite=self.suite.name)
            whole = (row for row in answered if (row.role, row.stimuli) in wanted and self.store.complete(row.key))
            # A block that was shown again (with another seed) has several, the newest last.
            keys = {(row.role, row.stimuli, row.condition): row.key for row in whole}
            if {(role, stimuli) for role, stimuli, _ in keys} == wanted:
                own = tuple(keys.values())
                answers[name] = ObserverAnswers(keys=own, roles=frozenset(sets), read=partial(self.store.trials, own))
        return answers

    def imported(self, sets: Sets, space: str = PUBLISHED_SPACE) -> dict[str, ObserverAnswers]:
        """Return imported answers to those of these sets that each observer answered in full. Read once."""
        place = digest_data([space, sets])
        if place in self._read:
            return self._read[place]
        answers = dict[str, ObserverAnswers]()
        rows, imports = {row.name: row for row in self.store.observers()}, self.imports(space)
        for name, by_role in imports.of(self.suite).items():
            answered = imports.covered(by_role, sets, self.suite.partial)
            if not answered:
                continue
            main = next((row.details["prompt"] for row in by_role.values() if "prompt" in row.details), "")
            prompts: dict[str, ByRole] = defaultdict(dict)
            for role, row in by_role.items() if main else ():
                for prompt, other in list(imports.by_prompt[name][row.role].items())[1:]:
                    prompts[prompt][role] = other
            others = {prompt: prompts[prompt] for prompt in sorted(prompts) if imports.covered(prompts[prompt], sets)}
            prompt_keys = sorted(row.key for roles in others.values() for row in roles.values())
            owner = rows[name]
            answers[name] = ObserverAnswers(
                keys=(*(observation.key for observation in answered.values()), *prompt_keys),
                roles=frozenset(answered),
                training=owner.training,
                read=partial(imports.trials, answered, sets, owner.training),
                human=owner.kind == "human" and not known_source(str(owner.card.get("source", ""))).apart,
                prompt=main,
                remarks=tuple(remark for row in answered.values() for remark in row.details.get("remarks", ())),
                prompts={p: partial(imports.trials, imports.covered(other, sets), sets) for p, other in others.items()},
            )
        self._read[place] = answers
        return answers

    def collections(self, space: str = PUBLISHED_SPACE) -> list[Sets]:
        """Return the collections of sets on which imported observers are scored: those that networks were shown, and
        those that most people, or most networks, of each imported source answered."""
        # Score sets of imported observers add none: otherwise each scoring would cause more.
        kinds = {row.id: row.kind for row in self.store.observers()}
        collected: list[Sets] = [
            score_set.stimuli
            for score_set in self.store.score_sets(self.suite.name)
            if score_set.space == space and kinds[score_set.observer] not in NOT_RUN
        ]
        groups, answers = self.imports(space).groups, self.imports(space).of(self.suite)
        for group in sorted(set(groups.values())):
            rows = (by_role.items() for name, by_role in answers.items() if groups[name] == group)
            whole = ((role, row.details.get("whole", row.stimuli)) for pairs in rows for role, row in pairs)
            collected.append(commonest(whole))
        return list({digest_data(sets): sets for sets in collected if sets}.values())


def imported_spaces(store: Store, observer: str | None = None) -> list[str]:
    """Return the label spaces of imported answers, or of one observer's: that of the published tables first."""
    spaces = {row.space for row in store.observations(observer=observer, suite=IMPORTED)}
    return sorted(spaces, key=lambda space: (space != PUBLISHED_SPACE, space))


def imports_by_space(store: Store, observer: str | None = None) -> list[ImportedAnswers]:
    """Return imported answers, or one observer's, by label space."""
    spaces = imported_spaces(store, observer)
    return [ImportedAnswers(store=store, space=space, observer=observer) for space in spaces]


def observer_trials(store: Store, suite: Suite, who: str, sets: Sets | None = None) -> Trials | None:
    """Return an observer's trials under a suite: imported ones, otherwise those of its newest scores; None without any.
    Of several stimulus sets, `sets` are preferred, so that two observers are compared on the same images."""
    return trials_of_observers(store, suite, {who: sets or {}}).get(who)


def trials_of_observers(store: Store, suite: Suite, wanted: Mapping[str, Sets]) -> dict[str, Trials]:
    """Return the trials of several observers as `observer_trials` does. wanted: observer -> sets to prefer."""
    one = next(iter(wanted)) if len(wanted) == 1 else None  # of several, what all of them answered is looked up once
    found, own = {}, defaultdict[str, list[ScoredTrials]](list)
    imported = [(imports, imports.of(suite)) for imports in imports_by_space(store, one)]
    training = {row.name: row.training for row in store.observers()}
    for scored in scored_trials(store, suite, one):
        own[scored.observer.name] += [scored] if scored.observations else []
    for who, sets in wanted.items():
        if answered := [(imports, rows[who]) for imports, rows in imported if who in rows]:
            imports, by_role = max(answered, key=lambda pair: len(pair[0].covered(pair[1], sets)))
            digests = {role: row.stimuli for role, row in sorted(by_role.items())}
            found[who] = imports.trials(by_role, digests, training[who])
        elif own[who]:
            preferred = [scored for scored in own[who] if sets and dict(scored.scores.stimuli) == dict(sets)]
            found[who] = (preferred[:1] or own[who][-1:])[0].read(store)
    return found


def left_out(store: Store, experiments: Iterable[str]) -> list[str]:
    """Return a line on each experiment in which observers lack images that most of their source answered."""
    lines, why = list[str](), "images that most of their source answered: left out of its tables; the trials are kept"
    for imports, role in product(imports_by_space(store), experiments):
        answers = {name: roles[role] for name, roles in imports.main.items() if role in roles}
        voted = commonest((imports.groups[name], row.stimuli) for name, row in answers.items())
        usual = {group: imports.images(digest) for group, digest in voted.items()}
        lacking = []
        for name, row in answers.items():
            wanted, answered = usual[imports.groups[name]], imports.images(row.stimuli)
            human = imports.groups[name][0] == "human"
            if not (wanted <= answered if human else any(images <= answered for images in usual.values())):
                lacking.append(f"{name} lacks {len(wanted - answered)} of {len(wanted)}")
        if lacking:
            lines.append(f"{role}: {some_of(lacking, 6)} {why}")
    return lines
