"""What boards leave out and what they mark: retired and renamed models, and scores of older weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.settings import Settings
from registry.card_mentions import files_about

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.store import ScoreRow, Standings
    from registry.card_notes import CardNote


@dataclass(frozen=True)
class Standing:
    """hidden: names that a board shows only when it is asked for them; outdated: name -> what to know of its scores."""

    hidden: frozenset[str] = frozenset()
    outdated: Mapping[str, str] = field(default_factory=dict)

    def marked(self, row: ScoreRow) -> ScoreRow:
        """The row, flagged where it is outdated."""
        remark = self.outdated.get(row.observer)
        return row._replace(flags=(*row.flags, remark)) if remark else row


def standing(store: Standings, settings: Settings) -> Standing:
    """How the names of a leaderboard stand to the cards of today."""
    networks = {row.name for row in store.observer_notes() if row.kind == "network"}
    former = store.former_names()
    files = files_about(networks | former, settings.cards)
    if not files:
        return Standing(former)
    from registry.card_notes import card_notes

    cards = card_notes(files, settings.card_notes)
    former |= {name for card in cards.values() for name in card.formerly}
    retired = {card.name for card in cards.values() if card.retired}
    outdated = {
        row.name: remark
        for row in store.observers_named(networks & cards.keys())
        if (remark := _remark(row.card, cards[row.name]))
    }
    return Standing(frozenset(retired | (former - cards.keys())), outdated)


def _remark(stored: Mapping[str, Any], today: CardNote) -> str:
    """Why scores under a stored card are not those of today's; "" where they are."""
    if stored.get("sha256") and today.sha256 and stored["sha256"] != today.sha256:
        return f"outdated: of older weights ({stored['sha256'][:12]})"
    for name, now in (("arch", today.arch), ("preprocess", today.preprocess)):
        if name in stored and stored[name] != now:
            return f"outdated: of another {name}"
    return ""
