"""What goes into the store and what comes out, as plain values. No SQL here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from benchmark.contracts import Array

OutcomeStatus = Literal["done", "not applicable", "failed", "partial"]
#: The suite under which imported trials are stored: once, and scored by every suite that knows their stimuli.
IMPORTED = "trials"
#: Kinds of observers whose scores are made of imported trials alone.
IMPORTED_KINDS = ("human", "published", "group")


@dataclass(frozen=True, slots=True)
class Observation:
    """One observer's answers to one block: what was asked. The answers themselves are its chunks.

    key: the observation's identity (a digest); observer: id that `put_observer` gave;
    stimuli: digest; transform: JSON text, "" where there is none; n: stimuli in the block;
    details: JSON-able (policy, configuration, ...), kept for provenance.
    """

    key: str
    observer: int
    suite: str
    version: int
    space: str
    stimuli: str
    role: str
    condition: str
    presentation: str
    transform: str
    n: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObservation(Observation):
    """An observation as stored, under the name of a current observer of that identity."""

    observer_name: str = ""
    created: str = ""


@dataclass(frozen=True)
class Chunk:
    """Consecutive trials of one observation: the unit of commit and resume.

    index: place on the fixed chunk grid; start: position of the first trial in the block's stimuli;
    columns: name -> one value per trial (first axis): numbers, booleans or text.
    """

    key: str
    index: int
    start: int
    columns: Mapping[str, Array]


@dataclass(frozen=True)
class ScoreSet:
    """All scores of one observer on one suite, made together.

    code: digest of the scoring code; stimuli: role -> digest;
    keys: the observations that were scored.
    """

    observer: int
    suite: str
    version: int
    space: str
    code: str
    stimuli: Mapping[str, str]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How one piece of work (observer x suite x space) ended; failures carry their message."""

    observer: int | None
    observer_name: str
    suite: str
    space: str
    status: OutcomeStatus
    reason: str
    detail: str
    run: int
    created: str


@dataclass(frozen=True)
class StimuliRecord:
    """A stimulus set as stored, without images.

    ids: image names; labels: columns of text, one value per image.
    """

    name: str
    digest: str
    space: str
    ids: tuple[str, ...]
    labels: Mapping[str, Array]
    whole: int | None
    origin: str
