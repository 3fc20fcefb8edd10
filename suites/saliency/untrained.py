"""The same architecture with random weights: the network that a metric must not reward."""

import copy

import torch
from torch import nn


def untrained(module: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of `module` whose layers are initialised anew, each as its class does it, from `seed`.

    Layers that cannot initialise themselves keep a permutation of their weights. Modes and flags stay; torch's
    own random state is left as it was.
    """
    fresh = copy.deepcopy(module)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in fresh.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                _shuffle(layer)
    return fresh


def _shuffle(layer: nn.Module) -> None:
    for weights in layer.parameters(recurse=False):
        flat = weights.flatten()
        weights.copy_(flat[torch.randperm(len(flat))].view_as(weights))
