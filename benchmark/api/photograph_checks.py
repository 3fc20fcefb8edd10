"""What photographs tell of a network when it is registered: whether it is fed, and its classes are ordered, as it was
trained."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import MissingStimuli, StimuliError
from benchmark.settings import Settings
from benchmark.stats.intervals import wilson
from benchmark.stimuli.datasets import open_folder
from benchmark.stimuli.fetch import entry_of_folder
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.roles import ROLE, SECOND_SET

if TYPE_CHECKING:
    from benchmark.contracts import Stimuli
    from registry.determinism_checks import Check
    from registry.labels import LabelSpace
    from registry.model import LoadedModel

COUNT = 64
#: Roles of photographs, the best first: a network answers those that it was trained on, too, if it is fed as then.
PHOTOGRAPHS = (ROLE, SECOND_SET, "natural-training")
NOT_TOLD = "Crop, filter and sizes within a fifth change too few answers to check: take them from the training code."


def registration_checks(model: LoadedModel, folder: Path | None, settings: Settings) -> list[Check]:
    """Check the form in which a network will run, and then on photographs how it is fed."""
    from benchmark.engine.devices import check_tuned

    return [*check_tuned(model), *photograph_checks(model, folder, settings)]


def photograph_checks(model: LoadedModel, folder: Path | None, settings: Settings) -> list[Check]:
    """Try a network on photographs: those of `folder` (any layout that `bench data add` reads), otherwise of
    an installed set in one of its label spaces. Raises StimuliError for a folder that cannot be used."""
    from registry.cards import InputCheck
    from registry.determinism_checks import Check
    from registry.input_diagnosis import FedPhotographs, diagnose, head_order
    from registry.labels import match_names
    from registry.register import UNTRAINED

    card, labels = model.card, model.labels
    if not card.gradients or UNTRAINED in card.training:
        return []
    # The output of each class that has one of its own, by its name, its WordNet id and its category.
    place = {name: i for i, name in enumerate(match_names(labels.words or labels.classes)) if name}
    for each in labels.groupings.values():
        place |= {c: o[0] for c, o in zip(each.categories, each.indices, strict=True) if len(o) == 1}
    stimuli = photographs_for(labels, folder, settings)
    rows = [i for i, name in enumerate(stimuli.labels["category"].tolist()) if name in place] if stimuli else []
    if stimuli is None or not rows:
        line = f"bench register {card.name} ... --replace --check FOLDER"
        text = f"unchecked: no photographs of its classes are installed. `{line}` tries it on {COUNT}"
        if folder is not None:
            raise StimuliError(f"--check {folder}: its classes are not those of the label space '{labels.name}'.")
        head = head_order(model)
        told = [Check(name="classes", ok=True, detail=head[0], mark="look" if head[1] else "ok")] if head else []
        return [Check(name="photographs", ok=True, detail=f"{text}. {NOT_TOLD}", mark="note"), *told]
    targets: NDArray[np.intp] = np.array([place[str(stimuli.labels["category"][i])] for i in rows], dtype=np.intp)
    x = model.fit(model.prepare([stimuli.decode(i) for i in rows], "card"))
    outcome = diagnose(FedPhotographs(model, x), targets)
    where = stimuli.name if folder is None else folder.name
    low, high = wilson(outcome.right, outcome.n)
    right = f"{outcome.right} of {outcome.n} right ({low:.2f} to {high:.2f}) on photographs of {where}"
    better = tuple(f"{each.text}{f': {each.flags}' * bool(each.flags)}" for each in outcome.findings)
    looks = [Check(name="photographs", ok=True, mark="look", detail=text) for text in better]
    if outcome.at_chance:
        text = "at chance by every input and order that was tried: the classes are in another order or space"
        looks.append(Check(name="photographs", ok=True, mark="look", detail=text))
    n, at_chance = outcome.n, outcome.at_chance
    tried = InputCheck(photographs=where, n=n, right=outcome.right, findings=better, at_chance=at_chance)
    return [Check(name="photographs", ok=True, detail=f"{right}. {NOT_TOLD}", tried=tried), *looks]


def photographs_for(labels: LabelSpace, folder: Path | None, settings: Settings) -> Stimuli | None:
    """Open photographs of a folder, otherwise of an installed set in one of the label spaces; None without any."""
    if folder is not None:
        place = folder.resolve()
        try:
            entry = entry_of_folder("checked", place, ROLE, None, None)
        except StimuliError:  # neither WordNet ids nor the 16 categories: the network's own classes
            entry = entry_of_folder("checked", place, ROLE, labels.name, None)
        return open_folder(entry, Path(str(entry.folder)), settings, COUNT)
    for space, role in product(labels.answers, PHOTOGRAPHS):
        with suppress(MissingStimuli):
            return Resolver(space, settings, COUNT).find(role)
    return None
