"""Stored trials -> stored scores: for the observers that were run, for imported ones, and for groups of people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Metric, Observer, Score, Suite, Trials
from benchmark.keys import digest, score_code
from benchmark.stats import bootstrap_ratio, mean_interval
from benchmark.store import Observation, ScoreSet, Store

#: Imported trials are stored once, under this name, and scored by every suite that knows their stimuli.
IMPORTED = "trials"
PEOPLE_MEAN, PEOPLE_POOLED = "people (mean)", "people (pooled)"


def score_keys(
    store: Store, run: int, suite: Suite, observations: Sequence[Observation], missing: Mapping[str, str]
) -> bool:
    """Score one observer's complete observations under one suite. False where these scores are already stored."""
    first = observations[0]
    target = ScoreSet(
        observer=first.observer,
        suite=suite.name,
        version=suite.version,
        space=first.space,
        code=score_code(suite),
        stimuli={o.role: o.stimuli for o in observations},
        keys=tuple(o.key for o in observations),
    )
    if store.has_scores(target):
        return False
    store.put_scores(run, target, suite.score(suite.config, store.trials(target.keys, missing)))
    return True


Sets = dict[str, str]  # role -> stimuli digest


def score_imported(store: Store, run: int, suites: Sequence[Suite]) -> int:
    """Score every imported observer on its own stimuli and on each stimulus set that networks were shown.

    A set of which some images are not in the imported trials is left out: an observer is compared on all
    images of a set or not at all. Returns the number of new score sets.
    """
    imported = store.observations(suite=IMPORTED)
    return sum(_score_imported(store, run, suite, imported) for suite in suites if suite.experiments)


def _score_imported(store: Store, run: int, suite: Suite, imported: Sequence[Observation]) -> int:
    names = {record.digest: record.name for record in store.stimuli_names()}
    mine = [o for o in imported if names[o.stimuli] in suite.experiments]
    by_observer: dict[int, dict[str, Observation]] = {}
    for observation in mine:
        by_observer.setdefault(observation.observer, {})[suite.experiments[names[observation.stimuli]]] = observation
    collections = [*_collections(store, suite), *_own(by_observer)]
    made = 0
    for sets in _distinct(collections):
        answered = {
            observer: trials
            for observer, found in by_observer.items()
            if (trials := _restricted(store, found, sets)) is not None
        }
        for observer, trials in answered.items():
            target = _target(suite, observer, sets, _roles(trials), _keys(by_observer[observer], sets))
            if not store.has_scores(target):
                store.put_scores(run, target, suite.score(suite.config, trials))
                made += 1
        made += _put_people(store, run, suite, sets, answered)
    return made


def _collections(store: Store, suite: Suite) -> Iterator[Sets]:
    """The stimulus sets that networks were shown under this suite, role by role."""
    by_observer: dict[tuple[int, str], Sets] = {}
    for observation in store.observations(suite=suite.name):
        by_observer.setdefault((observation.observer, observation.space), {})[observation.role] = observation.stimuli
    yield from by_observer.values()


def _own(by_observer: Mapping[int, Mapping[str, Observation]]) -> Iterator[Sets]:
    for found in by_observer.values():
        yield {role: observation.stimuli for role, observation in found.items()}


def _distinct(collections: Sequence[Sets]) -> list[Sets]:
    return list({digest(sets): sets for sets in collections}.values())


def _keys(found: Mapping[str, Observation], sets: Sets) -> tuple[str, ...]:
    return tuple(found[role].key for role in sorted(sets) if role in found)


def _restricted(store: Store, found: Mapping[str, Observation], sets: Sets) -> Trials | None:
    """An imported observer's trials on exactly the images of `sets`; None where none of its roles cover them."""
    parts = [
        part
        for role, stimuli in sets.items()
        if role in found and (part := _covering(store, found[role], role, stimuli)) is not None
    ]
    if not parts:
        return None
    return Trials({name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns})


def _covering(store: Store, observation: Observation, role: str, stimuli: str) -> Trials | None:
    trials = store.trials((observation.key,))
    wanted = np.asarray(store.stimuli(stimuli).ids)
    if not np.isin(wanted, trials["stimulus"]).all():
        return None
    kept = trials.where(np.isin(trials["stimulus"], wanted))
    return replace(kept, columns={**kept.columns, "role": np.full(len(kept), role)})


def _target(suite: Suite, observer: int, sets: Sets, roles: set[str], keys: tuple[str, ...]) -> ScoreSet:
    stimuli = {role: value for role, value in sets.items() if role in roles}
    return ScoreSet(observer, suite.name, suite.version, "geirhos16", score_code(suite), stimuli, keys)


def _put_people(store: Store, run: int, suite: Suite, sets: Sets, answered: Mapping[int, Trials]) -> int:
    """Two group rows: the mean over people, and all their trials pooled. They differ (.9576 and .9587)."""
    humans = {row.id for row in store.observers() if row.kind == "human" and row.name not in (PEOPLE_MEAN, PEOPLE_POOLED)}
    people = [trials for observer, trials in answered.items() if observer in humans]
    if len(people) < 2:
        return 0
    made = 0
    members = digest(sorted(o for o in answered if o in humans))
    roles = set().union(*map(_roles, people))
    for name, combine in ((PEOPLE_MEAN, _mean), (PEOPLE_POOLED, _pooled)):
        observer = store.put_observer(Observer(name, "human", digest(name)))
        target = _target(suite, observer, sets, roles, (f"group:{members}",))
        if store.has_scores(target):
            continue
        scores = [
            score
            for metric in suite.metrics
            if metric.ratio is not None and (score := _group_score(metric, people, combine)) is not None
        ]
        store.put_scores(run, target, scores)
        made += 1
    return made


def _roles(trials: Trials) -> set[str]:
    return set(np.unique(trials["role"]).tolist())


Sums = NDArray[np.float64]  # [people, 2]: sums of numerator and denominator


def _group_score(metric: Metric, people: Sequence[Trials], combine: Callable[[Sums], tuple[float, tuple[float, float], str]]) -> Score | None:
    parts = [part for trials in people if len(part := trials.of(metric.role))]
    if metric.ratio is None or len(parts) < 2:
        return None
    sums = np.array([[values.sum() for values in metric.ratio(part)] for part in parts], dtype=np.float64)
    n = sum(len(part) for part in parts)
    if not sums[:, 1].all():
        return Score(metric.name, None, "an observer has no trial that counts", n=n, role=metric.role)
    value, (low, high), method = combine(sums)
    return Score(metric.name, value, low=low, high=high, method=method, n=n, role=metric.role)


def _mean(sums: Sums) -> tuple[float, tuple[float, float], str]:
    values = sums[:, 0] / sums[:, 1]
    return float(values.mean()), mean_interval(values), f"t over {len(values)} observers"


def _pooled(sums: Sums) -> tuple[float, tuple[float, float], str]:
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    return value, bootstrap_ratio(sums[:, 0], sums[:, 1]), f"bootstrap over {len(sums)} observers"





def suite_trials(store: Store, suite: Suite, observer: str) -> Trials | None:
    """An observer's trials under a suite: its newest own run of each role, else imported trials. None without any."""
    own = {(o.space, o.role, o.stimuli): o.key for o in store.observations(observer=observer, suite=suite.name)}
    if own:
        return store.trials(tuple(own.values()))
    names = {record.digest: record.name for record in store.stimuli_names()}
    found = {
        suite.experiments[names[o.stimuli]]: o
        for o in store.observations(observer=observer, suite=IMPORTED)
        if names[o.stimuli] in suite.experiments
    }
    return _restricted(store, found, {role: o.stimuli for role, o in found.items()}) if found else None


def rescore_all(store: Store, run: int, suites: Sequence[Suite]) -> int:
    """Score every complete stored observation and every imported one with the code of today."""
    made = 0
    for suite in suites:
        groups: dict[tuple[int, str, str], list[Observation]] = {}
        for observation in store.observations(suite=suite.name):
            if observation.version == suite.version and store.complete(observation.key):
                limit = digest(observation.details.get("collection", ""))
                groups.setdefault((observation.observer, observation.space, limit), []).append(observation)
        for observations in groups.values():
            missing = observations[0].details.get("missing", {})
            made += score_keys(store, run, suite, observations, missing)
    return made + score_imported(store, run, suites)
