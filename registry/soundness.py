"""Whether a network answers each image by itself, with logits, and stays what it is.

A network in training mode, with active dropout, with outputs that depend on the batch or with buffers
that answering changes has no score: another batch size or another order would give another one. These
checks cost about forty images, so they are made at each load.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from registry.model import LoadedModel

Run = Callable[[Tensor], Tensor]
Checksum = tuple[int, ...]
_SEED = 20
_IMAGES = 8
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


def probe(model: LoadedModel, count: int = _IMAGES) -> Tensor:
    """Images [count, 3, size, size] in [0,1] with the amplitudes of photographs (1/f) and colours of their
    own, always the same.
    """
    side = model.preprocess.size
    generator = torch.Generator().manual_seed(_SEED)
    images = torch.rand((count, 3, 1, 1), generator=generator).expand(-1, -1, side, side)
    cells = 2
    while cells <= side:
        noise = torch.rand((count, 3, cells, cells), generator=generator) - 0.5
        images = images + functional.interpolate(noise, (side, side), mode="bilinear") / cells**0.5
        cells *= 2
    device = next((value.device for value in model.module.state_dict().values()), images.device)
    return images.clamp(0, 1).contiguous().to(device)


def checksum(module: nn.Module) -> Checksum:
    """A number per parameter and buffer, from all of its bits: cheap enough for every few hundred images."""
    with torch.inference_mode():
        return tuple(_sum(tensor) for _, tensor in _tensors(module))


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


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
    after = checksum(module)
    if len(after) != len(before):
        return "its set of parameters and buffers"
    names = [name for name, _ in _tensors(module)]
    return next((n for n, a, b in zip(names, before, after, strict=True) if a != b), "")


def distance(one: Tensor, other: Tensor) -> float:
    """Largest difference of two batches of logits, relative to the largest of them."""
    scale = float(torch.maximum(one.abs().max(), other.abs().max()).clamp(min=1e-6))
    return float((one - other).abs().max()) / scale


def check_load(
    model: LoadedModel,
    run: Run | None = None,
    batch: int = _IMAGES,
    tolerance: float = TOLERANCE,
) -> list[Check]:
    """Evaluation mode, logits, one answer whenever and with whomever an image is shown, an unchanged state.

    run: the form of the network that will be used (`model.forward`), in batches of `batch` images;
    tolerance: largest relative difference of two answers to one image. Failures are rows, not
    exceptions; only running out of memory is raised.
    """
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
    detail = (
        f"{moved} changes with every answer" if moved else "parameters and buffers stay as they are"
    )
    return [*rows, Check("answering changes nothing", not moved, detail)]


def forward_failure(error: BaseException, images: Tensor) -> str:
    """One line on a forward pass that failed."""
    reason = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__} at {tuple(images.shape)}: {reason}"


def _rows(
    model: LoadedModel, images: Tensor, run: Run, batch: int, tolerance: float
) -> list[Check]:
    logits = model.forward(images)
    anywhere = _anywhere(run, images, logits, batch, tolerance)
    # Where every place of another pass agrees, two passes agree; only a failure has to be told apart.
    again = anywhere.ok and batch >= len(images)
    return [
        _evaluating(model.module),
        unnormalised(logits),
        _TWICE if again else _repeatable(model, images, logits, tolerance),
        _alone(model, images, logits, tolerance),
        anywhere,
    ]


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
        return Check(
            name,
            False,
            "outputs are probabilities (in [0,1], sum 1): remove the network's final softmax",
        )
    totals = logits.double().exp().sum(dim=1)
    if bool((logits <= 0).all()) and torch.allclose(totals, torch.ones_like(totals), atol=1e-3):
        return Check(
            name, True, "outputs are log-probabilities: decisions are the same, attacks may differ"
        )
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


def _alone(model: LoadedModel, images: Tensor, batch: Tensor, tolerance: float) -> Check:
    """An image's answer does not hang on its neighbours in the batch (batch statistics, fixed batch
    size).
    """
    name = "same answer alone"
    try:
        alone = torch.cat([model.forward(images[row : row + 1]) for row in (0, len(images) - 1)])
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        return Check(name, False, f"takes no batch of 1 after one of {len(images)}: {reason}")
    gap = distance(alone, batch[[0, -1]])
    ok = not gap > tolerance
    verdict = "within float noise" if ok else "its batch decides: batch norm in training mode?"
    return Check(
        name, ok, f"logits alone and in a batch differ by {gap:.2g} of the largest: {verdict}"
    )


def _anywhere(run: Run, images: Tensor, logits: Tensor, batch: int, tolerance: float) -> Check:
    """The same answer at every place of a batch of the size that will be used."""
    places = torch.arange(batch - 1, -1, -1) % len(images)
    gap = distance(run(images[places]), logits[places])
    ok = not gap > tolerance
    verdict = "within float noise" if ok else "an answer depends on its place in the batch"
    detail = f"logits in a batch of {batch} differ by {gap:.2g} of the largest: {verdict}"
    return Check("same answer anywhere", ok, detail)
