"""A leaderboard document as a folder: card, run and scores as JSON, trials as Parquet, one file a stimulus set.

A folder of somebody else is a foreign file: its size, names, types and seals are checked before it is a document."""

from __future__ import annotations

import io
import json
import re
import stat
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmark.contracts import CHUNK, Array
from benchmark.display import printable
from benchmark.failures import BenchError, ScoresError
from benchmark.leaderboard.leaderboard_document import (
    Digest,
    Document,
    ExportedChunk,
    ExportedObservation,
    ExportedObserver,
    ExportedStimuli,
    checked_part,
)
from benchmark.store.codec import decode, encode
from registry.documents import read_bytes, read_json
from registry.files import digest_file
from registry.user_errors import foreign

CARD, RUN, SCORES, VERDICT, RETRACTED = "card.json", "run.json", "scores.json", "verdict.md", "retracted.json"
TRIALS, ATTESTATIONS = "trials", "attestations"
#: Bytes of a submission, files in it, bytes of one Parquet file in memory.
LARGEST, MOST_FILES, INFLATED = 5 * 2**20, 200, 64 * 2**20
#: What a submission may hold; everything but what came later (retraction, attestations) is under its seals.
_SEALED = re.compile(rf"({CARD}|{SCORES}|{VERDICT}|{TRIALS}/[0-9a-f]{{64}}\.parquet)")
_ALLOWED = re.compile(rf"{_SEALED.pattern}|{RUN}|{RETRACTED}|{ATTESTATIONS}/[A-Za-z0-9._-]{{1,120}}\.json")
_BATCH = 4096  # rows of a Parquet file that are read at once
_OBSERVATION, _IMAGE = "observation", "image"


class Submission(Document):
    """A document of one observer without names of images and trials, which other files have. seals: file -> SHA-256;
    references: identities of observers whose answers the scores also rest on, such as people."""

    form: Literal["gestaltbench-submission"] = "gestaltbench-submission"  # type: ignore[assignment]
    version: Literal[1] = 1
    observers: tuple[ExportedObserver]
    owner: str
    references: tuple[Digest, ...] = ()
    seals: dict[str, Digest] = Field(default_factory=dict)


def plain_json(value: Any) -> bytes:
    """Return plain data as JSON that a person can read; equal data give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def files_of(
    document: Document, observer: str, owner: str = "", references: Iterable[str] = (), verdict: str = ""
) -> dict[str, bytes]:
    """Return path -> content of an observer's part of a document; `run.json` seals the other files."""
    own = sorted((row for row in document.observations if row.observer == observer), key=attrgetter("key"))
    order = attrgetter("suite", "space", "score_set", "metric", "role", "condition")
    scores = sorted((row for row in document.scores if row.observer == observer), key=order)
    sets = [row for row in document.score_sets if row.id in {score.score_set for score in scores}]
    used = {row.stimuli for row in own} | {digest for row in sets for digest in row.stimuli.values()}
    shown = [row for row in document.stimuli if row.digest in used]
    stated = Submission(
        program=document.program,
        owner=owner,
        observers=(next(row for row in document.observers if row.name == observer),),
        stimuli=tuple(row.model_copy(update={"ids": (), "labels": {}}) for row in shown),
        runs=tuple(row for row in document.runs if row.run in {run for each in sets for run in each.runs}),
        score_sets=tuple(sets),
        scores=tuple(scores),
        observations=tuple(own),
        references=tuple(sorted(references)),
    )
    run = stated.model_dump(mode="json", exclude={"chunks"})
    files = {CARD: plain_json(run.pop("observers")[0]), SCORES: plain_json(run.pop("scores"))}
    files |= {VERDICT: verdict.encode()} if verdict else {}
    for stimuli in shown:
        if rows := [row for row in own if row.stimuli == stimuli.digest]:
            files[f"{TRIALS}/{stimuli.digest}.parquet"] = _trials_file(document, rows, stimuli.ids)
    seals = {path: sha256(content).hexdigest() for path, content in sorted(files.items())}
    return {**files, RUN: plain_json(run | {"seals": seals})}


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


def read_trials(
    folder: Path, stated: Submission, sets: Mapping[str, ExportedStimuli]
) -> Iterator[tuple[ExportedObservation, dict[str, Array]]]:
    """Yield the observations of a submission with their columns [n]. sets: digest -> the set with its images' names.
    Raises ScoresError."""
    for digest in (digest for digest in sets if f"{TRIALS}/{digest}.parquet" in stated.seals):
        own = {row.key: row for row in stated.observations if row.stimuli == digest}
        yield from _read_table(folder / TRIALS / f"{digest}.parquet", own, sets[digest].ids)


def _read_table(
    path: Path, observations: Mapping[str, ExportedObservation], ids: Sequence[str]
) -> Iterator[tuple[ExportedObservation, dict[str, Array]]]:
    """Yield each observation in a file of trials. The file may be hostile: rows and bytes in memory are limited."""
    pa, pq = _arrow()
    content, (batches, size, n) = read_bytes(path, "Parquet file", ScoresError, most=LARGEST), ([], 0, 0)
    with foreign("Parquet file", path, ScoresError, "Expected a file that `bench submit` wrote."):
        schema = pq.read_schema(pa.BufferReader(content))
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
            if row is None or images[start:end].tolist() != [*ids[: end - start]]:
                said = f"trials of observation {owners[start][:12]}"
                raise ValueError(f"{said} are not stated, or not of the set's images in their order")
            prefix = f"{row.suite}: "
            of_suite = {name: column for name, column in columns.items() if name.startswith(prefix)}
            own = {name.removeprefix(prefix): held.slice(start, end - start) for name, held in of_suite.items()}
            yield row, {name: _plain_column(held, name) for name, held in own.items() if held.null_count < len(held)}


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


def checked_files(folder: Path) -> set[str]:
    """Return the relative paths of a submission's files. Raises ScoresError for a link, a name that a submission does
    not have, or too much of it."""
    found: dict[str, int] = {}
    linked = any(place.is_symlink() for place in (folder, *folder.parents[:2]))
    for path in sorted(folder.rglob("*")):
        name, what = path.relative_to(folder).as_posix(), path.lstat()
        if stat.S_ISREG(what.st_mode) and _ALLOWED.fullmatch(name) and not linked:
            found[name] = what.st_size
        elif linked or not stat.S_ISDIR(what.st_mode) or name not in (TRIALS, ATTESTATIONS):
            raise ScoresError(f"{printable(name)[:200]} is a link, below one, or no file of a submission.")
        if len(found) > MOST_FILES or sum(found.values()) > LARGEST:
            raise ScoresError(f"more than {MOST_FILES} files or {LARGEST // 2**20} MiB in one submission.")
    return {*found}


def read_submission(folder: Path) -> Submission:
    """Return what a submission states; its seals fit. Raises ScoresError."""
    files = checked_files(folder)
    read = partial(read_json, what="submission", error=ScoresError, most=LARGEST)
    with foreign("submission", folder, ScoresError):
        plain = {**read(folder / RUN), "observers": [read(folder / CARD)], "scores": read(folder / SCORES)}
    stated = checked_part(Submission, folder, plain)
    for name in sorted(stated.seals.keys() | {name for name in files if _SEALED.fullmatch(name)}):
        if name not in files:
            raise ScoresError(f"{printable(name)[:200]} is sealed and missing.")
        if digest_file(folder / name) != stated.seals.get(name):
            raise ScoresError(f"{name} is not the file that was sealed: it was altered after `bench submit`.")
    return stated


def read_chunks(folder: Path, stated: Submission, sets: Mapping[str, ExportedStimuli]) -> Iterator[ExportedChunk]:
    """Yield the trials of a submission as a document has them. Raises ScoresError."""
    for row, columns in read_trials(folder, stated, sets):
        n = len(next(iter(columns.values()), ()))
        for index, start in enumerate(range(0, n, CHUNK)):
            part = {name: values[start : start + CHUNK] for name, values in columns.items()}
            payload = b64encode(encode(part)).decode()
            yield ExportedChunk(observation=row.key, index=index, n=min(CHUNK, n - start), payload=payload)
