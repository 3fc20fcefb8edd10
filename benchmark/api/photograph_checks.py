"""Checks of a network on photographs when it is registered. They find whether it gets its training input, whether its
classes are in the assumed order, and whether it decides as its user's own code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from inspect import Parameter, signature
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import CardError, MissingStimuli, StimuliError, WeightsError
from benchmark.settings import Settings
from benchmark.stats.intervals import wilson
from benchmark.stimuli.datasets import open_folder
from benchmark.stimuli.fetch import entry_of_folder
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.roles import ROLE, SECOND_SET
from benchmark.stimuli.world.sets import training_set
from registry.cards import Certificate
from registry.code import code_digest
from registry.files import expanded
from registry.user_errors import foreign

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.contracts import Stimuli
    from registry.determinism_checks import Check
    from registry.labels import LabelSpace
    from registry.model import Given, LoadedModel

COUNT = 64
#: Roles of photographs, the best first: a network answers those that it was trained on, too, if it is fed as then.
PHOTOGRAPHS = (ROLE, SECOND_SET, "natural-training")
#: Photographs that are shown at once.
_BATCH = 16
#: Preprocessed values that are equal but for rounding, relative to the largest of them.
_EQUAL = 1e-5
_EXPECTED = "Expected a file with `model` and `transform`, or FILE.py:NAME of both or of a function that returns both."
NOT_TOLD = "Crop, filter and sizes within a fifth change too few answers to check: take them from the training code."


def registration_checks(
    model: LoadedModel, folder: Path | None, settings: Settings, script: str | None = None
) -> list[Check]:
    """Check the form in which a network will run, how it is fed, and that it decides as a script of its user's."""
    from benchmark.engine.devices import check_tuned

    rows = [*check_tuned(model), *photograph_checks(model, folder, settings)]
    return rows if script is None else [*rows, verified(model, script, folder, settings)]


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
        told = [Check(name="photographs", ok=True, detail=f"{text}. {NOT_TOLD}", mark="note")]
        if head := head_order(model):
            told.append(Check(name="classes", ok=True, detail=head[0], mark="look" if head[1] else "ok"))
        return told
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
    return [Check(name="photographs", ok=True, detail=f"{right}. {NOT_TOLD}", record={"tried": tried}), *looks]


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


def own_pipeline(script: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any], ModuleType]:
    """Return the model and transform of a user's script, and its module. Raises CardError if it has none, or fails."""
    from torch import nn

    from registry.architectures import module_of_file

    text = script.removeprefix("python:")
    place, _, name = (text, "", "") if text.endswith(".py") else text.rpartition(":")
    place, name = place or name, name if place else ""
    with foreign("--verify", script, CardError, _EXPECTED, "fails"):
        file = place.endswith(".py")
        module = module_of_file(str(expanded(place).resolve())) if file else import_module(place)
        found = _made(getattr(module, name or "model"))
        pair = found if isinstance(found, tuple) else (found, _made(module.transform))
    if len(pair) != 2 or not all(map(callable, pair)):
        raise CardError(f"--verify {script}: found {', '.join(type(part).__name__ for part in pair)}. {_EXPECTED}")
    if isinstance(pair[0], nn.Module) and pair[0].training:
        raise CardError(f"--verify {script}: its model is in training mode. Call model.eval() in the script.")
    return (*pair, module)


def _made(value: Any) -> Any:
    """Return what a function without parameters, or a class, makes; anything else as it is."""
    if isinstance(value, type) or type(value).__name__ == "function":
        known = signature(value).parameters.values()
        needed = any(each.kind is Parameter.VAR_POSITIONAL or each.default is each.empty for each in known)
        return value if needed else value()
    return value


def _answers(inputs: Sequence[Given], run: Callable[[Given], Tensor]) -> Tensor:
    import torch

    from registry.model import by_shape

    with torch.no_grad():
        parts = [by_shape(inputs[at : at + _BATCH], run) for at in range(0, len(inputs), _BATCH)]
    return torch.cat(parts).float().cpu()


def verified(model: LoadedModel, script: str, folder: Path | None, settings: Settings) -> Check:
    """Compare a network with the user's own model and transform on photographs of a folder, of an installed set or of
    the built-in world; return a line with the certificate.

    Raises CardError for a script that fails, and WeightsError, with the part that differs, if decisions differ."""
    import torch

    from registry.determinism_checks import TOLERANCE, Check, distance
    from registry.model import count, logits_in, network_input, on_device

    network, transform, module = own_pipeline(script)
    stimuli = photographs_for(model.labels, folder, settings) or training_set("natural", COUNT, seed=0)
    images = [stimuli.decode(i) for i in range(min(len(stimuli), COUNT))]
    device = next((value.device for value in getattr(network, "state_dict", dict)().values()), torch.device("cpu"))
    classes = len(model.labels.classes) - model.card.may_be_silent  # the last one is for no answer

    def answer(given: Given) -> Tensor:
        return logits_in(network(on_device(given, device)), (count(given), classes), space=model.labels.name)

    ours = model.inputs(images)
    with foreign("--verify", script, CardError, _EXPECTED, "fails on photographs"):
        theirs = [network_input(transform, torch.from_numpy(image).permute(2, 0, 1)) for image in images]
        expected = _answers(theirs, answer)
    found = _answers(ours, model.answer)[:, :classes]
    gaps = (found - expected).abs().amax(1)
    scale, logits, n = float(expected.abs().max().clamp(min=1e-6)), float(gaps.max()), len(images)
    wrong = int(((found.argmax(1) != expected.argmax(1)) & (gaps > TOLERANCE * scale)).sum())
    pixels, described = _pixel_gap(ours, theirs)
    if wrong:
        part = "Network: ours fails on the script's preprocessed images."
        with suppress(Exception):  # of whatever a network does with another input
            apart = distance(_answers(theirs, model.answer)[:, :classes], expected)
            part = f"Network: on the script's preprocessed images the logits differ by {apart:.2g} of the largest."
            part = "Both networks agree on the script's preprocessed images." if apart <= TOLERANCE else part
        what = f"{wrong} of {n} decisions on photographs of {stimuli.name} are not those of {script}"
        why = f"(logits differ by up to {logits:.3g}). {f'Pixels: {described}. ' * (pixels > _EQUAL)}{part}"
        raise WeightsError(f"model '{model.card.name}' was not registered: {what} {why}")
    name, code, gap = Path(script).name, code_digest(module), pixels if np.isfinite(pixels) else None
    certificate = Certificate(script=name, code=code, photographs=stimuli.name, n=n, logits=logits, pixels=gap)
    mark, record = "" if distance(found, expected) <= TOLERANCE else "look", {"verified": certificate}
    return Check(name="verified", ok=True, detail=str(certificate), mark=mark, record=record)


def _pixel_gap(ours: Sequence[Given], theirs: Sequence[Given]) -> tuple[float, str]:
    """Return the largest difference of preprocessed images relative to their largest value, also in words."""
    from torch import Tensor

    worst = 0.0
    for own, other in zip(ours, theirs, strict=True):
        if not isinstance(own, Tensor) or not isinstance(other, Tensor) or own.shape != other.shape:
            shapes = [tuple(x.shape) if isinstance(x, Tensor) else sorted(x) for x in (own, other)]
            return float("inf"), f"ours are {shapes[0]}, the script's {shapes[1]}"
        gap = (own.cpu() - other.cpu()).abs().max() / other.abs().max().clamp(min=1e-6)
        worst = max(worst, float(gap))
    return worst, f"the preprocessed images differ by up to {worst:.2g} of their largest value"
