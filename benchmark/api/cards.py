"""Models by name: cards, loading, registration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import unknown_name
from benchmark.settings import Settings, read_settings

if TYPE_CHECKING:
    from registry.cards import ModelCard
    from registry.checks import Check
    from registry.ideal import IdealObserver
    from registry.model import LoadedModel


def models(pattern: str | None = None) -> list[ModelCard]:
    """Cards, built-in and registered, by name, glob or comma list."""
    from registry.cards import read_cards, select_cards

    cards = read_cards(read_settings().cards)
    return select_cards(pattern, cards) if pattern else list(cards.values())


def one_card(name: str, settings: Settings) -> ModelCard:
    """Exactly one card, by its exact name."""
    from registry.cards import read_cards

    cards = read_cards(settings.cards)
    if name not in cards:
        raise unknown_name("model", name, cards, "`bench models` lists them.")
    return cards[name]


def load_model(name: str, *, device: str = "cpu") -> LoadedModel | IdealObserver:
    """A registered model, loaded: `model.forward(images NCHW in [0,1]) -> logits`."""
    from benchmark.engine.device import choose_device
    from registry.load import load_observer

    settings = read_settings()
    card = one_card(name, settings)
    return load_observer(
        card,
        weights_folder=settings.weights,
        mirror=settings.mirror,
        caches=settings.caches,
        device=choose_device(device),
    )


def register(
    name: str, arch: str, weights: str | None = None, **options: Any
) -> tuple[ModelCard, list[Check]]:
    """Load a checkpoint once, check it, and freeze its digest and preprocessing into a card."""
    from registry.registration import register as register_card

    settings = read_settings()
    path = Path(weights) if weights else None
    return register_card(
        name,
        arch,
        path,
        cards_folder=settings.cards,
        weights_folder=settings.weights,
        mirror=settings.mirror,
        caches=settings.caches,
        **options,
    )
