"""A leaderboard document as a folder: card, run and scores as JSON, trials as Parquet, one file a stimulus set.

A folder of somebody else is a foreign file: its size, names, types and seals are checked before it is a document."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from benchmark.contracts import CHUNK, Array
from benchmark.display import printable
from benchmark.failures import BenchError, ScoresError
from benchmark.leaderboard.field_formats import plain_name
from benchmark.leaderboard.leaderboard_document import (
    Digest,
    Document,
    ExportedObservation,
    ExportedObserver,
    ExportedRun,
    ExportedScoreSet,
    ExportedStimuli,
    Rows,
    StrictModel,
    checked_document,
)
from benchmark.store.codec import decode, encode
from registry.documents import read_bytes, read_json
from registry.user_errors import foreign

if TYPE_CHECKING:
    import pyarrow as pa

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
        files = [name for name in self.seals if name.startswith(f"{TRIALS}/")]
        return {s.digest: name for s in self.stimuli for name in files if name.endswith(f"-{s.digest[:12]}.parquet")}


def plain_json(value: Any) -> bytes:
    """Return plain data as JSON that a person can read; equal data give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def submission_files(document: Document, observer: str, owner: str, references: Iterable[str] = ()) -> dict[str, bytes]:
    """Return path -> content of an observer's part of a document."""
    (who,) = (row for row in document.observers if row.name == observer)
    own = sorted((row for row in document.observations if row.observer == observer), key=lambda row: row.key)
    scores = sorted(
        (row for row in document.scores if row.observer == observer),
        key=lambda row: (row.suite, row.space, row.score_set, row.metric, row.role, row.condition),
    )
    sets = [row for row in document.score_sets if row.id in {score.score_set for score in scores}]
    used = {row.stimuli for row in own} | {digest for row in sets for digest in row.stimuli.values()}
    shown = [row for row in document.stimuli if row.digest in used]
    files = {CARD: plain_json(who.model_dump(mode="json"))}
    files[SCORES] = plain_json([row.model_dump(mode="json") for row in scores])
    for stimuli in shown:
        if rows := [row for row in own if row.stimuli == stimuli.digest]:
            plain = plain_name(stimuli.name)[:80]
            files[f"{TRIALS}/{plain}-{stimuli.digest[:12]}.parquet"] = _trials_file(document, rows, stimuli.ids)
    stated = Submission(
        program=document.program,
        owner=owner,
        runs=tuple(row for row in document.runs if row.run in {run for each in sets for run in each.runs}),
        stimuli=tuple(row.model_copy(update={"ids": (), "labels": {}}) for row in shown),
        score_sets=tuple(sets),
        observations=tuple(own),
        references=tuple(sorted(references)),
    )
    return sealed_files(stated, files)


def sealed_files(stated: Submission, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files with a `run.json` that seals them."""
    seals = {path: sha256(content) for path, content in sorted(files.items())}
    return {**files, RUN: plain_json(stated.model_copy(update={"seals": seals}).model_dump(mode="json"))}


def _trials_file(document: Document, rows: Sequence[ExportedObservation], ids: Sequence[str]) -> bytes:
    """Return one row a trial: observation, image, and the columns of its suite, "SUITE: COLUMN"."""
    pa = _arrow()
    import pyarrow.parquet as pq

    chunks = sorted(document.chunks, key=lambda chunk: chunk.index)
    tables, file = [], io.BytesIO()
    for row in rows:
        for chunk in (chunk for chunk in chunks if chunk.observation == row.key):
            columns = decode(b64decode(chunk.payload), chunk.n)
            start = chunk.index * CHUNK
            named = {_OBSERVATION: pa.array([row.key] * chunk.n), _IMAGE: pa.array(ids[start : start + chunk.n])}
            named |= {f"{row.suite}: {name}": _arrow_column(values) for name, values in columns.items()}
            tables.append(pa.table(named))
    table = pa.concat_tables(tables, promote_options="default")
    # The same bytes for the same trials and version of pyarrow.
    pq.write_table(table, file, compression="zstd", compression_level=12, write_statistics=False)
    return file.getvalue()


def _arrow_column(values: Array) -> Any:
    pa = _arrow()
    if values.ndim == 1:
        return pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else pa.array(values)
    if values.ndim > 2 or values.dtype.kind == "U":
        raise ScoresError(f"a column of shape {values.shape[1:]} a trial has no place in a table of trials.")
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise BenchError("submissions need pyarrow: pip install 'gestaltbench[parquet]'.") from error
    return pyarrow


def read_stimuli_file(path: Path) -> ExportedStimuli:
    """Return a stimulus set of a board: names and labels of its images. Raises ScoresError."""
    with foreign("stimulus set", path, ScoresError):
        stimuli = ExportedStimuli.model_validate(read_json(path, "stimulus set", ScoresError, most=INFLATED))
        if stimuli.digest != path.stem:
            raise ValueError(f"it states the digest {stimuli.digest[:12]}")
    return stimuli


def _bounded_table(path: Path, rows: int, *, answers: bool = False) -> pa.Table:
    """Read a Parquet file that may be hostile: rows, columns and bytes in memory are limited. answers: only these."""
    _arrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = read_bytes(path, "Parquet file", ScoresError, most=LARGEST)
    with foreign("Parquet file", path, ScoresError, "Expected a file that `bench submit` wrote."):
        try:
            schema = pq.read_schema(pa.BufferReader(content))
            if len(schema) > COLUMNS or len(set(schema.names)) < len(schema):
                raise ValueError(f"{len(schema)} columns, or one of them twice")
            for field in schema:
                inner = field.type.value_type if pa.types.is_list(field.type) else field.type
                if not (pa.types.is_primitive(inner) or pa.types.is_string(field.type)):
                    raise ValueError(f"a column of type {field.type}")
            # Text stays in its dictionary: a million rows of one long text are small.
            texts = [field.name for field in schema if pa.types.is_string(field.type)]
            file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
            batches, size, n = [], 0, 0
            wanted = [name for name in schema.names if name == _OBSERVATION or name.endswith(": response")]
            for batch in file.iter_batches(_BATCH, columns=wanted if answers else None, use_threads=False):
                size, n = size + batch.nbytes, n + len(batch)
                if size > INFLATED or n > rows:
                    raise ValueError(f"it holds more than the {rows} trials stated, or {INFLATED // 2**20} MiB")
                batches.append(batch)
            return pa.Table.from_batches(batches).combine_chunks()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(str(error)[:200]) from error


def read_trials_file(path: Path, observations: Mapping[str, ExportedObservation], ids: Sequence[str]) -> Iterator[Any]:
    """Yield the chunks of a set's trials as a document has them. Raises ScoresError."""
    table = _bounded_table(path, len(observations) * len(ids))
    with foreign("table of trials", path, ScoresError):
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        owners = np.array(columns.pop(_OBSERVATION).to_pylist(), dtype=str)
        images = columns.pop(_IMAGE).to_pylist()
        starts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist()] if len(owners) else []
        for start, end in zip(starts, [*starts[1:], len(owners)], strict=True):
            row = observations.get(str(owners[start]))
            if row is None:
                raise ValueError(f"trials of an observation that run.json does not state: {owners[start][:12]}")
            if images[start:end] != [*ids[: end - start]]:
                raise ValueError(f"trials of observation {row.key[:12]} are not of the set's images in their order")
            for index, at in enumerate(range(start, end, CHUNK)):
                stop = min(at + CHUNK, end)
                held = {
                    name.partition(": ")[2]: _plain_column(column.slice(at, stop - at), name)
                    for name, column in columns.items()
                    if name.partition(": ")[0] == row.suite and column.slice(at, stop - at).null_count < stop - at
                }
                payload = b64encode(encode(held)).decode()
                yield {"observation": row.key, "index": index, "n": stop - at, "payload": payload}


def _plain_column(column: Any, name: str) -> Array:
    pa = _arrow()
    if column.null_count:
        raise ValueError(f"'{name}' lacks {column.null_count} values")
    if pa.types.is_dictionary(column.type):
        words = np.array(column.dictionary.to_pylist(), dtype=str)
        return np.asarray(words[column.indices.to_numpy(zero_copy_only=False)])
    if pa.types.is_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(len(column), -1)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def checked_files(folder: Path) -> dict[str, int]:
    """Return relative path -> size of a submission's files. Raises ScoresError for a link, a name that a submission
    does not have, or too much of it."""
    found: dict[str, int] = {}
    ahead = [folder]
    if any(place.is_symlink() for place in (folder, *folder.parents[:2])):
        raise ScoresError("a link, or below one.")
    while ahead:
        for path in sorted(ahead.pop().iterdir()):
            name, what = path.relative_to(folder).as_posix(), path.lstat()
            if stat.S_ISDIR(what.st_mode) and name in (TRIALS, ATTESTATIONS):
                ahead.append(path)
            elif not stat.S_ISREG(what.st_mode) or not _ALLOWED.fullmatch(name):
                raise ScoresError(f"{printable(name)[:200]} is a link, or no file of a submission.")
            else:
                found[name] = what.st_size
            if len(found) > MOST_FILES or sum(found.values()) > LARGEST:
                raise ScoresError(f"more than {MOST_FILES} files or {LARGEST // 2**20} MiB in one submission.")
    return found


def read_submission(folder: Path) -> tuple[Submission, ExportedObserver]:
    """Return the run and the observer of a submission, whose seals fit. Raises ScoresError."""
    files = checked_files(folder)
    try:
        run = read_json(folder / RUN, "submission", ScoresError, most=LARGEST)
        stated = Submission.model_validate(run)
        observer = ExportedObserver.model_validate(read_json(folder / CARD, "card", ScoresError))
    except ValidationError as error:
        first = error.errors()[0]
        what = printable(f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg']}")
        raise ScoresError(f"{RUN} or {CARD}: {what}.") from error
    for name in sorted(stated.seals.keys() | {name for name in files if _SEALED.fullmatch(name)}):
        if name not in files:
            raise ScoresError(f"{printable(name)[:200]} is sealed and missing.")
        if sha256((folder / name).read_bytes()) != stated.seals.get(name):
            raise ScoresError(f"{name} is not the file that was sealed: it was altered after `bench submit`.")
    return stated, observer


def document_parts(
    folder: Path, stated: Submission, observer: ExportedObserver, sets: Mapping[str, ExportedStimuli]
) -> dict[str, Any]:
    """Return an observer's part of a document as plain data. sets: digest -> the set with its images' names. Raises
    ScoresError."""
    observations = {row.key: row for row in stated.observations}
    scores = read_json(folder / SCORES, "scores", ScoresError, most=LARGEST) if (folder / SCORES).exists() else []
    if not isinstance(scores, list):
        raise ScoresError(f"{SCORES}: expected a list of scores.")
    chunks: list[Any] = []
    if len(stated.trials) < sum(name.startswith(TRIALS) for name in stated.seals):
        raise ScoresError(f"{TRIALS}/ has a file on none of its stimulus sets.")
    for digest, name in stated.trials.items():
        if digest not in sets:
            raise ScoresError(f"{name}: of a stimulus set that is not on the board.")
        own = {key: row for key, row in observations.items() if row.stimuli == digest}
        chunks += read_trials_file(folder / name, own, sets[digest].ids)
    return {
        "observers": [observer.model_dump(mode="json")],
        "runs": [row.model_dump(mode="json") for row in stated.runs],
        "score_sets": [row.model_dump(mode="json") for row in stated.score_sets],
        "scores": scores,
        "observations": [row.model_dump(mode="json") for row in stated.observations],
        "chunks": chunks,
        "stimuli": [
            sets[row.digest].model_dump(mode="json") if row.digest in sets else row.model_dump(mode="json")
            for row in stated.stimuli
        ],
    }


def joined_document(folder: Path, program: str, parts: Iterable[Mapping[str, Any]]) -> Document:
    """Return the document that several observers' parts make. Raises ScoresError if they do not fit together."""
    plain: dict[str, Any] = {"form": "gestaltbench-leaderboard", "version": 2, "program": program}
    for part in parts:
        for name, rows in part.items():
            plain.setdefault(name, []).extend(rows)
    plain["stimuli"] = [*{row["digest"]: row for row in plain["stimuli"]}.values()]
    return checked_document(folder, plain)


def read_responses(path: Path, rows: int) -> dict[str, Array]:
    """Return observation -> answers [n] of a table of at most so many trials, without other columns. Raises
    ScoresError."""
    table = _bounded_table(path, rows, answers=True)
    with foreign("table of trials", path, ScoresError):
        owners = np.array(table.column(_OBSERVATION).to_pylist(), dtype=str)
        found = {}
        for name in (name for name in table.column_names if name.endswith(": response")):
            words = np.array(table.column(name).fill_null("").to_pylist(), dtype=str)
            for key in dict.fromkeys(owners[words != ""].tolist()):
                found[key] = words[owners == key]
        return found
