"""A leaderboard document as a folder: card, run and scores as JSON, trials as Parquet, one file a stimulus set.

A folder of somebody else is a foreign file: its size, names, types and seals are checked before it is a document."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmark.contracts import CHUNK, Array
from benchmark.display import printable
from benchmark.failures import BenchError, ScoresError
from benchmark.leaderboard.field_formats import plain_name
from benchmark.leaderboard.leaderboard_document import (
    Digest,
    Document,
    ExportedChunk,
    ExportedObservation,
    ExportedObserver,
    ExportedRun,
    ExportedScoreSet,
    ExportedStimuli,
    Rows,
    StrictModel,
    checked_part,
)
from benchmark.store.codec import decode, encode
from registry.documents import read_bytes, read_json
from registry.user_errors import foreign

CARD, RUN, SCORES, VERDICT, RETRACTED = "card.json", "run.json", "scores.json", "verdict.md", "retracted.json"
TRIALS, ATTESTATIONS = "trials", "attestations"
#: Bytes of a submission, files in it, bytes of one Parquet file in memory, columns of one.
LARGEST, MOST_FILES, INFLATED, COLUMNS = 5 * 2**20, 200, 64 * 2**20, 500
#: What a submission may hold; everything but what came later (retraction, attestations) is under its seals.
_SEALED = re.compile(rf"({CARD}|{SCORES}|{VERDICT}|{TRIALS}/[A-Za-z0-9._-]{{1,120}}\.parquet)")
_ALLOWED = re.compile(rf"{_SEALED.pattern}|{RUN}|{RETRACTED}|{ATTESTATIONS}/[A-Za-z0-9._-]{{1,120}}\.json")
_BATCH = 4096  # rows of a Parquet file that are read at once
_OBSERVATION, _IMAGE = "observation", "image"


class Submission(StrictModel):
    """What `run.json` states: everything of a document but card, scores, names of images and trials. seals: file ->
    SHA-256; references: identities of observers whose answers the scores also rest on, such as people."""

    form: Literal["gestaltbench-submission"] = "gestaltbench-submission"
    version: Literal[1] = 1
    program: str
    owner: str
    runs: Rows[ExportedRun]
    stimuli: Rows[ExportedStimuli]
    score_sets: Rows[ExportedScoreSet]
    observations: Rows[ExportedObservation]
    references: tuple[Digest, ...] = ()
    seals: dict[str, Digest] = Field(default_factory=dict)

    @property
    def trials(self) -> dict[str, str]:
        """Digest of a stimulus set -> the file with the trials on it."""
        ends = {name[-20:]: name for name in self.seals if name.startswith(f"{TRIALS}/")}
        return {s.digest: ends[end] for s in self.stimuli if (end := f"{s.digest[:12]}.parquet") in ends}


def plain_json(value: Any) -> bytes:
    """Return plain data as JSON that a person can read; equal data give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def submission_files(
    document: Document, observer: str, owner: str = "", references: Iterable[str] = (), verdict: str = ""
) -> dict[str, bytes]:
    """Return path -> content of an observer's part of a document; `run.json` seals the other files."""
    (who,) = (row for row in document.observers if row.name == observer)
    own = sorted((row for row in document.observations if row.observer == observer), key=attrgetter("key"))
    order = attrgetter("suite", "space", "score_set", "metric", "role", "condition")
    scores = sorted((row for row in document.scores if row.observer == observer), key=order)
    sets = [row for row in document.score_sets if row.id in {score.score_set for score in scores}]
    used = {row.stimuli for row in own} | {digest for row in sets for digest in row.stimuli.values()}
    shown = [row for row in document.stimuli if row.digest in used]
    files = {CARD: plain_json(who.model_dump(mode="json"))}
    files[SCORES] = plain_json([row.model_dump(mode="json") for row in scores])
    files |= {VERDICT: verdict.encode()} if verdict else {}
    for stimuli in shown:
        if rows := [row for row in own if row.stimuli == stimuli.digest]:
            name = f"{TRIALS}/{plain_name(stimuli.name)[:80]}-{stimuli.digest[:12]}.parquet"
            files[name] = _trials_file(document, rows, stimuli.ids)
    stated = Submission(
        program=document.program,
        owner=owner,
        runs=tuple(row for row in document.runs if row.run in {run for each in sets for run in each.runs}),
        stimuli=tuple(row.model_copy(update={"ids": (), "labels": {}}) for row in shown),
        score_sets=tuple(sets),
        observations=tuple(own),
        references=tuple(sorted(references)),
        seals={path: sha256(content) for path, content in sorted(files.items())},
    )
    return {**files, RUN: plain_json(stated.model_dump(mode="json"))}


def _trials_file(document: Document, rows: Sequence[ExportedObservation], ids: Sequence[str]) -> bytes:
    """Return one row a trial: observation, image, and the columns of its suite, "SUITE: COLUMN"."""
    pa, pq = _arrow()
    tables, file, chunks = [], io.BytesIO(), defaultdict[str, list[ExportedChunk]](list)
    for chunk in sorted(document.chunks, key=attrgetter("index")):
        chunks[chunk.observation].append(chunk)
    for row in rows:
        for chunk in chunks[row.key]:
            start, columns = chunk.index * CHUNK, decode(b64decode(chunk.payload), chunk.n)
            named: dict[str, Any] = {_OBSERVATION: [row.key] * chunk.n, _IMAGE: ids[start : start + chunk.n]}
            for name, values in columns.items():
                named[f"{row.suite}: {name}"] = list(values) if values.ndim > 1 else values
            tables.append(pa.table(named))
    table = pa.concat_tables(tables, promote_options="default")
    # The same bytes for the same trials and version of pyarrow.
    pq.write_table(table, file, compression="zstd", compression_level=12, write_statistics=False)
    return file.getvalue()


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BenchError("submissions need pyarrow: pip install 'gestaltbench[parquet]'.") from error
    return pyarrow, pyarrow.parquet


def read_stimuli_file(path: Path) -> ExportedStimuli:
    """Return a stimulus set of a board: names and labels of its images. Raises ScoresError."""
    plain = read_json(path, "stimulus set", ScoresError, most=INFLATED)
    stimuli = checked_part(ExportedStimuli, path, plain)
    if stimuli.digest != path.stem:
        raise ScoresError(f"{path}: it states another digest than its name, {stimuli.digest[:12]}.")
    return stimuli


def read_trials(
    path: Path, observations: Mapping[str, ExportedObservation], ids: Sequence[str]
) -> Iterator[tuple[ExportedObservation, dict[str, Array]]]:
    """Yield each observation in a file of trials with its columns [n]. The file may be hostile: rows, columns and bytes
    in memory are limited. ids: names of the set's images. Raises ScoresError."""
    pa, pq = _arrow()
    content, (batches, size, n) = read_bytes(path, "Parquet file", ScoresError, most=LARGEST), ([], 0, 0)
    with foreign("Parquet file", path, ScoresError, "Expected a file that `bench submit` wrote."):
        schema = pq.read_schema(pa.BufferReader(content))
        if len(schema) > COLUMNS or len(set(schema.names)) < len(schema):
            raise ValueError(f"{len(schema)} columns, or one of them twice")
        # Text stays in its dictionary: a million rows of one long text are small.
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
        for batch in file.iter_batches(_BATCH, use_threads=False):
            size, n = size + batch.nbytes, n + len(batch)
            if size > INFLATED or n > len(observations) * len(ids):
                raise ValueError(f"it holds more trials than are stated, or more than {INFLATED // 2**20} MiB")
            batches.append(batch)
        columns = dict(zip(schema.names, pa.Table.from_batches(batches).combine_chunks().columns, strict=True))
        owners, images = (_plain_column(columns.pop(name), name) for name in (_OBSERVATION, _IMAGE))
        starts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            row = observations.get(str(owners[start]))
            if row is None:
                raise ValueError(f"trials of an observation that run.json does not state: {owners[start][:12]}")
            if images[start:end].tolist() != [*ids[: end - start]]:
                raise ValueError(f"trials of observation {row.key[:12]} are not of the set's images in their order")
            own = {name: column.slice(start, end - start) for name, column in columns.items()}
            yield (
                row,
                {
                    name.partition(": ")[2]: _plain_column(column, name)
                    for name, column in own.items()
                    if name.startswith(f"{row.suite}: ") and column.null_count < len(column)
                },
            )


def _plain_column(column: Any, name: str) -> Array:
    """Return a column of numbers [n], of vectors [n, k] or of text [n]."""
    if column.null_count:
        raise ValueError(f"'{name}' lacks {column.null_count} values")
    column = column.combine_chunks()
    if (words := getattr(column, "dictionary", None)) is not None:
        texts = np.array(words.to_pylist(), dtype=str)
        if texts.itemsize * len(column) > INFLATED:
            raise ValueError(f"'{name}' has texts that are too long")
        return np.asarray(texts[column.indices.to_numpy(zero_copy_only=False)])
    flat = column.flatten() if hasattr(column, "value_lengths") else column
    values = np.asarray(flat.to_numpy(zero_copy_only=False))
    if values.dtype.kind not in "biuf":
        raise ValueError(f"'{name}' is a column of type {column.type}")
    return values if flat is column else values.reshape(len(column), -1)


def checked_files(folder: Path) -> dict[str, int]:
    """Return relative path -> size of a submission's files. Raises ScoresError for a link, a name that a submission
    does not have, or too much of it."""
    found: dict[str, int] = {}
    if any(place.is_symlink() for place in (folder, *folder.parents[:2])):
        raise ScoresError("a link, or below one.")
    for path in sorted(folder.rglob("*")):
        name, what = path.relative_to(folder).as_posix(), path.lstat()
        if stat.S_ISDIR(what.st_mode) and name in (TRIALS, ATTESTATIONS):
            continue
        if not stat.S_ISREG(what.st_mode) or not _ALLOWED.fullmatch(name):
            raise ScoresError(f"{printable(name)[:200]} is a link, or no file of a submission.")
        found[name] = what.st_size
        if len(found) > MOST_FILES or sum(found.values()) > LARGEST:
            raise ScoresError(f"more than {MOST_FILES} files or {LARGEST // 2**20} MiB in one submission.")
    return found


def read_submission(folder: Path) -> tuple[Submission, ExportedObserver]:
    """Return the run and the observer of a submission, whose seals fit. Raises ScoresError."""
    files = checked_files(folder)
    run, card = (read_json(folder / name, "submission", ScoresError, most=LARGEST) for name in (RUN, CARD))
    stated = checked_part(Submission, folder / RUN, run)
    for name in sorted(stated.seals.keys() | {name for name in files if _SEALED.fullmatch(name)}):
        if name not in files:
            raise ScoresError(f"{printable(name)[:200]} is sealed and missing.")
        if sha256((folder / name).read_bytes()) != stated.seals.get(name):
            raise ScoresError(f"{name} is not the file that was sealed: it was altered after `bench submit`.")
    return stated, checked_part(ExportedObserver, folder / CARD, card)


def read_parts(
    folder: Path, stated: Submission, observer: ExportedObserver, sets: Mapping[str, ExportedStimuli]
) -> dict[str, Any]:
    """Return a submission's parts of a document, all of them of its observer. sets: digest -> the set with its images'
    names. Raises ScoresError."""
    named, chunks = {"observer": observer.name}, []
    observations = tuple(row.model_copy(update=named) for row in stated.observations)
    for digest, name in stated.trials.items():
        own = {row.key: row for row in observations if row.stimuli == digest}
        for row, columns in read_trials(folder / name, own, sets[digest].ids):
            n = len(next(iter(columns.values()), ()))
            for index, start in enumerate(range(0, n, CHUNK)):
                part = {name: values[start : start + CHUNK] for name, values in columns.items()}
                payload = b64encode(encode(part)).decode()
                size = min(CHUNK, n - start)
                chunks.append(ExportedChunk(observation=row.key, index=index, n=size, payload=payload))
    with foreign("scores", folder / SCORES, ScoresError, "Expected a list of scores."):
        scores = [{**row, **named} for row in read_json(folder / SCORES, "scores", ScoresError, most=LARGEST)]
    return {
        "observers": (observer,),
        "runs": stated.runs,
        "score_sets": stated.score_sets,
        "scores": scores,
        "observations": observations,
        "chunks": tuple(chunks),
        "stimuli": tuple(sets[row.digest] for row in stated.stimuli),
    }
