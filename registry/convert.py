"""Files and folders that are taken on consent: what each holds, written to a new file beside it.

No code of a file runs. `torch.jit.load` opens a TorchScript program, whose parameters and buffers alone are taken."""

import io
import json
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from registry.documents import read_json
from registry.files import CONVERTED, is_file, is_folder, write_whole
from registry.inert_pickles import is_module, module_state, plain_pickle
from registry.user_errors import Remedy, WeightsError, foreign, shown

State = dict[str, Tensor]
Read = Callable[[], Any]
#: Name of the weight and bias of a quantised linear layer.
_PACKED = "_packed_params"
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
#: Beginnings of the names of files that training code keeps beside weights, and entries that it keeps in them.
_OTHERS = ("optimizer", "scheduler", "sampler", "scaler")
_LEFT = (*_OTHERS, "lr_scheduler", "callbacks", "loops")


def written(read: Read, path: Path) -> Path:
    """Write what `read` returns beside `path`; return the new file. No file of other content is replaced. Raises
    WeightsError for content without a tensor."""
    with foreign("checkpoint", path, WeightsError, "It cannot be converted."):
        content = _plain(read(), ())
        flat = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
        if not isinstance(content, dict) or not has_tensors(content):
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
    _put(data, target)
    return target


def _put(data: bytes, target: Path) -> None:
    try:
        write_whole(target, data)
    except OSError as error:
        raise WeightsError(f"{shown(target)} cannot be written ({error.strerror}). Copy the file elsewhere.") from error


def refusal(path: Path, what: str, read: Read) -> WeightsError:
    """Return the error for a file that is taken on consent."""
    text = f"{shown(path)} is {what}. --convert writes what it holds to a new file beside it; no code of it runs."
    return WeightsError(text, Remedy(write=partial(written, read, path)))


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
    if not isinstance(content, Mapping):  # the arguments of a training script have fields
        return _plain(getattr(content, "__dict__", None) or None, inside)
    named = unpacked(module_state(content) if is_module(content) else content)
    parts = {name: _plain(value, inside) for name, value in named.items() if not name.startswith(_LEFT)}
    return {name: value for name, value in parts.items() if value is not None and value != {}}


def has_tensors(content: Any, larger_than: int = 0) -> bool:
    """Return whether a tensor of more than so many numbers is in content or its dictionaries and lists."""
    if isinstance(content, Tensor):
        return content.numel() > larger_than
    parts = content.values() if isinstance(content, Mapping) else content if isinstance(content, list | tuple) else ()
    return any(has_tensors(part, larger_than) for part in parts)


def unpacked(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a dictionary in which the weight and bias of quantised layers have their usual names."""
    state, quantisers = dict[str, Any](), set[str]()
    for name, value in content.items():
        layer, _, field = str(name).rpartition(".")
        if field == _PACKED and isinstance(value, tuple):
            stem = layer.removesuffix(_PACKED).rstrip(".")
            state |= {f"{stem}.{part}".lstrip("."): t for part, t in zip(("weight", "bias"), value, strict=False)}
        else:
            state[str(name)] = value
        if field == "zero_point":  # the dense weights contain it, and the scale
            quantisers |= {str(name), f"{layer}.scale".lstrip(".")}
    return {name: value for name, value in state.items() if name not in quantisers}


# Formats that torch does not read as weights.


def other_format(path: Path, arch: str, kwargs: Mapping[str, Any]) -> tuple[str, Read] | None:
    """Return in words what a file of another format is, and its reader; None for torch's and safetensors'. arch,
    kwargs: the network that it is for."""
    with path.open("rb") as file:
        start = file.read(20)
    if start.startswith(b"\x89HDF"):
        return "HDF5 (.h5)", partial(_hdf5, path)
    if start.startswith(b"\x93NUMPY"):
        return "a file of numpy (.npy)", partial(_npy, path)
    magic = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")  # of torch's files that are no archives
    # a header of safetensors, which begins with its length, may begin like a pickle
    if start.startswith(b"\x80") and magic not in start and start[8:9] != b"{":
        return "a pickle of Python, not of torch.save", partial(_pickled, path)
    if not is_zipfile(path):
        return None
    with ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript program (torch.jit.save)", partial(_script_state, path)
    if not names or not all(name.endswith(".npy") for name in names):
        return None
    is_flax = any(name.endswith("kernel.npy") for name in names) and arch.startswith("timm:")
    read = partial(_flax_state, path, arch, dict(kwargs)) if is_flax else partial(_npz, path)
    return f"an archive of numpy (.npz) with {len(names)} arrays", read


def _pickled(path: Path) -> Any:
    with path.open("rb") as file:
        return plain_pickle(file)


def _script_state(path: Path) -> State:
    load: Any = torch.jit.load
    state = dict(load(path, map_location="cpu").state_dict())
    if not state:
        raise WeightsError(f"{shown(path)} is frozen: its weights have no names. Save it before torch.jit.freeze.")
    return state


def _npy(path: Path) -> Any:
    """Return a pickled dictionary of arrays."""
    formats: Any = np.lib.format
    with path.open("rb") as file:
        version, _ = formats.read_magic(file)
        if not getattr(formats, f"read_array_header_{version}_0")(file)[2].hasobject:
            raise ValueError("one array, without names of weights")
        content = plain_pickle(file)
    return content.item() if isinstance(content, np.ndarray) and content.ndim == 0 else content


def _npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return {name.replace("/", "."): archive[name] for name in archive.files}


def _flax_state(path: Path, arch: str, kwargs: Mapping[str, Any]) -> State:
    """Return the state of timm's network, which reads the arrays of JAX and Flax for its ViT, Mixer and BiT."""
    arrays, places = np.load(path), "Transformer/posembed_input/pos_embedding"
    classes = len(arrays.get("head/bias", ()))
    network = import_module("timm").create_model(arch.removeprefix("timm:"), num_classes=classes, **kwargs)
    if places in arrays and arrays[places].shape != network.pos_embed.shape:  # timm would interpolate them
        raise WeightsError(f"the positions of {shown(path)} do not fit: --arch-option img_size=... gives its size.")
    network.load_pretrained(path)
    return dict(network.state_dict())


def _hdf5(path: Path) -> dict[str, Any]:
    h5py: Any = _library("h5py", path)
    found: dict[str, Any] = {}

    def keep(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset) and part.external is None:  # else its numbers are in another file
            found[name.replace("/", ".")] = np.asarray(part[()])

    with h5py.File(path, "r") as file:
        weights = file.get("model_weights", file)
        if {"keras_version", "layer_names"} & {*file.attrs, *weights.attrs}:
            raise WeightsError(
                f"{shown(path)} is of Keras, whose layers have other names and layouts. Register a function that runs "
                "it (--arch python:FILE.py:predict), or an ONNX file of it."
            )
        file.visititems(keep)
    return found


def _library(name: str, path: Path) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise WeightsError(
            f"{shown(path)} needs the package '{name}', which is not installed.",
            Remedy(before=("pip", "install", name), words=("--convert",)),
        ) from error


# Folders that training code writes.


def refuse_folder(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> None:
    """Raise WeightsError for a folder of training code: a distributed checkpoint, DeepSpeed, an adapter (PEFT), shards,
    or plain files. arch, kwargs: the network that it is for."""
    for inside in (folder, *sorted(filter(is_folder, folder.iterdir()))):
        _refuse_distributed(inside, folder)
    if is_file(folder / "adapter_config.json"):
        raise _adapter(folder, arch, kwargs)
    for index in () if is_file(folder / "model.safetensors") else sorted(folder.glob("*.index.json")):
        raise shards(index)
    files = [p for p in sorted(folder.iterdir()) if p.suffix in _SUFFIXES and not p.name.startswith(_OTHERS)]
    if files and not is_file(folder / "config.json"):
        raise WeightsError(
            f"{shown(folder)} is a folder without config.json, which would name its architecture. Give the file: "
            f"--weights {' or '.join(shlex.quote(str(path)) for path in files[:5])}",
            Remedy(words=("--weights", str(files[0]))),
        )


def shards(index: Path) -> WeightsError:
    """Return the error for weights in shards, which consent joins."""
    return WeightsError(
        f"{shown(index.parent)} contains weights in shards ({index.name}). --convert joins them to one file there.",
        Remedy(write=partial(_joined, index)),
    )


def _joined(index: Path) -> Path:
    with foreign("index of shards", index, WeightsError, "Expected weight_map: name -> file."):
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if any(Path(name).name != name for name in names):
            raise ValueError("it names files of other folders")
    return rewritten(*map(index.with_name, names))


def rewritten(*files: Path) -> Path:
    """Write the tensors of these files of a folder as its model.safetensors; return the folder if it is complete with
    it, otherwise the new file. Raises WeightsError."""
    state, target = State(), files[0].with_name("model.safetensors")
    for file in files:
        with foreign("checkpoint", file, WeightsError):
            state |= _tensors_of(file)
    # Tied tensors share memory, which the format does not have.
    separate = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    _put(save(separate, {"format": "pt"}), target)
    return target.parent if is_file(target.with_name("config.json")) else target


def _tensors_of(file: Path) -> State:
    tensors: State = (
        load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu", weights_only=True)
    )
    return tensors


def _refuse_distributed(inside: Path, folder: Path) -> None:
    # Both libraries unpickle freely: the user runs them, or not.
    if is_file(inside / ".metadata"):
        target, what = inside / "weights.pt", "distributed checkpoint (torch.distributed.checkpoint)"
        words = ["torch.distributed.checkpoint.format_utils", "dcp_to_torch", str(inside), str(target)]
    elif any(inside.glob("*_optim_states.pt")) and any(inside.glob("*_model_states.pt")):
        run = inside.parent if inside == folder else folder
        target, what = run / "fp32" / "model.safetensors", "checkpoint of DeepSpeed"
        words = ["deepspeed.utils.zero_to_fp32", str(run), str(target.parent), "--tag", inside.name]
        words += ["--safe_serialization"]
    else:
        return
    command = ("python", "-m", *words)
    raise WeightsError(
        f"{shown(inside)} is a {what}. Its own tool converts it once, if you trust it: {shlex.join(command)}.",
        Remedy(before=command, words=("--weights", str(target))),
    )


def _adapter(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> WeightsError:
    """Return the error for a folder of PEFT: its adapter is to be merged into the network that it changes."""
    config = read_json(folder / "adapter_config.json", "configuration", WeightsError)
    config = config if isinstance(config, dict) else {}
    if str((config.get("auto_mapping") or {}).get("parent_library")).startswith("transformers"):
        write: Callable[[], Path] = partial(_merged_folder, folder, config)
    elif arch.startswith("timm:"):
        read = partial(_merged_state, folder, config, arch.removeprefix("timm:"), dict(kwargs))
        write = partial(written, read, folder / "merged")
    else:
        return WeightsError(f"{shown(folder)} is an adapter (PEFT): name the network that it is for, --arch timm:NAME.")
    return WeightsError(
        f"{shown(folder)} is an adapter (PEFT) without the network that it changes. --convert merges them to new files "
        "there.",
        Remedy(write=write),
    )


def _own_classes(folder: Path, config: Mapping[str, Any]) -> int | None:
    """Return the number of classes of a head that was trained with the adapter."""
    heads = {f"base_model.model.{part}.weight" for part in config.get("modules_to_save") or ()}
    file = folder / "adapter_model.safetensors"
    tensors = _tensors_of(file if is_file(file) else file.with_suffix(".bin"))
    return next((len(tensor) for name, tensor in tensors.items() if name in heads), None)


def _merged_state(folder: Path, config: Mapping[str, Any], name: str, kwargs: dict[str, Any]) -> State:
    peft: Any = _library("peft", folder)
    base, classes = config.get("base_model_name_or_path"), _own_classes(folder, config)
    more: dict[str, Any] = {"checkpoint_path": base} if base and is_file(Path(base)) else {"pretrained": True}
    more |= {"num_classes": classes} if classes else {}
    network = import_module("timm").create_model(name, **{**more, **kwargs})
    return dict(peft.PeftModel.from_pretrained(network, str(folder)).merge_and_unload().state_dict())


def _merged_folder(folder: Path, config: Mapping[str, Any]) -> Path:
    peft: Any = _library("peft", folder)
    transformers, target = import_module("transformers"), folder / "merged"
    base, classes = config.get("base_model_name_or_path"), _own_classes(folder, config)
    with foreign("adapter", folder, WeightsError, "It cannot be merged."):
        more = {"num_labels": classes} if classes else {}
        network = transformers.AutoModelForImageClassification.from_pretrained(base, **more)
        transformers.AutoImageProcessor.from_pretrained(base).save_pretrained(target)
        peft.PeftModel.from_pretrained(network, str(folder)).merge_and_unload().save_pretrained(target)
    return target
