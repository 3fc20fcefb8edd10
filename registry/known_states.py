"""Published networks, known by their tensors in whatever file these are. They are those of the cards that come with
gestaltbench (known_states.yaml), and those that were loaded on this machine."""

import json
from collections.abc import Mapping
from contextlib import suppress

from torch import Tensor

from registry.architectures import random_seed
from registry.cards import ModelCard, Preprocess, builtin_cards, heads_of
from registry.determinism_checks import Check
from registry.documents import own_table
from registry.files import WeightSources, canonical, digest_state, write_whole
from registry.labels import label_space
from registry.model import LoadedModel
from registry.preprocessing import agrees
from registry.user_errors import LabelError


def state_key(state: Mapping[str, Tensor]) -> str:
    """Return the digest of names, shapes and bytes, without counters of batches and modules around the whole."""
    plain = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    while all("." in name for name in plain) and len({name.partition(".")[0] for name in plain}) == 1:
        plain = {name.partition(".")[2]: tensor for name, tensor in plain.items()}
    return digest_state(plain)


def known_card(key: str, place: WeightSources) -> ModelCard | None:
    """Return the card of the published network with these weights; None if they are not known here."""
    if name := own_table("known_states").get(key):
        return builtin_cards()[name]
    for file in sorted(place.weights_folder.with_name("known").glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, LabelError):  # no record, or its labels are gone
            record = json.loads(file.read_bytes())
            if record["key"] == key:
                card = ModelCard.model_validate(record["card"])
                label_space(card.labels)
                return card
    return None


def has_own_weights(card: ModelCard) -> bool:
    """Return whether the tensors of a card's network are published, and say all that it answers with."""
    added = heads_of(card) or "boxes" in card.options or card.simulated
    return not added and bool(card.weights or card.source != "python") and random_seed(card.weights) is None


def remember_network(model: LoadedModel, place: WeightSources) -> None:
    """Keep the card of a published network for files of its weights, if the folder can be written to."""
    card, folder = model.card, place.weights_folder.with_name("known")
    file = folder / f"{model.digest}.json"  # one a network: two processes write the same
    if has_own_weights(card) and not file.exists():
        record = {"key": state_key(model.module.state_dict()), "card": card.model_dump(mode="json")}
        with suppress(OSError):
            write_whole(file, canonical(record))


def known_check(model: LoadedModel, place: WeightSources) -> list[Check]:
    """Return a line on whose weights a network has, and on all that differs from that network's card."""
    card, known = model.card, known_card(state_key(model.module.state_dict()), place)
    ours, theirs = card.preprocess, known.preprocess if known else None
    if known is None or ours is None or theirs is None:
        return []
    published = f"the weights are those of {known.name}"
    if card.own_transform:  # which no option replaces
        return [Check(name="known", ok=True, mark="note", detail=f"{published}; its own transform feeds them")]
    same = {"fixed_size", "margin", "fill", *(("mean", "std", "scale") if agrees(dict(theirs), dict(ours)) else ())}
    fields = [name for name in Preprocess.model_fields if name not in same]
    differing = {name: getattr(theirs, name) for name in fields if getattr(theirs, name) != getattr(ours, name)}
    # a file's architecture is as given; that of the hub is in its configuration
    arch, other = (each.arch.partition(".")[0] if each.arch[:5] == "timm:" else each.arch for each in (card, known))
    if card.source == "file" and known.source != "hub" and arch != other:
        differing["arch"] = known.arch
    if model.labels.digest != label_space(known.labels).digest:
        differing["labels"] = known.labels
    words = {name: ",".join(f"{n:g}" for n in v) if isinstance(v, tuple) else str(v) for name, v in differing.items()}
    flags = " ".join(f"--{name.replace('_', '-')} {word}" for name, word in words.items())
    text = f"published with {flags}" if flags else "fed and labelled as published"
    return [Check(name="known", ok=True, mark="look" if flags else "", detail=f"{published}, {text}")]
