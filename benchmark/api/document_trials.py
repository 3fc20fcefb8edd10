"""The trials of a leaderboard's document: a leaderboard of their own, scored by this program, and brought into another.

Nothing of the document is taken on trust. The store's own functions write the rows and seal them anew, and the scores
are made of the trials alone."""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmark.api.imports import recorded, score_again
from benchmark.contracts import CHUNK, Observer, Stimuli
from benchmark.display import printable
from benchmark.engine.score_shards import owed_text
from benchmark.engine.scoring import same_score
from benchmark.errors import ScoresError, StoreError
from benchmark.leaderboard.leaderboard_document import (
    Document,
    ExportedObserver,
    ExportedScore,
    ExportedScoreSet,
    ExportedStimuli,
)
from benchmark.store import IMPORTED, Chunk, Observation, ScoreRow, Store, open_store
from benchmark.store.codec import decode
from registry.errors import some_of

What = tuple[str, int, str, str, str, str]  # suite, version, space, metric, condition, role
Sets = Mapping[int, ExportedScoreSet]
SHOWN = 6  # scores in a line


def with_trials(document: Document) -> dict[int, ExportedScoreSet]:
    """The score sets of which the document has all trials."""
    here = {observation.key for observation in document.observations}
    return {s.id: s for s in document.score_sets if s.observations and here.issuperset(s.observations)}


def stimuli_of(stated: ExportedStimuli) -> Stimuli:
    """A stimulus set without its images."""
    plain = {name: getattr(stated, name) for name in ("name", "digest", "space", "ids", "whole", "origin")}
    labels = {name: np.array(values) for name, values in stated.labels.items()}
    return Stimuli(items=("",) * stated.n, labels=labels, decode=_no_image, **plain)


def _no_image(_: int) -> Any:
    raise AssertionError("a document has no images")


@contextmanager
def rebuilt(
    path: Path, document: Document, sets: Sets, card_of: Callable[[ExportedObserver], Mapping[str, Any]]
) -> Iterator[Store]:
    """A leaderboard of the trials behind these score sets, scored by this program; it is gone afterwards. Raises
    ScoresError where the document holds what no leaderboard does."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, open_store(str(Path(folder) / "trials.db")) as store:
        if sets:
            try:
                with recorded(store, "bench import leaderboard") as run:
                    _write_trials(store, run, document, sets, card_of)
                    own = {row.name: row.id for row in store.observers()}
                    score(store, run, document, sets, own)
            except StoreError as error:
                raise ScoresError(f"{path}: {printable(str(error))[:600]}") from error
        yield store


def _write_trials(
    store: Store, run: str, document: Document, sets: Sets, card_of: Callable[[ExportedObserver], Mapping[str, Any]]
) -> None:
    wanted = {key for scored in sets.values() for key in scored.observations}
    observations = {row.key: row for row in document.observations if row.key in wanted}
    names = {row.observer for row in observations.values()} | {s.observer for s in document.scores}
    ids = {
        row.name: store.put_observer(
            Observer(name=row.name, kind=row.kind, identity=row.identity, card=dict(card_of(row)))
        )
        for row in document.observers
        if row.name in names and row.kind not in ("group", "reported")
    }
    for shown in document.stimuli:
        if shown.digest in {row.stimuli for row in observations.values()}:
            store.put_stimuli(stimuli_of(shown))
    chunks = defaultdict(list)
    for chunk in document.chunks:
        chunks[chunk.observation].append(chunk)
    imports: dict[str, set[str]] = defaultdict(set)
    for key, row in observations.items():
        store.put_observation(run, Observation(**{**row.model_dump(), "observer": ids[row.observer]}))
        for chunk in chunks[key]:
            what = f"chunk {chunk.index} of observation {key[:12]}"
            try:
                payload = b64decode(chunk.payload, validate=True)
            except ValueError as error:
                raise StoreError(f"{what} is not in base64") from error
            columns = decode(payload, chunk.n, what)
            store.put_chunks(run, [Chunk(key=key, index=chunk.index, start=chunk.index * CHUNK, columns=columns)])
        if (n := sum(chunk.n for chunk in chunks[key])) < row.n:
            store.settle(run, key, n)
        if row.suite == IMPORTED:
            imports[str(row.details.get("source", ""))].add(key)
    for source, keys in imports.items():
        store.put_import(run, source, keys)


def score(store: Store, run: str, document: Document, sets: Sets, ids: Mapping[str, str]) -> int:
    """Score the trials of these observers (name -> id), and what rests on them; how many score sets are new."""
    kinds = {row.name: (row.kind, row.identity) for row in document.observers}
    observed = {row.key: row for row in document.observations}
    for number, name in {score.score_set: score.observer for score in document.scores}.items():
        if number not in sets or name not in ids:
            continue
        rows = [observed[key] for key in sets[number].observations]
        own = [row for row in rows if row.suite != IMPORTED and kinds[row.observer] == kinds[name]]
        if own:
            observations = [Observation(**row.model_dump()) for row in own]
            owed = owed_text(observations, own[0].details.get("missing", {}))
            store.put_outcome(run, ids[name], (name, sets[number].suite, sets[number].space), "partial", detail=owed)
    return score_again(store, run, ",".join(sorted({scored.suite for scored in sets.values()}))).new_sets


def what_of(row: ScoreRow | ExportedScore) -> What:
    """What a score is of."""
    return row.suite, row.version, row.space + row.stimuli, row.metric, row.condition, row.role


def different_scores(store: Store, scores: Sequence[ExportedScore]) -> list[str]:
    """Scores of a document that its trials do not give, a line for each observer and suite."""
    again = {(row.observer, *what_of(row)): row for row in store.latest_scores()}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for stated in scores:
        row = again.get((stated.observer, *what_of(stated)))
        if row is None or not same_score(stated, row):
            named = f"{stated.metric} ({stated.condition})" if stated.condition else stated.metric
            given = "nothing" if row is None else str(row.value)
            found[stated.observer, stated.suite].append(f"{named} is {stated.value}, the trials give {given}")
    return [
        printable(f"{name} under {suite}: {len(lines)} scores are not what the trials give: {some_of(lines, SHOWN)}")
        for (name, suite), lines in found.items()
    ]


def bring_in(
    store: Store, theirs: Store, document: Document, sets: Sets, run: str
) -> tuple[dict[str, int], list[str], int]:
    """Bring their trials in, and score them here. Who came, with new trials; who was refused, and why; score sets that
    are new. An observer that is here already, by its identity, brings nothing: its answers are the same, or refused."""
    here = {row.name: row for row in store.observers()}
    known = {(row.kind, row.identity) for row in store.observers(latest=False)}
    keys: dict[str, set[str]] = defaultdict(set)
    for row in theirs.observations():
        keys[row.observer_name].add(row.key)
    coming, refused = dict[str, int](), []
    for observer in theirs.observers(names=keys.keys()):
        named, asked = f"'{observer.name}' ({observer.identity[:12]})", keys[observer.name]
        stated, own = theirs.chunk_seals(asked), store.chunk_seals(asked)
        if (observer.kind, observer.identity) in known:
            if any(seals - own.get(key, set()) for key, seals in stated.items()):
                refused.append(f"{named} is yours too, and its answers in the document are not those that are here")
        elif observer.name in here:
            refused.append(f"{named} has the name of another observer here ({here[observer.name].identity[:12]})")
        elif own:
            refused.append(f"{named} claims answers of another observer here")
        else:
            coming[observer.name] = sum(row.n for row in document.observations if row.key in asked)
    if not coming:
        return coming, refused, 0
    store.merge_observations(theirs, set().union(*(keys[name] for name in coming)), run)
    ids = {row.name: row.id for row in store.observers(names=coming.keys())}
    return coming, refused, score(store, run, document, sets, ids)
