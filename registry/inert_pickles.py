"""Pickles of any origin as arrays, numbers, texts and containers: no class of theirs is imported and nothing runs.

Every name outside a short list is replaced by an inert stand-in, which keeps the state that it is given: so a pickled
network becomes a dictionary of its parameters, buffers and parts."""

import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor


class StandIn(dict[Any, Any]):
    """Replaces an object of a pickle: it accepts any arguments and keeps entries and fields as a dictionary."""

    dump_patches = False  # torch asks the classes of old files whether it may write how their source has changed

    def __init__(self, *_args: object) -> None:
        super().__init__()

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __setstate__(self, state: object) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:  # two of a class with slots
            self.update(part if isinstance(part, dict) else {})
            if isinstance(part, tuple) and any(isinstance(value, Tensor) for value in part):
                self["packed"] = part  # of a quantised layer: weight, bias

    def append(self, _value: object) -> None:
        """Drop an entry of a list of its own kind."""

    def extend(self, _values: object) -> None:
        """Drop entries of a list of its own kind."""


_NAMES = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_qtensor")


def _built(place: str) -> Any:
    """Return what makes an object of this name; None for a stand-in. Library functions are wrapped, not given."""
    module, _, name = place.rpartition(".")
    if module == "torch._utils" and name in _NAMES:
        rebuild = getattr(import_module(module), name)
        return lambda *args: rebuild(*args)
    value: Any = getattr(torch, name, None) if module == "torch" else None
    if isinstance(value, torch.dtype | torch.qscheme):
        return value
    return {
        "numpy._core.multiarray._reconstruct": lambda *_: np.ndarray(0),  # its state brings the content
        "numpy._core.multiarray.scalar": lambda kind, data: np.frombuffer(data, kind)[0],
        "numpy._core.numeric._frombuffer": lambda data, kind, shape, order: np.frombuffer(data, kind).reshape(
            shape, order=order
        ),
        "numpy.dtype": lambda *args: np.dtype(*args),
        "collections.OrderedDict": OrderedDict,
        "builtins.set": lambda *args: set(*args),
        "__builtin__.set": lambda *args: set(*args),
        "_codecs.encode": lambda text, *_: text.encode("latin1"),  # numpy's bytes in protocol 2
        "torch.Size": lambda *args: torch.Size(*args),
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch._tensor._rebuild_from_type_v2": lambda rebuild, _kind, args, _state: rebuild(*args),
        "torch.storage._load_from_bytes": lambda data: torch_content(io.BytesIO(data)),
    }.get(place.replace("numpy.core.", "numpy._core."))


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what makes an object of the list, otherwise the stand-in."""
        return _built(f"{module}.{name}") or StandIn


def plain_pickle(file: io.BufferedIOBase) -> Any:
    """Return the content of a file of `pickle.dump`."""
    return _Reader(file, encoding="latin1").load()


def torch_content(file: Path | io.BytesIO) -> Any:
    """Return the content of a file of `torch.save`, whatever it holds beside tensors."""
    reading = SimpleNamespace(__name__="inert", Unpickler=_Reader, load=lambda f, **more: _Reader(f, **more).load())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a stand-in's source is another than its class's
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=reading)


def is_module(content: Any) -> bool:
    """Return whether it is what was a network of torch."""
    return isinstance(content, StandIn) and {"_parameters", "_buffers", "_modules"} <= content.keys()


def module_state(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the state dict of what was a network; the weight and bias of a quantised layer are a pair in it."""
    hidden = content.get("_non_persistent_buffers_set") or ()
    own = {**content["_parameters"], **{name: t for name, t in content["_buffers"].items() if name not in hidden}}
    state: dict[str, Any] = {f"{prefix}{name}": tensor for name, tensor in own.items() if isinstance(tensor, Tensor)}
    if isinstance(packed := content.get("_packed_params"), StandIn) and "packed" in packed:
        state[f"{prefix}_packed_params"] = packed["packed"]
    for name, part in content["_modules"].items():
        state |= module_state(part, f"{prefix}{name}.") if is_module(part) else {}
    return state
