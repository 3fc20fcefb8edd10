"""Models by name: cards, loading, registration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.opening import suites_with_scores
from benchmark.errors import CardError, unknown_name
from benchmark.plugins import find_suites
from benchmark.settings import Settings
from benchmark.variables import read_settings
from registry.files import expanded

if TYPE_CHECKING:
    from registry.cards import ModelCard
    from registry.checks import Check
    from registry.model import LoadedModel
    from registry.simulated import IdealObserver


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
    from benchmark.engine.devices import choose_device
    from registry.loading import load_observer

    settings = read_settings()
    card = one_card(name, settings)
    return load_observer(card, settings.place, device=choose_device(device))


def register(
    name: str, arch: str, weights: str | None = None, **options: Any
) -> tuple[ModelCard, list[Check]]:
    """Load a checkpoint once, check it, and freeze its digest and preprocessing into a card."""
    from registry.registration import register as register_card

    settings = read_settings()
    path = Path(weights) if weights else None
    return register_card(
        name, arch, path, cards_folder=settings.cards, place=settings.place, **options
    )


def register_each_template(
    name: str, arch: str, weights: str | None = None, *, options: Mapping[str, Any], **others: Any
) -> Iterator[tuple[ModelCard, list[Check]]]:
    """`register` a zero-shot model for each template of `options["templates"]` by itself, called after its words."""
    from registry.admission import Shelf, require_free
    from registry.families.open_clip import for_each_template

    if not arch.startswith("open_clip:"):
        raise CardError("--each-template is for models with templates: --arch open_clip:...")
    settings = read_settings()
    shelf = Shelf(settings.cards, settings.place, replaces=bool(others.get("replaces")))
    chosen = for_each_template(name, str(options.get("templates") or "80"))
    for one in chosen:
        require_free(one, shelf)
    for one, template in chosen.items():
        yield register(one, arch, weights, options={"templates": template}, **others)


def remove_model(name: str) -> tuple[Path, ...]:
    """Delete a registered card and return the files of its heads, which go with it; weights and stored answers stay."""
    from registry.cards import remove_card

    return remove_card(name, read_settings().cards)


def retire_model(name: str, *, retired: bool = True) -> ModelCard:
    """Take a registered model from boards and patterns, or back; what is stored of it stays."""
    from registry.cards import retire_card

    return retire_card(name, read_settings().cards, retired=retired)


def rename_model(name: str, new: str, *, db: str | None = None) -> ModelCard:
    """Give a registered model another name; its stored trials are scored again under it."""
    from registry.cards import rename_card

    settings = read_settings(db)
    card = rename_card(name, new, settings.cards)
    _scored_as(card, name, settings)
    return card


def _scored_as(card: ModelCard, former: str, settings: Settings) -> None:
    """Scores of what a former name answered, under the card's own name. Answers belong to weights, not to names."""
    from dataclasses import replace

    from benchmark.contracts import Observer
    from benchmark.engine.environment import environment
    from benchmark.engine.scoring import Scorer
    from benchmark.store import open_store

    with open_store(settings.db) as store:
        rows = [row for row in store.observers_named({former}) if row.kind == "network"]
        if not rows:
            return
        (known,) = rows
        run = store.begin_run(f"bench models rename {former} {card.name}", environment("none", 1))
        plain = card.model_dump(mode="json")
        row = store.put_observer(Observer(card.name, "network", known.identity, plain))
        for suite in suites_with_scores(store):
            mine = {o.key: o for o in store.observations(observer=former, suite=suite.name)}
            for shown in store.score_sets(suite.name):
                owned = [mine[key] for key in shown.keys if key in mine]
                if (
                    shown.observer == known.id
                    and owned
                    and all(store.complete(o.key) for o in owned)
                ):
                    new = [replace(o, observer=row, observer_name=card.name) for o in owned]
                    Scorer(store, run, suite).observer(new, new[0].details.get("missing", {}))
        store.end_run(run, "done")


def entrances(card: ModelCard) -> list[tuple[str, str]]:
    """(suite, what keeps the model out, "" where it can enter), looking at a few stimuli of each set."""
    from benchmark.engine.plan import plan_tasks

    suites = list(find_suites().suites.values())
    found: dict[str, str] = {}
    for task in plan_tasks([card], suites, read_settings(), 64):
        reason = "" if task.plan.blocks else task.reason
        found[task.suite.name] = reason and found.get(task.suite.name, reason)
    return list(found.items())


def named_or_registered(what: str, arch: str, labels: str | None) -> tuple[str, Sequence[Check]]:
    """The name or pattern of models that `what` is; the path of a checkpoint or folder is registered under its own
    name, unless that very file is already. Returns the name, and what a registration checked.
    """
    from registry.cards import read_cards

    settings, path = read_settings(), expanded(what)
    cards = read_cards(settings.cards)
    if what in cards or not path.exists():
        return what, ()
    from registry.architectures import whole_arch
    from registry.families.detectors import PREFIX
    from registry.families.family import FAMILIES

    wanted, kind = whole_arch(arch.removeprefix(PREFIX)), arch.partition(":")[0]
    whole = path.resolve()
    inside = {str(whole), *(str(one) for one in whole.glob("*") if whole.is_dir())}
    for card in cards.values():
        alike = kind in FAMILIES and card.arch.startswith(f"{kind}:")
        fits = alike or wanted in ("", card.arch)
        if card.weights in inside and fits and labels in (None, card.labels):
            return card.name, ()
    name = re.sub("[^A-Za-z0-9._+-]", "-", path.stem if path.is_file() else whole.name).lstrip(
        "._+-"
    )
    if path.suffix == ".pt2" and not arch:
        arch = "export"
    card, checks = register(name or "model", arch, str(path), labels=labels)
    return card.name, checks
