"""A whole leaderboard as one document: every score with its conditions, its provenance and its trials (version 1 has no
trials). `docs/leaderboard-2.schema.json` is its JSON schema, made from the types below."""

from __future__ import annotations

import io
import json
import re
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zipfile import ZipFile

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, Strict, ValidationError

from benchmark.contracts import CHUNK, Array, Stimuli
from benchmark.contracts.trials import ObserverKind
from benchmark.display import printable
from benchmark.failures import BenchError, ScoresError
from benchmark.stats.intervals import wilson
from benchmark.store import StimuliRecord
from benchmark.store.codec import decode, encode
from registry.documents import read_bytes, read_json
from registry.files import digest_file
from registry.user_errors import foreign, library

T = TypeVar("T")
Part = TypeVar("Part", bound=BaseModel)

#: What identifies content: hex digits.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Numbers as JSON has them: no text of digits, no truth value.
Whole = Annotated[int, Strict(), Field(ge=-(2**53), le=2**53)]
Number = Annotated[float, Strict()]


class StrictModel(BaseModel):
    """Part of a document: no field that is not named, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExportedObserver(StrictModel):
    """Whoever answered. identity: digest of what decides the answers; card: the model card, {} for people."""

    name: str
    kind: ObserverKind
    identity: Digest
    card: dict[str, Any] = {}


class ExportedStimuli(StrictModel):
    """A stimulus set. `n` images were shown, and the published set has `whole` of them, if that is known. `ids` and
    `labels` name its images and the columns of their labels if its trials are in the document."""

    digest: Digest
    name: str
    space: str
    n: Whole = Field(ge=0)
    whole: Whole | None = None
    origin: str = ""
    ids: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = {}

    @classmethod
    def of(cls, shown: Stimuli | StimuliRecord) -> ExportedStimuli:
        """Return a set with the names and labels of its images."""
        plain = {name: getattr(shown, name) for name in ("digest", "name", "space", "whole", "origin", "ids")}
        return cls(**plain, n=len(shown.ids), labels={name: tuple(own.tolist()) for name, own in shown.labels.items()})


class ExportedRun(StrictModel):
    """A command that computed something. environment: versions, device, code revision."""

    run: Whole
    command: str
    started: str
    ended: str | None = None
    status: str = ""
    environment: dict[str, Any] = {}


class ExportedScoreSet(StrictModel):
    """Scores that were made together. `code` is the digest of the scoring code; stimuli: role -> digest of its set.
    `observations` are the keys of the trials behind them, `runs` those that computed the trials and the scores."""

    id: Whole
    suite: str
    version: Whole
    space: str
    code: Digest
    created: str
    stimuli: dict[str, Digest]
    observations: tuple[Digest, ...] = ()
    runs: tuple[Whole, ...] = ()


class ExportedScore(StrictModel):
    """One number. A value of None has a `reason`. `low` and `high` are its interval at `level`, made by `method`. `n`
    trials count. The condition "" covers all conditions; `stimuli` is the digest of the role's set."""

    observer: str
    suite: str
    version: Whole
    space: str
    metric: str
    condition: str = ""
    role: str = ""
    stimuli: Digest | Literal[""] = ""
    value: Number | None
    low: Number | None = None
    high: Number | None = None
    level: Number = Field(default=0.95, gt=0, lt=1)
    method: str = ""
    n: Whole = Field(default=0, ge=0)
    excluded: Whole = Field(default=0, ge=0)
    flags: tuple[str, ...] = ()
    reason: str = ""
    policy: str = ""
    score_set: Whole


class ExportedObservation(StrictModel):
    """An observer's answers to one block of `n` images. `transform` is JSON text, "" if there is none. `details` record
    how it was run, or from where it was imported ("source")."""

    key: Digest
    observer: str
    suite: str
    version: Whole
    space: str
    stimuli: Digest
    role: str
    condition: str = ""
    presentation: str
    transform: str = ""
    n: Whole = Field(ge=1)
    details: dict[str, Any] = {}


class ExportedChunk(StrictModel):
    """Trials of an observation: the `index`th 256 of its images, or the rest. payload: their columns in base64, as
    docs/stored-trials.md describes."""

    observation: Digest
    index: Whole = Field(ge=0)
    n: Whole = Field(ge=1, le=CHUNK)
    payload: str


_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")  # in JSON
#: The first fault is enough: a list of 300,000 empty objects has some million.
Rows = Annotated[tuple[T, ...], FailFast()]


class Document(StrictModel):
    """A leaderboard. program: the version that wrote it."""

    form: Literal["gestaltbench-leaderboard"] = "gestaltbench-leaderboard"
    version: Literal[1, 2] = 2
    program: str
    observers: Rows[ExportedObserver]
    stimuli: Rows[ExportedStimuli]
    runs: Rows[ExportedRun]
    score_sets: Rows[ExportedScoreSet]
    scores: Rows[ExportedScore]
    observations: Rows[ExportedObservation] = ()
    chunks: Rows[ExportedChunk] = ()


# The document of another leaderboard is a foreign file: nothing in it is trusted.
LARGEST = 256 * 2**20  # bytes: a thousand observers under five suites are about 150 MB
LONGEST_NAME = 200  # characters of an observer's name
BUNDLED = "leaderboard.json"  # the document's name in a bundle


def read_leaderboard_document(path: Path) -> Document:
    """Return the document in a file. Raises ScoresError if it is not one, is too large, or is inconsistent."""
    what = "leaderboard document"
    if path.suffix.lower() == ".zip":  # nothing else of a bundle is read
        expected = f"A bundle of `bench export --bundle` has a {BUNDLED}."
        with foreign(what, path, ScoresError, expected), ZipFile(path) as bundle, bundle.open(BUNDLED) as file:
            content = file.read(LARGEST + 1)  # the size in its header may be a lie
        if len(content) > LARGEST:
            raise ScoresError(f"{path}: its {BUNDLED} is larger than {LARGEST // 2**20} MiB: not read.")
        plain = read_json(path, what, ScoresError, content=content)
    else:
        plain = read_json(path, what, ScoresError, most=LARGEST)
    form = plain.get("form") if isinstance(plain, dict) else None
    if form != "gestaltbench-leaderboard":
        raise ScoresError(
            f"{path}: no leaderboard document. `bench export --scores -o FILE.json` writes one; tables of scores come "
            "in with `bench import scores`."
        )
    return checked_document(path, plain)


def checked_document(path: Path, plain: Any) -> Document:
    """Return the document that plain data from `path` holds. Raises ScoresError as `read_leaderboard_document`."""
    document = checked_part(Document, path, plain, "Its form: docs/leaderboard-2.schema.json.")
    for fault in _faults(document):
        raise ScoresError(f"{path}: {printable(fault)}. The document does not fit together.")
    return document


def checked_part(kind: type[Part], path: Path, plain: Any, expected: str = "") -> Part:
    """Return plain data from `path` as a document or a part of one; parts in it are taken as they are. Raises
    ScoresError."""
    with foreign("leaderboard document", path, ScoresError, expected):
        # No leaderboard holds NUL characters or, which cannot be encoded, halves of characters.
        if _NUL.search(json.dumps(plain, ensure_ascii=False, default=lambda _: None).encode()):
            raise ValueError("a text has a NUL character")
        try:
            return kind.model_validate(plain)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place[:200]}: {first['msg']} ({error.error_count()} faults in all)") from error


def _faults(document: Document) -> Iterator[str]:
    """Yield what is inconsistent."""
    observers = {observer.name for observer in document.observers}
    sets = {scored.id: scored for scored in document.score_sets}
    digests = {stimuli.digest: stimuli for stimuli in document.stimuli}
    observed = {observation.key: observation for observation in document.observations}
    for noun, unique, every in (
        ("an observer", observers, document.observers),
        ("a stimulus set", digests, document.stimuli),
        ("a score set", sets, document.score_sets),
        ("an observation", observed, document.observations),
        ("a chunk", {(chunk.observation, chunk.index) for chunk in document.chunks}, document.chunks),
        ("a score", {(s.score_set, s.metric, s.condition, s.role) for s in document.scores}, document.scores),
    ):
        if len(unique) < len(every):
            yield f"{noun} occurs twice in it"
    for name in observers:
        if not name.strip() or len(name) > LONGEST_NAME:
            yield f"an observer's name is empty or longer than {LONGEST_NAME}: '{name[:40]}'"
    for stimuli in document.stimuli:
        if stimuli.ids and any(len(names) != stimuli.n for names in (stimuli.ids, *stimuli.labels.values())):
            yield f"stimulus set '{stimuli.name}' has not one name and one label for each of {stimuli.n} images"
    for each in document.observations:
        if each.observer not in observers or each.stimuli not in digests or not digests[each.stimuli].ids:
            yield f"observation {each.key[:12]} names no observer, or no stimulus set with names of images"
    for chunk in document.chunks:
        block = observed.get(chunk.observation)
        if block is None or chunk.n != min(CHUNK, block.n - chunk.index * CHUNK):
            yield f"chunk {chunk.index} is of no observation of it, or has too many trials ({chunk.observation[:12]})"
    if lacking := observed.keys() - {chunk.observation for chunk in document.chunks}:
        yield f"observation {min(lacking)[:12]} has no trials"
    owners: dict[int, str] = {}
    for score in document.scores:
        scored, called = sets.get(score.score_set), f"'{score.metric}' of '{score.observer}'"
        if score.observer not in observers or scored is None:
            yield f"{called} names no observer or no score set of it"
        elif (scored.suite, scored.version, scored.space) != (score.suite, score.version, score.space):
            yield f"{called} is of another suite than its score set"
        elif owners.setdefault(score.score_set, score.observer) != score.observer:
            yield f"score set {score.score_set} has several observers"


# A submission is a document as a folder: card, run and scores as JSON, trials as Parquet, one file a stimulus set. It
# is a foreign file: its size, names, types and seals are checked before it is a document.
CARD, RUN, SCORES, VERDICT, RETRACTED = "card.json", "run.json", "scores.json", "verdict.md", "retracted.json"
TRIALS, ATTESTATIONS, SIGNED = "trials", "attestations", ".sigstore.json"
#: Names in a path of the board; "__" parts the owner from the network.
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,38}")
NETWORK = re.compile(r"(?!.*__)[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")
#: Trials that somebody else answers again; the lower end of their agreement from which a submission is re-run.
SAMPLE, SURE = 64, 0.9
#: Bytes of a submission, files in it, bytes of one Parquet file in memory.
LARGEST_FOLDER, MOST_FILES, INFLATED = 5 * 2**20, 200, 64 * 2**20
#: What a submission may hold; everything but what came later (retraction, attestations) is under its seals.
_SEALED = re.compile(rf"({CARD}|{SCORES}|{VERDICT}|{TRIALS}/[0-9a-f]{{64}}\.parquet)")
_ALLOWED = re.compile(rf"{_SEALED.pattern}|{RUN}|{RETRACTED}|{ATTESTATIONS}/[A-Za-z0-9._-]{{1,120}}\.json")
_OBSERVATION, _IMAGE = "observation", "image"


class Submission(Document):
    """A document of one observer without names of images and trials, which other files have. seals: file -> SHA-256.
    `references` are identities of observers whose answers the scores also depend on, such as people."""

    form: Literal["gestaltbench-submission"] = "gestaltbench-submission"  # type: ignore[assignment]
    version: Literal[1] = 1
    observers: tuple[ExportedObserver]
    owner: str
    references: tuple[Digest, ...] = ()
    seals: dict[str, Digest] = Field(default_factory=dict)


class Attestation(StrictModel):
    """Who answered a sample of a submission's trials again, when and with what. `submission` is the SHA-256 of its
    `run.json`, which decides the sample. Of its `n` trials, `agreeing` agree; `low` and `high` are the 95 % Wilson
    interval of their share."""

    form: Literal["gestaltbench-attestation"] = "gestaltbench-attestation"
    version: Literal[1] = 1
    submission: Digest
    by: str = Field(pattern=f"^{OWNER.pattern}$")
    when: str
    environment: dict[str, Any]
    n: Whole = Field(ge=1)
    agreeing: Whole = Field(ge=0)
    low: float
    high: float


def plain_json(value: Any) -> bytes:
    """Return plain data as JSON that a person can read; equal data give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def files_of(
    document: Document, observer: str, owner: str = "", references: Iterable[str] = (), verdict: str = ""
) -> dict[str, bytes]:
    """Return path -> content of an observer's part of a document; `run.json` seals the other files. A Parquet file has
    one row a trial: observation, image, and the columns of its suite, "SUITE: COLUMN"."""
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
        if rows := {row.key: row for row in own if row.stimuli == stimuli.digest}:
            pa, pq = (library(name, "parquet", "a submission", BenchError) for name in ("pyarrow", "pyarrow.parquet"))
            tables, file = [], io.BytesIO()
            for chunk in sorted(document.chunks, key=attrgetter("observation", "index")):
                if row := rows.get(chunk.observation):
                    start, columns = chunk.index * CHUNK, decode(b64decode(chunk.payload), chunk.n)
                    named = {_OBSERVATION: [row.key] * chunk.n, _IMAGE: stimuli.ids[start : start + chunk.n]}
                    values = ((name, [*held] if held.ndim > 1 else held) for name, held in columns.items())
                    tables.append(pa.table(named | {f"{row.suite}: {name}": column for name, column in values}))
            # The same bytes for the same trials and version of pyarrow.
            table = pa.concat_tables(tables, promote_options="default")
            pq.write_table(table, file, compression="zstd", compression_level=12, write_statistics=False)
            files[f"{TRIALS}/{stimuli.digest}.parquet"] = file.getvalue()
    seals = {path: sha256(content).hexdigest() for path, content in sorted(files.items())}
    return {**files, RUN: plain_json(run | {"seals": seals})}


def read_trials(
    folder: Path, stated: Submission, sets: Mapping[str, ExportedStimuli]
) -> Iterator[tuple[ExportedObservation, dict[str, Array]]]:
    """Yield the observations of a submission with their columns [n]. sets: by digest. The files may be hostile: raises
    ScoresError."""
    for digest in (digest for digest in sets if f"{TRIALS}/{digest}.parquet" in stated.seals):
        pa, pq = (library(name, "parquet", "a submission", BenchError) for name in ("pyarrow", "pyarrow.parquet"))
        own = {row.key: row for row in stated.observations if row.stimuli == digest}
        path, ids = folder / TRIALS / f"{digest}.parquet", sets[digest].ids
        with foreign("Parquet file", path, ScoresError, "Expected a file that `bench submit` wrote."):
            content = read_bytes(path, "Parquet file", ScoresError, most=LARGEST_FOLDER)
            schema = pq.read_schema(pa.BufferReader(content))
            # Texts stay codes and a vocabulary: a million equal names are small.
            texts = [field.name for field in schema if pa.types.is_string(field.type)]
            file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            sizes = [group.total_byte_size for group in groups]
            sizes += [8 * group.column(i).num_values for group in groups for i in range(group.num_columns)]
            if file.metadata.num_rows > len(own) * len(ids) or sum(sizes) > INFLATED:
                raise ValueError(f"it holds more trials than are stated, or more than {INFLATED // 2**20} MiB")
            table = file.read(use_threads=False).combine_chunks()
            columns = dict(zip(schema.names, table.columns, strict=True))
            owners, images = (_plain_column(columns.pop(name), name) for name in (_OBSERVATION, _IMAGE))
            starts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist()]
            for start, end in zip(starts, [*starts[1:], len(owners)], strict=True):
                row = own.get(str(owners[start]))
                if row is None or images[start:end].tolist() != [*ids[: end - start]]:
                    said = f"trials of observation {owners[start][:12]}"
                    raise ValueError(f"{said} are not stated, or not of the set's images in their order")
                prefix = f"{row.suite}: "
                held = {name.removeprefix(prefix): columns[name] for name in columns if name.startswith(prefix)}
                parts = ((name, column.slice(start, end - start)) for name, column in held.items())
                yield row, {name: _plain_column(part, name) for name, part in parts if part.null_count < len(part)}


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


def read_submission(folder: Path) -> Submission:
    """Return what a submission states. Raises ScoresError for a broken seal, a link, another file, or too much."""
    if not (folder / RUN).is_file():
        raise ScoresError(f"{folder} is not a submission: it has no {RUN}.")
    sizes: dict[str, int] = {}
    linked = any(place.is_symlink() for place in (folder, *folder.parents[:2]))
    for path in sorted(folder.rglob("*")):
        name, what = path.relative_to(folder).as_posix(), path.lstat()
        if stat.S_ISREG(what.st_mode) and _ALLOWED.fullmatch(name) and not linked:
            sizes[name] = what.st_size
        elif linked or not stat.S_ISDIR(what.st_mode) or name not in (TRIALS, ATTESTATIONS):
            raise ScoresError(f"{printable(name)[:200]} is a link, below one, or no file of a submission.")
    if len(sizes) > MOST_FILES or sum(sizes.values()) > LARGEST_FOLDER:
        raise ScoresError(f"more than {MOST_FILES} files or {LARGEST_FOLDER // 2**20} MiB in one submission.")
    read = partial(read_json, what="submission", error=ScoresError, most=LARGEST_FOLDER)
    with foreign("submission", folder, ScoresError):
        plain = {**read(folder / RUN), "observers": [read(folder / CARD)], "scores": read(folder / SCORES)}
    stated = checked_part(Submission, folder, plain)
    for name in sorted(stated.seals.keys() | {name for name in sizes if _SEALED.fullmatch(name)}):
        if name not in sizes or digest_file(folder / name) != stated.seals.get(name):
            raise ScoresError(f"{printable(name)[:200]} is not the file that was sealed: altered after `bench submit`.")
    return stated


def read_attestations(folder: Path, stated: Submission) -> list[Attestation]:
    """Return the attestations of a submission's present state. Raises ScoresError for one that does not fit it."""
    digest, total, found = digest_file(folder / RUN), min(SAMPLE, sum(row.n for row in stated.observations)), []
    read = partial(read_json, what="attestation", error=ScoresError)
    for file in sorted({*(folder / ATTESTATIONS).glob("*.json")} - {*(folder / ATTESTATIONS).glob(f"*{SIGNED}")}):
        each = checked_part(Attestation, file, read(file))
        if each.submission != digest:
            continue  # of an earlier state: it says nothing of this one
        fits = each.n == total and (each.low, each.high) == wilson(each.agreeing, total)
        if not fits or file.stem != each.by or each.by.lower() == stated.owner.lower():
            said = f"expected the numbers of a sample of {total} trials, by a person other than the owner"
            raise ScoresError(f"{file.name}: {said}, under their name.")
        if (bundle := file.with_name(file.name + SIGNED)).exists():
            # whose signature it is, `sigstore verify` says
            with foreign("signature", bundle, ScoresError, "Expected a bundle of sigstore."):
                signed = b64decode(read(bundle)["messageSignature"]["messageDigest"]["digest"])
            if signed.hex() != digest_file(file):
                raise ScoresError(f"{bundle.name}: signs other bytes.")
        found.append(each)
    return found


def read_chunks(folder: Path, stated: Submission, sets: Mapping[str, ExportedStimuli]) -> Iterator[ExportedChunk]:
    """Yield the trials of a submission as a document has them. Raises ScoresError."""
    for row, columns in read_trials(folder, stated, sets):
        n = len(next(iter(columns.values()), ()))
        for index, start in enumerate(range(0, n, CHUNK)):
            part = {name: values[start : start + CHUNK] for name, values in columns.items()}
            payload = b64encode(encode(part)).decode()
            yield ExportedChunk(observation=row.key, index=index, n=min(CHUNK, n - start), payload=payload)
