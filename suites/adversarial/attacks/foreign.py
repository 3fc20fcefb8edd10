"""Attacks of other packages, judged here: what a package returns is brought into the ball and the box, and counts where
the network's answer at that point is wrong.

The packages draw from one generator per batch, so an image's random start depends on which images are attacked with it:
AutoAttack's batches hold `BATCH` images on every device, and every call begins from the same seed. A verdict can
therefore change where another image's does; it cannot change with the device's own batch size."""

import logging
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import PluginError, foreign_code
from suites.adversarial.added import ATTACKS, Attack
from suites.adversarial.attacks.problem import BALLS, Problem, Verdicts, batches
from suites.adversarial.config import AutoAttack, NormName, PluggedIn

BATCH = 32
SEED = 0
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}  # as AutoAttack calls them
ROUNDING = 1.2e-7  # what a float32 pixel of at most 1 may be off by
ROOM = 1 + 1e-4  # over epsilon: what a float32 sum over many entries may be off by


class AttackedNetwork(nn.Module):
    """The attacked network as the packages expect it: plain contiguous images in, gradients of the same layout out.
    passes, forwards: how many images it was shown with and without a gradient."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem
        self.passes = 0
        self.forwards = 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, all finite: NaN and infinity are zero, and what they say of an image is judged afterwards."""
        if torch.is_grad_enabled() and images.requires_grad:
            self.passes += len(images)
            apply: Any = _Contiguous.apply
            return self.problem.forward(apply(images)).nan_to_num(0.0, 0.0, 0.0)
        self.forwards += len(images)
        with torch.no_grad():
            return self.problem.forward(images).nan_to_num(0.0, 0.0, 0.0)


class _Contiguous(torch.autograd.Function):
    """The identity, whose gradient is contiguous: packages call `view` on it."""

    @staticmethod
    def forward(_: Any, images: Tensor) -> Tensor:
        return images.view_as(images)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def foreign(problem: Problem, norm: NormName, epsilon: Tensor, recipe: AutoAttack | PluggedIn) -> Verdicts:
    """Attack every image of a problem, within epsilon [n], one for each, by an attack of another package.

    Gradient and plain passes are those of the whole call, shared out evenly, the remainder to the first. Raises
    PluginError if the package is not installed, or gives what is no perturbed image."""
    verdicts = Verdicts.none(len(problem.images))
    for bound in sorted(set(epsilon.tolist())):
        rows = np.flatnonzero((epsilon == bound).cpu().numpy())
        some = problem.at(rows)
        network, images = AttackedNetwork(some), some.images.contiguous()
        if isinstance(recipe, PluggedIn):
            reached = plugged_points(ATTACKS[recipe.attack], network, images, some.labels, bound, some.seeds)
        else:
            reached = _autoattack_points(network, images, some.labels, norm, bound, recipe)
        for part in batches(some):
            at, origin = rows[part], some.images[part]
            delta = (reached.detach()[part] - origin).nan_to_num(0.0, 0.0, 0.0)
            delta = BALLS[norm].project(delta, torch.full((len(part),), bound, device=origin.device))
            point = (origin + delta).clamp(0.0, 1.0)
            with torch.no_grad():
                z = problem.forward(point)
            verdicts.judge(problem, norm, at, point, z)
            verdicts.forwards[at] += 1
        for total, shared in ((network.passes, verdicts.passes), (network.forwards, verdicts.forwards)):
            shared[rows] += total // len(rows) + (np.arange(len(rows)) < total % len(rows))
    return verdicts


def plugged_points(
    attack: Attack, network: AttackedNetwork, images: Tensor, labels: Tensor, epsilon: float, seeds: NDArray[np.uint64]
) -> Tensor:
    """The images as an added attack perturbs them, one device batch at a time. Raises PluginError that names the attack
    if it fails, or gives another shape, NaN, or points outside the ball or [0,1]."""
    parts = []
    for rows in batches(network.problem):
        with foreign_code(f"the attack '{attack.title}'"), own_randomness(images.device):
            reached = attack.points(network, images[rows].clone(), labels[rows], epsilon, seeds[rows])
        gave, part = f"the attack '{attack.title}' gave", images[rows]
        if not isinstance(reached, Tensor):
            raise PluginError(f"{gave} a {type(reached).__name__}: expected a tensor of images.")
        if reached.shape != part.shape or not reached.is_floating_point():
            what = f"{list(reached.shape)} of {reached.dtype} for images {list(part.shape)}"
            raise PluginError(f"{gave} {what}: expected the same shape, floating point.")
        points = reached.detach().to(images)
        if not (float(points.amin()) >= 0 and float(points.amax()) <= 1):
            raise PluginError(f"{gave} values outside [0, 1] or NaN.")
        measure = BALLS[attack.norm].size
        size, rounded = measure(points - part).max(), measure(torch.full_like(part[:1], ROUNDING)).max()
        if float(size) > epsilon * ROOM + float(rounded):
            what = f"a perturbation of {attack.norm} norm {float(size):.4g}"
            raise PluginError(f"{gave} {what}, beyond the budget of {epsilon:.4g}.")
        parts.append(points)
    return torch.cat(parts)


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """The global generators of torch, NumPy and Python from a fixed seed, and put back afterwards."""
    numbers, plain = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        np.random.seed(SEED)
        random.seed(SEED)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(plain)


def _autoattack_points(
    network: AttackedNetwork, images: Tensor, labels: Tensor, norm: NormName, epsilon: float, recipe: AutoAttack
) -> Tensor:
    """AutoAttack (Croce & Hein 2020) as its authors' package runs it: APGD on the cross entropy, targeted APGD on the
    DLR, targeted FAB, Square, each on the images that are still standing. Images that nothing broke come back as they
    were."""
    package, options = import_module("pyautoattack"), dict(recipe.options)
    options |= {"seed": SEED, "device": str(images.device), "version": recipe.version}
    # Its warnings stay unsaid, the trust report has checks of its own; a tracing debugger that its check of the
    # forward pass removes is put back.
    logger, tracing = logging.getLogger("auto-attack"), sys.gettrace()
    before, logger.disabled = logger.disabled, True
    try:
        with own_randomness(images.device):
            attack = package.AutoAttack(network, norm=NORMS[norm], eps=epsilon, **options)
            classes = network(images[:1]).shape[1]
            for targeted in (attack.apgd_targeted, attack.fab):  # nine in the paper; there may be fewer
                targeted.n_target_classes = min(targeted.n_target_classes, classes - 1)
            reached: Tensor = attack.run_standard_evaluation(images, labels, batch_size=BATCH)[0]
    finally:
        logger.disabled = before
        sys.settrace(tracing)
    return reached
