"""Imported answers from one leaderboard into another: what a number rests on, so that it can be made again there."""

from collections.abc import Collection
from typing import cast

from benchmark.contracts import CHUNK, Observer, Stimuli
from benchmark.contracts.answers import ObserverKind
from benchmark.stimuli.named_images import NoImages
from benchmark.store import Chunk, Observation, Store, StoredObservation
from benchmark.store.rows import IMPORTED

_LABELLED = ("role", "condition", "stimulus")  # beside the labels: what a store adds to answers


def copy_imported(keys: Collection[str], source: Store, target: Store, run: int) -> int:
    """Bring those of the observations that were imported, with their observers, into `target`, where they count in the
    same order; how many they are.
    """
    observers = {
        row.name: Observer(row.name, cast(ObserverKind, row.kind), row.identity, row.card)
        for row in source.observers()
    }
    copied = [one for one in source.observations(suite=IMPORTED) if one.key in keys]
    for one in copied:
        number = target.put_observer(observers[one.observer_name])
        labels = _copy_stimuli(one.stimuli, source, target)
        _copy(one, number, labels, source, target, run)
    return len(copied)


def _copy_stimuli(digest: str, source: Store, target: Store) -> Collection[str]:
    """The names of its labels."""
    kept = source.stimuli(digest)
    target.put_stimuli(
        Stimuli(
            name=kept.name,
            digest=kept.digest,
            space=kept.space,
            ids=kept.ids,
            items=(),
            labels=kept.labels,
            decode=NoImages(kept.name),
            whole=kept.whole,
            origin=kept.origin,
        )
    )
    return kept.labels.keys()


def _copy(
    one: StoredObservation,
    observer: int,
    labels: Collection[str],
    source: Store,
    target: Store,
    run: int,
) -> None:
    observation = Observation(
        key=one.key,
        observer=observer,
        suite=one.suite,
        version=one.version,
        space=one.space,
        stimuli=one.stimuli,
        role=one.role,
        condition=one.condition,
        presentation=one.presentation,
        transform=one.transform,
        n=one.n,
        details=one.details,
    )
    target.put_observation(run, observation)
    trials = source.trials((one.key,))
    columns = {name: trials[name] for name in trials.columns if name not in {*_LABELLED, *labels}}
    chunks = [
        Chunk(one.key, at // CHUNK, at, {name: v[at : at + CHUNK] for name, v in columns.items()})
        for at in range(0, one.n, CHUNK)
    ]
    target.put_chunks(run, chunks)
    target.assert_trials(run, [one.key])
