"""Other networks that a suite shows its images to, beside the one that is tested."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from benchmark.contracts import Network
from benchmark.errors import CardError, LabelError, MissingStimuli, WeightsError
from benchmark.settings import Settings
from registry.availability import availability
from registry.card_files import read_cards
from registry.cards import ModelCard
from registry.labels import label_space
from registry.load import load_model

if TYPE_CHECKING:
    from registry.model import LoadedModel


def peers(names: Sequence[str], space: str, settings: Settings) -> tuple[Network, ...]:
    """The networks of those names that answer in `space` and have their weights on this disk, each loaded once.

    They are loaded here, so that what depends on them can name their weights before anything is shown. Raises
    MissingStimuli where one cannot be loaded.
    """
    cards = read_cards(settings.cards)
    known = [cards[name] for name in names if name in cards and cards[name].source != "ideal"]
    return tuple(
        _network(card, settings)
        for card in known
        if space in label_space(card.labels).answers and availability(card, settings.place).on_disk
    )


def _network(card: ModelCard, settings: Settings) -> Network:
    try:
        model = load_model(card, settings.place)
    except (WeightsError, CardError, LabelError) as error:
        raise MissingStimuli(
            f"the network '{card.name}' is shown the images, too: {error}"
        ) from error
    return Network(card.name, model.identity, partial(_on, model))


def _on(model: "LoadedModel", device: str) -> "LoadedModel":
    model.module.to(device)
    return model
