"""The same architecture with random weights: the network that a metric must not reward."""

import copy
from dataclasses import replace

import torch
from torch import nn

from registry.architectures import build_untrained
from registry.errors import BenchError
from registry.model import LoadedModel


def untrained(model: LoadedModel, seed: int = 0) -> LoadedModel:
    """`model` with random weights from `seed`, drawn as its architecture draws them before training.

    Where the architecture cannot be built from its name (an exported program), each layer is initialised anew as
    its class does it. Evaluation mode, no parameter requires a gradient; torch's own random state stays as it was.
    """
    module = _built(model, seed) or reinitialised(model.module, seed)
    device = next((weights.device for weights in model.module.parameters()), torch.device("cpu"))
    return replace(model, module=module.eval().requires_grad_(False).to(device))


def reinitialised(module: nn.Module, seed: int = 0) -> nn.Module:
    """A copy whose layers are initialised anew; layers that cannot do so keep a permutation of their weights."""
    fresh = copy.deepcopy(module)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in fresh.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                _shuffle(layer)
    return fresh


def _built(model: LoadedModel, seed: int) -> nn.Module | None:
    card, classes = model.card, len(model.labels.classes)
    try:
        return build_untrained(card.arch, classes, seed, card.options.get("kwargs"))
    except BenchError:
        return None


def _shuffle(layer: nn.Module) -> None:
    for weights in layer.parameters(recurse=False):
        flat = weights.flatten()
        weights.copy_(flat[torch.randperm(len(flat))].view_as(weights))
