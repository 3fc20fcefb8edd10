"""Checks that a network answers each image independently, with logits, and does not change. Otherwise another batch
size or order would give another score."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from registry.model import LoadedModel
from registry.user_errors import AnswerError, LabelError, reason

Checksum = tuple[int, ...]


def checksum(module: nn.Module) -> Checksum:
    """Return a number per parameter and buffer, from all of its bits: cheap enough for every few hundred images."""
    return checksum_later(module, lambda sums: lambda: sums.cpu().numpy())()


def checksum_later(
    module: nn.Module, carry: Callable[[Tensor], Callable[[], NDArray[np.int64]]]
) -> Callable[[], Checksum]:
    """Return a function that gives the checksum once the device has computed it. carry: brings sums from there."""
    sums: list[int | Tensor] = []
    for tensor in _tensors(module).values():
        flat = tensor.detach()
        if tensor.layout != torch.strided or tensor.is_quantized:
            sums.append(0)
            continue
        if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
            flat = flat.permute(0, 2, 3, 1)  # as it lies in memory: no copy
        flat = flat.reshape(-1)
        if flat.device.type == "cpu":  # on one thread: waking others for so little costs more
            sums.append(zlib.crc32(flat.view(torch.uint8).numpy().data))
        else:
            sums.append(placed_sum(flat))
    there = [value for value in sums if isinstance(value, Tensor)]
    arriving = carry(torch.stack(there)) if there else lambda: np.empty(0, dtype=np.int64)
    return lambda: (*(value for value in sums if isinstance(value, int)), *arriving().tolist())


#: Numbers that are weighted at once: some 24 bytes of working memory for each.
_PIECE = 2**24
#: 2**64 divided by the golden ratio, as an int64: multiples of it are spread over all 64 bits.
_SPREAD = -7046029254386353131


def placed_sum(flat: Tensor) -> Tensor:
    """Return the sum of the bits of [n] numbers, each times an odd number of its place, as an int64 that may overflow,
    computed where they are. Another value anywhere changes it, and so do values that change places."""
    total = torch.zeros((), dtype=torch.int64, device=flat.device)
    bits = flat.view(torch.int32 if flat.element_size() % 4 == 0 else torch.uint8)
    for at in range(0, len(bits), _PIECE):
        piece = bits[at : at + _PIECE].to(torch.int64)
        place = torch.arange(at, at + len(piece), device=flat.device) * _SPREAD
        total += (piece * ((place ^ (place >> 29)) | 1)).sum()
    return total


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def changed_tensor(module: nn.Module, before: Checksum, now: Checksum) -> str:
    """Return the name of a changed parameter or buffer, or ""."""
    names = list(_tensors(module))
    if len(now) != len(before):
        return "its set of parameters and buffers"
    return next((name for name, a, b in zip(names, now, before, strict=True) if a != b), "")


Run = Callable[[Tensor], Tensor]
_SEED = 20
_IMAGES, ALONE = 4, slice(0, 1)  # shown by itself: the last image of a batch
#: Largest difference of two answers to one image, relative to the largest logit: float noise of other batch sizes and
#: of folded batch normalisation stays below a tenth of it.
TOLERANCE = 1e-3
#: The check that a forward pass comes to an end at all.
FORWARD = "forward pass"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: its name, whether it passed, and details."""

    name: str
    ok: bool
    detail: str
    #: What is printed instead of "ok": "guess" of an input that nothing states, "look" of what is probably wrong,
    #: "note".
    mark: str = ""
    record: Mapping[str, BaseModel] = field(default_factory=dict)  # fields of the card that keep what was seen


def probe(model: LoadedModel, count: int = _IMAGES) -> Tensor:
    """Return `pictures` at the network's input size, where the network is."""
    images = pictures(count, model.preprocess.size)
    device = next((value.device for value in model.module.state_dict().values()), images.device)
    return images.to(device)


@lru_cache(maxsize=8)
def pictures(count: int, side: int) -> Tensor:
    """Return images [count, 3, side, side] in [0,1], as photographs in amplitudes (1/f), always the same."""
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
    """Return the largest difference of two batches of logits beyond rounding, relative to the largest of them less the
    middle of its image. Neither a constant on all logits nor a class that is never given hides a difference."""
    return float(relative_gap(one, other))


def relative_gap(one: Tensor, other: Tensor) -> Tensor:
    """Return `distance`, where the logits are."""
    scale = torch.maximum(*(logit_range(part).max() for part in (one, other))).clamp(min=1e-6)
    rounding = 4 * torch.finfo(torch.float32).eps * torch.maximum(one.abs(), other.abs())
    return ((one - other).abs() - rounding).max().clamp(min=0.0) / scale


def logit_range(values: Tensor) -> Tensor:
    """Return [n]: the logit of each image that is farthest from the middle of them."""
    values = torch.nan_to_num(values)
    # impossible classes (-1e9, minus infinity) are raised to the range of the others
    top = values.topk(min(8, values.shape[1]), dim=1).values
    given = values.clamp_min(top[:, 0].min() - 100 * (top[:, 0] - top[:, -1]).mean())
    return (given - given.median(dim=1, keepdim=True).values).abs().amax(dim=1)


def check_load(
    model: LoadedModel,
    run: Run | None = None,
    batch: int = 2 * _IMAGES,
    tolerance: float = TOLERANCE,
    single: Tensor | None = None,
) -> list[Check]:
    """Check evaluation mode, logits, one answer in every batch and order, and an unchanged state. `run` is the form of
    the network that will be used, in batches of `batch`; `tolerance` is relative; `single` are the logits of the
    picture `ALONE` by itself, where they are known. Raises only OutOfMemoryError."""
    images, before = probe(model)[: max(2, batch // 2)], checksum(model.module)
    try:
        with torch.inference_mode():
            rows = _rows(model, images, run or model.forward, batch, tolerance, single)
    except torch.OutOfMemoryError:
        raise
    except (Exception, SystemExit) as error:
        if "memory" in str(error).lower():
            raise
        return [Check(name=FORWARD, ok=False, detail=f"at {tuple(images.shape)}: {reason(error)}")]
    moved = changed_tensor(model.module, before, checksum(model.module))
    detail = f"{moved} changes with every answer" if moved else "parameters and buffers stay as they are"
    return [*rows, Check(name="answering changes nothing", ok=not moved, detail=detail)]


def _rows(
    model: LoadedModel, images: Tensor, run: Run, batch: int, tolerance: float, single: Tensor | None
) -> list[Check]:
    # Each image at least once, and in no order that repeats itself, so that places which are mixed up hold different
    # images.
    rest = torch.randint(len(images), (batch,), generator=torch.Generator().manual_seed(_SEED))
    order = torch.cat([torch.arange(len(images) - 1, -1, -1), rest])[: max(batch, len(images))]
    together = torch.cat([run(images[order[at : at + batch]]) for at in range(0, len(order), batch)])
    logits = together[: len(images)].flip(0)

    def same(name: str, where: str, gap: float, why: str) -> Check:
        verdict = why if gap > tolerance else "within float noise"
        text = f"logits {where} differ by {gap:.2g} of the largest: {verdict}"
        return Check(name=name, ok=not gap > tolerance, detail=text)

    alone, gap = "same answer alone", inf
    try:
        single = model.forward(images[ALONE]) if single is None else single
        if (gap := distance(single, logits[ALONE])) > tolerance:  # the network as it was loaded shows why
            logits = model.forward(images)
            gap = distance(torch.cat([model.forward(image[None]) for image in images]), logits)
        by_itself = same(alone, "alone and in a batch", gap, "its batch decides: batch norm in training mode?")
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:
        by_itself = Check(name=alone, ok=False, detail=f"takes no batch of 1 after one of {batch}: {reason(error)}")
    twice, place = "two passes agree", "an answer depends on its place in the batch"
    # Images that have the same answer alone were passed twice already: a batch more shows why one has another.
    if gap > tolerance and (gap := distance(logits, model.forward(images))) > tolerance:
        twice = f"two passes over the same images differ by up to {gap:.2g} of the largest: is dropout or noise active?"
    # Whatever `eval()` did, no layer that acts otherwise in training is left in it.
    kinds = (_BatchNorm, _DropoutNd)
    left = [name for name, part in model.module.named_modules() if part.training and isinstance(part, kinds)]
    training = f"in training mode: {', '.join(left[:3])}" if left else "no layer is in training mode"
    return [
        Check(name="evaluation mode", ok=not left, detail=training),
        unnormalised(logits),
        Check(name="same answer twice", ok=twice == "two passes agree", detail=twice),
        by_itself,
        same("same answer anywhere", f"in a batch of {batch}", distance(together, logits[order]), place),
    ]


def unnormalised(logits: Tensor) -> Check:
    """Check that outputs are not probabilities (rows in [0,1] that sum to 1) or log-probabilities."""
    name = "logits, not probabilities"
    sums = logits.double().sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        return Check(name=name, ok=False, detail="outputs are probabilities (in [0,1], sum 1): remove the softmax")
    totals = logits.double().exp().sum(dim=1)
    if bool((logits <= 0).all()) and torch.allclose(totals, torch.ones_like(totals), atol=1e-3):
        return Check(name=name, ok=True, detail="outputs are log-probabilities: same decisions, attacks may differ")
    return Check(name=name, ok=True, detail=f"from {float(logits.min()):.3g} to {float(logits.max()):.3g}")


def _differentiable(model: LoadedModel, images: Tensor) -> Check:
    name = "gradients reach the input"
    before = {key: tensor.detach() for key, tensor in _tensors(model.module).items()}
    x = images.clone().requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(model.forward(x).logsumexp(dim=1).sum(), x)
    except RuntimeError as error:
        now = _tensors(model.module).items()
        if cast := next((key for key, tensor in now if key in before and not before[key].is_set_to(tensor)), ""):
            why = f"every answer casts or replaces {cast}, which autograd cannot follow: cast weights where it is built"
            return Check(name=name, ok=False, detail=f"none: {why}")
        return Check(name=name, ok=False, detail=f"none: {reason(error)}")
    size = float(gradient.abs().max())
    ok = bool(torch.isfinite(gradient).all()) and size > 0
    return Check(name=name, ok=ok, detail=f"largest |gradient| {size:.3g}" if ok else f"gradient is {size}")


def takes_only_its_size(model: LoadedModel) -> bool:
    """Return whether the network refuses another size than its own: 224 pixels, or 64 if that is its own."""
    side = 64 if model.preprocess.size == 224 else 224
    try:
        with torch.no_grad():
            model.forward(torch.nn.functional.interpolate(probe(model, 2), (side, side)))
    except (Exception, SystemExit):  # noqa: BLE001 - the boundary of a network's own code
        return True
    return False


def check_network(model: LoadedModel) -> list[Check]:
    """Run all checks on fixed images. Failures are rows; a wrong class count or a failing pass ends the list."""
    images = probe(model)
    pairs = (images[:2], images[2:])
    try:
        with torch.no_grad():  # a network may cast its weights in its first pass
            logits = torch.cat([model.forward(pair) for pair in pairs])
    except LabelError as error:
        return [Check(name="class count", ok=False, detail=str(error))]
    except AnswerError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary of a network's own code
        return [Check(name=FORWARD, ok=False, detail=f"at {tuple(pairs[0].shape)}: {reason(error)}")]
    fits = f"{len(model.labels.classes)}, as label space '{model.labels.name}'"
    bad = int((~torch.isfinite(logits)).sum())
    # Trained and untrained networks move by 9 % and more of the spread of their outputs between these images, one that
    # is fed a single grey (a wrong --mean) by 0.05 to 5 %. A detector may find nothing in all of them, and who says a
    # label alone the same.
    around = (logits - logits.mean(dim=1, keepdim=True)).double()
    spread, moved = float(around.amax() - around.amin()), float((around - around[:1]).abs().amax())
    share = moved / spread if spread else 0.0
    looks = not share <= 0.01 or model.card.may_be_silent
    blind = "" if looks else ": it does not look. Check --mean, --std and --scale"
    apart = f"by {share:.2g} of the spread of its outputs between {len(logits)} images{blind}"
    finite = f"{bad} of {logits.numel()} logits are NaN or infinite" if bad else "all logits are finite"
    return [
        Check(name="class count", ok=True, detail=fits),
        Check(name="finite logits", ok=not bad, detail=finite),
        Check(name="answers differ between images", ok=looks, detail=apart),
        *check_load(model),
        *([_differentiable(model, pairs[0])] if model.card.gradients else []),
    ]
