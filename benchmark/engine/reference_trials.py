"""Trials of those whom observers are compared with, run here or imported: what counts, on which sets of images."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product

import numpy as np

from benchmark.contracts import Coded, Suite, Trials
from benchmark.contracts.trials import Columns, as_coded, stacked_codes
from benchmark.stimuli.published_sources import PUBLISHED_SPACE, known_source
from benchmark.store import IMPORTED, IMPORTED_KINDS, Store, StoredObservation
from registry.errors import some_of
from registry.files import digest_data

Sets = Mapping[str, str]  # role -> stimuli digest
ByRole = dict[str, StoredObservation]  # role -> an imported observer's trials of it

#: Kinds of observers that nobody ran here: imported ones, and those of whom there are scores alone.
NOT_RUN = (*IMPORTED_KINDS, "reported")
_SHOWN = 6  # names in a line


@dataclass(frozen=True, kw_only=True)
class ImportedAnswers:
    """Imported observers' answers in a decision space of a leaderboard. Sets and trials are read once: scoring a
    hundred observers asks for each a dozen times."""

    store: Store
    space: str = PUBLISHED_SPACE
    _images: dict[str, frozenset[str]] = field(default_factory=dict)
    _trials: dict[str, Trials] = field(default_factory=dict)

    @cached_property
    def groups(self) -> dict[str, tuple[str, str]]:
        """Imported observers by name: people or published networks, of which source."""
        rows = self.store.observers(kinds=("human", "published"))
        return {row.name: (row.kind, str(row.card.get("source", ""))) for row in rows}

    @cached_property
    def by_prompt(self) -> dict[str, dict[str, ByRole]]:
        """Observer -> experiment -> prompt ("" where there is none) -> the answers that count, the usual prompt first.
        Of several imports the newest counts."""
        answers: dict[str, dict[str, ByRole]] = {}
        for row in self.store.observations(suite=IMPORTED):
            if row.space != self.space:
                continue
            ways = answers.setdefault(row.observer_name, {}).setdefault(row.role, {})
            ways[row.details.get("prompt", "")] = row
        for experiments in answers.values():
            for role, ways in experiments.items():
                ordered = sorted(ways.items(), key=lambda way: way[1].details.get("order", [-1]))
                experiments[role] = dict(ordered)
        return answers

    @cached_property
    def main(self) -> dict[str, ByRole]:
        """Observer -> experiment -> the answers that count, by the prompt that its source puts first."""
        return {
            name: {experiment: next(iter(ways.values())) for experiment, ways in experiments.items()}
            for name, experiments in self.by_prompt.items()
        }

    def of(self, suite: Suite) -> dict[str, ByRole]:
        """By name: what each answered of a suite's stimuli, by the suite's word for the role."""
        roles = suite.experiments
        named = {
            name: {roles[experiment]: row for experiment, row in answers.items() if experiment in roles}
            for name, answers in self.main.items()
        }
        return {name: by_role for name, by_role in named.items() if by_role}

    def images(self, digest: str) -> frozenset[str]:
        """The names of a set's images."""
        if digest not in self._images:
            self._images[digest] = frozenset(self.store.stimuli(digest).ids)
        return self._images[digest]

    def covered(self, by_role: ByRole, sets: Sets) -> ByRole:
        """The answers in the roles of which every image of `sets` was answered. An imported observation answers all of
        its set."""
        return {
            role: by_role[role]
            for role, digest in sorted(sets.items())
            if role in by_role
            and (by_role[role].stimuli == digest or self.images(digest) <= self.images(by_role[role].stimuli))
        }

    def trials(self, by_role: ByRole, sets: Sets, training: tuple[str, ...] = ()) -> Trials:
        """Answers on exactly the images of `sets`, all of which they cover, under the suite's words for the roles."""
        parts = []
        for role, row in sorted(by_role.items()):
            if row.key not in self._trials:
                self._trials[row.key] = self.store.trials((row.key,))
            trials = self._trials[row.key]
            if row.stimuli != sets[role]:
                trials = trials.where(np.isin(trials["stimulus"], list(self.images(sets[role]))))
            same = Coded(np.array([role]), np.zeros(len(trials), dtype=np.uint8))
            parts.append({**as_coded(trials.columns), "role": same})
        # Sorted words: what is counted or drawn word by word does not hang on whose trials were read first.
        joined = stacked_codes(parts).held.items()
        columns = {name: column.in_order() if isinstance(column, Coded) else column for name, column in joined}
        return Trials(columns=Columns(columns), training=training)


def commonest(answered: Iterable[ByRole]) -> Sets:
    """role -> the set that most of these observers answered; every role that any of them answered."""
    votes: dict[str, Counter[str]] = {}
    for by_role in answered:
        for role, observation in by_role.items():
            votes.setdefault(role, Counter())[observation.stimuli] += 1
    return {role: min(count, key=lambda d: (-count[d], d)) for role, count in sorted(votes.items())}


@dataclass(frozen=True, kw_only=True)
class ObserverAnswers:
    """What an observer answered of a collection of sets. Trials are read when they are asked for: what is scored
    already is known by its observations alone. keys: the observations that it comes from; roles: of which sets;
    training: the recipe tags of its card."""

    keys: tuple[str, ...]
    roles: frozenset[str]
    training: tuple[str, ...]
    read: Callable[[], Trials]
    human: bool = False
    prompt: str = ""
    remarks: tuple[str, ...] = ()
    """What a reader of its scores must know: of people who were asked how many trials do not count."""
    prompts: Mapping[str, Callable[[], Trials]] = field(default_factory=dict)
    """Prompt -> the same observer's trials on the same images when it was asked in another way."""

    @cached_property
    def trials(self) -> Trials:
        """The trials, in the order of the roles."""
        return self.read()

    def only(self, roles: frozenset[str]) -> "ObserverAnswers":
        """The answers in these roles alone; itself where there are no others."""
        if roles == self.roles:
            return self
        return replace(self, roles=roles, read=lambda: self.trials.where(np.isin(self.trials["role"], sorted(roles))))


@dataclass(frozen=True, kw_only=True)
class ReferenceTrials:
    """The answers under one suite of one leaderboard. Trials are read once per collection of sets."""

    store: Store
    suite: Suite
    _read: dict[str, dict[str, ObserverAnswers]] = field(default_factory=dict)

    _imports: dict[str, ImportedAnswers] = field(default_factory=dict)

    def imports(self, space: str) -> ImportedAnswers:
        """Imported answers in a decision space. Read once."""
        return self._imports.setdefault(space, ImportedAnswers(store=self.store, space=space))

    def run(self, sets: Sets, names: tuple[str, ...]) -> dict[str, ObserverAnswers]:
        """What observers that were run answered of these sets: those that answered all of them. Read once."""
        place = digest_data([sets, names])
        if place not in self._read:
            self._read[place] = {}
            wanted = set(sets.items())
            for name in names:
                # Oldest first: what was answered several times (another seed) counts by its newest answers.
                keys = {
                    (o.role, o.stimuli, o.condition): o.key
                    for o in self.store.observations(observer=name, suite=self.suite.name)
                    if (o.role, o.stimuli) in wanted and self.store.complete(o.key)
                }
                if {(role, stimuli) for role, stimuli, _ in keys} == wanted:
                    own = tuple(keys.values())
                    answers = ObserverAnswers(
                        keys=own, roles=frozenset(sets), training=(), read=partial(self.store.trials, own)
                    )
                    self._read[place][name] = answers
        return self._read[place]

    def imported(self, sets: Sets, space: str = PUBLISHED_SPACE) -> dict[str, ObserverAnswers]:
        """What imported observers answered of these sets: of each those sets that it answered in full. Read once."""
        place = digest_data([space, sets])
        if place in self._read:
            return self._read[place]
        answers = dict[str, ObserverAnswers]()
        rows, imports = {row.name: row for row in self.store.observers()}, self.imports(space)
        for name, by_role in imports.of(self.suite).items():
            answered = imports.covered(by_role, sets)
            if not answered:
                continue
            main = next((row.details["prompt"] for row in by_role.values() if "prompt" in row.details), "")
            others: dict[str, ByRole] = {}
            for role, row in by_role.items() if main else ():
                for prompt, other in list(imports.by_prompt[name][row.role].items())[1:]:
                    others.setdefault(prompt, {})[role] = other
            others = {prompt: others[prompt] for prompt in sorted(others) if imports.covered(others[prompt], sets)}
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
        """Collections of sets of a decision space that networks were shown, and that most observers of each imported
        source answered: people and published networks apart, so that no source's tables hang on what else was imported,
        or when. What imported observers are scored on is no such collection: each scoring would then give rise to more.
        """
        kinds = {row.id: row.kind for row in self.store.observers()}
        collected: list[Sets] = [
            score_set.stimuli
            for score_set in self.store.score_sets(self.suite.name)
            if score_set.space == space and kinds[score_set.observer] not in NOT_RUN
        ]
        groups, answers = self.imports(space).groups, self.imports(space).of(self.suite)
        for group in sorted(set(groups.values())):
            collected.append(commonest(by_role for name, by_role in answers.items() if groups[name] == group))
        return list({digest_data(sets): sets for sets in collected if sets}.values())


def imported_spaces(store: Store, observer: str | None = None) -> list[str]:
    """The decision spaces in which imported observers, or one of them, answered: that of the published tables first."""
    spaces = {row.space for row in store.observations(observer=observer, suite=IMPORTED)}
    return sorted(spaces, key=lambda space: (space != PUBLISHED_SPACE, space))


def suite_trials(store: Store, suite: Suite, observer: str, like: Sets | None = None) -> Trials | None:
    """An observer's trials under a suite: of its newest scores, else of imported tables. None without any. like: role
    -> digest of the sets to prefer, where there are several (two observers are then compared on the same images)."""
    ids = {row.id: row for row in store.observers(names=(observer,))}
    training = next((row.training for row in ids.values()), ())
    several = [ImportedAnswers(store=store, space=space) for space in imported_spaces(store, observer)]
    answers = [(imports, by_role) for imports in several if (by_role := imports.of(suite).get(observer))]
    # Of two decision spaces the one of the sets to prefer.
    answers.sort(key=lambda pair: -len(pair[0].covered(pair[1], like or {})))
    for imports, by_role in answers[:1]:
        return imports.trials(by_role, {role: row.stimuli for role, row in sorted(by_role.items())}, training)
    score_sets = [score_set for score_set in store.score_sets(suite.name) if score_set.observer in ids]
    if not score_sets:
        return None
    alike = (score_set for score_set in score_sets if like and dict(score_set.stimuli) == dict(like))
    own = {o.key: o for o in store.observations(observer=observer, suite=suite.name)}
    keys = tuple(key for key in next(alike, score_sets[-1]).keys if key in own)
    missing = own[keys[0]].details.get("missing", {}) if keys else {}
    return replace(store.trials(keys, missing), training=training)


def left_out(store: Store, experiments: Iterable[str]) -> list[str]:
    """A line on each experiment in which observers lack images that most of their source answered: no table has them,
    or in case of people none has them in their group."""
    lines: list[str] = []
    every = [ImportedAnswers(store=store, space=space) for space in imported_spaces(store)]
    for imports, role in product(every, experiments):
        answers = {name: roles[role] for name, roles in imports.main.items() if role in roles}
        members: dict[tuple[str, str], list[ByRole]] = {}
        for name, row in answers.items():
            members.setdefault(imports.groups[name], []).append({role: row})
        usual = {group: imports.images(commonest(rows)[role]) for group, rows in members.items()}
        lacking = []
        for name, row in answers.items():
            wanted, answered = usual[imports.groups[name]], imports.images(row.stimuli)
            human = imports.groups[name][0] == "human"
            if not (wanted <= answered if human else any(images <= answered for images in usual.values())):
                lacking.append(f"{name} lacks {len(wanted - answered)} of {len(wanted)}")
        if lacking:
            lines.append(
                f"{role}: {some_of(lacking, _SHOWN)} images that most of their source answered: left out of its "
                "tables; the trials are kept"
            )
    return lines
