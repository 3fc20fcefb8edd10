"""Whether a network answers each image by itself, with logits, and stays what it is.

A network in training mode, with active dropout, with outputs that depend on the batch or with buffers that answering
changes has no score: another batch size or another order would give another one. These checks cost a device batch and
four images, so they are made at each load."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from registry.errors import LabelError
from registry.model import LoadedModel

# Whether a network is still what it was: a sum of every parameter and buffer.


Checksum = tuple[int, ...]


def checksum(module: nn.Module) -> Checksum:
    """A number per parameter and buffer, from all of its bits: cheap enough for every few hundred images."""
    return _sums(_tensors(module))


def _sums(tensors: list[Tensor]) -> Checksum:
    with torch.inference_mode():
        return tuple(map(_sum, tensors))


def _tensors(module: nn.Module) -> list[Tensor]:
    """Every parameter and buffer once, always in the same order. torch's own walk makes a name for each, which takes
    longer than their sums."""
    waiting, parts, found = [module], dict[int, nn.Module](), dict[int, Tensor]()
    while waiting:
        part = waiting.pop()
        if id(part) in parts:
            continue
        parts[id(part)] = part
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                found[id(tensor)] = tensor
        waiting += [inner for inner in part._modules.values() if inner is not None]
    return list(found.values())


def _sum(tensor: Tensor) -> int:
    if tensor.layout != torch.strided or tensor.is_quantized:
        return 0
    flat = tensor.detach().reshape(-1)
    if tensor.is_contiguous(memory_format=torch.channels_last) and tensor.dim() == 4:
        flat = tensor.detach().permute(0, 2, 3, 1).reshape(-1)  # as it lies in memory: no copy
    if flat.device.type == "cpu":  # on one thread: waking others for so little costs more
        return zlib.crc32(flat.view(torch.uint8).numpy().data)
    kind = torch.int32 if flat.element_size() % 4 == 0 else torch.uint8
    return int(flat.view(kind).sum(dtype=torch.int64))


def changed(module: nn.Module, before: Checksum) -> str:
    """The name of a parameter or buffer that is not what it was; "" where all are."""
    tensors = _tensors(module)
    if len(tensors) != len(before):
        return "its set of parameters and buffers"
    after = _sums(tensors)
    moved = {id(t) for t, a, b in zip(tensors, before, after, strict=True) if a != b}
    if not moved:
        return ""
    named = (*module.named_parameters(), *module.named_buffers())
    return next((name for name, one in named if id(one) in moved), "a parameter or buffer")


Run = Callable[[Tensor], Tensor]
_SEED = 20
_SUMS = 2  # of each picture's logits, with random signs: any other logits move them
_STEPS = 32767
_IMAGES = 4
#: Largest difference of two answers to one image, relative to the largest logit: float noise of other
#: batch sizes and of folded batch normalisation stays below a tenth of it.
TOLERANCE = 1e-3
#: The check that a forward pass comes to an end at all.
FORWARD = "forward pass"


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds, and what was found."""

    name: str
    ok: bool
    detail: str


_TWICE = Check("same answer twice", True, "two passes agree")
_ALONE = "same answer alone"


def probe(model: LoadedModel, count: int = _IMAGES) -> Tensor:
    """`pictures` at the network's input size, where the network is."""
    images = pictures(count, model.preprocess.size)
    device = next((value.device for value in model.module.state_dict().values()), images.device)
    return images.to(device)


@lru_cache(maxsize=8)
def pictures(count: int, side: int) -> Tensor:
    """Images [count, 3, side, side] in [0,1] with the amplitudes of photographs (1/f) and colours of their own, always
    the same."""
    generator = torch.Generator().manual_seed(_SEED)
    images = torch.rand((count, 3, 1, 1), generator=generator)
    cells = 2
    while cells <= side:
        noise = torch.rand((count, 3, cells, cells), generator=generator) - 0.5
        images = functional.interpolate(images, (cells, cells), mode="bilinear")
        images = images + noise / cells**0.5
        cells *= 2
    images = functional.interpolate(images, (side, side), mode="bilinear")
    return images.clamp(0, 1).contiguous()


def distance(one: Tensor, other: Tensor) -> float:
    """Largest difference of two batches of logits beyond rounding, relative to the largest of them less the middle of
    its image: neither a constant on all logits nor a class that is never given hides one."""
    parts = [_given(part) for part in (one, other)]
    spread = [(part - part.median(dim=1, keepdim=True).values).abs().max() for part in parts]
    scale = float(torch.maximum(*spread).clamp(min=1e-6))
    rounding = 4 * torch.finfo(torch.float32).eps * torch.maximum(one.abs(), other.abs())
    return float(((one - other).abs() - rounding).max().clamp(min=0.0)) / scale


def _given(values: Tensor) -> Tensor:
    """Logits, with those of classes that are never given (-1e9, minus infinity) raised to a length that others have."""
    values = torch.nan_to_num(values)
    top = values.topk(min(8, values.shape[1]), dim=1).values
    return values.clamp_min(float(top[:, 0].min() - 100 * (top[:, 0] - top[:, -1]).mean()))


def check_load(
    model: LoadedModel, run: Run | None = None, batch: int = _IMAGES, tolerance: float = TOLERANCE
) -> list[Check]:
    """Evaluation mode, logits, one answer whenever and with whomever an image is shown, an unchanged state.

    run: the form of the network that will be used (`model.forward`), in batches of `batch` images; tolerance: largest
    relative difference of two answers to one image. Failures are rows, not exceptions; only running out of memory is
    raised."""
    images, before = probe(model), checksum(model.module)
    try:
        with torch.inference_mode():
            rows = _rows(model, images, run or model.forward, batch, tolerance)
    except torch.OutOfMemoryError:
        raise
    except (Exception, SystemExit) as error:
        if "memory" in str(error).lower():
            raise
        return [Check(FORWARD, False, forward_failure(error, images))]
    moved = changed(model.module, before)
    detail = f"{moved} changes with every answer" if moved else "parameters and buffers stay as they are"
    return [*rows, Check("answering changes nothing", not moved, detail)]


def forward_failure(error: BaseException, images: Tensor) -> str:
    """One line on a forward pass that failed."""
    reason = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__} at {tuple(images.shape)}: {reason}"


def _rows(model: LoadedModel, images: Tensor, run: Run, batch: int, tolerance: float) -> list[Check]:
    """Where a batch gives what each image gives alone, two passes agree, too; only a failure has to be told apart."""
    order = _order(batch, len(images))
    starts = range(0, len(order), batch)
    together = torch.cat([run(images[order[at : at + batch]]) for at in starts])
    alone = _each_alone(model, images, batch)
    if isinstance(alone, Check):
        logits = model.forward(images)
        twice = _repeatable(model, images, logits, tolerance)
        return [_evaluating(model.module), unnormalised(logits), twice, alone]
    rows, gap = [_evaluating(model.module), unnormalised(alone)], distance(together, alone[order])
    if not gap > tolerance:
        return [*rows, _TWICE, _alone(gap, tolerance), _anywhere(gap, batch, tolerance)]
    logits = model.forward(images)
    causes = [
        _repeatable(model, images, logits, tolerance),
        _alone(distance(alone, logits), tolerance),
        _anywhere(distance(together, logits[order]), batch, tolerance),
    ]
    if all(cause.ok for cause in causes):
        causes[-1] = _anywhere(gap, batch, tolerance)
    return [*rows, *causes]


def _order(batch: int, count: int) -> Tensor:
    """Which image stands where: each at least once, and in no order that repeats itself, so that places which are mixed
    up hold different images."""
    rest = torch.randint(count, (batch,), generator=torch.Generator().manual_seed(_SEED))
    return torch.cat([torch.arange(count - 1, -1, -1), rest])[: max(batch, count)]


def _evaluating(module: nn.Module) -> Check:
    """Whatever `eval()` did, no layer that acts otherwise in training is left in it."""
    kinds = (_BatchNorm, _DropoutNd)
    left = [n for n, part in module.named_modules() if part.training and isinstance(part, kinds)]
    detail = f"in training mode: {', '.join(left[:3])}" if left else "no layer is in training mode"
    return Check("evaluation mode", not left, detail)


def unnormalised(logits: Tensor) -> Check:
    """Probabilities (rows in [0,1] that sum to 1) and log-probabilities are no logits."""
    name = "logits, not probabilities"
    sums = logits.double().sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        return Check(name, False, "outputs are probabilities (in [0,1], sum 1): remove the network's final softmax")
    totals = logits.double().exp().sum(dim=1)
    if bool((logits <= 0).all()) and torch.allclose(totals, torch.ones_like(totals), atol=1e-3):
        return Check(name, True, "outputs are log-probabilities: decisions are the same, attacks may differ")
    return Check(name, True, f"from {float(logits.min()):.3g} to {float(logits.max()):.3g}")


def _repeatable(model: LoadedModel, images: Tensor, first: Tensor, tolerance: float) -> Check:
    second = model.forward(images)
    gap = distance(first, second)
    if not gap > tolerance:
        return _TWICE
    return Check(
        _TWICE.name,
        False,
        f"two passes over the same images differ by up to {float((first - second).abs().max()):.3g}: is "
        "dropout or noise active?",
    )


def _each_alone(model: LoadedModel, images: Tensor, batch: int) -> Tensor | Check:
    """Logits of each image by itself, on the plain path, or the failure that a batch of 1 is."""
    try:
        return torch.cat([model.forward(image[None]) for image in images])
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        return Check(_ALONE, False, f"takes no batch of 1 after one of {batch}: {reason}")


def _alone(gap: float, tolerance: float) -> Check:
    """An image's answer does not hang on its neighbours in the batch."""
    why = "its batch decides: batch norm in training mode?"
    return _within(_ALONE, "alone and in a batch", gap, tolerance, why)


def _anywhere(gap: float, batch: int, tolerance: float) -> Check:
    """The same answer at every place of a batch of the size that will be used."""
    name, why = "same answer anywhere", "an answer depends on its place in the batch"
    return _within(name, f"in a batch of {batch}", gap, tolerance, why)


def _within(name: str, where: str, gap: float, tolerance: float, why: str) -> Check:
    ok = not gap > tolerance
    verdict = "within float noise" if ok else why
    return Check(name, ok, f"logits {where} differ by {gap:.2g} of the largest: {verdict}")


def canary_text(values: Tensor) -> str:
    """Few numbers of each row, as text of a hundred characters."""
    generator = torch.Generator().manual_seed(_SEED)
    signs = torch.randint(2, (values.shape[1], _SUMS), generator=generator) * 2.0 - 1
    sums = (_given(values) @ signs).numpy().astype(np.float64)
    scale = float(np.abs(sums).max()) or 1.0
    steps = np.rint(sums / scale * _STEPS).astype("<i2")
    return f"{scale:.7g} {base64.b64encode(steps.tobytes()).decode()}"


def canaries_differ(first: str, second: str) -> bool:
    """Whether canary answers (one text or several, joined by ";") differ beyond float noise, or cannot be read."""
    pairs = zip_longest(first.split(";"), second.split(";"), fillvalue="")
    for a, b in ((_canary_numbers(x), _canary_numbers(y)) for x, y in pairs):
        if a is None or b is None or a.shape != b.shape:
            return True
        largest = max(np.abs(a).max(), np.abs(b).max())
        if not np.abs(a - b).max() <= TOLERANCE * largest:  # nor where that is NaN
            return True
    return False


def _canary_numbers(text: str) -> NDArray[np.float64] | None:
    scale, _, steps = text.partition(" ")
    try:
        numbers = np.frombuffer(base64.b64decode(steps, validate=True), dtype="<i2")
        return numbers * (float(scale) / _STEPS) if len(numbers) else None
    except ValueError:
        return None


# What must hold before a network's numbers mean anything: run at registration and by `bench models
# check`. What is checked at each load is in `soundness`.


__all__ = ["Check", "check"]

#: Share of the spread of the outputs that they must differ by between images.
LEAST_MOVED = 0.01


def _finite(logits: Tensor) -> Check:
    bad = int((~torch.isfinite(logits)).sum())
    detail = "all logits are finite" if not bad else f"{bad} of {logits.numel()} logits are NaN or infinite"
    return Check("finite logits", bad == 0, detail)


def _looks(model: LoadedModel, logits: Tensor) -> Check:
    """Whether the picture decides: trained and untrained networks move by 9 % and more of the spread of their outputs
    between these images, one that is fed a single grey (a wrong --mean) by 0.05 to 5 %."""
    name = "answers differ between images"
    around = (logits - logits.mean(dim=1, keepdim=True)).double()
    spread = float(around.amax() - around.amin())
    moved = float((around - around[:1]).abs().amax())
    share = moved / spread if spread else 0.0
    if not share <= LEAST_MOVED or "boxes" in model.card.options:  # a detector may find nothing in all of them
        return Check(name, True, f"by {share:.2g} of the spread of its outputs")
    how = f"they differ by {share:.2g} of the spread of its outputs between {len(logits)} images"
    return Check(name, False, f"{how}: it does not look. Check --mean, --std and --scale")


def _differentiable(model: LoadedModel, images: Tensor) -> Check:
    name = "gradients reach the input"
    x = images.clone().requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(model.forward(x).logsumexp(dim=1).sum(), x)
    except RuntimeError as error:
        return Check(name, False, f"none: {str(error).splitlines()[0]}")
    size = float(gradient.abs().max())
    ok = bool(torch.isfinite(gradient).all()) and size > 0
    return Check(name, ok, f"largest |gradient| {size:.3g}" if ok else f"gradient is {size}")


def takes_only_its_size(model: LoadedModel) -> bool:
    """Whether the network refuses images of another size than its own: 224 pixels, or 64 where its own is 224 (sets of
    stimuli come in both)."""
    side = 64 if model.preprocess.size == 224 else 224
    try:
        with torch.inference_mode():
            model.forward(torch.nn.functional.interpolate(probe(model, 2), (side, side)))
    except (Exception, SystemExit):  # noqa: BLE001 - the boundary of a network's own code
        return True
    return False


def check(model: LoadedModel) -> list[Check]:
    """Run all checks on fixed images. Failures are rows, not exceptions.

    A wrong class count or a failing forward pass ends the list: nothing after it could be judged."""
    images = probe(model)
    pairs = (images[:2], images[2:])
    try:
        with torch.inference_mode():
            logits = torch.cat([model.forward(pair) for pair in pairs])
    except LabelError as error:
        return [Check("class count", False, str(error))]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary of a network's own code
        return [Check(FORWARD, False, forward_failure(error, pairs[0]))]
    fits = f"{len(model.labels.classes)}, as label space '{model.labels.name}'"
    return [
        Check("class count", True, fits),
        _finite(logits),
        _looks(model, logits),
        *check_load(model),
        *([_differentiable(model, pairs[0])] if model.gradients else []),
    ]
