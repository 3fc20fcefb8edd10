"""A network as its user's own code runs it against ours: the same photographs through both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.photograph_checks import COUNT, photographs_for
from benchmark.failures import BenchError, CardError, WeightsError
from benchmark.settings import Settings
from benchmark.stimuli.generated import training_stimuli
from registry.cards import Certificate
from registry.code import code_digest
from registry.files import expanded
from registry.user_errors import reason

if TYPE_CHECKING:
    from torch import Tensor

    from registry.determinism_checks import Check
    from registry.model import Given, LoadedModel

#: Photographs that are shown at once.
_BATCH = 16
#: Preprocessed values that are equal but for rounding, relative to the largest of them.
_EQUAL = 1e-5
_EXPECTED = "Expected a file with `model` and `transform`, or FILE.py:NAME of both or of a function that returns both."


@contextmanager
def _own_code(script: str, what: str) -> Iterator[None]:
    try:
        yield
    except CardError:
        raise
    except (Exception, SystemExit) as error:
        why = str(error) if isinstance(error, BenchError) else f"{reason(error)}."
        raise CardError(f"--verify {script}: {what}: {why} {_EXPECTED}") from error


def own_pipeline(script: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any], ModuleType]:
    """Return the model and transform of a user's script, and its module. Raises CardError if it has none, or fails."""
    from torch import nn

    from registry.architectures import module_of_file

    text = script.removeprefix("python:")
    place, _, name = (text, "", "") if text.endswith(".py") else text.rpartition(":")
    place, name = place or name, name if place else ""
    with _own_code(script, "it fails"):
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


def verify(model: LoadedModel, script: str, folder: Path | None, settings: Settings) -> tuple[Certificate, Check]:
    """Compare a network with the user's own model and transform on the same photographs; return the certificate and a
    line on it. folder: of photographs, otherwise an installed set or the built-in world.

    Raises CardError for a script that fails, and WeightsError, with the part that differs, if decisions differ."""
    import torch

    from registry.determinism_checks import TOLERANCE, Check, distance
    from registry.model import count, logits_in, network_input, on_device

    network, transform, module = own_pipeline(script)
    stimuli = photographs_for(model.labels, folder, settings) or training_stimuli(COUNT)
    images = [stimuli.decode(i) for i in range(min(len(stimuli), COUNT))]
    device = next((value.device for value in getattr(network, "state_dict", dict)().values()), torch.device("cpu"))

    classes = len(model.labels.classes) - model.card.may_be_silent  # the last one is for no answer

    def answer(given: Given) -> Tensor:
        return logits_in(network(on_device(given, device)), (count(given), classes), space=model.labels.name)

    ours = model.inputs(images)
    with _own_code(script, "it fails on photographs"):
        theirs = [network_input(transform, torch.from_numpy(image).permute(2, 0, 1)) for image in images]
        expected = _answers(theirs, answer)
    found = _answers(ours, model.answer)[:, :classes]
    scale = float(expected.abs().max().clamp(min=1e-6))
    gaps = (found - expected).abs().amax(1)
    differ = (found.argmax(1) != expected.argmax(1)) & (gaps > TOLERANCE * scale)
    pixels, described = _pixel_gap(ours, theirs)
    if wrong := int(differ.sum()):
        parts = [f"Pixels: {described}."] if pixels > _EQUAL else []
        parts += _network_part(model, theirs, expected)
        raise WeightsError(
            f"model '{model.card.name}' was not registered: {wrong} of {len(images)} decisions on photographs of "
            f"{stimuli.name} are not those of {script} (logits differ by up to {float(gaps.max()):.3g}). "
            f"{' '.join(parts)}"
        )
    certificate = Certificate(
        script=Path(script).name,
        code=code_digest(module),
        photographs=stimuli.name,
        n=len(images),
        logits=float(gaps.max()),
        pixels=pixels if np.isfinite(pixels) else None,
    )
    close = distance(found, expected) <= TOLERANCE
    return certificate, Check(name="verified", ok=True, detail=str(certificate), mark="" if close else "look")


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


def _network_part(model: LoadedModel, theirs: Sequence[Given], expected: Tensor) -> list[str]:
    """Say whether both networks answer alike to the user's preprocessed images."""
    from registry.determinism_checks import TOLERANCE, distance

    try:
        gap = distance(_answers(theirs, model.answer)[:, : expected.shape[1]], expected)
    except Exception as error:  # noqa: BLE001 - of whatever a network does with another input
        return [f"Network: ours fails on the script's preprocessed images ({reason(error)})."]
    if gap > TOLERANCE:
        return [f"Network: on the script's preprocessed images the logits differ by {gap:.2g} of the largest."]
    return [f"Both networks agree on the script's preprocessed images (by {gap:.2g} of the largest logit)."]
