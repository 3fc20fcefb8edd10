"""Weights that ship inside installed packages, brought onto architectures that timm and torchvision build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from registry.checkpoints import State, read_state
from registry.errors import WeightsError
from registry.foreign import foreign

Converter = Callable[[Path, nn.Module], State]


def _field(name: str) -> str:
    return name.rpartition(".")[2]


def by_order(path: Path, module: nn.Module) -> State:
    """A network of the same layers under other names: tensors pair in the order of construction.

    Every pair must agree in its field (weight, bias, running_mean, ...) and shape, else WeightsError."""
    have, want = read_state(path), module.state_dict()
    pairs = list(zip(have.items(), want.items(), strict=False))
    for (theirs, tensor), (ours, target) in pairs:
        if _field(theirs) != _field(ours) or tensor.shape != target.shape:
            raise WeightsError(
                f"checkpoint {path}: {theirs} {tuple(tensor.shape)} stands where the architecture has {ours} "
                f"{tuple(target.shape)}. This release of the package is another network."
            )
    if len(have) != len(want):
        raise WeightsError(f"checkpoint {path}: expected {len(want)} tensors, found {len(have)}.")
    return {ours: tensor for (_, tensor), (ours, _) in pairs}


def _keras_layers(path: Path) -> Mapping[str, Tensor]:
    """Tensors of a Keras .h5 file by layer and field: kernels [h, w, in, out] become [out, in, h, w]."""
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"reading {path} needs h5py: pip install h5py.") from error
    import torch

    tensors: dict[str, Tensor] = {}

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            layer, _, field = name.rpartition("/")[2].removesuffix(":0").rpartition("_")
            group = name.split("/", 1)[0]
            value = torch.from_numpy(item[()])
            key = f"{group}.{layer}" if layer != group else group
            tensors[f"{key}.{field}"] = value.permute(3, 2, 0, 1) if value.ndim == 4 else value

    with foreign("checkpoint", path, WeightsError), h5py.File(path, "r") as file:
        file.visititems(collect)
    return tensors


#: torchvision's squeezenet1_1: index in `features` -> fire module.
_FIRE = {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9}
_PARTS = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}


def keras_squeezenet(path: Path, module: nn.Module) -> State:
    """SqueezeNet 1.1 of Keras onto torchvision's `squeezenet1_1`."""
    del module
    layers = _keras_layers(path)
    names = {"features.0": "conv1", "classifier.1": "conv10"}
    for index, fire in _FIRE.items():
        for ours, theirs in _PARTS.items():
            names[f"features.{index}.{ours}"] = f"fire{fire}.{theirs}"
    state: State = {}
    for ours, theirs in names.items():
        for field, letter in (("weight", "W"), ("bias", "b")):
            if f"{theirs}.{letter}" not in layers:
                raise WeightsError(f"checkpoint {path} has no layer {theirs}: not SqueezeNet 1.1.")
            state[f"{ours}.{field}"] = layers[f"{theirs}.{letter}"].contiguous()
    return state


CONVERTERS: Mapping[str, Converter] = {"by-order": by_order, "keras-squeezenet": keras_squeezenet}
