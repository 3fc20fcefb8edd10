"""Input gradients of a category's log-odds, and SmoothGrad; the outputs that make up a category.

Nothing of the network is changed."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Array
from benchmark.errors import ModelFailure

Forward = Callable[[Tensor], Tensor]
#: (logits [n, k], inside [n, k] bool) -> [n] what is differentiated.
Target = Callable[[Tensor, Tensor], Tensor]
#: Images per backward pass: larger batches are slower on a CPU, and need memory for every layer.
CPU_PART, GPU_PART = 16, 64


def log_odds(logits: Tensor, inside: Tensor) -> Tensor:
    """[n] log(P / (1 - P)), P the probability of a set of classes: logits [n, k], inside [n, k] bool.

    logsumexp over the set minus logsumexp over the rest. Its gradient has the direction of log P's (of the loss
    that Tsipras et al. 2019 plot) and does not vanish in float32 when the network is sure. That categories
    average over their classes instead of adding up adds a constant, which has no gradient.
    """
    wide = logits if logits.device.type == "mps" else logits.double()
    nothing = float("-inf")
    members = wide.masked_fill(~inside, nothing).logsumexp(dim=1)
    return members - wide.masked_fill(inside, nothing).logsumexp(dim=1)


def input_gradients(
    forward: Forward, images: Tensor, targets: Sequence[Tensor], score: Target = log_odds
) -> list[Tensor]:
    """One gradient [n, 3, h, w] float32 of `score` per target [n, k] bool, by one forward pass.

    images: [n, 3, h, w] in [0,1]. Works where the caller has switched gradients off; RuntimeError in inference
    mode, which cannot be left; ModelFailure where no gradient reaches the pixels.
    """
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "input gradients cannot be taken inside torch.inference_mode(): call outside it "
            "(torch.no_grad() is fine)."
        )
    size = part_size(images.device)
    parts = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        wanted = [target[part] for target in targets]
        parts.append(_gradients(forward, images[part], wanted, score))
    return [torch.cat(found) for found in zip(*parts, strict=True)]


def part_size(device: torch.device) -> int:
    """At most how many images take their gradient at once."""
    return CPU_PART if device.type == "cpu" else GPU_PART


def smooth_gradient(
    forward: Forward, images: Tensor, target: Tensor, noise: Sequence[Tensor]
) -> Tensor:
    """[n, 3, h, w] mean signed gradient at images plus each of `noise` (SmoothGrad, Smilkov et al. 2017)."""
    total = torch.zeros_like(images, dtype=torch.float32)
    for added in noise:
        total += input_gradients(forward, images + added, [target])[0]
    return total / len(noise)


def noise_of(
    seeds: NDArray[np.uint64], shape: tuple[int, ...], draws: int, sigma: float
) -> NDArray[np.float32]:
    """[draws, n, *shape] Gaussian noise of standard deviation sigma; an image's depends on its seed alone."""
    noise = np.empty((draws, len(seeds), *shape), dtype=np.float32)
    for place, seed in enumerate(seeds):
        stream = np.random.Generator(np.random.Philox(key=int(seed)))
        for draw in noise:
            stream.standard_normal(dtype=np.float32, out=draw[place])
    noise *= np.float32(sigma)
    return noise


def _gradients(
    forward: Forward, images: Tensor, targets: Sequence[Tensor], score: Target
) -> list[Tensor]:
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        pixels = images.detach().clone().float().requires_grad_()
        logits = forward(pixels)
        if not logits.requires_grad:
            raise ModelFailure("its logits carry no gradient: the network is not differentiable")
        scores = [score(logits, target).sum() for target in targets]
        found = []
        for place, total in enumerate(scores, 1):
            keep = place < len(scores)
            (one,) = torch.autograd.grad(total, pixels, retain_graph=keep, allow_unused=True)
            if one is None:
                raise ModelFailure("its logits do not depend on the pixels: no gradient")
            found.append(one.detach())
    return found


def membership(outputs: Sequence[Sequence[int]], classes: int) -> Tensor:
    """[categories, classes] bool: outputs[c] are the columns of the logits that stand for category c."""
    table = torch.zeros(len(outputs), classes, dtype=torch.bool)
    for row, columns in enumerate(outputs):
        table[row, list(columns)] = True
    return table


def target_rows(table: Tensor, categories: Sequence[str], names: Array) -> Tensor:
    """[n, classes] bool: the outputs of each named category. ModelFailure where a name is none of them."""
    place = {name: row for row, name in enumerate(categories)}
    unknown = sorted({str(name) for name in names} - place.keys())
    if unknown:
        raise ModelFailure(f"label '{unknown[0]}' is none of the {len(place)} categories")
    return table[torch.tensor([place[str(name)] for name in names], device=table.device)]
