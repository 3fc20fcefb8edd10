"""What photographs tell of a network when it is registered: whether it is fed, and its classes are ordered, as it was
trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import MissingStimuli, StimuliError
from benchmark.settings import Settings
from benchmark.stats.intervals import wilson
from benchmark.stimuli.datasets import open_folder, sample
from benchmark.stimuli.fetch import describe
from benchmark.stimuli.roles import ROLE, Resolver
from registry.cards import ModelCard

if TYPE_CHECKING:
    from benchmark.contracts import Stimuli
    from registry.determinism_checks import Check
    from registry.input_diagnosis import Diagnosis
    from registry.labels import Grouping, LabelSpace

COUNT = 64
NOT_TOLD = (
    "Crop, filter and sizes within a fifth change too few answers to be checked: take them from the training code."
)


def photograph_checks(card: ModelCard, folder: Path | None, settings: Settings) -> list[Check]:
    """Try a registered network on photographs: those of `folder` (any layout that `bench data add` reads), otherwise of
    an installed natural set in one of its label spaces. Raises StimuliError for a folder that cannot be used."""
    from registry.determinism_checks import Check
    from registry.input_diagnosis import diagnose
    from registry.loading import labels_of, load_model
    from registry.register import UNTRAINED

    if card.source == "ideal" or not card.gradients or UNTRAINED in card.training:
        return []
    labels = labels_of(card)
    found = _photographs(labels, folder, settings)
    if found is None:
        line = f"bench register {card.name} ... --replace --check FOLDER"
        text = f"unchecked: no photographs of its classes are installed. `{line}` tries it on {COUNT}"
        return [Check(name="photographs", ok=True, detail=text, mark="note")]
    stimuli, grouping = found
    model = load_model(card, settings.place)
    place = {category: outputs[0] for category, outputs in zip(grouping.categories, grouping.indices, strict=True)}
    targets: NDArray[np.intp] = np.array([place[str(name)] for name in stimuli.labels["category"]], dtype=np.intp)
    outcome = diagnose(model, [stimuli.decode(i) for i in range(len(stimuli))], targets)
    return _lines(outcome, stimuli.name if folder is None else folder.name)


def _photographs(labels: LabelSpace, folder: Path | None, settings: Settings) -> tuple[Stimuli, Grouping] | None:
    """Return photographs and the grouping of outputs into their classes, of one output each; None without any."""
    plain = {space: each for space, each in labels.groupings.items() if all(len(o) == 1 for o in each.indices)}
    if folder is not None:
        entry = describe("checked", folder.resolve(), ROLE, None if labels.name == "imagenet1k" else labels.name, None)
        stimuli = open_folder(entry, folder.resolve(), settings, COUNT)
        grouping = plain.get(stimuli.space)
        if grouping is None or not {*stimuli.labels["category"].tolist()} <= {*grouping.categories}:
            raise StimuliError(f"--check {folder}: its classes are not those of the label space '{labels.name}'.")
        return stimuli, grouping
    for space, grouping in plain.items():
        try:
            return sample(Resolver(space, settings).find(ROLE), COUNT), grouping
        except MissingStimuli:
            continue
    return None


def _lines(found: Diagnosis, where: str) -> list[Check]:
    from registry.determinism_checks import Check

    low, high = wilson(found.right, found.n)
    right = f"{found.right} of {found.n} right ({low:.2f} to {high:.2f}) on photographs of {where}"
    rows = [
        Check(name="photographs", ok=True, mark="look", detail=f"{each.text}{f': {each.flags}' * bool(each.flags)}")
        for each in found.findings
    ]
    if found.at_chance and not rows:
        fits = ", while the first layer fits" if found.divergence is not None and found.divergence < 0.1 else ""
        text = f"at chance by every input and order tried{fits}: the classes are in another order or space"
        rows.append(Check(name="photographs", ok=True, mark="look", detail=text))
    return [Check(name="photographs", ok=True, detail=f"{right}. {NOT_TOLD}"), *rows]
