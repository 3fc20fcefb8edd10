"""Some files and folders are taken only on consent: what each holds is written to a new file beside it.

No code of a file runs. Of a pickle no class is imported, and every name outside a short list is replaced by an inert
stand-in, which keeps the state that it is given."""

import io
import json
import pickle
import re
import shlex
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from registry.files import CONVERTED, is_file, is_folder, parts_in, write_whole
from registry.user_errors import Remedy, WeightsError, foreign, shown

State = dict[str, Tensor]
Read = Callable[[], Any]
#: Name of the weight and bias of a quantised linear layer.
_PACKED = "_packed_params"
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
#: Beginnings of the names of files that training code keeps beside weights, and of entries that it keeps in them.
_OTHERS = ("optimizer", "scheduler", "lr_scheduler", "sampler", "scaler", "callbacks", "loops")


def write_converted(read: Read, path: Path) -> Path:
    """Write what `read` returns beside `path`, over no other content. Raises WeightsError without a tensor."""
    with foreign("checkpoint", path, WeightsError, "It cannot be converted."):
        content = _plain(read(), ())
        flat = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
        if not isinstance(content, dict) or next(parts_in(content, Tensor), None) is None:
            raise WeightsError(f"{shown(path)} holds no tensors of numbers by name. Name the file with the weights.")
        if flat:
            data = save(content, {"format": "pt"})
        else:
            torch.save(content, buffer := io.BytesIO())
            data = buffer.getvalue()
    return write_beside(path, data, ".safetensors" if flat else ".pt")


def write_beside(path: Path, data: bytes, ending: str) -> Path:
    """Write what was made of a file beside it; return the new file. No file of other content is replaced."""
    stem, number = path.name.partition(CONVERTED)[0], 1
    target = path.with_name(f"{stem}{CONVERTED}{ending}")
    while is_file(target) and target.read_bytes() != data:
        number += 1
        target = path.with_name(f"{stem}{CONVERTED}-{number}{ending}")
    with foreign("new file", target, WeightsError, "Copy the file elsewhere."):
        write_whole(target, data)
    return target


def refusal(path: Path, what: str, read: Read) -> WeightsError:
    """Return the error for a file that is taken on consent."""
    text = f"{shown(path)} is {what}. --convert writes what it holds to a new file beside it; no code of it runs."
    return WeightsError(text, Remedy(write=partial(write_converted, read, path)))


def _plain(content: Any, above: tuple[int, ...]) -> Any:
    """Return content as dense tensors, numbers, texts and containers. Pickled networks become their state dicts, arrays
    tensors; anything else, and what only training reads, becomes None or is left out."""
    if isinstance(content, Tensor):
        dense = content.dequantize() if content.is_quantized else content
        return (dense.to_dense() if dense.layout != torch.strided else dense).detach().clone().contiguous()
    if isinstance(content, np.ndarray):
        native = np.array(content, content.dtype.newbyteorder("="))
        return torch.from_numpy(native) if content.dtype.kind in "biuf" else None
    if isinstance(content, np.generic):
        return content.item() if content.dtype.kind in "biufU" else None
    if content is None or isinstance(content, str | int | float):
        return content
    if id(content) in above:
        return None
    inside = (*above, id(content))
    if isinstance(content, list | tuple):
        return [_plain(value, inside) for value in content]
    if not isinstance(content, Mapping):
        return None
    named, quantisers = dict[str, Any](), set[str]()
    for name, value in (module_state(content) if is_module(content) else content).items():
        layer, _, field = str(name).rpartition(".")
        if field == _PACKED and isinstance(value, tuple):  # weight and bias of a quantised layer get their usual names
            stem = layer.removesuffix(_PACKED).rstrip(".")
            named |= {f"{stem}.{part}".lstrip("."): t for part, t in zip(("weight", "bias"), value, strict=False)}
        else:
            named[str(name)] = value
        if field == "zero_point":  # the dense weights contain it, and the scale
            quantisers |= {str(name), f"{layer}.scale".lstrip(".")}
    kept = (name for name in named if name not in quantisers and not name.startswith(_OTHERS))
    parts = {name: _plain(named[name], inside) for name in kept}
    return {name: value for name, value in parts.items() if value is not None and value != {}}


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


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what makes an object of this name, otherwise the stand-in."""
        # Functions of libraries are wrapped, not given: a pickle could set their attributes.
        if module == "torch._utils" and re.fullmatch("_rebuild_(tensor(_v2)?|parameter|qtensor)", name):
            rebuild = getattr(import_module(module), name)
            return lambda *args: rebuild(*args)
        value: Any = getattr(torch, name, None) if module == "torch" else None
        if isinstance(value, torch.dtype | torch.qscheme):
            return value
        makers: dict[str, Any] = {
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
        }
        return makers.get(f"{module}.{name}".replace("numpy.core.", "numpy._core."), StandIn)


def torch_content(file: Path | io.BytesIO) -> Any:
    """Return the content of a file of `torch.save`, whatever it holds beside tensors."""
    reading = SimpleNamespace(__name__="inert", Unpickler=_Reader, load=lambda f, **more: _Reader(f, **more).load())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a stand-in's source is another than its class's
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=reading)


def is_module(content: Any) -> bool:
    """Return whether content was a network of torch when it was saved."""
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


# Formats that torch does not read as weights.


def pickled_content(path: Path) -> Any:
    """Return the content of a pickle of any origin."""
    with path.open("rb") as file:
        return _Reader(file, encoding="latin1").load()


def script_state(path: Path) -> State:
    """Return the parameters and buffers of a TorchScript program, which is opened and not called."""
    load: Any = torch.jit.load
    state = dict(load(path, map_location="cpu").state_dict())
    if not state:
        raise WeightsError(f"{shown(path)} is frozen: its weights have no names. Save it before torch.jit.freeze.")
    return state


def npy_content(path: Path) -> Any:
    """Return a pickled dictionary of arrays."""
    formats: Any = np.lib.format
    with path.open("rb") as file:
        version, _ = formats.read_magic(file)
        if not getattr(formats, f"read_array_header_{version}_0")(file)[2].hasobject:
            raise ValueError("one array, without names of weights")
        content = _Reader(file, encoding="latin1").load()
    return content.item() if isinstance(content, np.ndarray) and content.ndim == 0 else content


def npz_content(path: Path) -> dict[str, Any]:
    """Return the arrays of an archive by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name.replace("/", "."): archive[name] for name in archive.files}


# Folders that training code writes.


def refuse_folder(folder: Path) -> None:
    """Raise WeightsError for a folder of training code."""
    for inside in (folder, *sorted(filter(is_folder, folder.iterdir()))):
        # The libraries of both kinds unpickle freely: the user runs them, or not.
        if is_file(inside / ".metadata"):
            target, what = inside / "weights.pt", "distributed checkpoint (torch.distributed.checkpoint)"
            words = ["torch.distributed.checkpoint.format_utils", "dcp_to_torch", str(inside), str(target)]
        elif any(inside.glob("*_optim_states.pt")) and any(inside.glob("*_model_states.pt")):
            run = inside.parent if inside == folder else folder
            target, what = run / "fp32" / "model.safetensors", "checkpoint of DeepSpeed"
            words = ["deepspeed.utils.zero_to_fp32", str(run), str(target.parent), "--tag", inside.name]
            words += ["--safe_serialization"]
        else:
            continue
        command = ("python", "-m", *words)
        text = f"{shown(inside)} is a {what}. Its own tool converts it once, if you trust it: {shlex.join(command)}."
        raise WeightsError(text, Remedy(before=command, words=("--weights", str(target))))
    if is_file(folder / "adapter_config.json"):
        text = f"{shown(folder)} is an adapter (PEFT) without its network. peft merges both, if you trust it:"
        merge = "PeftModel.from_pretrained(network, FOLDER).merge_and_unload()"
        raise WeightsError(f"{text} {merge}. Save its state_dict() and give that file: --weights FILE.")
    for index in () if is_file(folder / "model.safetensors") else sorted(folder.glob("*.index.json")):
        raise shards(index)
    files = [p for p in sorted(folder.iterdir()) if p.suffix in _SUFFIXES and not p.name.startswith(_OTHERS)]
    if files and not is_file(folder / "config.json"):
        text = f"{shown(folder)} is a folder without config.json, which would name its architecture. Give the file"
        named = " or ".join(shlex.quote(str(path)) for path in files[:5])
        raise WeightsError(f"{text}: --weights {named}", Remedy(words=("--weights", str(files[0]))))


def shards(index: Path) -> WeightsError:
    """Return the error for weights in shards, which consent joins."""

    def joined() -> Path:
        with foreign("index of shards", index, WeightsError, "Expected weight_map: name -> file."):
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            if any(Path(name).name != name for name in names):
                raise ValueError("it names files of other folders")
        return rewritten(*map(index.with_name, names))

    text = f"{shown(index.parent)} contains weights in shards ({index.name}). --convert joins them to one file there."
    return WeightsError(text, Remedy(write=joined))


def rewritten(*files: Path) -> Path:
    """Write the tensors of a folder's files as its model.safetensors; return it, or the folder if that is complete."""
    state, target = State(), files[0].with_name("model.safetensors")
    for file in files:
        with foreign("checkpoint", file, WeightsError):
            state |= _tensors_of(file)
    # Tied tensors share memory, which the format does not have.
    separate = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    with foreign("new file", target, WeightsError, "Copy the folder elsewhere."):
        write_whole(target, save(separate, {"format": "pt"}))
    return target.parent if is_file(target.with_name("config.json")) else target


def _tensors_of(file: Path) -> State:
    is_pickle = file.suffix != ".safetensors"
    state: State = torch.load(file, map_location="cpu", weights_only=True) if is_pickle else load_file(file)
    return state
