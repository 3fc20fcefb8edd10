"""Any attack of foolbox (Rauber et al. 2020) by the name of its class: `LinfDeepFoolAttack`, `DDNAttack`."""

from typing import Any

import torch
from torch import Tensor

from benchmark.errors import PluginError, unknown_name
from suites.adversarial.attacks.foreign_network import BATCH, Network, installed
from suites.adversarial.config import Library, NormName


def check(recipe: Library) -> None:
    """Raises PluginError where foolbox is missing or the attack needs options, UnknownName where there is none."""
    made(recipe, "linf")


def points(
    network: Network,
    images: Tensor,
    labels: Tensor,
    norm: NormName,
    epsilon: float,
    recipe: Library,
) -> Tensor:
    """The perturbed images, in batches of `BATCH`; where an attack finds none, what it ended with."""
    model = installed("foolbox", "foolbox").PyTorchModel(network, (0, 1), device=images.device)
    attack = made(recipe, norm)
    parts = zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True)
    return torch.cat([attack(model, x, y, epsilons=[epsilon])[0][0] for x, y in parts])


def made(recipe: Library, norm: NormName) -> Any:
    """The attack with its options; one that can minimise any distance minimises that norm."""
    foolbox = installed("foolbox", "foolbox")
    bounded, flexible = _families(foolbox)
    kinds = {name: kind for name, kind in vars(foolbox.attacks).items() if _is(kind, bounded)}
    if recipe.attack not in kinds:
        raise unknown_name("attack of foolbox", recipe.attack, kinds, "See foolbox.attacks.")
    kind, options = kinds[recipe.attack], dict(recipe.options)
    if _is(kind, flexible):
        options.setdefault("distance", getattr(foolbox.distances, norm))
    try:
        return kind(**options)
    except TypeError as error:
        raise PluginError(
            f"foolbox {recipe.attack} with the options {options}: {error}. Give options in Library(..., options=...)."
        ) from error


def _families(foolbox: Any) -> tuple[Any, Any]:
    """Attacks whose perturbation has a size; those among them that are told which."""
    base = foolbox.attacks.base
    return base.AttackWithDistance, base.FlexibleDistanceMinimizationAttack


def _is(kind: Any, family: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, family)
