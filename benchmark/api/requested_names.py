"""Which models and stimulus sets a request names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.settings import Settings

if TYPE_CHECKING:
    from benchmark.stimuli.catalogue import Entry
    from registry.cards import ModelCard

#: What `bench run` takes without --model: everything that needs no download.
DEFAULT_MODELS = "bundled"


def wanted_sets(names: str, settings: Settings) -> list[Entry]:
    """The sets of a comma list. Raises UnknownName with close matches, MissingStimuli where one is not here."""
    from benchmark.stimuli.catalogue import absent, find_entry, folder_of

    parts = [part.strip() for part in names.split(",")]
    entries = [find_entry(part, settings) for part in parts if part]
    for entry in entries:
        if folder_of(entry, settings) is None:
            raise absent(entry)
    return entries


def choose_cards(pattern: str, settings: Settings) -> list[ModelCard]:
    """Cards by name, glob or comma list; "bundled" (the default): every card whose weights are on this disk
    through the package itself or an installed package, the package's own architecture without training, and the
    ideal observers."""
    from registry.cards import read_cards, select_cards
    from registry.loading import availability

    cards = read_cards(settings.cards)
    if pattern != DEFAULT_MODELS:
        return select_cards(pattern, cards)
    return [
        card
        for card in cards.values()
        if _is_bundled(card) and availability(card, settings.place).on_disk
    ]


def _is_bundled(card: ModelCard) -> bool:
    weights = card.weights or ""
    untrained = weights.startswith("random:") and card.arch.startswith("python:registry.")
    return card.source in ("ideal", "package") or weights.startswith("builtin:") or untrained
