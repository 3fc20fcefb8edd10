"""Trials of a leaderboard document, staged in a temporary leaderboard and merged into another.

The document is not trusted: the store's own functions write the rows, and scores are computed from the trials."""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmark import plugins
from benchmark.api.imports import recorded
from benchmark.contracts import CHUNK, Observer, Stimuli
from benchmark.display import printable
from benchmark.engine.scoring import Scorer, same_score
from benchmark.failures import ScoresError, StoreError
from benchmark.identity import Codes
from benchmark.leaderboard.leaderboard_document import (
    Document,
    ExportedObserver,
    ExportedScore,
    ExportedScoreSet,
    ExportedStimuli,
)
from benchmark.store import IMPORTED, Chunk, Observation, ScoreRow, Store, open_store
from benchmark.store.codec import decode
from registry.user_errors import foreign, some_of

Subject = tuple[str, int, str, str, str, str]  # suite, version, space, metric, condition, role
Sets = Mapping[int, ExportedScoreSet]
Cards = Callable[[ExportedObserver], Mapping[str, Any]]
SHOWN = 6  # scores in a line


def with_trials(document: Document) -> dict[int, ExportedScoreSet]:
    """Return the score sets whose trials are all in the document."""
    here = {observation.key for observation in document.observations}
    return {s.id: s for s in document.score_sets if s.observations and here.issuperset(s.observations)}


def stimuli_of(stated: ExportedStimuli) -> Stimuli:
    """Return a stimulus set without its images."""
    plain = {name: getattr(stated, name) for name in ("name", "digest", "space", "ids", "whole", "origin")}
    labels = {name: np.array(values) for name, values in stated.labels.items()}
    return Stimuli(items=("",) * stated.n, labels=labels, decode=_no_image, **plain)


def _no_image(_: int) -> Any:
    raise AssertionError("a document has no images")


@contextmanager
def staged(path: Path, document: Document, sets: Sets, card_of: Cards) -> Iterator[Store]:
    """Yield a temporary leaderboard with the trials behind these score sets. Raises ScoresError."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, open_store(str(Path(folder) / "trials.db")) as store:
        try:
            with recorded(store, "bench import leaderboard") as run:
                write_trials(store, run, document, sets, card_of)
        except StoreError as error:
            raise ScoresError(f"{path}: {printable(str(error))[:600]}") from error
        yield store


def write_trials(store: Store, run: str, document: Document, sets: Sets, card_of: Cards) -> dict[str, str]:
    """Write the trials behind these score sets, with observers and stimuli, as work of `run`; return observer -> id in
    the store. Raises StoreError."""
    wanted = {key for scored in sets.values() for key in scored.observations}
    observations = {row.key: row for row in document.observations if row.key in wanted}
    names = {row.observer for row in observations.values()} | {s.observer for s in document.scores}
    ids = {}
    for row in document.observers:
        if row.name in names and row.kind not in ("group", "reported"):
            who = Observer(name=row.name, kind=row.kind, identity=row.identity, card=dict(card_of(row)))
            ids[row.name] = store.put_observer(who)
    asked = {row.stimuli for row in observations.values()} - {note.digest for note in store.stimuli_names()}
    for shown in document.stimuli:
        if shown.digest in asked:
            store.put_stimuli(stimuli_of(shown))
    chunks = defaultdict(list)
    for chunk in document.chunks:
        chunks[chunk.observation].append(chunk)
    imports: dict[str, set[str]] = defaultdict(set)
    for key, asked_of in observations.items():
        store.put_observation(run, Observation(**{**asked_of.model_dump(), "observer": ids[asked_of.observer]}))
        for chunk in chunks[key]:
            place = f"chunk {chunk.index} of observation {key[:12]}"
            try:
                payload = b64decode(chunk.payload, validate=True)
            except ValueError as error:
                raise StoreError(f"{place} is not in base64") from error
            columns = decode(payload, chunk.n, place)
            store.put_chunks(run, [Chunk(key=key, index=chunk.index, start=chunk.index * CHUNK, columns=columns)])
        if (n := sum(chunk.n for chunk in chunks[key])) < asked_of.n:
            store.settle(run, key, n)
        if asked_of.suite == IMPORTED:
            imports[str(asked_of.details.get("source", ""))].add(key)
    for source, keys in imports.items():
        store.put_import(run, source, keys)
    return ids


def scored_together(document: Document, sets: Sets, ids: Mapping[str, str]) -> Iterator[tuple[str, list[Observation]]]:
    """Yield a suite and the observations that are scored together, for each score set of these observers (name -> id
    in the store)."""
    kinds = {row.name: (row.kind, row.identity) for row in document.observers}
    observed = {row.key: row for row in document.observations}
    for number, name in {score.score_set: score.observer for score in document.scores}.items():
        if number in sets and name in ids:
            rows = [observed[key] for key in sets[number].observations]
            own = [row for row in rows if row.suite != IMPORTED and kinds[row.observer] == kinds[name]]
            if own:
                named = {"observer": ids[name]}
                yield sets[number].suite, [Observation(**row.model_dump() | named) for row in own]


def score_documented(store: Store, run: str, parts: Iterable[tuple[str, list[Observation]]]) -> int:
    """Score observations of a suite that belong together, then imported ones; return how many score sets are new.
    Raises ScoresError for trials that a suite cannot score."""
    parts, codes = [*parts], Codes()
    suites = plugins.known_suites(name for name, _ in parts)
    scorers = {name: Scorer(store=store, run=run, suite=suite, codes=codes) for name, suite in suites.items()}
    with foreign("trials", "", ScoresError, "The suite expects other columns."):
        known = ((scorers[name], rows) for name, rows in parts if name in scorers)
        own = sum(scorer.observer(rows, rows[0].details.get("missing", {})) for scorer, rows in known)
        return own + sum(scorer.imported() for scorer in scorers.values())


def subject_of(row: ScoreRow | ExportedScore) -> Subject:
    """Return what a score is about."""
    return row.suite, row.version, row.space + row.stimuli, row.metric, row.condition, row.role


def different_scores(store: Store, scores: Sequence[ExportedScore], sets: Sets) -> list[str]:
    """Return a line for each observer and suite with scores that differ from those computed here from the same trials.
    Scores that depend on further answers here (more people) are not compared."""
    rows = {(row.observer, *subject_of(row)): row for row in store.latest_scores()}
    suites = {scored.suite for scored in sets.values()}
    keys = {scored.id: {*scored.keys} for suite in suites for scored in store.score_sets(suite)}
    known = {row.key for row in store.observations()}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for stated in scores:
        row, behind = rows.get((stated.observer, *subject_of(stated))), {*sets[stated.score_set].observations}
        is_comparable = behind <= known if row is None else keys.get(row.set_id) == behind
        if is_comparable and (row is None or not same_score(stated, row)):
            named = f"{stated.metric} ({stated.condition})" if stated.condition else stated.metric
            given = "nothing" if row is None else str(row.value)
            found[stated.observer, stated.suite].append(f"{named} is {stated.value}, the trials give {given}")
    return [
        printable(f"{name} under {suite}: {len(lines)} scores are not what the trials give: {some_of(lines, SHOWN)}")
        for (name, suite), lines in found.items()
    ]


def bring_in(store: Store, theirs: Store, document: Document, run: str) -> tuple[dict[str, int], list[str]]:
    """Merge the staged trials of new observers; return (observer -> trials) and why others were refused.

    An observer that is known by its identity brings nothing: its answers are equal, or refused."""
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
                refused.append(f"{named} is in this leaderboard already, with other answers than in the document")
        elif observer.name in here:
            refused.append(f"{named} has the name of another observer ({here[observer.name].identity[:12]})")
        elif own:
            refused.append(f"{named} claims answers of another observer")
        else:
            coming[observer.name] = sum(row.n for row in document.observations if row.key in asked)
    if coming:
        store.merge_observations(theirs, set().union(*(keys[name] for name in coming)), run)
    return coming, refused
