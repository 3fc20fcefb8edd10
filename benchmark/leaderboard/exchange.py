"""A whole leaderboard as one document that other programs can read: every score with its conditions and provenance.

The form is versioned: a reader of version 1 reads every document that says 1. `docs/leaderboard-1.schema.json` is its
JSON schema, made from the types below."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, Strict, ValidationError

from benchmark.display import printable
from benchmark.errors import ScoresError
from registry.foreign import foreign, read_json

T = TypeVar("T")

#: What identifies content: hex digits.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Numbers as JSON has them: no text of digits, no truth value.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]


class StrictModel(BaseModel):
    """Part of a document: nothing that is not named, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExportedObserver(StrictModel):
    """Whoever answered. identity: digest of what decides the answers; card: the model card, {} for people."""

    name: str
    kind: str
    identity: Digest
    card: dict[str, Any] = {}


class ExportedStimuli(StrictModel):
    """A stimulus set. n: images that were shown; whole: images of the published set, where it is known."""

    digest: Digest
    name: str
    space: str
    n: Whole = Field(ge=0)
    whole: Whole | None = None
    origin: str = ""


class ExportedRun(StrictModel):
    """A command that computed something. environment: versions, device, code revision."""

    run: Whole
    command: str
    started: str
    ended: str | None = None
    status: str = ""
    environment: dict[str, Any] = {}


class ExportedScoreSet(StrictModel):
    """Scores that were made together. code: digest of the scoring code; stimuli: role -> digest of its set;
    observations: keys of the trials behind them; runs: those that computed the trials and the scores."""

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
    """One number. value None: there is none, and `reason` says why; low, high: its interval at `level`, made by
    `method`; n: trials that count; condition "": over all conditions; stimuli: digest of the role's set."""

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


#: The first fault is enough: a list of 300,000 empty objects has some million.
Rows = Annotated[tuple[T, ...], FailFast()]


class Document(StrictModel):
    """A leaderboard. program: the version that wrote it."""

    form: Literal["gestaltbench-leaderboard"] = "gestaltbench-leaderboard"
    version: Literal[1] = 1
    program: str
    observers: Rows[ExportedObserver]
    stimuli: Rows[ExportedStimuli]
    runs: Rows[ExportedRun]
    score_sets: Rows[ExportedScoreSet]
    scores: Rows[ExportedScore]


def json_schema() -> dict[str, Any]:
    """The JSON schema of a document (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Document.model_json_schema()}


# A document of another leaderboard, read as what it is: somebody else's file, in which nothing is taken on trust.
LARGEST = 256 * 2**20  # bytes: a thousand observers under five suites are about 150 MB
LONGEST, LONGEST_NAME = 20_000, 200  # characters of a text, of an observer's name
DEEPEST = 24  # lists and objects in one another
WIDEST = 2**53  # whole numbers beyond are no counts
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")  # and halves of characters


def read_document(path: Path) -> Document:
    """The document in a file. Raises ScoresError where it is none, is larger than any, or does not fit together."""
    plain = read_json(path, "leaderboard document", ScoresError, most=LARGEST)
    form = plain.get("form") if isinstance(plain, dict) else None
    if form != "gestaltbench-leaderboard":
        raise ScoresError(
            f"{path}: no leaderboard document. `bench export --scores -o FILE.json` writes one; tables of scores come "
            "in with `bench import scores`."
        )
    version = plain.get("version")
    if version != 1 or isinstance(version, bool):
        raise ScoresError(
            f"{path}: version {printable(str(version))[:40]} of the form; this program reads version 1. "
            "Update it, or ask for an export in version 1."
        )
    # Raises ScoresError for a value that no store holds: a text without end, of half characters, a number beyond
    # all counts, or nesting without end.
    ahead: list[tuple[Any, int]] = [(plain, 0)]
    while ahead:
        value, depth = ahead.pop()
        if depth > DEEPEST:
            raise ScoresError(f"{path}: nested deeper than {DEEPEST}.")
        if isinstance(value, dict | list):
            parts = value if isinstance(value, list) else [*value, *value.values()]
            ahead += ((part, depth + 1) for part in parts)
        elif isinstance(value, str) and (len(value) > LONGEST or _UNSTORABLE.search(value)):
            raise ScoresError(
                f"{path}: the text {printable(value[:40])!r} has more than {LONGEST} characters, or some that no "
                "leaderboard holds."
            )
        elif isinstance(value, int | float) and not abs(value) <= WIDEST:
            raise ScoresError(f"{path}: a number that is not finite, or beyond 2^53.")
    with foreign("leaderboard document", path, ScoresError, "Its form: docs/leaderboard-1.schema.json."):
        try:
            document = Document.model_validate(plain)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place[:200]}: {first['msg']} ({error.error_count()} faults in all)") from error
    for fault in _faults(document):
        raise ScoresError(f"{path}: {printable(fault)}. The document does not fit together.")
    return document


def _faults(document: Document) -> Iterator[str]:
    """What does not fit together."""
    observers = {observer.name for observer in document.observers}
    sets = {scored.id: scored for scored in document.score_sets}
    digests = {stimuli.digest for stimuli in document.stimuli}
    for noun, unique, every in (
        ("an observer", observers, document.observers),
        ("a stimulus set", digests, document.stimuli),
        ("a score set", sets, document.score_sets),
    ):
        if len(unique) < len(every):
            yield f"{noun} stands twice in it"
    for name in observers:
        if not name.strip() or len(name) > LONGEST_NAME:
            yield f"an observer's name is empty or longer than {LONGEST_NAME}: '{name[:40]}'"
    owners: dict[int, str] = {}
    seen: set[tuple[int, str, str, str]] = set()
    for score in document.scores:
        scored, what = sets.get(score.score_set), (score.score_set, score.metric, score.condition, score.role)
        called = f"'{score.metric}' of '{score.observer}'"
        if score.observer not in observers or scored is None:
            yield f"{called} names no observer or no score set of it"
        elif (scored.suite, scored.version, scored.space) != (score.suite, score.version, score.space):
            yield f"{called} is of another suite than its score set"
        elif owners.setdefault(score.score_set, score.observer) != score.observer:
            yield f"score set {score.score_set} has several observers"
        elif what in seen:
            yield f"{called} stands twice in score set {score.score_set}"
        seen.add(what)
