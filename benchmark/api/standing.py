"""What boards leave out and what they mark: retired and renamed models, and scores of older weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.store import ScoreRow, Store
    from registry.cards import ModelCard


@dataclass(frozen=True)
class Standing:
    """hidden: names that a board shows only when it is asked for them; outdated: name -> what to know of its scores."""

    hidden: frozenset[str] = frozenset()
    outdated: Mapping[str, str] = field(default_factory=dict)

    def marked(self, row: ScoreRow) -> ScoreRow:
        """The row, flagged where it is outdated."""
        remark = self.outdated.get(row.observer)
        return row._replace(flags=(*row.flags, remark)) if remark else row


def standing(store: Store, settings: Settings) -> Standing:
    """How the names of a leaderboard stand to the cards of today."""
    networks = {row.name for row in store.observer_notes() if row.kind == "network"}
    former = store.former_names()
    from registry.cards import read_cards  # YAML and pydantic are slow to import

    cards = read_cards(settings.cards)
    former |= {name for card in cards.values() for name in card.formerly}
    retired = {card.name for card in cards.values() if card.retired}
    outdated = {
        row.name: remark
        for row in store.observers_named(networks & cards.keys())
        if (remark := _remark(row.card, cards[row.name]))
    }
    return Standing(frozenset(retired | (former - cards.keys())), outdated)


def _remark(stored: Mapping[str, Any], today: ModelCard) -> str:
    """Why scores under a stored card are not those of today's; "" where they are."""
    if stored.get("sha256") and today.sha256 and stored["sha256"] != today.sha256:
        return f"outdated: of older weights ({stored['sha256'][:12]})"
    plain = today.model_dump(mode="json", include={"arch", "preprocess"})
    for name, now in plain.items():
        if name in stored and stored[name] != now:
            return f"outdated: of another {name}"
    return ""
