"""A whole leaderboard as one document that other programs can read: every score with its conditions and provenance.

The form is versioned: a reader of version 1 reads every document that says 1. `docs/leaderboard-1.schema.json` is its
JSON schema, made from the types below.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

#: What identifies content: hex digits.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Numbers as JSON has them: no text of digits, no truth value.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]


class _Part(BaseModel):
    """Nothing that is not named, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExportedObserver(_Part):
    """Whoever answered. identity: digest of what decides the answers; card: the model card, {} for people."""

    name: str
    kind: str
    identity: Digest
    card: dict[str, Any] = {}


class ExportedStimuli(_Part):
    """A stimulus set. n: images that were shown; whole: images of the published set, where it is known."""

    digest: Digest
    name: str
    space: str
    n: Whole = Field(ge=0)
    whole: Whole | None = None
    origin: str = ""


class ExportedRun(_Part):
    """A command that computed something. environment: versions, device, code revision."""

    run: Whole
    command: str
    started: str
    ended: str | None = None
    status: str = ""
    environment: dict[str, Any] = {}


class ExportedScoreSet(_Part):
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


class ExportedScore(_Part):
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


class Document(_Part):
    """A leaderboard. program: the version that wrote it."""

    form: Literal["gestaltbench-leaderboard"] = "gestaltbench-leaderboard"
    version: Literal[1] = 1
    program: str
    observers: tuple[ExportedObserver, ...]
    stimuli: tuple[ExportedStimuli, ...]
    runs: tuple[ExportedRun, ...]
    score_sets: tuple[ExportedScoreSet, ...]
    scores: tuple[ExportedScore, ...]


def json_schema() -> dict[str, Any]:
    """The JSON schema of a document (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Document.model_json_schema(),
    }
