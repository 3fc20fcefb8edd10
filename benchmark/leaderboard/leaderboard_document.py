"""A whole leaderboard as one document: every score with its conditions, its provenance and its trials (version 1 has no
trials). `docs/leaderboard-2.schema.json` is its JSON schema, made from the types below."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zipfile import ZipFile

from pydantic import BaseModel, ConfigDict, FailFast, Field, Strict, ValidationError

from benchmark.contracts import CHUNK, Stimuli
from benchmark.contracts.trials import ObserverKind
from benchmark.display import printable
from benchmark.failures import ScoresError
from benchmark.store import StimuliRecord
from registry.documents import read_json
from registry.user_errors import foreign

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


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a document (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Document.model_json_schema()}


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
    yield from _score_faults(document.scores, observers, sets)


def _score_faults(
    scores: Iterable[ExportedScore], observers: Collection[str], sets: Mapping[int, ExportedScoreSet]
) -> Iterator[str]:
    owners: dict[int, str] = {}
    seen: set[tuple[int, str, str, str]] = set()
    for score in scores:
        scored, what = sets.get(score.score_set), (score.score_set, score.metric, score.condition, score.role)
        called = f"'{score.metric}' of '{score.observer}'"
        if score.observer not in observers or scored is None:
            yield f"{called} names no observer or no score set of it"
        elif (scored.suite, scored.version, scored.space) != (score.suite, score.version, score.space):
            yield f"{called} is of another suite than its score set"
        elif owners.setdefault(score.score_set, score.observer) != score.observer:
            yield f"score set {score.score_set} has several observers"
        elif what in seen:
            yield f"{called} occurs twice in score set {score.score_set}"
        seen.add(what)
