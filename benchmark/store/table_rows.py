"""What comes out of the store to stand in a table, as plain values. Named tuples: tables have 100,000 rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class ScoreRow(NamedTuple):
    """One score with what is needed to show and rank it; score fields as in `contracts.Score`.

    training: the card's recipe tags; stimuli: digest of the role's stimuli ("" without a role);
    created: when the set was stored (ISO 8601, UTC); set_id: for `Store.provenance`;
    policy: how the observer was run ("cpu fp32, seed 0"), "" where its trials were imported; replaced: other ways
    in which it was run before, on the same stimuli.
    """

    observer: str
    kind: str
    training: tuple[str, ...]
    suite: str
    version: int
    space: str
    created: str
    set_id: int
    stimuli: str
    flags: tuple[str, ...]
    metric: str
    condition: str
    role: str
    value: float | None
    reason: str
    low: float | None
    high: float | None
    level: float
    method: str
    n: int
    excluded: int
    policy: str = ""
    replaced: tuple[str, ...] = ()


class StimuliNote(NamedTuple):
    """A stimulus set without its images' names and labels."""

    digest: str
    name: str
    space: str
    n: int
    whole: int | None
    origin: str

    @property
    def painted(self) -> str:
        """How this program made the images from the user's own pictures; "" where it did not."""
        return self.origin if self.origin.startswith("stylised: ") else ""


def recipe_tags(card: Mapping[str, Any]) -> tuple[str, ...]:
    """What a card says of the training, as tags; a single text is one tag."""
    tags = card.get("training") or ()
    return (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags)


class ObserverNote(NamedTuple):
    """An observer without its card."""

    name: str
    kind: str
    identity: str


class ObserverRow(NamedTuple):
    """An observer as stored; card: the model card as plain data, {} for people."""

    id: int
    name: str
    kind: str
    identity: str
    card: Mapping[str, Any]
    created: str

    @property
    def training(self) -> tuple[str, ...]:
        """The recipe tags of the card; () where it states none."""
        return recipe_tags(self.card)
