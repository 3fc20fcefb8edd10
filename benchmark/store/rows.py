"""Input and output of the store, as plain values. No SQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from benchmark.contracts import Array, Stimuli

#: How a piece of work ended; the piece: observer, suite, label space.
Ending = Literal["done", "not applicable", "waiting for data", "failed", "partial"]
Work = tuple[str, str, str]
#: The suite under which imported trials are stored: once, and scored by every suite that knows their stimuli.
IMPORTED = "trials"
PAIRED = ":paired"  # ends the name of a suite that stops once the verdict on two networks is clear
IMPORTED_KINDS = ("human", "published", "group")  # kinds of observers whose scores are made of imported trials alone
_ROUNDING = 1e-9  # ends of an interval that differ by less are equal: what rounding leaves of an interval without width


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One observer's task on one block; the answers are its chunks."""

    key: str  # its identity (a digest)
    observer: str  # id from `put_observer`
    suite: str  # `IMPORTED` for trials of a table
    version: int  # of the suite
    space: str
    stimuli: str  # digest
    role: str  # of the stimuli in the suite; of imported trials their experiment
    presentation: str  # how images reach the network: "whole", "crop224", "published"
    n: int  # stimuli in the block
    condition: str = ""
    transform: str = ""  # its name; "" for images as they are
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON-able (policy, ...), kept for provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObservation(Observation):
    """An observation as stored, under the name of a current observer of that identity."""

    observer_name: str = ""
    created: str = ""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive trials of one observation: the unit of commit and resume."""

    key: str
    index: int  # place on the fixed chunk grid
    start: int  # position of the first trial in the block's stimuli
    columns: Mapping[str, Array]  # name -> one value per trial (first axis): numbers, booleans or text


@dataclass(frozen=True, kw_only=True)
class ScoreSet:
    """All scores of one observer on one suite, computed together."""

    observer: str  # id from `put_observer`
    suite: str
    version: int
    space: str  # label space of the answers
    code: str  # digest of the scoring code
    stimuli: Mapping[str, str]  # role -> digest
    keys: tuple[str, ...]  # the observations that were scored
    id: str = ""  # until it is stored


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one piece of work (observer x suite x space) ended; failures carry their message."""

    observer: str | None  # id, None if it was never loaded
    observer_name: str
    suite: str
    space: str
    status: Ending
    reason: str  # for a person
    detail: str  # of "partial": which observations are scored together
    run: str
    created: str  # ISO 8601, UTC


@dataclass(frozen=True, kw_only=True)
class StimuliRecord:
    """A stimulus set as stored, without images."""

    name: str
    digest: str
    space: str
    ids: tuple[str, ...]  # image names
    labels: Mapping[str, Array]  # columns of text, one value per image
    whole: int | None  # images of the published set, if this is known
    origin: str  # where it came from: "catalogue", "added", "generated", ...

    def shows(self, other: "StimuliRecord | Stimuli") -> bool:
        """Return whether another set has the same image names and labels."""
        mine, theirs = ({name: values.tolist() for name, values in each.labels.items()} for each in (self, other))
        return self.ids == other.ids and mine == theirs


class ScoreRow(NamedTuple):
    """One score with all that is needed to show and rank it. A named tuple, because tables have 100,000 rows."""

    observer: str
    kind: str  # of observer
    training: tuple[str, ...]  # the card's recipe tags
    suite: str
    version: int  # of the suite
    space: str
    created: str  # when the set was stored (ISO 8601, UTC)
    set_id: str  # for `Store.provenance`
    stimuli: str  # digest of the role's stimuli ("" without a role)
    flags: tuple[str, ...]
    metric: str
    condition: str
    role: str
    value: float | None  # None: undefined, for the `reason`
    reason: str
    low: float | None
    high: float | None
    level: float  # of the interval
    method: str  # of the interval
    n: int  # trials that count
    excluded: int  # trials of the metric's role that do not count
    policy: str = ""  # how the observer was run ("cpu fp32, seed 0"), "" for imported trials
    replaced: tuple[str, ...] = ()  # other ways in which it was run before, on the same stimuli
    program: str = ""  # the version of gestaltbench that made it; "" for numbers of others


class StimuliNote(NamedTuple):
    """A stimulus set without its images' names and labels."""

    digest: str
    name: str
    space: str
    n: int  # images that were shown
    whole: int | None  # images of the published set, if this is known
    origin: str

    @property
    def partial(self) -> bool:
        """Return whether the set is a part of the published one."""
        return self.whole is not None and self.n < self.whole

    @property
    def painted(self) -> str:
        """Describe how this program made the images from the user's own pictures; "" where it did not."""
        return self.origin if self.origin.startswith("stylised: ") else ""


class ObserverRow(NamedTuple):
    """An observer as stored."""

    id: str  # digest of the row
    name: str
    kind: str
    identity: str  # digest of what decides the answers
    card: Mapping[str, Any]  # the model card as plain data, {} for people
    created: str

    @property
    def training(self) -> tuple[str, ...]:
        """The recipe tags of the card; () where it states none."""
        return card_tags(self.card)


def card_tags(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the card's training as tags; a single text is one tag."""
    tags = card.get("training") or ()
    return (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags)


def fault(score: Any) -> str:
    """Return the fault in the numbers of a `Score` or a row of `scores`, "" without one."""
    ends = (score.value, score.low, score.high, score.level)
    if any(number is not None and number != number for number in ends):
        return "NaN is no score; undefined is None with a reason"
    if score.value is None and not score.reason:
        return "it is undefined and gives no reason"
    if not 0 < score.level < 1:
        return f"the level of its interval is {score.level}; expected a share between 0 and 1, such as 0.95"
    if score.low is not None and score.high is not None and score.low - score.high > _ROUNDING:
        return f"its interval begins at {score.low} and ends below, at {score.high}"
    if score.n < 0 or score.excluded < 0:
        return f"it counts {score.n} trials and leaves out {score.excluded}"
    return ""
