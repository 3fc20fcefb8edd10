"""AutoAttack (Croce & Hein 2020) as its authors' package `pyautoattack` runs it: APGD on the cross entropy, targeted
APGD on the DLR, targeted FAB, Square, each on the images that are still standing."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from benchmark.errors import PluginError
from suites.adversarial.attacks.foreign_network import BATCH, SEED, Network, installed
from suites.adversarial.config import Library, NormName

VERSIONS = ("standard", "plus", "rand", "custom")
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}


def check(recipe: Library) -> None:
    """Raises PluginError where the package is missing or has no such version."""
    if recipe.attack not in VERSIONS:
        raise PluginError(f"AutoAttack is {', '.join(VERSIONS)}, not '{recipe.attack}'.")
    installed("pyautoattack", "autoattack")


def points(network: Network, images: Tensor, labels: Tensor, norm: NormName, epsilon: float, recipe: Library) -> Tensor:
    """The perturbed images; images that nothing broke come back as they were."""
    found = installed("pyautoattack", "autoattack")
    attack = found.AutoAttack(
        network,
        norm=NORMS[norm],
        eps=epsilon,
        seed=SEED,
        device=str(images.device),
        version=recipe.attack,
        **dict(recipe.options),
    )
    classes = network(images[:1]).shape[1]
    for targeted in (attack.apgd_targeted, attack.fab):  # nine in the paper; there may be fewer
        targeted.n_target_classes = min(targeted.n_target_classes, classes - 1)
    with _undisturbed():
        reached: Tensor = attack.run_standard_evaluation(images, labels, batch_size=BATCH)[0]
    return reached


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Its warnings stay unsaid, the trust report has checks of its own; a tracing debugger that its check of the
    forward pass removes is put back."""
    logger, tracing = logging.getLogger("auto-attack"), sys.gettrace()
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
        sys.settrace(tracing)
